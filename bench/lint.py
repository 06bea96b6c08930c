"""Check and lint of a large rulebook: the shipped one with 78 industries, grown to 200 rules, each with two cases."""

from __future__ import annotations

import json
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import click

from decision_service.rulebook.case_file import FactValues
from decision_service.rulebook.cases import load_cases
from decision_service.rulebook.encoding import Fact, FactType
from decision_service.rulebook.facts import FactCatalogue
from decision_service.rulebook.files import load
from decision_service.rulebook.ruleset import Ruleset
from decision_service.rulebook.syntax import literal_text

RULES = Path(__file__).parents[1] / "rules"
NUMBERS = (FactType.RATIO, FactType.COUNT, FactType.DAYS)
CASE_DAY, PROFILE, INDUSTRY = "2024-06-03", "sound_manufacturer", "35"
LEVERAGE = "debt_to_asset_ratio > industry.max_leverage"
LIMIT_EVERY, STATUS_EVERY, PARAMETER_EVERY = 5, 4, 4
"""Of the added rules every fifth narrows the limit, of the others every fourth sets a card; every fourth of all reads a
parameter of the industry."""


def grow(folder: Path, *, rules: int = 200, seed: int = 7) -> Ruleset:
    """Write the shipped rulebook with further rules, reasons and cases to a folder that does not exist yet."""
    shutil.copytree(RULES, folder)
    ruleset = load(folder)
    profile = next(case.profile for case in load_cases(folder, ruleset) if case.base == PROFILE)
    _Growing(ruleset, profile, random.Random(seed)).write(folder, rules - len(ruleset.rules))
    return load(folder)


def _usable(fact: Fact, profile: FactValues) -> bool:
    """A number with a wide range that the profile knows: what cases say of other rules stays as it is.

    Days overdue and probabilities of default decline when they are high, and would make a rule that refers superfluous.
    """
    if fact.name in LEVERAGE:
        return False
    wide = fact.maximum - fact.minimum > 20 and fact.maximum < 10**12
    declining = fact.source in ("overdues", "scoring")
    given = fact.derived is None and profile.get(fact.name) is not None
    return wide and given and not declining and fact.type in NUMBERS


