"""The whole portfolio as facts: every enterprise on record as if it applied now for every product."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet

from decision_service.decide import Platform, business_date, find
from decision_service.errors import EngineError
from decision_service.interrupts import end_with_parent
from decision_service.policy import Policy
from decision_service.portrait.industry import industry_code
from decision_service.portrait.records import EnterpriseRecords
from decision_service.rulebook.conditions import facts_named
from decision_service.rulebook.files import load_sources
from decision_service.rulebook.reads import Reads
from decision_service.rulebook.rules import Stage
from decision_service.rulebook.ruleset import Ruleset
from decision_service.store import ExposureState
from decision_service.vocabulary import CreditApplication, ModelVersion
from decision_service.workbench.fact_tables import INDUSTRY_CODE, KEY, given_facts, schema
from decision_service.workbench.populations import PORTFOLIO, Population, Values, write_rows

CHUNK = 50
WORTH_A_PROCESS = 400
"""Enterprises; starting a process takes about as long as these."""
SCORE = "pd_12m"
PORTRAIT_FILES = ("indicators.csv", "industries.csv", "lists.yaml")
KEPT = 6
"""Tables of earlier calls that are kept."""
FORM = 2
"""Counted up when the same of everything gives another table; one of another form is made again."""


@dataclass(frozen=True, slots=True)
class Standard:
    """The application that every enterprise is taken to make, for each product. ``amount`` in CNY."""

    amount: Decimal = Decimal("1000000.00")
    term_months: int = 12
    purpose: str = "working_capital"

    def application(self, uscc: str, product: str) -> CreditApplication:
        """What the enterprise would send."""
        return CreditApplication(PORTFOLIO, product, self.amount, self.term_months, self.purpose, PORTFOLIO, uscc)


@dataclass(frozen=True, slots=True)
class Models:
    """The versions of one moment by which every row is scored, and the names that had none."""

    versions: tuple[ModelVersion, ...]
    absent: tuple[str, ...] = ()

    def of(self, ruleset: Ruleset) -> Models:
        """Those that a ruleset's products name."""
        names = {name for product in ruleset.products.values() for name in product.models}
        versions = tuple(one for one in self.versions if one.name in names)
        return Models(versions, tuple(name for name in self.absent if name in names))


def models_in_force(platform: Platform, policies: Iterable[Policy]) -> Models:
    """What the products of these policies are scored by now, loaded, however long that takes.

    Raises ``ModelError`` for a model that should be there and cannot be used; one that nobody registered is absent.
    """
    products = [product for policy in policies for product in policy.ruleset.products.values()]
    found = platform.scorer.settled(sorted({name for product in products for name in product.models}))
    absent = tuple(name for name, kept in found.items() if kept.model is None)
    return Models(tuple(kept.model.identity for kept in found.values() if kept.model is not None), absent)


Open = Callable[[], Platform]
"""Opens the platform again, in another process: a function that can be pickled."""
Progress = Callable[[Iterable[list[Values]], int], Iterator[list[Values]]]


