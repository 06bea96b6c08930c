"""Webhooks: who wants which events where, and what became of each delivery."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, and_, case, delete, func, insert, or_, select, update

from decision_service.errors import InputError, NotFound, StillRunning
from decision_service.store import events
from decision_service.store.cursors import cursor_before, place_before
from decision_service.store.database import Database
from decision_service.store.events import PING, Event, Stretch
from decision_service.store.idempotency import CREATED, Asked, KeptAnswer, held, once_connected
from decision_service.store.leases import Leases, same_body, turn_of
from decision_service.store.statements import insert_into
from decision_service.store.tables import CLIENTS, WEBHOOK_DELIVERIES, WEBHOOK_KEYS, WEBHOOKS

TURN = "webhooks"
ACTIVE, DISABLED, DELETED = "active", "disabled", "deleted"
"""What is deleted is never told of again: its row keeps the idempotency key, which stays its client's."""
PENDING, DELIVERED, GIVEN_UP = "pending", "delivered", "given_up"
ACCEPTED = 202
MOST = 20
"""Webhooks of one client."""
READ_AHEAD = 1_000
"""Deliveries that wait for one webhook before more of the log is read for it."""
KEPT = timedelta(days=30)
"""How long finished deliveries can be looked up."""


@dataclass(frozen=True, slots=True)
class NewWebhook:
    """What a client asks for."""

    client_id: str
    idempotency_key: str
    body_digest: str
    url: str
    types: Sequence[str]
    description: str
    kind: str


