"""What commands run a backtest over: stored decisions, the portfolio and files, each with a bar while it is made."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import date, datetime
from functools import partial
from pathlib import Path

from decision_service.app import build_platform
from decision_service.commands.console import bar, now, progress, settings
from decision_service.decide import Platform, business_date
from decision_service.policy import Policy
from decision_service.workbench.backtest import MOST_FLIPS, Backtest, backtest
from decision_service.workbench.backtest_report import html, industry_names
from decision_service.workbench.bulk import ENGINES, opened
from decision_service.workbench.populations import DECISIONS, Population, from_decisions, from_file
from decision_service.workbench.portfolio import Standard, made_by, portfolio

REMADE = {
    "zh": "两版本生成事实的方式不同（画像、评分权重、行业参数等），每个版本按其自身生成的事实判断",
    "en": "the versions make facts otherwise (portrait, blend weights, parameters): each is evaluated over its own",
}


@dataclass(frozen=True, slots=True)
class Over:
    """What is evaluated. ``standard`` is what each enterprise is taken to ask for; ``fresh`` portrays it again."""

    facts: tuple[Path, ...] = ()
    decisions: bool = True
    portfolio: bool = True
    standard: Standard = Standard()
    fresh: bool = False


def run(
    built: Platform,
    old: Policy,
    new: Policy,
    over: Over,
    *,
    on: date,
    engine: str = ENGINES[0],
    most_flips: int = MOST_FLIPS,
) -> Backtest:
    """Both policies over all that was asked for. Raises ``InputError``, ``EngineError``, ``StoreError``."""
    with ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="backtest-")))
        populations = list(_populations(built, old, new, over, work))
        database = stack.enter_context(opened(engine, work))
        step = stack.enter_context(_steps(len(populations)))
        return backtest(
            old.ruleset, new.ruleset, populations, on=on, engine=database, most_flips=most_flips, step=step
        )


def page(found: Backtest, old: Policy) -> str:
    """The report as a page; industries have the names that OLD gives them."""
    return html(found, industries=industry_names(old.ruleset.sources.get("industries.csv", "")))


def portrayed(
    built: Platform,
    policy: Policy,
    standard: Standard,
    fresh: bool,
    *,
    moment: datetime | None = None,
    products: Sequence[str] = (),
) -> Population:
    """The portfolio's facts, kept under the home of the settings."""
    found = settings()
    return portfolio(
        built,
        policy,
        standard=standard,
        now=moment or now(),
        products=products,
        home=found.home / "facts",
        open_platform=partial(build_platform, found),
        progress=lambda chunks, total: progress(chunks, total=total, what="portraying enterprises"),
        fresh=fresh,
    )


def _populations(built: Platform, old: Policy, new: Policy, over: Over, work: Path) -> Iterator[Population]:
    catalogues = {"old": old.ruleset.catalogue, "new": new.ruleset.catalogue}
    for number, file in enumerate(over.facts):
        with bar(f"reading {file.name}") as moving:
            yield from_file(file, work / f"facts-{number}.parquet", **catalogues, tick=moving.update)
    if over.decisions:
        stored = progress(built.store.each_decision(), what="reading decisions")
        yield from_decisions(built, work / f"{DECISIONS}.parquet", **catalogues, stored=stored)
    if over.portfolio:
        yield portrayed_by_both(built, old, new, over)


def portrayed_by_both(built: Platform, old: Policy, new: Policy, over: Over) -> Population:
    """The portfolio as OLD makes it, and beside it as NEW does, if any fact could be another."""
    moment = now()
    found = portrayed(built, old, over.standard, over.fresh, moment=moment)
    if made_by(old.ruleset, business_date(moment)) == made_by(new.ruleset, business_date(moment)):
        return found
    products = tuple(old.ruleset.products)
    other = portrayed(built, new, over.standard, over.fresh, moment=moment, products=products)
    return replace(found, remade=other.path, notes=(*found.notes, *other.notes[1:], REMADE))


@contextmanager
def _steps(total: int) -> Iterator[Callable[[str], object]]:
    """A bar that moves with each population."""
    with bar("evaluating") as moving:
        moving.reset(total=total)

        def step(name: str) -> None:
            moving.set_postfix_str(name)
            moving.update()

        yield step