def portfolio(
    platform: Platform,
    policy: Policy,
    *,
    standard: Standard,
    now: datetime,
    models: Models,
    home: Path,
    open_platform: Open,
    progress: Progress,
    fresh: bool = False,
    products: Sequence[str] = (),
) -> Population:
    """The portfolio's facts under a policy, scores included; made once and kept in ``home`` until something changes.

    ``products`` are applied for, by default all of the policy. Raises ``FactError`` for an application that the
    policy's declarations do not admit; with another version's ``products``, what is not admitted is unknown, and so is
    all about a product that the policy does not have. Raises ``ModelError`` if one of the ``models`` fails: a row
    without its score is never kept. Raises ``EngineError`` if a process ends.
    """
    models = models.of(policy.ruleset)
    if not products:
        _admissible(policy, standard)
    asked = _Asked(standard, tuple(products or policy.ruleset.products), now)
    uscc = platform.store.uscc_list(platform.store.enterprise_count()) if platform.store.enterprise_count() else ()
    out = home / f"portfolio-{_rests_on(platform, policy, asked, models, uscc)}.parquet"
    if fresh or not _is_whole(out):
        home.mkdir(parents=True, exist_ok=True)
        _sweep(home)
        making = home / f"{out.name}.{os.getpid()}"
        try:
            chunks = _chunks(platform, policy, uscc, asked=asked, models=models, open_platform=open_platform)
            told = progress(chunks, -(-len(uscc) // CHUNK))
            columns = schema(given_facts(policy.ruleset.catalogue).values())
            write_rows(making, columns, (row for rows in told for row in rows))
            making.replace(out)
        finally:
            making.unlink(missing_ok=True)
        for old in sorted(home.glob("portfolio-*.parquet"), key=lambda path: path.stat().st_mtime)[:-KEPT]:
            old.unlink(missing_ok=True)
    notes = (_note(uscc, asked), *_unscored(out, models))
    return Population(PORTFOLIO, out, len(uscc) * len(asked.products), notes=notes)


@dataclass(frozen=True, slots=True)
class _Asked:
    """What every enterprise is taken to apply for, and when."""

    standard: Standard
    products: tuple[str, ...]
    now: datetime


def _is_whole(path: Path) -> bool:
    """Whether a table is there, with its end: a power failure may have cut it off."""
    try:
        return pyarrow.parquet.read_metadata(path).num_rows >= 0
    except (OSError, pyarrow.ArrowException):
        return False


def _sweep(home: Path) -> None:
    """Remove what processes that were killed left half made."""
    for path in home.glob("portfolio-*.parquet.*"):
        maker = path.suffix.removeprefix(".")
        if maker.isdigit() and not _is_alive(int(maker)):
            path.unlink(missing_ok=True)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _admissible(policy: Policy, standard: Standard) -> None:
    for name in ("amount", "term_months", "purpose"):
        policy.ruleset.catalogue.encode(name, getattr(standard, name))


def _note(uscc: tuple[str, ...], asked: _Asked) -> Mapping[str, str]:
    standard, day, names = asked.standard, business_date(asked.now).isoformat(), ", ".join(asked.products)
    amount = f"{standard.amount:,.2f}"
    return {
        "zh": f"{len(uscc)} 家企业在 {day} 分别申请：{names}；金额 {amount} 元，期限 {standard.term_months} 个月，"
        f"用途 {standard.purpose}；无调用银行，秒批开关视为开启",
        "en": f"{len(uscc)} enterprises as if each applied on {day} for: {names}; amount {amount} CNY, term "
        f"{standard.term_months} months, purpose {standard.purpose}; no calling bank, automatic approval switched on",
    }


def _unscored(path: Path, models: Models) -> Iterator[Mapping[str, str]]:
    """How many rows no model scored, if any: what nobody scores must not look like a change without effect."""
    count = 0
    if SCORE in pyarrow.parquet.read_schema(path).names:
        count = pyarrow.parquet.read_table(path, columns=[SCORE]).column(SCORE).null_count
    zh = [f"其中 {count:,} 行没有模型评分（未知）"] if count else []
    en = [f"{count:,} of the rows have no score of a model (unknown)"] if count else []
    if models.absent:
        zh.append(f"没有登记或启用的模型：{'、'.join(models.absent)}")
        en.append(f"no model is registered and in force as {', '.join(models.absent)}")
    if en:
        yield {"zh": "；".join(zh), "en": "; ".join(en)}


def _rests_on(platform: Platform, policy: Policy, asked: _Asked, models: Models, uscc: tuple[str, ...]) -> str:
    """Short for everything that the facts depend on and that can be told without making them."""
    records = platform.store.records(uscc[0]) if uscc else None
    feeds = {kind: moment.isoformat() for kind, moment in records.feeds.items()} if records is not None else {}
    standard, day = asked.standard, business_date(asked.now)
    parts: Any = [
        FORM,
        made_by(policy.ruleset, day),
        day.isoformat(),
        [str(standard.amount), standard.term_months, standard.purpose, asked.products],
        [(version.name, version.digest) for version in models.versions],
        sorted(feeds.items()),
        [len(uscc), platform.store.log_head()[0], platform.code_version],
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def made_by(ruleset: Ruleset, on: date) -> str:
    """The digest of all by which a ruleset makes the facts of an application; versions that share it make the same.

    These are the portrait's own files, declarations, products, the status rules (whether a firm above is red), and the
    parameters but for those of the policy that none of these reads.
    """
    rules = ruleset.in_force(on)
    status = rules.rules(Stage.STATUS)
    read = Reads(rules).of({name for rule in status for name in facts_named(rule.when)})
    files = [ruleset.sources.get(path, "") for path in PORTRAIT_FILES]
    codes = (None, *rules.industry_codes())

    def counts(name: str) -> bool:
        return not name.startswith("policy.") or name in read or name in files[0]

    parameters = [
        sorted((name, value) for name, value in rules.parameters(product, code).items() if counts(name))
        for product in ruleset.products
        for code in codes
    ]
    parts = [
        files,
        sorted(map(repr, ruleset.catalogue.values())),
        sorted(map(repr, ruleset.products.values())),
        [(rule.id, repr(rule.when), rule.sets) for rule in status],
        [(code, rules.industry_status(code)) for code in codes],
        parameters,
    ]
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def _chunks(
    platform: Platform,
    policy: Policy,
    uscc: tuple[str, ...],
    *,
    asked: _Asked,
    models: Models,
    open_platform: Open,
) -> Iterator[list[Values]]:
    """Rows of a few enterprises at a time, in the order of their codes, by as many processes as pay off."""
    workers = min(os.cpu_count() or 1, len(uscc) // WORTH_A_PROCESS)
    parts = list(_parts(uscc))
    if workers < 2:
        desk = _Desk(_scoring_by(models, platform), policy, asked)
        yield from map(desk.rows, parts)
        return
    start = _Start(open_platform, dict(policy.ruleset.sources), asked, models)
    context = multiprocessing.get_context("spawn")  # a forked child would share the parent's database and models
    try:
        with ProcessPoolExecutor(workers, mp_context=context, initializer=_sit_down, initargs=(start,)) as pool:
            yield from pool.map(_rows, parts)
    except BrokenProcessPool as error:
        remedy = "see whether the machine has memory left, and try again"
        raise EngineError("a process that portrays enterprises ended by itself", remedy=remedy) from error


def _scoring_by(models: Models, platform: Platform) -> Platform:
    """The platform with a scorer by these models alone, all of them loaded. Raises ``ModelError``."""
    return replace(platform, scorer=platform.scorer.holding(models.versions))


def _parts(uscc: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    remaining = iter(uscc)
    while part := tuple(islice(remaining, CHUNK)):
        yield part


class _Desk:
    """Where one process turns enterprises into rows."""

    def __init__(self, platform: Platform, policy: Policy, asked: _Asked) -> None:
        self._platform = platform
        self._policy = policy
        self._asked = asked
        self._names = tuple(given_facts(policy.ruleset.catalogue))

    def rows(self, uscc: Iterable[str]) -> list[Values]:
        """One row per enterprise and product."""
        return [row for one in uscc for row in self._of(one)]

    def _of(self, uscc: str) -> Iterator[Values]:
        store, asked = self._platform.store, self._asked
        records, exposure = store.records(uscc), store.exposure_state(uscc, asked.now)
        if records is None:
            return
        for product in asked.products:
            row: Values = {KEY: f"{uscc}/{product}", INDUSTRY_CODE: industry_code(records.registration)}
            if product in self._policy.ruleset.products:
                application = asked.standard.application(uscc, product)
                row |= self._facts(application, records, exposure)
            yield row

    def _facts(self, application: CreditApplication, records: EnterpriseRecords, exposure: ExposureState) -> Values:
        found = find(
            application,
            records,
            exposure,
            repeated=False,
            switched_off=(),
            client_id="",
            policy=self._policy,
            scorer=self._platform.scorer,
            now=self._asked.now,
        )
        return {name: found.facts[name] for name in self._names}


@dataclass(frozen=True, slots=True)
class _Start:
    """What a worker needs to set up its desk."""

    open_platform: Open
    sources: Mapping[str, str]
    asked: _Asked
    models: Models

    def desk(self) -> _Desk:
        """A desk with everything loaded. Raises ``StoreError``, ``ModelError``."""
        platform = _scoring_by(self.models, self.open_platform())
        return _Desk(platform, Policy(load_sources(self.sources)), self.asked)


_START: list[_Start] = []
_DESK: list[_Desk] = []
"""The desk of this process, if it is a worker that has begun."""


def _sit_down(start: _Start) -> None:
    end_with_parent()
    _START[:] = [start]


def _rows(uscc: tuple[str, ...]) -> list[Values]:
    if not _DESK:  # and not when the process starts: what goes wrong there reaches the parent without its words
        _DESK.append(_START[0].desk())
    return _DESK[0].rows(uscc)
