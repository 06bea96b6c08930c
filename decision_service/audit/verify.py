"""Verifies the whole log: leaves, tree, commitments, decision rows, answers and receipts against each other."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from decision_service.audit.act import ACT_KINDS
from decision_service.audit.entries import Outside, Row, Things, act_of, entry_problems, release_of, ruleset_of
from decision_service.audit.four_eyes import FourEyes
from decision_service.audit.merkle import Frontier, leaf_hash
from decision_service.audit.release import KINDS, attached, digest_of_bytes
from decision_service.audit.signing import Checkpoint, LogKey
from decision_service.errors import StoreError

MOST_PROBLEMS = 1_000


class Rows(Things, Protocol):
    """The log as it lies in the tables. Values may be of any type: whoever tampers is not bound by a schema."""

    def heads(self) -> Sequence[Row]:
        """``id``, ``size``, ``frontier``, ``root``; there should be one, with the id 1."""

    def entries(self) -> Iterable[Row]:
        """Each leaf in order, with the columns of its decision, act on the rules or erasure.

        A decision's come with the reservation of the same client and application, and with its erasure.
        """

    def without_leaf(self) -> Iterable[tuple[Any, Any]]:
        """Kind and id of the rows that no leaf stands for."""

    def without_decision(self) -> Iterable[Any]:
        """Ids that a reservation names, but that are no decision of its client, application and customer."""

    def rulesets(self) -> Iterable[Row]:
        """``digest``, ``version`` and ``sources`` of every ruleset."""

    def attachments(self) -> Iterable[Row]:
        """``digest`` and ``content`` of everything attached to a publication."""


class LogStore(Protocol):
    """What verification needs of the store."""

    def log_rows(self) -> Rows:
        """The rows."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that does not verify."""

    what: str
    leaf_index: Any = None
    decision_id: Any = None

    def __str__(self) -> str:
        place = f"leaf {self.leaf_index!r}" if self.leaf_index is not None else "log"
        return f"{place}{f' (decision {self.decision_id})' if self.decision_id else ''}: {self.what}"


