"""The one exception tree: every error says what, where, why and what to do."""

from __future__ import annotations


class DecisionServiceError(Exception):
    """Root of everything this project raises on purpose.

    ``where`` names the file and line, field, row or setting; ``remedy`` tells the reader what to do next.
    """

    def __init__(self, what: str, *, where: str = "", remedy: str = "") -> None:
        self.what = what
        self.where = where
        self.remedy = remedy
        super().__init__(self.text())

    def text(self) -> str:
        """The message as shown to people: ``where: what; remedy``."""
        head = f"{self.where}: {self.what}" if self.where else self.what
        return f"{head}; {self.remedy}" if self.remedy else head


class RulebookError(DecisionServiceError):
    """Rule files that cannot be used; ``problems`` holds every mistake found, each with file and line."""

    def __init__(self, problems: tuple["Problem", ...]) -> None:
        self.problems = problems
        super().__init__("\n".join(str(problem) for problem in problems) or "no rule files")


class Problem:
    """One mistake in a file: ``file:line: what; remedy``. A line 0, when none is to blame, is not shown.

    ``code`` is that of the page in ``docs/lint/`` about it, for the few mistakes of reading that have one.
    """

    __slots__ = ("file", "line", "what", "remedy", "code")

    def __init__(self, file: str, line: int, what: str, remedy: str = "", *, code: str = "") -> None:
        self.file = file
        self.line = line
        self.what = what
        self.remedy = remedy
        self.code = code

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        text = f"{place}: {self.what}"
        return f"{text}; {self.remedy}" if self.remedy else text

    def __repr__(self) -> str:
        return f"Problem({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Problem) and str(self) == str(other)

    def __hash__(self) -> int:
        return hash(str(self))


class FactError(DecisionServiceError):
    """A value that its fact's declaration does not admit (type, exactness, range or choice)."""


class EngineError(DecisionServiceError):
    """A rule engine could not evaluate; the decision refers to a person."""


class InputError(DecisionServiceError):
    """Input from outside that cannot be used (a feed row, an application, an argument)."""


class Inadmissible(InputError):
    """Values that the rules in force, or what they are about, do not admit; ``fields`` holds (field, why) pairs."""

    def __init__(self, fields: tuple[tuple[str, str], ...]) -> None:
        self.fields = fields
        super().__init__("; ".join(f"{field}: {why}" for field, why in fields), remedy="correct the fields")


class ModelError(DecisionServiceError):
    """A model that is missing, corrupt or fails; the scorer turns it into an unknown score."""


class CalendarError(DecisionServiceError):
    """The working-day calendar of a year is not known; nothing is guessed."""


class StoreError(DecisionServiceError):
    """The store could not read or durably write; no decision is answered."""


class NotFound(DecisionServiceError):
    """What was asked for does not exist, or is not the caller's."""


class NotNow(DecisionServiceError):
    """An act that the present state of its thing does not admit; ``admits`` names those that it does."""

    def __init__(self, what: str, *, remedy: str = "", admits: tuple[str, ...] = ()) -> None:
        self.admits = admits
        super().__init__(what, remedy=remedy)


class Refused(DecisionServiceError):
    """An act on the rules that lacks a second person or an earlier step."""


class IdempotencyConflict(DecisionServiceError):
    """The idempotency key was used before with another body."""


class StillRunning(DecisionServiceError):
    """A request with the same idempotency key is under way."""


class AuditError(DecisionServiceError):
    """Evidence that does not verify."""


class NotAuthentic(DecisionServiceError):
    """A signed statement of who calls that cannot be relied on."""


class GrantRefused(DecisionServiceError):
    """No access token is given; ``code`` says why in the words of OAuth (RFC 6749, 5.2)."""

    def __init__(self, code: str, what: str, *, remedy: str = "") -> None:
        self.code = code
        super().__init__(what, remedy=remedy)