@dataclass(frozen=True, slots=True)
class Webhook:
    """An endpoint. ``seen`` is the place of the log up to which its deliveries were made; ``notice`` why it rests."""

    number: int
    webhook_id: str
    client_id: str
    url: str
    types: tuple[str, ...]
    description: str
    state: str
    notice: str | None
    failures: int
    seen: int
    version: int
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class WebhookKey:
    """One signing key: its bytes follow from its place, none are stored."""

    number: int
    place: int
    kind: str
    made_at: datetime
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event for one webhook, and how far it has come."""

    number: int
    event_id: str
    place: int
    type: str
    subject: str
    body: bytes
    state: str
    attempts: int
    next_at: datetime
    status: int | None
    error: str | None
    made_at: datetime
    finished_at: datetime | None


@dataclass(frozen=True, slots=True)
class Attempt:
    """What came of an attempt: how the delivery stands, and whether the webhook now rests (and why)."""

    state: str
    next_at: datetime
    status: int | None
    error: str | None
    rests: str | None = None


@dataclass(frozen=True, slots=True)
class Webhooks:
    """The webhooks of a store. Every method may raise ``StoreError``."""

    database: Database
    leases: Leases

    def add(self, new: NewWebhook, now: datetime) -> tuple[Webhook, bool]:
        """Keep a webhook with its first key; events from now on. Found again by its key (and whether it was).

        Raises ``IdempotencyConflict``, ``StillRunning``, or ``InputError`` when the client has too many.
        """
        known = WEBHOOKS.c
        owned = (known.client_id == new.client_id, known.idempotency_key == new.idempotency_key)
        asked = Asked(new.client_id, new.idempotency_key, new.body_digest)
        with held(self.database, self.leases, asked, now), self.database.write() as connection:
            made = _made(connection, new)
            if made is not None:
                return made, True
            kept = (known.client_id == new.client_id, known.state != DELETED)
            count = select(func.count()).select_from(WEBHOOKS).where(*kept)
            if connection.execute(count).scalar_one() >= MOST:
                raise InputError(f"there are {MOST} webhooks", where="url", remedy="delete one that is not needed")
            values = {
                "webhook_id": str(uuid.uuid4()),
                "client_id": new.client_id,
                "idempotency_key": new.idempotency_key,
                "body_digest": new.body_digest,
                "url": new.url,
                "types": " ".join(new.types),
                "description": new.description,
                "state": ACTIVE,
                "failures": 0,
                "seen": events.newest_in(connection),
                "version": 1,
                "created_at": now,
                "updated_at": now,
            }
            statement = insert_into(WEBHOOKS, self.database.dialect).values(values)
            statement = statement.on_conflict_do_nothing(index_elements=[known.client_id, known.idempotency_key])
            number = connection.execute(statement.returning(known.number)).scalar_one_or_none()
            if number is None:
                raise StillRunning("this key is being used", where="Idempotency-Key", remedy="retry shortly")
            key = {"number": number, "place": 1, "kind": new.kind, "made_at": now}
            connection.execute(insert(WEBHOOK_KEYS).values(**key, idempotency_key=new.idempotency_key))
            return _webhook(connection.execute(_STORED.where(*owned)).one()), False

    def made(self, new: NewWebhook) -> Webhook | None:
        """The webhook that its key already has, also when it was deleted since. Raises ``IdempotencyConflict``."""
        with self.database.read() as connection:
            return _made(connection, new)

    def find(self, webhook_id: str, client_id: str | None) -> Webhook:
        """One webhook; with ``client_id`` only if it is that client's. Raises ``NotFound``."""
        with self.database.read() as connection:
            row = connection.execute(_KEPT.where(WEBHOOKS.c.webhook_id == webhook_id)).one_or_none()
        if row is None or client_id not in (None, row.client_id):
            raise NotFound("there is no such webhook", remedy="check the id; only one's own webhooks can be reached")
        return _webhook(row)

    def list(self, client_id: str | None) -> tuple[Webhook, ...]:
        """Those of a client, or all; oldest first."""
        statement = _KEPT.order_by(WEBHOOKS.c.number)
        if client_id is not None:
            statement = statement.where(WEBHOOKS.c.client_id == client_id)
        with self.database.read() as connection:
            return tuple(_webhook(row) for row in connection.execute(statement))

    def active(self) -> tuple[tuple[Webhook, str | None], ...]:
        """Those to deliver to, with the client whose events they get (``None``: everybody's)."""
        statement = (
            _STORED.add_columns(CLIENTS.c.kind)
            .join_from(WEBHOOKS, CLIENTS, WEBHOOKS.c.client_id == CLIENTS.c.client_id)
            .where(WEBHOOKS.c.state == ACTIVE, CLIENTS.c.revoked_at.is_(None))
            .order_by(WEBHOOKS.c.number)
        )
        with self.database.read() as connection:
            return tuple(
                (_webhook(row[:-1]), None if row[-1] == "risk" else row.client_id)
                for row in connection.execute(statement)
            )

    def change(self, webhook: Webhook, values: Mapping[str, Any], now: datetime) -> Webhook | None:
        """Change a webhook as it was seen; ``None`` if it was changed meanwhile. Made active, it goes on at once."""
        known = WEBHOOKS.c
        content = {**values, "version": webhook.version + 1, "updated_at": now}
        if values.get("state") == ACTIVE:
            content |= {"failures": 0, "notice": None}
        if values.get("state") == DISABLED and webhook.state == ACTIVE:
            content["notice"] = "disabled by its owner"
        with self.database.write() as connection:
            seen = and_(known.number == webhook.number, known.version == webhook.version)
            if not connection.execute(update(WEBHOOKS).where(seen).values(content)).rowcount:
                return None
            if values.get("state") == ACTIVE and webhook.state != ACTIVE:
                waiting = WEBHOOK_DELIVERIES.c
                connection.execute(
                    update(WEBHOOK_DELIVERIES)
                    .where(waiting.number == webhook.number, waiting.state == PENDING)
                    .values(attempts=0, next_at=now)
                )
            return _webhook(connection.execute(_STORED.where(known.number == webhook.number)).one())

    def remove(self, webhook: Webhook) -> bool:
        """Forget a webhook, its keys and deliveries; whether it was still as it was seen.

        What is left is by which request it was made: a retry of it makes no other.
        """
        known = WEBHOOKS.c
        seen = (known.number == webhook.number, known.version == webhook.version, known.state != DELETED)
        gone = {"state": DELETED, "url": "", "types": "", "description": "", "notice": None}
        with self.database.write() as connection:
            statement = update(WEBHOOKS).where(*seen).values(**gone, version=webhook.version + 1)
            if not connection.execute(statement).rowcount:
                return False
            for table in (WEBHOOK_DELIVERIES, WEBHOOK_KEYS):
                connection.execute(delete(table).where(table.c.number == webhook.number))
        return True

    def rotate(
        self, webhook: Webhook, kind: str, asked: Asked, now: datetime, keep: timedelta
    ) -> tuple[WebhookKey, bool]:
        """A new key; those before stay valid for a while. Once per idempotency key (and whether it was before).

        Raises ``IdempotencyConflict``, ``StillRunning``, ``NotFound``.
        """

        def work(connection: Connection) -> KeptAnswer:
            made = _rotated(connection, webhook, kind, asked.key, now=now, keep=keep)
            return KeptAnswer(CREATED, str(made).encode())

        answer = once_connected(self.database, self.leases, asked, work, now)
        known = WEBHOOK_KEYS.c
        statement = select(*_KEY).where(known.number == webhook.number, known.place == int(answer.body))
        with self.database.read() as connection:
            row = connection.execute(statement).one_or_none()
        if row is None:
            raise NotFound("there is no such webhook", remedy="it was deleted")
        return WebhookKey(*row), answer.replayed

    def keys(self, webhook: Webhook, now: datetime) -> tuple[WebhookKey, ...]:
        """The keys that are valid, newest first."""
        known = WEBHOOK_KEYS.c
        valid = or_(known.expires_at.is_(None), known.expires_at > now)
        statement = select(*_KEY).where(known.number == webhook.number, valid).order_by(known.place.desc())
        with self.database.read() as connection:
            return tuple(WebhookKey(*row) for row in connection.execute(statement))

    def read_ahead(self, webhook: Webhook, client_id: str | None, now: datetime) -> int:
        """Make the deliveries of what the log has new for a webhook; how many.

        Those that were finished before, when the log is read again, are delivered again.
        """
        deliveries, known = WEBHOOK_DELIVERIES.c, WEBHOOKS.c
        count = select(func.count()).where(deliveries.number == webhook.number, deliveries.state == PENDING)
        with self.database.read() as connection:
            room = READ_AHEAD - connection.execute(count).scalar_one()
        if room <= 0:
            return 0
        found = self.events(client_id, webhook.seen, room)
        if found.seen == webhook.seen:
            return 0
        wanted = [one for one in found.events if one.type in webhook.types]
        with self.database.write() as connection:
            seen = and_(known.number == webhook.number, known.seen == webhook.seen, known.state != DELETED)
            if not connection.execute(update(WEBHOOKS).where(seen).values(seen=found.seen)).rowcount:
                return 0  # another process was there, or an earlier place was asked for
            serial = _next_serial(connection, webhook)
            for number, one in enumerate(wanted, serial):
                row = _row(webhook, one, number, now)
                statement = insert_into(WEBHOOK_DELIVERIES, self.database.dialect).values(row)
                connection.execute(
                    statement.on_conflict_do_update(
                        index_elements=[deliveries.number, deliveries.event_id],
                        set_={"state": PENDING, "attempts": 0, "next_at": now, "finished_at": None},
                        where=deliveries.state != PENDING,
                    )
                )
        return len(wanted)

    def ping(self, webhook: Webhook, asked: Asked, now: datetime) -> tuple[str, bool]:
        """An event that says nothing, for this webhook alone: its id. Once per key (and whether it was before).

        Raises ``IdempotencyConflict``, ``StillRunning``, ``NotFound``.
        """
        name = hashlib.sha256(f"{webhook.webhook_id} {asked.key}".encode()).hexdigest()[:32]
        event = Event(f"evt_ping_{name}", 0, PING, f"ping {name}", now, {"webhook_id": webhook.webhook_id})

        def work(connection: Connection) -> KeptAnswer:
            _lock(connection, webhook)
            row = _row(webhook, event, _next_serial(connection, webhook), now)
            statement = insert_into(WEBHOOK_DELIVERIES, self.database.dialect).values(row)
            connection.execute(statement.on_conflict_do_nothing())
            return KeptAnswer(ACCEPTED, event.event_id.encode())

        answer = once_connected(self.database, self.leases, asked, work, now)
        return answer.body.decode(), answer.replayed

    def rewind(self, webhook: Webhook, after: int, asked: Asked, body: bytes, now: datetime) -> KeptAnswer:
        """Deliver again what came after a place of the log, and answer ``body``; once per key.

        Raises ``IdempotencyConflict``, ``StillRunning``, ``NotFound``.
        """
        known = WEBHOOKS.c
        earlier = and_(known.number == webhook.number, known.seen > after)

        def work(connection: Connection) -> KeptAnswer:
            _lock(connection, webhook)
            connection.execute(update(WEBHOOKS).where(earlier).values(seen=after))
            return KeptAnswer(ACCEPTED, body)

        return once_connected(self.database, self.leases, asked, work, now)

    def events(self, client_id: str | None, after: int, limit: int) -> Stretch:
        """Events after a place that a client may hear of."""
        return events.events_after(self.database, client_id, after, limit)

    def newest(self) -> int:
        """The place of the newest leaf."""
        return events.newest_place(self.database)

    def due(self, webhook: Webhook, now: datetime, limit: int) -> tuple[Delivery, ...]:
        """What to attempt now, oldest first; of each subject only the first that is not finished."""
        known, other = WEBHOOK_DELIVERIES.c, WEBHOOK_DELIVERIES.alias("other")
        earlier = (
            select(other.c.place)
            .where(
                other.c.number == known.number,
                other.c.state == PENDING,
                other.c.subject == known.subject,
                other.c.place < known.place,
            )
            .exists()
        )
        statement = (
            select(*_DELIVERY)
            .where(known.number == webhook.number, known.state == PENDING, known.next_at <= now, ~earlier)
            .order_by(known.next_at, known.place)
            .limit(limit)
        )
        with self.database.read() as connection:
            return tuple(Delivery(*row) for row in connection.execute(statement))

    def note(self, delivery: Delivery, attempt: Attempt, now: datetime, *, most_given_up: int) -> None:
        """Write what came of an attempt. A webhook for which ``most_given_up`` in a row were given up rests."""
        known, hooks = WEBHOOK_DELIVERIES.c, WEBHOOKS.c
        values = {
            "state": attempt.state,
            "attempts": delivery.attempts + 1,
            "next_at": attempt.next_at,
            "status": attempt.status,
            "error": attempt.error,
            "finished_at": None if attempt.state == PENDING else now,
        }
        this = and_(known.number == delivery.number, known.event_id == delivery.event_id)
        hook = hooks.number == delivery.number
        with self.database.write() as connection:
            connection.execute(update(WEBHOOK_DELIVERIES).where(this).values(values))
            if attempt.state == DELIVERED:
                connection.execute(update(WEBHOOKS).where(hook, hooks.failures > 0).values(failures=0))
            if attempt.state == GIVEN_UP:
                connection.execute(update(WEBHOOKS).where(hook).values(failures=hooks.failures + 1))
            resting, notice = attempt.rests is not None, attempt.rests
            if attempt.state == GIVEN_UP and not resting:
                failures = connection.execute(select(hooks.failures).where(hook)).scalar_one_or_none() or 0
                resting = failures >= most_given_up
                notice = f"{failures} events in a row were given up after all retries"
            if resting:
                rest = {"state": DISABLED, "notice": notice, "version": hooks.version + 1, "updated_at": now}
                connection.execute(update(WEBHOOKS).where(hook, hooks.state == ACTIVE).values(rest))

    def deliveries(self, webhook: Webhook, after: str | None, limit: int) -> tuple[tuple[Delivery, ...], str | None]:
        """Newest first, and the cursor of the next page. Raises ``InputError`` for a bad cursor."""
        known = WEBHOOK_DELIVERIES.c
        statement = select(*_DELIVERY, known.serial).where(known.number == webhook.number)
        if after is not None:
            statement = statement.where(known.serial < place_before(after))
        statement = statement.order_by(known.serial.desc()).limit(limit + 1)
        with self.database.read() as connection:
            rows = connection.execute(statement).all()
        found = tuple(Delivery(*row[:-1]) for row in rows[:limit])
        return found, cursor_before(rows[limit - 1].serial) if len(rows) > limit else None

    def waiting(self, webhook: Webhook) -> tuple[int, datetime | None]:
        """How many deliveries wait, and since when the oldest does."""
        known = WEBHOOK_DELIVERIES.c
        mine = case((known.state == PENDING, known.made_at))
        statement = select(func.count(mine), func.min(mine)).where(known.number == webhook.number)
        with self.database.read() as connection:
            count, oldest = connection.execute(statement).one()
        return int(count), oldest

    def forget(self, now: datetime) -> None:
        """Remove what was finished long ago."""
        with self.database.write() as connection:
            connection.execute(delete(WEBHOOK_DELIVERIES).where(WEBHOOK_DELIVERIES.c.finished_at < now - KEPT))

    def turn(self, now: datetime) -> AbstractContextManager[bool]:
        """Whether the caller is the one to deliver; another's turn ends with its process, or by time."""
        return turn_of(self.leases, TURN, now)


