"""Ctrl-C ends a command quietly with exit code 130, whether it runs or is still loading."""

from __future__ import annotations

import os
import signal
import threading
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


def end_with_parent() -> None:
    """For a process of a pool: Ctrl-C is its parent's matter, and it ends when its parent is gone, however it went."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_wait_for_parent, daemon=True).start()


def _wait_for_parent() -> None:
    import multiprocessing  # every command loads this module, few start processes

    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
