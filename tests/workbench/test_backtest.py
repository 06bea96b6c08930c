"""A backtest counts what the reference evaluator says, row by row, under both rulesets."""

from __future__ import annotations

import json
import re
import warnings
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from xml.parsers import expat

import pyarrow
import pytest

from decision_service.errors import EngineError, InputError
from decision_service.rulebook.encoding import Fact, FactType
from decision_service.rulebook.facts import FactCatalogue
from decision_service.rulebook.files import load
from decision_service.rulebook.rules import Stage
from decision_service.rulebook.ruleset import RulesInForce
from decision_service.vocabulary import Outcome
from decision_service.workbench import bulk
from decision_service.workbench.backtest import Backtest, Result, Swap, Swaps, backtest, rate
from decision_service.workbench.backtest_document import document
from decision_service.workbench.backtest_plots import group_bars
from decision_service.workbench.backtest_report import html, industry_names
from decision_service.workbench.bulk import Engine, opened
from decision_service.workbench.fact_tables import INDUSTRY_CODE, given_facts
from decision_service.workbench.populations import Population
from tests.rulebook.columns import KEY, Row
from tests.workbench.two_rulesets import ON, RULES, changed, reference, synthetic, write

ROWS = 1_500
OVERLAY = """stage: decision
rules:
  - id: OWN-001
    title: {zh: 单笔不超过一百万, en: No more than a million}
    when: amount > 1_000_000
    outcome: DECLINE
    reason: OWN_LIMIT
    effective_from: 2023-10-15
    reference: agreed
"""
REASONS = """reasons:
  - code: OWN_LIMIT
    customer: {zh: 超过上限, en: above the limit}
    officer: {zh: 超过上限, en: above the limit}
"""


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with opened("duckdb", tmp_path_factory.mktemp("duckdb"), threads=1) as found:
        yield found


class Compared:
    """A backtest of the shipped rules against edited ones with an overlay, and the reference's own account of it."""

    def __init__(self, folder: Path, engine: Engine) -> None:
        self.old = load(RULES)
        changed(folder / "edited")
        overlay = folder / "edited" / "overlays" / "bank-b"
        overlay.mkdir(parents=True)
        (overlay / "own.yaml").write_text(OVERLAY, encoding="utf-8")
        (overlay / "reasons.yaml").write_text(REASONS, encoding="utf-8")
        self.new = load(folder / "edited")
        table = synthetic(self.old.in_force(ON), ROWS)
        path = write(table, folder / "facts.parquet")
        population = Population("synthetic", path, ROWS)
        self.found: Backtest = backtest(self.old, self.new, [population], on=ON, engine=engine, most_flips=5)
        self.rows = table.to_pylist()
        self.before, self.after = reference(self.old, table), reference(self.new, table)

    @property
    def result(self) -> Result:
        return self.found.results[0]

    def pairs(self) -> Iterator[tuple[Row, Row, Row]]:
        return zip(self.rows, self.before, self.after)


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory, engine: Engine) -> Compared:
    return Compared(tmp_path_factory.mktemp("compared"), engine)


def test_the_swap_sets_are_those_of_the_reference(compared: Compared) -> None:
    expected: Counter[tuple[int, int]] = Counter()
    amounts: Counter[tuple[int, int]] = Counter()
    for row, old, new in compared.pairs():
        pair = old["outcome"], new["outcome"]
        expected[pair] += 1
        amounts[pair] += row["amount"] or 0
    cells = compared.result.swaps.cells
    assert {(cell.old, cell.new): cell.count for cell in cells} == expected
    assert {(cell.old, cell.new): cell.amount for cell in cells} == amounts
    assert {(Outcome.APPROVE, Outcome.REFER), (Outcome.REFER, Outcome.APPROVE), (Outcome.REFER, Outcome.DECLINE)} <= {
        (cell.old, cell.new) for cell in cells
    }
    assert compared.found.changed == sum(count for (old, new), count in expected.items() if old != new)


