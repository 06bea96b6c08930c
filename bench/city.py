"""What benchmarks over HTTP need: models, the synthetic city and clients, in a folder of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

SERVICE = [sys.executable, "-m", "decision_service.cli"]


@dataclass(frozen=True, slots=True)
class City:
    """Keys of clients, the enterprises they may ask for, and the features that a model server is asked to score."""

    keys: list[str]
    uscc: list[str]
    rows: list[dict[str, float | None]]


def environment(home: Path, database: str | None = None) -> dict[str, str]:
    """The environment of everything that runs there; by default on SQLite."""
    environ = {
        **os.environ,
        "DECISION_HOME": str(home / "home"),
        "MLFLOW_TRACKING_URI": f"sqlite:///{home}/mlflow.db",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "OMP_NUM_THREADS": "1",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",  # mlflow starts uvicorn by name
    }
    environ.pop("DECISION_DATABASE_URL", None)
    return environ if database is None else {**environ, "DECISION_DATABASE_URL": database}


def load(home: Path, environ: dict[str, str], enterprises: int = 3_000) -> None:
    """Train, activate the rules, load a city."""
    for command in (
        [sys.executable, "-m", "ml", "city", "--enterprises", str(enterprises), "--out", str(home / "feeds")],
        [sys.executable, "-m", "ml", "train-city"],
        [*SERVICE, "rules", "activate", "rules"],
        [*SERVICE, "feeds", "load", str(home / "feeds")],
    ):
        subprocess.run(command, check=True, env=environ, stdout=subprocess.DEVNULL)


def prepare(home: Path, environ: dict[str, str], clients: int = 1) -> City:
    """As ``load``, and banks that may ask."""
    load(home, environ)
    add = [*SERVICE, "clients", "add", "--kind", "bank", "--json", "--name"]
    keys = [json.loads(_output([*add, f"bench-{number}"], environ))["key"] for number in range(clients)]
    exported = _output([*SERVICE, "portrait", "features", "--limit", "3000", "--columns"], environ)
    firms = [json.loads(line) for line in exported.splitlines()]
    return City(keys, [firm["uscc"] for firm in firms], [firm["features"] for firm in firms])


def _output(command: list[str], environ: dict[str, str]) -> str:
    return subprocess.run(command, check=True, env=environ, capture_output=True, text=True).stdout
