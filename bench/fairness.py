"""What one client that sends fifty times its share does to the latency of another, in turns in one run."""

from __future__ import annotations

import json
import multiprocessing
import tempfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np

from bench.city import City, environment, prepare
from bench.http import Load, Target, decision_requests, decision_server, free_port, merged, run, run_open

CLIENTS = 16
LOADED = 0.6
"""Of the maximum, what all clients together send when each keeps to its share."""
GREED = 50
GREEDY_CONNECTIONS = 64
RESAMPLES = 2_000


@dataclass(frozen=True, slots=True)
class Stream:
    """What one process sends: as which client, at which rate."""

    port: int
    key: str
    tag: str
    rate: float
    seconds: float
    start: int
    uscc: tuple[str, ...]
    greedy: bool

    def send(self) -> Load:
        """Send it all, or of the greedy one what its connections can hold."""
        requests = decision_requests([*self.uscc], self.key, self.tag)
        target = Target(self.tag, self.port, "/v1/decisions", requests, 201)
        most = GREEDY_CONNECTIONS if self.greedy else 32
        at = {"rate": self.rate, "seconds": self.seconds}
        return run_open(target, **at, start=self.start, seed=self.start, most=most, ends=self.greedy)


def main() -> None:
    """Entry point of ``python -m bench.fairness``."""
    fairness()


@click.command()
@click.option("--seconds", default=60.0, show_default=True, help="Seconds per round.")
@click.option("--rounds", default=4, show_default=True, help="Rounds of each kind.")
@click.option("--quota", is_flag=True, help="Give each client a quota of twice its share, as an operator may.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def fairness(seconds: float, rounds: int, quota: bool, as_json: bool) -> None:
    """Sixteen clients at their share, then one of them at fifty times it; a seventeenth is the one that is timed.

    Example: python -m bench.fairness --seconds 60
    """
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        home = Path(folder)
        environ = environment(home)
        city = prepare(home, environ, clients=3)
        found = _measured(home, environ, city, seconds=seconds, rounds=rounds, quota=quota)
    if as_json:
        click.echo(json.dumps(found))
    else:
        click.echo("\n".join(f"{name:24} {value}" for name, value in found.items()))


def _measured(
    home: Path, environ: dict[str, str], city: City, *, seconds: float, rounds: int, quota: bool
) -> dict[str, object]:
    port = free_port()
    with decision_server(port, environ, home / "decisions.log"):
        requests = decision_requests(city.uscc, city.keys[0], "most")
        target = Target("most", port, "/v1/decisions", requests, 201)
        run(target, seconds=3, start=900_000_000)  # warm-up, not counted
        share = run(target, seconds=10, start=0).per_second * LOADED / CLIENTS
    if quota:
        environ = {**environ, "DECISION_LIMITS": f"decide={max(1, round(2 * share))}/1"}
    loads: dict[str, list[Load]] = {"share": [], "greed": [], "greedy": []}
    with decision_server(port, environ, home / "again.log"):
        for turn in range(rounds):
            for kind, greed in (("share", 1), ("greed", GREED)):
                victim, greedy = _round(city, port, share, greed, seconds, 10_000_000 * (2 * turn + greed % 2))
                loads[kind].append(victim)
                if greed > 1:
                    loads["greedy"].append(greedy)
    planned = round(share * GREED * seconds * rounds)
    return {"share_per_second": round(share, 2), "quota": quota, **_compared(loads), "greedy_planned": planned}


def _round(city: City, port: int, share: float, greed: int, seconds: float, start: int) -> tuple[Load, Load]:
    """The client that is timed, the one that may be greedy, and all others as one; each in a process of its own."""
    rates = (share, share * greed, share * (CLIENTS - 2))
    streams = [
        Stream(
            port, key, f"t{start}-{number}", rate, seconds, start + number * 1_000_000, tuple(city.uscc),
            greedy=number == 1 and greed > 1,
        )  # fmt: skip
        for number, (key, rate) in enumerate(zip(city.keys, rates, strict=True))
    ]
    with ProcessPoolExecutor(len(streams), mp_context=multiprocessing.get_context("spawn")) as pool:
        victim, greedy, _ = pool.map(Stream.send, streams)
    return victim, greedy


def _compared(loads: dict[str, list[Load]]) -> dict[str, object]:
    share, greed, greedy = (merged(loads[name]) for name in ("share", "greed", "greedy"))
    ratios = _ratios(np.array(share.latencies_ms), np.array(greed.latencies_ms))
    low, high = np.percentile(ratios, [2.5, 97.5])
    return {
        "requests": [share.requests, greed.requests],
        "errors": [share.errors, greed.errors],
        "p50_ms": [round(share.percentile(50), 2), round(greed.percentile(50), 2)],
        "p99_ms": [round(share.percentile(99), 2), round(greed.percentile(99), 2)],
        "p99_ratio": round(greed.percentile(99) / share.percentile(99), 3),
        "p99_ratio_95": [round(float(low), 3), round(float(high), 3)],
        "greedy_requests": greedy.requests,
        "greedy_turned_away": greedy.errors,
    }


def _ratios(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Ratios of the 99th percentiles over resamples of both."""
    chance = np.random.default_rng(0)
    of = [np.percentile(chance.choice(all_, (RESAMPLES, len(all_))), 99, axis=1) for all_ in (one, other)]
    return of[1] / of[0]


if __name__ == "__main__":
    main()