def test_groups_add_up_to_the_whole_and_stand_by_their_values(compared: Compared) -> None:
    names = {"product": "product", "industry": "industry_code", "client": "client"}
    for group, column in names.items():
        expected = Counter(row[column] or "-" for row in compared.rows)
        assert {one.value: one.count for one in compared.result.groups[group]} == expected
    for groups in compared.result.groups.values():
        assert sum(one.changed for one in groups) == compared.result.swaps.changed
        assert sum(one.limits["limit_new"] for one in groups) == compared.result.swaps.limits["limit_new"]
    bands = {one.value for one in compared.result.groups["size"]}
    assert {"≤ 500,000", "≤ 1,000,000", "≤ 3,000,000", "> 5,000,000", "-"} <= bands


def test_hit_rates_count_every_rule_as_the_reference_does(compared: Compared) -> None:
    for by, rows in (("old", compared.before), ("new", compared.after)):
        matched: Counter[str] = Counter()
        unknown: Counter[str] = Counter()
        for row, given in zip(rows, compared.rows):
            for name, truth in row.items():
                if name.startswith("rule "):
                    own = by == "new" and name == "rule OWN-001"
                    rule = f"{given['client']}/OWN-001" if own else name.removeprefix("rule ")
                    matched[rule] += truth is True
                    unknown[rule] += truth is None
        found = {one.rule: getattr(one, by) for one in compared.result.rules if getattr(one, by) is not None}
        assert {rule: hits.matched for rule, hits in found.items()} == matched
        assert {rule: hits.unknown for rule, hits in found.items()} == unknown
    own = next(one for one in compared.result.rules if one.rule == "bank-b/OWN-001")
    assert own.old is None and own.new is not None and own.new.rows == ROWS / 4 and own.new.matched > 50


def test_limits_are_compared_where_both_are_known(compared: Compared) -> None:
    both = [(old["limit_max"], new["limit_max"]) for _, old, new in compared.pairs() if old["limit_max"] is not None]
    assert None not in {new for _, new in both}
    expected = {
        "limit_old": sum(old for old, _ in both),
        "limit_new": sum(new for _, new in both),
        "limit_up": sum(new > old for old, new in both),
        "limit_down": 0,
        "limit_gained": 0,
        "limit_lost": 0,
    }
    assert compared.result.swaps.limits == expected and expected["limit_up"] > 20


def test_bad_rates_count_only_rows_whose_outcome_is_known(compared: Compared) -> None:
    for by, rows in (("old", compared.before), ("new", compared.after)):
        labels = [row["bad"] for row, said in zip(compared.rows, rows) if said["outcome"] == Outcome.APPROVE]
        known = [label for label in labels if label is not None]
        assert compared.result.swaps.bad_rate(by) == rate(sum(known), len(known))
        assert len(known) < len(labels)


def test_flips_name_the_rules_behind_them(compared: Compared) -> None:
    by_key = {row[KEY]: (old, new) for row, old, new in compared.pairs()}
    assert len({(flip.old, flip.new) for flip in compared.result.flips}) >= 3
    for flip in compared.result.flips:
        old, new = by_key[flip.key]
        assert (flip.old, flip.new) == (old["outcome"], new["outcome"])
        assert flip.rules
        for rule in flip.rules:
            column = "rule " + rule.rule.removeprefix("bank-b/")
            assert rule.old == _told(old, column) and rule.new == _told(new, column)
    behind = {rule.rule for flip in compared.result.flips for rule in flip.rules}
    assert {"NA-11", "CARD-002", "TERM-001", "bank-b/OWN-001"} <= behind
    assert all(rule.edited for flip in compared.result.flips for rule in flip.rules if rule.rule == "CARD-002")


def _told(row: Row, column: str) -> str:
    return {True: "matched", False: "missed", None: "unknown"}[row[column]] if column in row else "absent"


