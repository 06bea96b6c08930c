"""Schemathesis against a served sandbox, as each kind of client: all checks, stateful, negative data."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import click

from bench.city import SERVICE, environment, load
from bench.http import decision_server, free_port

KINDS = {"bank": 0.4, "risk": 0.4, "steward": 0.3, "auditor": 0.5, "fintech": 0.5}
"""How much of the examples each kind of client gets; the longest run first."""
AT_ONCE = 2
"""Kinds that are tried beside each other: making examples takes a core, answering them hardly any."""
MANY = "decide=100000/10 batch=100000/60"
"""Quotas that let these runs through to what lies behind them."""
COUNTED = re.compile(r"^\s*([0-9,]+) generated", re.MULTILINE)
CONFIGURATION = """\
[checks.positive_data_acceptance]
expected-statuses = ["2xx", 403, 404, 429]

[[operations]]
include-operation-id = "listEvents"
checks.positive_data_acceptance.expected-statuses = ["2xx", 403, 422, 429]

[[operations]]
include-operation-id = "createToken"
checks.positive_data_acceptance.expected-statuses = ["2xx", 400, 401, 429]

[[operations]]
include-operation-id = "revokeToken"
checks.positive_data_acceptance.expected-statuses = ["2xx", 400, 401, 429]

[[operations]]
include-method = ["POST", "PATCH", "DELETE"]
checks.positive_data_acceptance.expected-statuses = ["2xx", 403, 404, 409, 412, 422, 429]
"""
"""What no schema can say: ids are found or not, the state admits it or not (409, 412), and 422 refuses keys that were
used before, facts of the rules, names without address, cursors beyond the log.
A token is given to who signs for it, and ended for it."""


def main() -> None:
    """Entry point of ``python -m bench.contract``."""
    contract()


@click.command()
@click.option("--examples", default=1_000, show_default=True, help="Most examples per call and kind of client.")
@click.option("--strict", is_flag=True, help="Without exceptions: what no schema can say counts too.")
@click.option("--seed", default=1, show_default=True)
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="Where the reports go.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def contract(examples: int, strict: bool, seed: int, out: Path | None, as_json: bool) -> None:
    """Try what the served document describes; exit 1 if anything was found. Needs `pip install '.[schemathesis]'`.

    Example: python -m bench.contract --examples 1000 --out var/contract
    """
    with tempfile.TemporaryDirectory(prefix="contract-") as folder:
        home = Path(folder)
        (home / "schemathesis.toml").write_text("" if strict else CONFIGURATION)
        found = _tried(home, out or home, examples, seed)
    total = sum(one["cases"] for one in found.values())
    if as_json:
        click.echo(json.dumps({"cases": total, **found}))
    else:
        for kind, one in found.items():
            click.echo(f"{kind:10} {one['cases']:8,} cases  {one['said']}")
        click.echo(f"{'all':10} {total:8,} cases")
    sys.exit(1 if any(one["code"] for one in found.values()) else 0)


def _tried(home: Path, out: Path, examples: int, seed: int) -> dict[str, dict[str, object]]:
    environ = {**environment(home), "DECISION_LIMITS": MANY}
    load(home, environ, enterprises=60)
    out.mkdir(parents=True, exist_ok=True)
    port = free_port()
    with decision_server(port, environ, home / "serve.log"), ThreadPoolExecutor(AT_ONCE) as pool:
        runs = {
            kind: pool.submit(_run, kind, port, environ, max(1, round(examples * part)), seed, home, out)
            for kind, part in KINDS.items()
        }
        return {kind: run.result() for kind, run in runs.items()}


def _run(
    kind: str, port: int, environ: dict[str, str], examples: int, seed: int, home: Path, out: Path
) -> dict[str, object]:
    add = [*SERVICE, "clients", "add", "--name", f"contract-{kind}", "--kind", kind, "--json"]
    key = json.loads(subprocess.run(add, check=True, env=environ, capture_output=True, text=True).stdout)["key"]
    command = [
        str(Path(sys.executable).with_name("schemathesis")), "run", f"http://127.0.0.1:{port}/v1/openapi.json",
        "--header", f"Authorization: Bearer {key}", "--checks", "all", "--max-examples", str(examples),
        "--seed", str(seed), "--continue-on-failure", "--no-shrink",
    ]  # fmt: skip
    known = {**os.environ, "SCHEMATHESIS_HOOKS": "bench.contract_hooks", "PYTHONPATH": str(Path.cwd())}
    done = subprocess.run(command, cwd=home, env=known, capture_output=True, text=True)
    (out / f"{kind}.txt").write_text(done.stdout + done.stderr)
    counted = COUNTED.search(done.stdout)
    said = done.stdout.strip().splitlines()[-1].strip("= ") if done.stdout.strip() else done.stderr[-200:]
    return {"cases": int(counted[1].replace(",", "")) if counted else 0, "code": done.returncode, "said": said}


if __name__ == "__main__":
    main()
