"""Verifies the whole log: leaves, tree, commitments, decision rows, answers and receipts against each other."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from decision_service.audit.answer import Render, answer_problems
from decision_service.audit.canonical import parsed
from decision_service.audit.merkle import Frontier, leaf_hash
from decision_service.audit.record import commitment
from decision_service.audit.signing import Checkpoint, LogKey
from decision_service.errors import AuditError, StoreError

MOST_PROBLEMS = 1_000

Row = Mapping[str, Any]


class Rows(Protocol):
    """The log as it lies in the tables. Values may be of any type: whoever tampers is not bound by a schema."""

    def head(self) -> Row | None:
        """``size``, ``frontier``, ``root``."""

    def entries(self) -> Iterable[Row]:
        """Each leaf in order, with its decision's columns."""

    def without_leaf(self) -> Iterable[Any]:
        """Ids of decisions that no leaf stands for."""

    def without_decision(self) -> Iterable[Any]:
        """Ids of decisions that other rows name but that do not exist."""


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
class VerifyReport:
    """What was verified. ``findings`` holds the first thousand; ``erased`` counts records whose values are erased."""

    leaves: int
    decisions: int
    erased: int
    root: bytes
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Whether everything verifies."""
        return not self.findings


def verify_log(
    store: LogStore,
    public_key: LogKey,
    *,
    render: Render,
    checkpoints: Iterable[Checkpoint] = (),
    progress: Callable[[int], None] = lambda leaves: None,
) -> VerifyReport:
    """Recompute everything from the stored bytes. Never raises for what it finds in the store.

    ``render`` is what renders answers; each stored one must be its bytes. ``checkpoints`` are earlier statements of the
    log's size and root that somebody kept: only they show that the end of the log was cut off. ``progress`` is called
    with the number of leaves verified since its last call.
    """
    run = _Run(public_key, render, {one.size: one for one in checkpoints}, progress)
    try:
        run.over(store.log_rows())
    except StoreError as error:
        run.find(f"the store cannot be read: {error}")
    return run.report()


class _Run:
    """One verification in progress."""

    def __init__(
        self, key: LogKey, render: Render, checkpoints: dict[int, Checkpoint], progress: Callable[[int], None]
    ) -> None:
        self._key = key
        self._render = render
        self._checkpoints = checkpoints
        self._progress = progress
        self._frontier = Frontier()
        self._decisions = 0
        self._erased = 0
        self._findings: list[Finding] = []

    def over(self, rows: Rows) -> None:
        """All checks, each leaf once."""
        self._meet_checkpoint()
        for row in rows.entries():
            self._entry(row)
            self._progress(1)
        for finding in self._head(rows.head()):
            self.find(finding)
        for checkpoint in self._checkpoints.values():
            self.find(f"the log is shorter than a checkpoint of {checkpoint.size} leaves: its end was cut off")
        for decision_id in rows.without_leaf():
            self.find("this decision has no leaf", None, decision_id)
        for decision_id in rows.without_decision():
            self.find("a reservation names this decision, but it is missing", None, decision_id)

    def find(self, what: str, leaf_index: Any = None, decision_id: Any = None) -> None:
        """Note a finding."""
        if len(self._findings) < MOST_PROBLEMS:
            self._findings.append(Finding(what, leaf_index, decision_id))

    def report(self) -> VerifyReport:
        """The result so far."""
        frontier = self._frontier
        return VerifyReport(frontier.size, self._decisions, self._erased, frontier.root(), tuple(self._findings))

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
        self._decisions += row["decision_id"] is not None
        self._erased += row["decision_id"] is not None and row["private"] is None
        for what in entry_problems(row, record, self._key, self._render):
            self.find(what, index, row["decision_id"])

    def _meet_checkpoint(self) -> None:
        checkpoint = self._checkpoints.pop(self._frontier.size, None)
        if checkpoint is not None and checkpoint.root != self._frontier.root():
            self.find(f"the first {checkpoint.size} leaves are not those of the checkpoint")

    def _head(self, head: Row | None) -> Iterator[str]:
        if head is None:
            yield "the head of the log is missing"
            return
        if head["size"] != self._frontier.size:
            yield f"the head says {head['size']!r} leaves, {self._frontier.size} are stored"
        if head["root"] != self._frontier.root():
            yield "the head's root is not the root of the stored leaves"
        if head["frontier"] != self._frontier.to_bytes():
            yield "the head's frontier is not that of the stored leaves"


def entry_problems(row: Row, record: bytes, key: LogKey, render: Render) -> Iterator[str]:
    """Everything about one leaf that its own row can show."""
    try:
        content = parsed(record)
        if not isinstance(content, dict) or content.get("type") != "decision":
            raise AuditError("it is not the record of a decision")
        yield from _column_problems(row, content)
        yield from _private_problems(row["private"], content)
        yield from answer_problems(
            row["body"], content, leaf_index=row["leaf_index"], leaf=leaf_hash(record), key=key, render=render
        )
    except AuditError as error:
        yield f"the record cannot be read: {error}"
    except (KeyError, TypeError, AttributeError, ValueError, ArithmeticError) as error:
        yield f"the record lacks or mistypes a part: {error!r}"


def _column_problems(row: Row, content: dict[str, Any]) -> Iterator[str]:
    application = content["application"]
    expected = {
        "decision_id": content["decision_id"],
        "client_id": content["client_id"],
        "application_id": application["application_id"],
        "uscc": application["uscc"],
        "product": application["product"],
        "outcome": content["outcome"],
        "decided_at": content["decided_at"],
        "ruleset_digest": content["ruleset"]["digest"],
    }
    for name, value in expected.items():
        if row[name] != value or type(row[name]) is not type(value):
            yield f"column {name} holds {row[name]!r}, the record says {value!r}"


def _private_problems(private: Any, content: dict[str, Any]) -> Iterator[str]:
    """Each value against its commitment; an erased part is no problem."""
    if private is None:
        return
    if not isinstance(private, bytes):
        yield "the committed values are not bytes"
        return
    try:
        opened, commitments = parsed(private), content["commitments"]
    except AuditError as error:
        yield f"the committed values cannot be read: {error}"
        return
    if not isinstance(opened, dict) or opened.keys() != commitments.keys():
        yield "the committed values are not those of the record"
        return
    for name, pair in opened.items():
        if not _opens(commitments[name], name, pair):
            yield f"the value of {name} is not the one committed to"


def _opens(committed: str, name: str, pair: Any) -> bool:
    if not (isinstance(pair, list) and len(pair) == 2 and isinstance(pair[0], str)):
        return False
    try:
        salt = b64decode(pair[0], validate=True)
    except ValueError:
        return False
    # Base64 has several spellings of the same bytes; a changed spelling is a changed byte.
    return b64encode(salt).decode() == pair[0] and commitment(salt, name, pair[1]) == committed
