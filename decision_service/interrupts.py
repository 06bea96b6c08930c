"""Ctrl-C ends a command quietly with exit code 130, whether it runs or is still loading."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

INTERRUPTED = 130
"""The exit code of what Ctrl-C stopped: 128 and the number of SIGINT, as shells count."""


def leave_quietly() -> None:
    """From now on Ctrl-C ends the process at once; while modules load there is nothing to put in order."""
    signal.signal(signal.SIGINT, lambda number, frame: os._exit(INTERRUPTED))


@contextmanager
def interruptible() -> Iterator[None]:
    """Inside, Ctrl-C raises ``KeyboardInterrupt``, so that what is open is closed. For the main thread."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
