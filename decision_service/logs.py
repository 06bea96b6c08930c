"""Logs: one line an event, as JSON or for people, on standard output; no values of anybody's, no bodies, no keys."""

from __future__ import annotations

import logging
import re
import sys
import traceback
from collections.abc import MutableMapping
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, TextIO

import orjson
import structlog

FORMATS = ("json", "text")
HIDDEN = "…"
MOST_FRAMES = 30
EXTRA = ("request_id", "batch_id", "line")
"""What a message of the standard library's logging may carry beside its sentence."""
_VALUES = re.compile(r"'[^'\n]*'|\"[^\"\n]*\"|\([^()\n]*=[^()\n]*\)|\d{5,}|\b[0-9A-HJ-NPQRTUWXY]{18}\b")
"""What may be a value of somebody's in a sentence that a library or the database wrote: quoted, long or in brackets."""
Event = MutableMapping[str, Any]


def configure(form: str, stream: TextIO | None = None) -> None:
    """From now on log in a format (``json`` or ``text``): our own events and those of every library."""
    out = stream or sys.stdout
    stamp = structlog.processors.TimeStamper(fmt="iso", utc=True, key="time")
    shared: list[Any] = [structlog.processors.add_log_level, stamp, without_exceptions]
    render: Any = structlog.dev.ConsoleRenderer(colors=out.isatty())
    factory: Any = structlog.PrintLoggerFactory(out)
    foreign: Any = render
    if form == "json":
        render = structlog.processors.JSONRenderer(serializer=_dumped)
        foreign = structlog.processors.JSONRenderer(serializer=lambda event, **_: _dumped(event).decode())
        factory = structlog.BytesLoggerFactory(_binary(out))
    structlog.configure(
        processors=[*shared, render],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=factory,
        cache_logger_on_first_use=True,
    )
    extra = structlog.stdlib.ExtraAdder(allow=EXTRA)
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, extra, *shared, without_values],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, foreign],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)


def request_line(**told: Any) -> None:
    """Log an answered request."""
    structlog.get_logger().info("request", **told)


def without_values(_: Any, __: str, event: Event) -> Event:
    """A sentence of a library, without what may be somebody's."""
    event["event"] = _VALUES.sub(HIDDEN, str(event["event"]))
    return event


def without_exceptions(_: Any, __: str, event: Event) -> Event:
    """An exception told by its kinds and places: its text may hold values of those whose request it was."""
    found = event.pop("exc_info", None)
    if found is True:
        found = sys.exc_info()
    if isinstance(found, BaseException):
        found = (type(found), found, found.__traceback__)
    if isinstance(found, tuple) and found[1] is not None:
        event["exception"] = exception(found[1])
    return event


def exception(error: BaseException) -> dict[str, Any]:
    """An exception as a document without its text."""
    told: dict[str, Any] = {"type": type(error).__qualname__, "where": _places(error.__traceback__)}
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if cause is not None:
        told["cause"] = type(cause).__qualname__
    return told


def _places(found: TracebackType | None) -> list[str]:
    frames = traceback.extract_tb(found)[-MOST_FRAMES:]
    return [f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames]


def _dumped(event: Any, **_: Any) -> bytes:
    return orjson.dumps(event, default=str)


def _binary(out: TextIO) -> BinaryIO:
    out.flush()
    return out.buffer
