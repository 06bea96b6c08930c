"""What the files of two versions say differently, part by part."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from decision_service.rulebook.files import load_sources
from decision_service.workbench.changes import Change, Part, changes
from tests.rulebook.small_rulebook import INDUSTRIES, PARAMETERS, RULE, SOURCES

Edit = tuple[str, str, str]
OVERLAY = "parameters:\n  - {name: line, value: 2_000_000.00, effective_from: 2024-01-01, reference: board}\n"


def found(*edits: Edit, **added: str) -> tuple[Change, ...]:
    sources = {**SOURCES, **added}
    for path, before, after in edits:
        assert before in sources[path], before
        sources[path] = sources[path].replace(before, after, 1)
    return changes(load_sources(SOURCES), load_sources(sources))


CHANGED: Mapping[str, tuple[Edit, str, str, Part]] = {
    "A condition": (
        ("status.yaml", "overdue >= 30", "overdue >= 20 and listed == false"),
        "rule",
        "YEL-1",
        Part("when", "overdue >= 30", "overdue >= 20 and listed == false"),
    ),
    "An outcome": (
        ("decision.yaml", "outcome: DECLINE", "outcome: REFER"),
        "rule",
        "CARD-1",
        Part("outcome", "DECLINE", "REFER"),
    ),
    "What is set": (
        ("status.yaml", "{card: yellow}", "{card: red}"),
        "rule",
        "YEL-1",
        Part("sets card", "yellow", "red"),
    ),
    "A factor": (("limit.yaml", "0.5", "0.6"), "rule", "LIM-2", Part("limit_factor", "0.5", "0.6")),
    "A cap": (
        ("limit.yaml", "limit_cap: industry.ceiling", "limit_cap: 1_000_000.00"),
        "rule",
        "LIM-1",
        Part("limit_cap", "industry.ceiling", "1,000,000.00"),
    ),
    "Conditions of a limit": (
        ("limit.yaml", "[no_increase, watch]", "[watch]"),
        "rule",
        "LIM-2",
        Part("conditions", "no_increase, watch", "watch"),
    ),
    "A reason": (("limit.yaml", "    reason: HALVED\n", ""), "rule", "LIM-2", Part("reason", "HALVED", "")),
    "An end": (
        ("decision.yaml", "effective_to: 2030-01-01", "effective_to: 2031-01-01"),
        "rule",
        "AMT-1",
        Part("effective_to", "2030-01-01", "2031-01-01"),
    ),
    "A row of a parameter": (
        ("parameters.yaml", "6_000_000.00", "7_000_000.00"),
        "parameter",
        "policy.line",
        Part("from 2025-01-01", "6,000,000.00 (second)", "7,000,000.00 (second)"),
    ),
    "A row of a product": (
        ("products/plain.yaml", "value: 12", "value: 24"),
        "parameter",
        "product.term of plain",
        Part("from 2023-10-15", "12 (term)", "24 (term)"),
    ),
    "A cell of an industry": (
        ("industries.csv", "51,批发,0.030", "51,批发,0.035"),
        "industry",
        "51",
        Part("cutoff from 2023-10-15", "0.030", "0.035"),
    ),
    "An excluded industry's reason": (
        ("industries_excluded.csv", "state groups", "capacity"),
        "excluded industry",
        "06",
        Part("reason", "state groups", "capacity"),
    ),
    "What a product requires": (
        ("products/plain.yaml", "[amount, pd, exposure]", "[amount, pd]"),
        "product",
        "plain",
        Part("required", "amount, pd, exposure", "amount, pd"),
    ),
    "A formula": (
        ("facts.yaml", "existing + amount", "existing + 2 * amount"),
        "fact",
        "exposure",
        Part("derived", "existing + amount", "existing + 2 * amount"),
    ),
    "A range": (
        ("facts.yaml", "range: [0, 200]", "range: [0, 100]"),
        "fact",
        "years",
        Part("range", "[0, 200]", "[0, 100]"),
    ),
    "A text": (
        ("reasons.yaml", "'reason: {facts}'", "'because: {facts}'"),
        "reason",
        "DATA_MISSING",
        Part("customer en", "reason: {facts}", "because: {facts}"),
    ),
}


@pytest.mark.parametrize("case", CHANGED)
def test_a_changed_part_is_named_with_both_texts(case: str) -> None:
    edit, kind, name, part = CHANGED[case]
    (change,) = found(edit)
    assert (change.kind, change.name, change.how) == (kind, name, "changed")
    assert change.parts == (part,)


SAME: Mapping[str, Edit] = {
    "Order inside a condition": (
        "decision.yaml",
        "[exposure <= policy.line, pd <= industry.cutoff, card == none]",
        "[card == none, pd <= industry.cutoff, exposure <= policy.line]",
    ),
    "A condition in text or in YAML": (
        "status.yaml",
        "when: listed == true and disputed == false",
        "when: {all: [disputed == false, listed == true]}",
    ),
    "A number spelled otherwise": ("parameters.yaml", "5_000_000.00", "5000000"),
    "A comment": ("status.yaml", "rules:", "# as ever\nrules:"),
    "The order of what is required": ("products/plain.yaml", "[amount, pd, exposure]", "[pd, exposure, amount]"),
    "A cell with a zero more": ("industries.csv", "51,批发,0.030", "51,批发,0.0300"),
}


@pytest.mark.parametrize("case", SAME)
def test_order_comments_and_spelling_are_no_change(case: str) -> None:
    assert found(SAME[case]) == ()


def test_rules_that_come_and_go_have_their_place() -> None:
    (added,) = found(("decision.yaml", "rules:\n", f"rules:\n{RULE}"))
    assert (added.how, added.name, added.file, added.line) == ("added", "NEW-1", "decision.yaml", 3)
    old, new = load_sources({**SOURCES, "more.yaml": f"stage: decision\nrules:\n{RULE}"}), load_sources(SOURCES)
    (removed,) = changes(old, new)
    assert (removed.how, removed.file, removed.parts[1]) == ("removed", "more.yaml", Part("when", "years >= 1", ""))


SECOND = "35,专用设备,0.040,18000000,2025-01-01,,second\n"
THIRD = "35,专用设备,0.050,18000000,2027-01-01,,second\n"
ROWS: Mapping[str, tuple[str, str, tuple[Part, ...]]] = {
    "A row after one that ends": (
        SECOND,
        f"{SECOND.replace(',,', ',2027-01-01,')}{THIRD}",
        (
            Part("row from 2027-01-01", "", "like that from 2025-01-01"),
            Part("effective_to from 2025-01-01", "", "2027-01-01"),
            Part("cutoff from 2027-01-01", "0.040", "0.050"),
        ),
    ),
    "A row that goes": (
        SECOND,
        "",
        (
            Part("row from 2025-01-01", "like that from 2023-10-15", ""),
            Part("cutoff from 2025-01-01", "0.040", "0.045"),
            Part("ceiling from 2025-01-01", "18000000", "20000000"),
            Part("reference from 2025-01-01", "second", "first"),
        ),
    ),
}


@pytest.mark.parametrize("case", ROWS)
def test_a_row_that_comes_or_goes_is_told_by_what_it_changes(case: str) -> None:
    before, after, parts = ROWS[case]
    first = INDUSTRIES.replace(SECOND, "").replace("2023-10-15,,", "2023-10-15,2025-01-01,")
    texts = (first + rows for rows in (before, after))
    old, new = (load_sources({**SOURCES, "industries.csv": text}) for text in texts)
    for (change,), told in ((changes(old, new), parts), (changes(new, old), [_turned(part) for part in parts])):
        assert (change.kind, change.name, change.how) == ("industry", "35", "changed")
        assert set(change.parts) == set(told) and change.parts[0] == told[0]


def _turned(part: Part) -> Part:
    return Part(part.name, part.after, part.before)


def test_a_new_industry_is_told_by_the_cells_that_are_filled() -> None:
    (change,) = found(("industries.csv", "51,批发", "52,零售,0.030,1,2023-10-15,,first\n51,批发"))
    assert (change.how, change.name) == ("added", "52")
    names = ("name_zh", "cutoff", "ceiling", "reference")
    assert tuple(part.name for part in change.parts) == tuple(f"{name} from 2023-10-15" for name in names)


def test_a_client_s_rows_are_told_by_the_client() -> None:
    (change,) = found(**{"overlays/bank-03/parameters.yaml": OVERLAY})
    assert (change.kind, change.name, change.how) == ("parameter", "bank-03/policy.line", "added")


def test_rows_of_one_parameter_in_another_order_are_no_change() -> None:
    head, first, second = PARAMETERS.splitlines()
    assert found(("parameters.yaml", PARAMETERS, "\n".join((head, second, first)))) == ()