class _Growing:
    """Rules about pairs of facts: one (or leverage) passes a figure or a parameter, the other is below a figure."""

    def __init__(self, ruleset: Ruleset, profile: FactValues, chance: random.Random) -> None:
        self._catalogue: FactCatalogue = ruleset.catalogue
        self._chance = chance
        numbers = [fact for fact in ruleset.catalogue.values() if _usable(fact, profile)]
        pairs = [(one, other) for one in numbers for other in numbers if one.name != other.name]
        self._pairs = chance.sample(pairs, len(pairs))
        self._classes = ruleset.catalogue["industry.policy_class"].choices

    def write(self, folder: Path, number: int) -> None:
        stages: dict[str, list[str]] = {"status": [], "limit": [], "decision": []}
        reasons, cases = [], []
        for place in range(number):
            one, other = self._pairs[place]
            stage = self._stage(place)
            stages[stage].append(self._rule(place, stage, one, other))
            if stage != "limit":
                reasons.append(_reason(place))
            cases += self._cases(place, one, other)
        for stage, texts in stages.items():
            (folder / f"grown_{stage}.yaml").write_text(f"stage: {stage}\nrules:\n{''.join(texts)}", encoding="utf-8")
        with (folder / "reasons.yaml").open("a", encoding="utf-8") as file:
            file.write("".join(reasons))
        (folder / "cases" / "grown.yaml").write_text(f"cases:\n{''.join(cases)}", encoding="utf-8")

    @staticmethod
    def _stage(place: int) -> str:
        if place % LIMIT_EVERY == 0:
            return "limit"
        return "status" if place % STATUS_EVERY == 0 else "decision"

    def _rule(self, place: int, stage: str, one: Fact, other: Fact) -> str:
        parts = ["product == working_capital", *self._compared(place, one, other)]
        if place % 3 == 0:
            parts.append(f"industry.policy_class != {self._classes[-1]}")
        result = {
            "status": f"    sets: {{card: yellow}}\n    reason: GROWN_{place:03}\n",
            "limit": f"    effects: {{limit_cap: {1_000_000 + place}.00, conditions: [grown_{place:03}]}}\n",
            "decision": f"    outcome: REFER\n    reason: GROWN_{place:03}\n",
        }[stage]
        return (
            f"  - id: GROWN-{place:03}\n    title: {{zh: 增补{place}, en: grown {place}}}\n    when:\n      all:\n"
            + "".join(f"        - {part}\n" for part in parts)
            + f"{result}    effective_from: 2023-10-15\n    reference: grown for a measurement\n"
        )

    def _compared(self, place: int, one: Fact, other: Fact) -> Iterator[str]:
        if place % PARAMETER_EVERY == 1:
            yield LEVERAGE
        else:
            yield f"{one.name} >= {self._literal(one, 0.95 + place / 10_000)}"
        yield f"{other.name} < {self._literal(other, 0.96 - place / 10_000)}"

    def _literal(self, fact: Fact, share: float) -> str:
        """A literal at a share of a fact's range."""
        return literal_text(fact, self._at(fact, share), self._catalogue)

    @staticmethod
    def _at(fact: Fact, share: float) -> int:
        return fact.minimum + max(1, round((fact.maximum - fact.minimum) * share))

    def _cases(self, place: int, one: Fact, other: Fact) -> Iterator[str]:
        """One case that matches a rule, and one that misses it."""
        highest = {fact.name: literal_text(fact, fact.maximum, self._catalogue) for fact in (one, other)}
        lowest = literal_text(other, other.minimum, self._catalogue)
        leverage = {"debt_to_asset_ratio": "2"} if place % PARAMETER_EVERY == 1 else {}
        yield _case(place, "matches", {**leverage, one.name: highest[one.name], other.name: lowest})
        yield _case(place, "misses", {**leverage, one.name: highest[one.name], other.name: highest[other.name]})


def _case(place: int, word: str, facts: dict[str, str]) -> str:
    told = ", ".join(f"{name}: {value}" for name, value in facts.items())
    return (
        f"  - name: GROWN-{place:03} {word}\n    base: {PROFILE}\n    as_of: {CASE_DAY}\n"
        f'    industry: "{INDUSTRY}"\n    facts: {{{told}}}\n    expect: {{outcome: REFER}}\n'
        f"    {word}: [GROWN-{place:03}]\n"
    )


def _reason(place: int) -> str:
    texts = f"{{zh: 增补原因{place}, en: grown reason {place}}}"
    return f"  - code: GROWN_{place:03}\n    customer: {texts}\n    officer: {texts}\n"


@click.command()
@click.option("--rules", default=200, show_default=True, help="How many rules.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def main(rules: int, as_json: bool) -> None:
    """Time `rules check` (files, cases and lint), from start to end of the command.

    Example: python -m bench.lint --rules 200
    """
    with tempfile.TemporaryDirectory(prefix="bench-") as home:
        folder = Path(home) / "rules"
        ruleset = grow(folder, rules=rules)
        command = [sys.executable, "-m", "decision_service", "rules", "check", str(folder), "--json"]
        before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True)
        took, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode not in (0, 1):
        raise click.ClickException(done.stderr)
    found = json.loads(done.stdout)
    report = {
        "rules": len(ruleset.rules),
        "industries": len(ruleset.industries.keys()),
        "cases": found["cases"],
        "findings": len(found["findings"]),
        "seconds": round(took, 2),
        "cpu_seconds": round(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 2),
    }
    if as_json:
        click.echo(json.dumps(report))
    else:
        click.echo(
            f"check and lint of {report['rules']} rules, {report['industries']} industries, {report['cases']} cases: "
            f"{report['seconds']} s, of which {report['cpu_seconds']} s of CPU; {report['findings']} findings"
        )


if __name__ == "__main__":
    main()