@dataclass(frozen=True, slots=True)
class Erasure:
    """A leaf that tells of an erasure."""

    leaf_index: Any
    decision_id: str
    erased_at: str

    def __str__(self) -> str:
        return (
            f"leaf {self.leaf_index}: the values of decision {self.decision_id} were erased at {self.erased_at};"
            " it can be proven, not replayed"
        )


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What was verified. ``findings`` holds the first thousand; ``erased`` counts records whose values are gone.

    ``met`` are the kept checkpoints whose leaves are the first leaves of the log; ``acts`` counts what was done to
    rules and applications, by kind.
    """

    leaves: int
    decisions: int
    acts: Mapping[str, int]
    erased: int
    root: bytes
    erasures: tuple[Erasure, ...]
    findings: tuple[Finding, ...]
    met: frozenset[Checkpoint] = frozenset()

    @property
    def ok(self) -> bool:
        """Whether everything verifies."""
        return not self.findings


def verify_log(
    store: LogStore,
    public_key: LogKey,
    outside: Outside,
    *,
    checkpoints: Iterable[Checkpoint] = (),
    progress: Callable[[int], None] = lambda leaves: None,
) -> VerifyReport:
    """Recompute everything from the stored bytes. Never raises for what it finds in the store.

    ``checkpoints`` are earlier statements of the log's size and root that somebody kept: only they show that the end
    of the log was cut off. ``progress`` is called with the number of leaves verified since its last call.
    """
    by_size: dict[int, set[Checkpoint]] = {}
    for one in checkpoints:
        by_size.setdefault(one.size, set()).add(one)  # two of one size may differ: each must be met
    run = _Run(public_key, outside, by_size, progress)
    try:
        run.over(store.log_rows())
    except StoreError as error:
        run.find(f"the store cannot be read: {error}")
    return run.report()


class _Run:
    """One verification in progress."""

    def __init__(
        self, key: LogKey, outside: Outside, checkpoints: dict[int, set[Checkpoint]], progress: Callable[[int], None]
    ) -> None:
        self._key = key
        self._outside = outside
        self._checkpoints = checkpoints
        self._progress = progress
        self._frontier = Frontier()
        self._kinds = Counter[str]()
        self._erased = 0
        self._erasures: list[Erasure] = []
        self._findings: list[Finding] = []
        self._met: set[Checkpoint] = set()
        self._rulesets: dict[tuple[str, str], tuple[Any, Any]] = {}
        self._attached: dict[str, Any] = {}
        self._four_eyes = FourEyes()
        self._orders = {kind: order() for kind, order in outside.orders.items()}

    def over(self, rows: Rows) -> None:
        """All checks, each leaf once."""
        self._meet_checkpoint()
        for row in rows.entries():
            self._entry(row)
            self._order(row, rows)
            self._progress(1)
        for finding in self._head(rows.heads()):
            self.find(finding)
        self._check_rulesets(rows.rulesets())  # after the leaves: what they name was stored before them
        self._check_attachments(rows.attachments())
        for size in self._checkpoints:
            self.find(f"the log is shorter than a checkpoint of {size} leaves: its end was cut off")
        for kind, subject in rows.without_leaf():
            self.find(f"a row of {kind}, {subject!r}, has no leaf")
        for order in self._orders.values():
            for what in order.at_the_end(rows):
                self.find(what)
        for decision_id in rows.without_decision():
            self.find("a reservation names it, but there is no such decision of its client", None, decision_id)

    def find(self, what: str, leaf_index: Any = None, decision_id: Any = None) -> None:
        """Note a finding."""
        if len(self._findings) < MOST_PROBLEMS:
            self._findings.append(Finding(what, leaf_index, decision_id))

    def report(self) -> VerifyReport:
        """The result so far."""
        return VerifyReport(
            leaves=self._frontier.size,
            decisions=self._kinds["decision"],
            acts={kind: self._kinds[kind] for kind in (*KINDS, *ACT_KINDS)},
            erased=self._erased,
            root=self._frontier.root(),
            erasures=tuple(self._erasures),
            findings=tuple(self._findings),
            met=frozenset(self._met),
        )

    def _entry(self, row: Row) -> None:
        index, record = row["leaf_index"], row["record"]
        if index != self._frontier.size:
            self.find(f"leaf {self._frontier.size} should stand here", index, row["decision_id"])
        if not isinstance(record, bytes):
            self.find("the record is not bytes", index, row["decision_id"])
            record = b""
        hashed = leaf_hash(record)
        if row["leaf_hash"] != hashed:
            self.find("the record's hash is not the stored leaf hash", index, row["decision_id"])
        self._frontier = self._frontier.append(hashed)
        self._meet_checkpoint()
        self._kinds["decision"] += row["decision_id"] is not None
        if row["erases"] is not None:
            self._erasures.append(Erasure(index, str(row["erases"]), str(row["erased_at"])))
        self._erased += row["decision_id"] is not None and row["private"] is None
        for what in entry_problems(row, record, self._key, self._outside):
            self.find(what, index, row["decision_id"])
        if (ruleset := ruleset_of(record)) is not None:
            self._rulesets.setdefault(ruleset, (index, row["decision_id"]))
        self._act(index, record)

    def _act(self, index: Any, record: bytes) -> None:
        """What an act on the rules says of persons and order, and what it says is kept."""
        content = release_of(record)
        if content is None:
            return
        self._kinds[content["type"]] += 1
        for what in self._four_eyes.problems(content):
            self.find(what, index)
        for digest in attached(content):
            self._attached.setdefault(digest, index)

    def _order(self, row: Row, things: Things) -> None:
        """Whether an act on a single thing was allowed when it was done."""
        content = act_of(row["record"]) if isinstance(row["record"], bytes) else None
        if content is None:
            return
        self._kinds[content["type"]] += 1
        order = self._orders.get(content["type"])
        for what in () if order is None else order.problems(content, things):
            self.find(what, row["leaf_index"])

    def _meet_checkpoint(self) -> None:
        for checkpoint in self._checkpoints.pop(self._frontier.size, ()):
            if checkpoint.root == self._frontier.root():
                self._met.add(checkpoint)
            else:
                self.find(f"the first {checkpoint.size} leaves are not those of the checkpoint")

    def _head(self, heads: Sequence[Row]) -> Iterator[str]:
        if [head["id"] for head in heads] != [1]:
            yield f"the log has {len(heads)} heads instead of one" if heads else "the head of the log is missing"
            return
        head = heads[0]
        if head["size"] != self._frontier.size:
            yield f"the head says {head['size']!r} leaves, {self._frontier.size} are stored"
        if head["root"] != self._frontier.root():
            yield "the head's root is not the root of the stored leaves"
        if head["frontier"] != self._frontier.to_bytes():
            yield "the head's frontier is not that of the stored leaves"

    def _check_rulesets(self, rows: Iterable[Row]) -> None:
        sound = set()
        for row in rows:
            if _digest(row["sources"], self._outside) == row["digest"]:
                sound.add((row["digest"], row["version"]))
            else:
                self.find(f"the texts of the ruleset {row['digest']!r} are not those of its digest")
        for ruleset, (index, decision_id) in self._rulesets.items():
            if ruleset not in sound:
                self.find(f"its ruleset, {ruleset[0]!r} version {ruleset[1]!r}, is not stored", index, decision_id)

    def _check_attachments(self, rows: Iterable[Row]) -> None:
        kept = set()
        for row in rows:
            if isinstance(row["content"], bytes) and digest_of_bytes(row["content"]) == row["digest"]:
                kept.add(row["digest"])
            else:
                self.find(f"the attachment {row['digest']!r} is not what its digest says")
        for digest, index in self._attached.items():
            if digest not in kept:
                self.find(f"its attachment {digest} is not stored", index)


def _digest(sources: Any, outside: Outside) -> str | None:
    """The digest of stored texts; ``None`` when they are not texts by path."""
    try:
        return outside.ruleset_digest(json.loads(sources))
    except (ValueError, TypeError, AttributeError, LookupError, RecursionError):
        return None