def test_the_document_is_plain_json_with_amounts_as_text(compared: Compared) -> None:
    told = json.loads(json.dumps(document(compared.found)))
    population = told["populations"][0]
    assert told["changed"] == population["changed"] == compared.found.changed
    assert re.fullmatch(r"\d+\.\d\d", population["approved"]["old"]["amount"])
    assert len(population["by"]["industry"]) == len(compared.result.groups["industry"])
    assert {row["rule"] for row in population["rules"]} == {one.rule for one in compared.result.rules}


def test_the_page_loads_nothing_and_the_same_backtest_gives_the_same_bytes(compared: Compared) -> None:
    names = industry_names(compared.old.sources["industries.csv"])
    page = html(compared.found, industries=names)
    assert page == html(compared.found, industries=names)
    inner = re.sub(r'(xmlns(:\w+)?|xlink:href)="(http://www\.w3\.org/[^"]*|#[^"]*)"', "", page)
    assert not re.search(r"(src|href)\s*=|url\((?!#)|https?://(?!www\.w3\.org)|<script|<img|<image", inner)
    assert page.count("<svg") == 3 and "default-src 'none'" in page
    for said in (compared.found.old.digest, "互换矩阵", "Swap sets", compared.result.flips[0].key, "农业"):
        assert said in page


@pytest.fixture(scope="module")
def unchanged(tmp_path_factory: pytest.TempPathFactory, engine: Engine) -> Backtest:
    """The shipped rules beside themselves, over rows that call keys, codes and sizes whatever they like."""
    rules, folder = load(RULES), tmp_path_factory.mktemp("unchanged")
    table = synthetic(rules.in_force(ON), 300)
    table = table.set_column(0, KEY, pyarrow.array(["<script>alert(1)</script>", *table[KEY].to_pylist()[1:]]))
    place = table.schema.get_field_index(INDUSTRY_CODE)
    codes = [*CODES, "01", "02", *table[INDUSTRY_CODE].to_pylist()[6:]]
    table = table.set_column(place, INDUSTRY_CODE, pyarrow.array(codes))
    table = table.append_column("weight", pyarrow.array([1, 10, 100, 1000, *[10_000] * 296]))
    sizes = ["<b>large</b>", "small", "small", None, *["other"] * 296]
    path = write(table.append_column("size", pyarrow.array(sizes)), folder / "t.parquet")
    population = Population("<i>x</i>", path, 300, mistakes=("<u>",))
    return backtest(rules, rules, [population], on=ON, engine=engine)


