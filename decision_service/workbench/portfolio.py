"""The whole portfolio as facts: every enterprise on record as if it applied now for every product."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow.parquet

from decision_service.decide import Platform, business_date, find
from decision_service.policy import Policy
from decision_service.portrait.industry import industry_code
from decision_service.rulebook.files import load_sources
from decision_service.vocabulary import CreditApplication
from decision_service.workbench.fact_tables import INDUSTRY_CODE, KEY, given_facts, schema
from decision_service.workbench.populations import PORTFOLIO, Population, Values, write_rows

CHUNK = 50
WORTH_A_PROCESS = 400
"""Enterprises; starting a process takes about as long as these."""
SCORE = "pd_12m"
KEPT = 3
"""Tables of earlier calls that are kept."""


@dataclass(frozen=True, slots=True)
class Standard:
    """The application that every enterprise is taken to make, for each product. ``amount`` in CNY."""

    amount: Decimal = Decimal("1000000.00")
    term_months: int = 12
    purpose: str = "working_capital"

    def application(self, uscc: str, product: str) -> CreditApplication:
        """What the enterprise would send."""
        return CreditApplication(PORTFOLIO, product, self.amount, self.term_months, self.purpose, PORTFOLIO, uscc)


Open = Callable[[], Platform]
"""Opens the platform again, in another process: a function that can be pickled."""
Progress = Callable[[Iterable[list[Values]], int], Iterator[list[Values]]]


def portfolio(
    platform: Platform,
    policy: Policy,
    *,
    standard: Standard,
    now: datetime,
    home: Path,
    open_platform: Open,
    progress: Progress,
    fresh: bool = False,
) -> Population:
    """The portfolio's facts under a policy, scores included; made once and kept in ``home`` until something changes.

    Raises ``FactError`` for an application that the policy's declarations do not admit.
    """
    _admissible(policy, standard)
    uscc = platform.store.uscc_list(platform.store.enterprise_count()) if platform.store.enterprise_count() else ()
    out = home / f"portfolio-{_rests_on(platform, policy, standard, uscc, now)}.parquet"
    products = tuple(policy.ruleset.products)
    if fresh or not out.exists():
        home.mkdir(parents=True, exist_ok=True)
        making = home / f"{out.name}.{os.getpid()}"
        try:
            chunks = _chunks(platform, policy, uscc, standard=standard, now=now, open_platform=open_platform)
            told = progress(chunks, -(-len(uscc) // CHUNK))
            columns = schema(given_facts(policy.ruleset.catalogue).values())
            write_rows(making, columns, (row for rows in told for row in rows))
            making.replace(out)
        finally:
            making.unlink(missing_ok=True)
        for old in sorted(home.glob("portfolio-*.parquet"), key=lambda path: path.stat().st_mtime)[:-KEPT]:
            old.unlink(missing_ok=True)
    notes = (_note(uscc, products, standard, now), *_unscored(out))
    return Population(PORTFOLIO, out, len(uscc) * len(products), notes=notes)


def _admissible(policy: Policy, standard: Standard) -> None:
    for name in ("amount", "term_months", "purpose"):
        policy.ruleset.catalogue.encode(name, getattr(standard, name))


def _note(uscc: tuple[str, ...], products: Iterable[str], standard: Standard, now: datetime) -> Mapping[str, str]:
    amount, day, names = f"{standard.amount:,.2f}", business_date(now).isoformat(), ", ".join(products)
    return {
        "zh": f"{len(uscc)} 家企业在 {day} 分别申请：{names}；金额 {amount} 元，期限 {standard.term_months} 个月，"
        f"用途 {standard.purpose}；无调用银行，秒批开关视为开启",
        "en": f"{len(uscc)} enterprises as if each applied on {day} for: {names}; amount {amount} CNY, term "
        f"{standard.term_months} months, purpose {standard.purpose}; no calling bank, automatic approval switched on",
    }


def _unscored(path: Path) -> Iterator[Mapping[str, str]]:
    """How many rows no model scored, if any: a model that is down must not look like a change without effect."""
    if SCORE not in pyarrow.parquet.read_schema(path).names:
        return
    count = pyarrow.parquet.read_table(path, columns=[SCORE]).column(SCORE).null_count
    if count:
        yield {"zh": f"其中 {count} 行没有模型评分（未知）", "en": f"{count} of the rows have no score of a model (unknown)"}


def _rests_on(platform: Platform, policy: Policy, standard: Standard, uscc: tuple[str, ...], now: datetime) -> str:
    """Short for everything that the facts depend on and that can be told without making them."""
    models = [name for one in policy.ruleset.products.values() for name in (one.xgb_model, one.lstm_model)]
    records = platform.store.records(uscc[0]) if uscc else None
    feeds = {kind: moment.isoformat() for kind, moment in records.feeds.items()} if records is not None else {}
    parts: Any = [
        policy.ruleset.digest,
        business_date(now).isoformat(),
        [str(standard.amount), standard.term_months, standard.purpose],
        [version.digest for version in platform.scorer.versions(models)],
        sorted(feeds.items()),
        [len(uscc), platform.store.log_head()[0], platform.code_version],
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def _chunks(
    platform: Platform,
    policy: Policy,
    uscc: tuple[str, ...],
    *,
    standard: Standard,
    now: datetime,
    open_platform: Open,
) -> Iterator[list[Values]]:
    """Rows of a few enterprises at a time, in the order of their codes, by as many processes as pay off."""
    workers = min(os.cpu_count() or 1, len(uscc) // WORTH_A_PROCESS)
    parts = list(_parts(uscc))
    if workers < 2:
        desk = _Desk(platform, policy, standard, now)
        yield from map(desk.rows, parts)
        return
    start = (open_platform, dict(policy.ruleset.sources), standard, now)
    context = multiprocessing.get_context("spawn")  # a forked child would share the parent's database and models
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_sit_down, initargs=start) as pool:
        yield from pool.map(_rows, parts)


def _parts(uscc: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    remaining = iter(uscc)
    while part := tuple(islice(remaining, CHUNK)):
        yield part


class _Desk:
    """Where one process turns enterprises into rows."""

    def __init__(self, platform: Platform, policy: Policy, standard: Standard, now: datetime) -> None:
        self._platform = platform
        self._policy = policy
        self._standard = standard
        self._now = now
        self._names = tuple(given_facts(policy.ruleset.catalogue))

    def rows(self, uscc: Iterable[str]) -> list[Values]:
        """One row per enterprise and product."""
        return [row for one in uscc for row in self._of(one)]

    def _of(self, uscc: str) -> Iterator[Values]:
        store = self._platform.store
        records, exposure = store.records(uscc), store.exposure_state(uscc, self._now)
        if records is None:
            return
        for product in self._policy.ruleset.products:
            found = find(
                self._standard.application(uscc, product),
                records,
                exposure,
                repeated=False,
                switched_off=(),
                client_id="",
                policy=self._policy,
                scorer=self._platform.scorer,
                now=self._now,
            )
            values = {name: found.facts[name] for name in self._names}
            yield {KEY: f"{uscc}/{product}", INDUSTRY_CODE: industry_code(records.registration), **values}


_DESK: list[_Desk] = []
"""The desk of this process, if it is a worker."""


def _sit_down(open_platform: Open, sources: Mapping[str, str], standard: Standard, now: datetime) -> None:
    _DESK[:] = [_Desk(open_platform(), Policy(load_sources(sources)), standard, now)]


def _rows(uscc: tuple[str, ...]) -> list[Values]:
    return _DESK[0].rows(uscc)