_STORED = select(
    *(
        WEBHOOKS.c[name]
        for name in (
            "number", "webhook_id", "client_id", "url", "types", "description", "state", "notice", "failures", "seen",
            "version", "created_at", "updated_at",
        )
    )
)  # fmt: skip
_KEPT = _STORED.where(WEBHOOKS.c.state != DELETED)
_KEY = [WEBHOOK_KEYS.c[name] for name in ("number", "place", "kind", "made_at", "expires_at")]
_DELIVERY = [
    WEBHOOK_DELIVERIES.c[name]
    for name in (
        "number", "event_id", "place", "type", "subject", "body", "state", "attempts", "next_at", "status", "error",
        "made_at", "finished_at",
    )
]  # fmt: skip


def _rotated(
    connection: Connection, webhook: Webhook, kind: str, idempotency_key: str, *, now: datetime, keep: timedelta
) -> int:
    """The place of a new key, with the end of those before it."""
    known, ends = WEBHOOK_KEYS.c, now + keep
    _lock(connection, webhook)
    used = select(known.place).where(known.number == webhook.number, known.idempotency_key == idempotency_key)
    if connection.execute(used).first() is not None:
        same_body("", idempotency_key)  # by what was made before answers were kept
    lasting = or_(known.expires_at.is_(None), known.expires_at > ends)
    connection.execute(
        update(WEBHOOK_KEYS).where(known.number == webhook.number, lasting).values(expires_at=ends)
    )
    last = select(func.max(known.place)).where(known.number == webhook.number)
    place = int(connection.execute(last).scalar_one()) + 1
    values = {"number": webhook.number, "place": place, "kind": kind, "made_at": now}
    connection.execute(insert(WEBHOOK_KEYS).values(**values, idempotency_key=idempotency_key))
    return place