CODES = ("<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "$\\frac{$", "a\x07b")


def test_what_a_table_says_cannot_become_markup(unchanged: Backtest) -> None:
    page = html(unchanged, industries={CODES[0]: "<script>alert(2)</script>", "01": "<img>"})
    assert not any(markup in page for markup in ("<script", "<img", "<b>large", "<i>x", "<u>", "\x07"))
    for text in ("&lt;b&gt;large", "&lt;i&gt;x", "&lt;script&gt;alert(2)", "01 &lt;img&gt;"):
        assert text in page


@pytest.mark.parametrize("code", CODES)
def test_a_code_that_is_markup_formula_or_control_stays_text_in_plots(code: str) -> None:
    plot = group_bars([Swaps(code, (Swap(Outcome.APPROVE, Outcome.REFER, 1, 1, 1, 0, 0),), {})])
    expat.ParserCreate().Parse(plot, True)
    assert "<script" not in plot and "<img" not in plot


@pytest.mark.parametrize("text", ["$\\bad{$", "a\x00b", "y" * 5_000, "农业"])
def test_a_plot_stands_whatever_a_table_calls_a_group(text: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plot = group_bars([Swaps(text, (Swap(Outcome.APPROVE, Outcome.REFER, 1, 1, 1, 0, 0),), {})])
    assert "\x00" not in plot and len(plot) < 20_000


def test_the_same_rules_change_nothing(unchanged: Backtest) -> None:
    assert unchanged.changed == 0 and unchanged.results[0].flips == ()
    assert all(one.old == one.new for one in unchanged.results[0].rules)


def test_weights_count_applications_and_a_size_is_told_apart_as_given(unchanged: Backtest) -> None:
    (result,) = unchanged.results
    assert result.swaps.count == 2_961_111
    counts = {one.value: one.count for one in result.groups["size"]}
    assert counts == {"<b>large</b>": 1, "small": 110, "-": 1000, "other": 2_960_000}


def test_a_value_that_the_new_declaration_does_not_admit_is_unknown(tmp_path: Path, engine: Engine) -> None:
    old = load(RULES)
    rules = {rule.id: rule for rule in old.in_force(ON).rules(Stage.DECISION)}
    narrower = Fact("lenders_30d", FactType.COUNT, minimum=0, maximum=1)
    given = [fact for fact in old.catalogue.values() if fact.derived is None]  # nothing here reads the others
    other = [narrower if fact.name == narrower.name else fact for fact in given]
    table = synthetic(old.in_force(ON), 600)
    path = write(table, tmp_path / "facts.parquet")
    hits = []
    for declared in (FactCatalogue(given), FactCatalogue(other)):
        alone = RulesInForce(declared, [rules["NA-11"]], on=ON, policy=old.policy)
        held = given_facts(old.catalogue)
        found = bulk.judged(engine, engine.read(path), partial(_always, alone), overlays=(), held=held)
        hits.append(bulk.hits(engine, found)["NA-11"])
    beyond = sum(row["lenders_30d"] is not None and row["lenders_30d"] > 1 for row in table.to_pylist())
    (matched, unknown, _), (matched_narrower, unknown_narrower, _) = hits
    assert matched and beyond > 10
    assert unknown_narrower == unknown + beyond and matched_narrower == 0


def _always(rules: RulesInForce, client: str) -> RulesInForce:
    return rules


def test_a_fact_held_in_other_units_is_refused(tmp_path: Path, engine: Engine) -> None:
    in_days = (("name: inv_customers, type: count", "name: inv_customers, type: days"),)
    new = changed(tmp_path / "new", {"facts.yaml": in_days})
    with pytest.raises(InputError, match="inv_customers: this fact is count in OLD and days in NEW"):
        backtest(load(RULES), new, [], on=ON, engine=engine)


def test_what_the_facts_do_not_show_is_said(tmp_path: Path, engine: Engine) -> None:
    new = changed(tmp_path / "new", {"lists.yaml": (("# ", "# As before. "),)})
    (note,) = backtest(load(RULES), new, [], on=ON, engine=engine).notes
    assert "lists.yaml differs" in note["en"] and "lists.yaml 有改动" in note["zh"]


@pytest.mark.parametrize(
    "bad, known, low, high",
    [(0, 10, 0.0, 0.2775328), (10, 10, 0.7224672, 1.0), (1, 20, 0.0088810, 0.2361308), (50, 100, 0.4038315, 0.5961685)],
)
def test_the_interval_is_wilson_s(bad: int, known: int, low: float, high: float) -> None:
    found = rate(bad, known)
    assert found is not None and found.share == bad / known
    assert (found.low, found.high) == (pytest.approx(low, abs=1e-6), pytest.approx(high, abs=1e-6))


def test_of_none_no_rate_is_known() -> None:
    assert rate(0, 0) is None


def test_an_engine_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no engine 'postgres'; use one of duckdb, spark"):
        with opened("postgres", tmp_path):
            pass


def test_a_database_that_fails_ends_in_a_sentence(tmp_path: Path, engine: Engine) -> None:
    damaged = tmp_path / "damaged.parquet"
    damaged.write_bytes(b"PAR1 nothing PAR1")
    with pytest.raises(EngineError, match="duckdb could not evaluate the table"):
        engine.rows(engine.read(damaged))


def test_the_folder_of_an_engine_is_gone_afterwards(tmp_path: Path) -> None:
    with opened("duckdb", tmp_path, threads=1):
        assert len(list(tmp_path.iterdir())) == 1
    assert list(tmp_path.iterdir()) == []
