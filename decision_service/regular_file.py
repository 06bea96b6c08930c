"""Whether a path is a file with an end: a pipe or a device would keep a command waiting or reading for ever."""

from __future__ import annotations

import stat
from collections.abc import Callable, Mapping
from pathlib import Path

REMEDY = "put a regular file there"
_KINDS: Mapping[str, Callable[[int], bool]] = {
    "a folder": stat.S_ISDIR,
    "a pipe": stat.S_ISFIFO,
    "a socket": stat.S_ISSOCK,
    "a device": lambda mode: stat.S_ISCHR(mode) or stat.S_ISBLK(mode),
}


def irregular(path: Path) -> str | None:
    """What is wrong with a path that is not a regular file; ``None`` for one that is. Raises ``OSError``."""
    mode = path.stat().st_mode
    if stat.S_ISREG(mode):
        return None
    kind = next((kind for kind, fits in _KINDS.items() if fits(mode)), "something else")
    return f"this is {kind}, not a regular file"
