"""What commands run a backtest over: stored decisions, the portfolio and files, each with a bar while it is made."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import date, datetime
from functools import partial
from pathlib import Path

from decision_service.app import build_platform
from decision_service.commands.console import bar, now, settings, step, stepping
from decision_service.decide import Platform, business_date
from decision_service.policy import Policy
from decision_service.workbench.backtest import MOST_FLIPS, Backtest, backtest
from decision_service.workbench.backtest_report import html, industry_names
from decision_service.workbench.bulk import ENGINES, opened
from decision_service.workbench.outcomes import labels
from decision_service.workbench.populations import DECISIONS, Population, from_decisions, from_file
from decision_service.workbench.portfolio import Models, Standard, made_by, models_in_force, portfolio

Notes = tuple[Mapping[str, str], ...]
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
        evaluating = stack.enter_context(_evaluating(len(populations)))
        return backtest(
            old.ruleset, new.ruleset, populations, on=on, engine=database, most_flips=most_flips, step=evaluating
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
    models: Models | None = None,
    moment: datetime | None = None,
    products: Sequence[str] = (),
) -> Population:
    """The portfolio's facts, kept under the home of the settings; by default scored by the models in force now."""
    found = settings()
    what = f"portraying {built.store.enterprise_count():,} enterprises by version {policy.ruleset.version}"
    return portfolio(
        built,
        policy,
        standard=standard,
        now=moment or now(),
        models=models or models_to_score(built, policy),
        products=products,
        home=found.home / "facts",
        open_platform=partial(build_platform, found),
        progress=lambda chunks, total: stepping(chunks, total=total, what=what),
        fresh=fresh,
    )


def _populations(built: Platform, old: Policy, new: Policy, over: Over, work: Path) -> Iterator[Population]:
    catalogues = {"old": old.ruleset.catalogue, "new": new.ruleset.catalogue}
    for number, file in enumerate(over.facts):
        step(f"reading {file.name} …")
        with bar(f"reading {file.name}") as moving:
            yield from_file(file, work / f"facts-{number}.parquet", **catalogues, tick=moving.update)
    if over.decisions:
        stored = stepping(built.store.each_decision(), what="reading decisions")
        bad = labels(built, business_date(now()))
        yield from_decisions(built, work / f"{DECISIONS}.parquet", **catalogues, stored=stored, bad=bad)
    if over.portfolio:
        yield portrayed_by_both(built, old, new, over)


def portrayed_by_both(built: Platform, old: Policy, new: Policy, over: Over) -> Population:
    """The portfolio as OLD makes it, and beside it as NEW does, if any fact could be another."""
    moment, models = now(), models_to_score(built, old, new)
    found = portrayed(built, old, over.standard, over.fresh, models=models, moment=moment)
    if made_by(old.ruleset, business_date(moment)) == made_by(new.ruleset, business_date(moment)):
        return found
    products = tuple(old.ruleset.products)
    other = portrayed(built, new, over.standard, over.fresh, models=models, moment=moment, products=products)
    return replace(found, remade=other.path, notes=(*_both(found.notes, other.notes), REMADE))


def models_to_score(built: Platform, *policies: Policy) -> Models:
    """What the portfolio is scored by, all of one moment. Raises ``ModelError`` (see ``portfolio.models_in_force``)."""
    step("loading the models …")
    return models_in_force(built, policies)


def _both(old: Notes, new: Notes) -> Notes:
    """What is to be told of the portfolio as OLD and as NEW makes it: once where it is the same of both."""
    told = [note for note in old if note in new]
    for name, own, other in (("OLD", old, new), ("NEW", new, old)):
        for note in own:
            if note not in other:
                told.append({"zh": f"{name}：{note['zh']}", "en": f"{name}: {note['en']}"})
    return tuple(told)


@contextmanager
def _evaluating(total: int) -> Iterator[Callable[[str], object]]:
    """A bar that moves with each population."""
    with bar("evaluating") as moving:
        moving.reset(total=total)

        def begin(name: str) -> None:
            step(f"evaluating {name} …")
            moving.set_postfix_str(name)
            moving.update()

        yield begin
