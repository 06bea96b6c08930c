"""The store as the rest of the service sees it: one object, one method per thing to keep or look up."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

from sqlalchemy import select

from decision_service.audit.act import NewAct
from decision_service.errors import StoreError
from decision_service.lending.life import WAITING
from decision_service.portrait.industry import industry_code
from decision_service.portrait.records import EnterpriseRecords
from decision_service.quotas import Quota
from decision_service.store import (
    acts,
    client_quotas,
    clients,
    decisions,
    edges,
    erasures,
    exposure,
    idempotency,
    log,
    records,
    releases,
    rulesets,
)
from decision_service.store.acts import Act, Written
from decision_service.store.batches import Batches
from decision_service.store.challengers import Challengers
from decision_service.store.client_keys import ClientKeys
from decision_service.store.clients import ClientEntry
from decision_service.store.database import Database, Query, missing_file
from decision_service.store.decisions import Committed, DecisionCommit, Finish, StoredDecision
from decision_service.store.drift import Drifts
from decision_service.store.evidence import LogRows
from decision_service.store.exposure import ExposureState
from decision_service.store.idempotency import Asked, KeptAnswer, Stored, Work
from decision_service.store.leases import leases_of
from decision_service.store.lives import Lives
from decision_service.store.log import Sign
from decision_service.store.migrate import migrate
from decision_service.store.objections import Objections
from decision_service.store.releases import Decide, Extent, InForce, IsSigned, ReleaseEvent, SignedActs, scopes
from decision_service.store.rulesets import RulesetEntry
from decision_service.store.shadows import Shadows
from decision_service.store.tables import LOG_HEAD
from decision_service.store.together import errand, single_file
from decision_service.store.webhooks import Webhooks
from decision_service.vocabulary import Client, CreditApplication, Person


@dataclass(frozen=True, slots=True)
class Situation:
    """What is on file when an application comes: its enterprise's records, its exposure, whether it stands approved.

    ``switched_off`` names the scopes of the application for which automatic approval is switched off; ``acts`` is how
    far the acts on the rules went that tell so.
    """

    records: EnterpriseRecords
    exposure: ExposureState
    repeated: bool
    switched_off: tuple[str, ...] = ()
    acts: Extent | None = None


class Store:
    """All state of the service. Usable from several threads and across a fork; every method may raise ``StoreError``.

    Moments (``now``, ``source_time``) are aware. What a method writes is durable when it returns.
    """

    def __init__(self, database: Database, is_signed: IsSigned | None = None) -> None:
        self._database = database
        self._leases = leases_of(database)
        self._committing = partial(decisions.commit_decisions, database)
        self._acts = SignedActs(is_signed)
        self._is_signed = is_signed
        self._lives = Lives(database, self._leases, is_signed, WAITING)

    @classmethod
    def open(cls, url: str, is_signed: IsSigned | None = None) -> "Store":
        """Open (and create or migrate) the store at a URL: ``sqlite:///file.db`` or ``postgresql://…``.

        ``is_signed`` verifies what the log's key signed: an act on the rules that it did not sign is an error.
        """
        database = Database(url)
        migrate(database)
        return cls(database, is_signed)

    @staticmethod
    def missing_file(url: str) -> Path | None:
        """The file that ``open`` would have to create; ``None`` when it is there, or in PostgreSQL."""
        return missing_file(url)

    def close(self) -> None:
        """Close all connections, give leases back."""
        self._leases.close()
        self._database.close()

    def ready(self) -> None:
        """Raises ``StoreError`` when the store cannot answer."""
        with self._database.read() as connection:
            if connection.execute(select(LOG_HEAD.c.size)).scalar_one_or_none() is None:
                raise StoreError("the head of the log is missing", remedy="run: decision-service audit verify")

    def add_client(
        self, name: str, kind: str, now: datetime, *, client_id: str | None = None, created_by: Person | None = None
    ) -> tuple[Client, str]:
        """A new client and its key, which is shown this once; its id is random if none is given.

        Raises ``InputError``.
        """
        with self._database.write() as connection:
            return clients.add_client(
                connection, name=name, kind=kind, client_id=client_id, now=now, created_by=created_by
            )

    def bind_certificate(self, client_id: str, bound: bool) -> None:
        """Whether only tokens that are bound to a certificate count for a client, and no key. Raises ``NotFound``."""
        with self._database.write() as connection:
            clients.bind_certificate(connection, client_id, bound)

    def client_by_key(self, key: str) -> Client | None:
        """The client that holds a key, unless revoked."""
        with self._database.read_session() as session:
            return clients.client_by_key(session, key)

    def renew_key(self, client_id: str) -> str:
        """A new key of a client, shown this once; the old one ends at once. Raises ``NotFound``."""
        with self._database.write() as connection:
            return clients.renew_key(connection, client_id)

    def list_clients(self) -> tuple[ClientEntry, ...]:
        """All clients, revoked ones too."""
        with self._database.read() as connection:
            return clients.list_clients(connection)

    def revoke_client(self, client_id: str, now: datetime) -> None:
        """End a client's access. Raises ``NotFound``."""
        with self._database.write() as connection:
            clients.revoke_client(connection, client_id, now)

    def write_records(self, kind: str, rows: Iterable[records.Row], *, source_time: datetime, now: datetime) -> int:
        """Insert or replace (uscc, key, record) rows of a feed kind; returns how many were given."""
        return records.write_records(self._database, kind, rows, source_time=source_time, now=now)

    def set_feed(self, kind: str, source_time: datetime) -> None:
        """Note a delivery of a kind."""
        records.set_feed(self._database, kind, source_time)

    def repairs_told(self, since: datetime) -> tuple[records.ToldRepair, ...]:
        """The repairs of list entries that sources have told of since a moment, oldest first."""
        with self._database.read() as connection:
            return records.repairs_told(connection, since)

    def has_records(self, kind: str) -> bool:
        """Whether any record of a feed kind is on file."""
        with self._database.read() as connection:
            return records.has_records(connection, kind)

    def records(self, uscc: str) -> EnterpriseRecords | None:
        """Everything on record of an enterprise; ``None`` when it is unknown."""
        with self._database.read_session() as session:
            return records.read_records(session, uscc)

    def control_neighbours(self, uscc: str) -> Collection[str]:
        """Who controls an enterprise and whom it controls, one step; none of a party with too many."""
        with self._database.read_session() as session:
            return edges.neighbours(session, [uscc]) or ()

    def enterprise_count(self) -> int:
        """How many enterprises are on record."""
        with self._database.read() as connection:
            return records.enterprise_count(connection)

    def uscc_list(self, limit: int, offset: int = 0) -> tuple[str, ...]:
        """Enterprises on record, ascending."""
        with self._database.read() as connection:
            return records.uscc_list(connection, limit=limit, offset=offset)

    def once(self, asked: Asked, prepare: Callable[[], Work], now: datetime) -> KeptAnswer:
        """What the work that ``prepare`` gives writes and answers, once per key: the answer is kept with what it wrote.

        Raises ``IdempotencyConflict``, ``StillRunning``, and what the two raise: then nothing is written.
        """
        return idempotency.once(self._database, self._leases, asked, prepare, now)

    def lives(self) -> Lives:
        """What became of applications after their decisions."""
        return self._lives

    def objections(self) -> Objections:
        """Objections to records and decisions."""
        return Objections(self._database, self._is_signed)

    def acts(self, kind: str, subject: str) -> tuple[Act, ...]:
        """All acts of a kind on a subject, oldest first."""
        with self._database.read_session() as session:
            return acts.acts_of(session, kind, subject, self._is_signed)

    def notice(self, subject: str, new: NewAct, sign: Sign) -> Written | None:
        """Write what was noticed of a subject as a leaf signed by ``sign``, unless its ``once`` was written before."""
        with self._database.write_session() as session:
            return acts.append_notice(session, subject, new, sign=sign)

    def set_quotas(self, client_id: str, quotas: Iterable[Quota]) -> None:
        """Give a client quotas of its own, in the place of those it had. Raises ``NotFound``."""
        with self._database.write() as connection:
            client_quotas.set_quotas(connection, client_id, quotas)

    def quotas(self) -> Mapping[str, Mapping[str, Quota]]:
        """The quotas that clients have of their own, by client and name."""
        with self._database.read_session() as session:
            return client_quotas.all_quotas(session)

    def situation(self, client_id: str, application: CreditApplication, now: datetime) -> Situation | None:
        """All that a decision rests on, seen at once; ``None`` when the enterprise is unknown."""
        # Of requests that are answered together the next of a customer sees what the one before has changed.
        single_file(application.uscc)
        with self._database.read_session(shared=True) as session:
            session.foresee(_asks_situation(client_id, application, now))
            acts = self._acts.seen(session)
            found = records.read_records(session, application.uscc)
            if found is None:
                return None
            state = exposure.exposure_state(session, application.uscc, now)
            repeated = decisions.is_reserved(session, client_id, application, now)
            concerned = scopes(application.product, industry_code(found.registration), client_id)
            return Situation(found, state, repeated, acts.switched_off(concerned), acts.extent)

    def switched_off(self, scopes: Iterable[str]) -> tuple[str, ...]:
        """Those of the scopes for which automatic approval is switched off."""
        with self._database.read_session() as session:
            return self._acts.seen(session).switched_off(scopes)

    def exposure_state(self, uscc: str, now: datetime) -> ExposureState:
        """Reservations, recent applicants and credit lines of a customer and its group."""
        with self._database.read_session() as session:
            return exposure.exposure_state(session, uscc, now)

    def begin(self, client_id: str, key: str, body_digest: str, now: datetime) -> Stored | None:
        """Take an idempotency key, or give its stored answer. Raises ``IdempotencyConflict``, ``StillRunning``."""
        return idempotency.begin(
            self._database, self._leases, client_id=client_id, key=key, body_digest=body_digest, now=now
        )

    def release(self, client_id: str, key: str) -> None:
        """Give a key back after a request that stored nothing."""
        self._leases.release(client_id, key)

    def expire_leases(self, now: datetime) -> None:
        """Remove leases whose holders never came back."""
        self._leases.expire(now)

    def commit_decision(
        self,
        draft: DecisionCommit,
        *,
        expected: ExposureState | None,
        finish: Finish,
        now: datetime,
        acts: Extent | None = None,
    ) -> Committed:
        """Store decision, leaf, idempotency key and reservation in one durable transaction, or nothing.

        ``expected`` and ``acts`` are what the decision rests on; ``None`` for anything. Those of requests that are
        answered together share the transaction. Raises ``ExposureChanged``, ``StillRunning``, ``StoreError``.
        """
        client_id, key = draft.decision.client_id, draft.idempotency_key
        given = decisions.ToCommit(draft, expected, finish, now, acts, self._leases.giving_back(client_id, key))
        committed: Committed = errand(self._committing, given, patient=True)
        self._leases.given_back(client_id, key)
        return committed

    def decision(self, decision_id: str, client_id: str | None = None) -> StoredDecision | None:
        """One decision; with ``client_id`` only if it is that client's."""
        with self._database.read() as connection:
            return decisions.find_decision(connection, decision_id, client_id)

    def decisions(
        self, client_id: str | None, after: str | None = None, limit: int = 50
    ) -> tuple[tuple[StoredDecision, ...], str | None]:
        """A page, newest first, and the cursor of the next page. Raises ``InputError`` for a bad cursor or limit."""
        with self._database.read() as connection:
            return decisions.list_decisions(connection, client_id=client_id, after=after, limit=limit)

    def each_decision(self) -> Iterator[StoredDecision]:
        """All decisions, oldest first."""
        return decisions.each_decision(self._database)

    def decisions_on(self, codes: Collection[str], client_id: str | None = None) -> Iterator[StoredDecision]:
        """Decisions on enterprises, of a client or of all, newest first."""
        return decisions.decisions_on(self._database, codes, client_id)

    def erase_private(self, decision_id: str, now: datetime, sign: Sign) -> None:
        """Erase the values behind a record's commitments; a leaf signed by ``sign`` says so. Raises ``NotFound``."""
        with self._database.write_session() as session:
            erasures.erase_private(session, decision_id, now=now, sign=sign)
        self._database.forget_old_pages()

    def save_ruleset(self, digest: str, version: str, sources: Mapping[str, str], now: datetime) -> None:
        """Keep a ruleset's texts under its digest."""
        with self._database.write() as connection:
            rulesets.save_ruleset(connection, digest, version=version, sources=sources, now=now)

    def ruleset_sources(self, digest: str) -> dict[str, str] | None:
        """The texts of a ruleset by path."""
        with self._database.read() as connection:
            return rulesets.ruleset_sources(connection, digest)

    def list_rulesets(self) -> tuple[RulesetEntry, ...]:
        """All stored rulesets, oldest first."""
        with self._database.read() as connection:
            return rulesets.list_rulesets(connection)

    def attach(self, content: bytes) -> str:
        """Keep bytes under their own digest, which is returned."""
        with self._database.write() as connection:
            return rulesets.attach(connection, content)

    def attachment(self, digest: str) -> bytes | None:
        """Bytes by their digest."""
        with self._database.read() as connection:
            return rulesets.attachment(connection, digest)

    def append_release(self, decide: Decide, sign: Sign) -> ReleaseEvent | None:
        """Append what ``decide`` makes of all acts on the rules so far, as a leaf signed by ``sign``, if anything.

        Raises what ``decide`` raises.
        """
        with self._database.write_session() as session:
            return releases.append_event(session, self._acts, decide, sign=sign)

    def releases(self) -> tuple[ReleaseEvent, ...]:
        """Every act on the rules, oldest first."""
        with self._database.read_session() as session:
            return self._acts.checked(session).events

    def in_force(self, now: datetime) -> InForce:
        """Which ruleset decides at a moment, and which are to come."""
        with self._database.read_session() as session:
            return self._acts.checked(session).in_force(now)

    def shadows(self) -> Shadows:
        """The versions that run beside the active one, and what they say of its decisions."""
        return Shadows(self._database, self._leases)

    def batches(self) -> Batches:
        """Batches of applications, and what became of each line."""
        return Batches(self._database, self._leases)

    def webhooks(self) -> Webhooks:
        """Where events of the log are sent, and what became of each."""
        return Webhooks(self._database, self._leases)

    def client_keys(self) -> ClientKeys:
        """The public keys of clients, and which of their signed requests were used."""
        return ClientKeys(self._database)

    def challengers(self) -> Challengers:
        """The models that are held against the champions, and what they say of decisions."""
        return Challengers(self._database, self._leases)

    def drifts(self) -> Drifts:
        """What is watched of decisions by day: counts and figures."""
        return Drifts(self._database)

    def log_head(self) -> tuple[int, bytes]:
        """Size and root of the log."""
        with self._database.read() as connection:
            return log.log_head(connection)

    def leaf_hashes(self) -> Iterator[bytes]:
        """Stored leaf hashes in order."""
        return log.leaf_hashes(self._database)

    def log_rows(self) -> LogRows:
        """The log as it lies in the tables, for verification."""
        return LogRows(self._database)


def _asks_situation(client_id: str, application: CreditApplication, now: datetime) -> Iterator[Query]:
    """What ``situation`` asks whatever it finds, the acts first."""
    yield releases.ASKS_EXTENT
    yield from records.asks_records(application.uscc)
    yield from exposure.asks_exposure(application.uscc, now)
    yield decisions.asks_reserved(client_id, application, now)