def _made(connection: Connection, new: NewWebhook) -> Webhook | None:
    owned = (WEBHOOKS.c.client_id == new.client_id, WEBHOOKS.c.idempotency_key == new.idempotency_key)
    row = connection.execute(_STORED.add_columns(WEBHOOKS.c.body_digest).where(*owned)).one_or_none()
    if row is None:
        return None
    same_body(row.body_digest, new.body_digest)
    return _webhook(row[:-1])


def _lock(connection: Connection, webhook: Webhook) -> None:
    """Whoever changes what belongs to a webhook comes one after the other. Raises ``NotFound``."""
    kept = (WEBHOOKS.c.number == webhook.number, WEBHOOKS.c.state != DELETED)
    if connection.execute(select(WEBHOOKS.c.number).where(*kept).with_for_update()).first() is None:
        raise NotFound("there is no such webhook", remedy="it was deleted")


def _next_serial(connection: Connection, webhook: Webhook) -> int:
    """The next number of a delivery, once the webhook is locked."""
    known = WEBHOOK_DELIVERIES.c
    last = select(func.coalesce(func.max(known.serial), 0)).where(known.number == webhook.number)
    return int(connection.execute(last).scalar_one()) + 1


def _webhook(row: Any) -> Webhook:
    """A row of ``_STORED``, whose columns stand in the order of the fields."""
    fields = list(row)
    fields[4] = tuple(fields[4].split())
    return Webhook(*fields)


def _row(webhook: Webhook, event: Event, serial: int, now: datetime) -> dict[str, Any]:
    return {
        "number": webhook.number,
        "serial": serial,
        "event_id": event.event_id,
        "place": event.place,
        "type": event.type,
        "subject": event.subject,
        "body": event.body(),
        "state": PENDING,
        "attempts": 0,
        "next_at": now,
        "made_at": now,
    }
