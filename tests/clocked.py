"""The service as it is served, but with a clock that a test moves and models whose scores are fixed."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

from decision_service import app
from decision_service.commands.serving import server_arguments
from decision_service.settings import Settings
from tests.api.real import FixedScorer
from tests.test_serving import Server


class ClockedServer(Server):
    """Two workers whose clock goes by a file, and whose models always say the same."""

    environ: ClassVar[dict[str, str]] = {
        "PYTHONPATH": str(Path(__file__).parents[1]),
        "DECISION_WEBHOOK_LOCAL": "yes",
        "DECISION_LIMITS": "off",
    }

    def command(self) -> list[str]:
        self.jump(timedelta())
        given = {"DECISION_HOME": str(self.home), "DECISION_PORT": str(self.port), "DECISION_WORKERS": "2"}
        arguments = server_arguments(Settings.from_environ(given), "127.0.0.1")
        return [sys.executable, *(one.replace("decision_service.app:", "tests.clocked:") for one in arguments)]

    def jump(self, by: timedelta) -> None:
        """Move the clock on, for both workers at once."""
        file, made = clock(self.home), self.home / "clock.new"
        before = float(file.read_text()) if file.exists() else 0.0
        made.write_text(str(before + by.total_seconds()))
        made.replace(file)

    def now(self) -> datetime:
        return moved(clock(self.home))


def clock(home: Path) -> Path:
    """The file that says by how many seconds a service's clock is ahead of the world's."""
    return home / "clock"


def moved(file: Path) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=float(file.read_text()))


def served() -> Any:
    """What granian runs in each worker."""
    settings, build = Settings.from_environ(os.environ), app.build_platform
    app.utc_now = lambda: moved(clock(settings.home))
    app.build_platform = lambda given: replace(build(given), scorer=FixedScorer())  # type: ignore[arg-type]
    return app.served()
