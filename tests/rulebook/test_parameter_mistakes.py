"""Mistakes in facts, reasons, parameters, industries and products: each with file, line and remedy."""

from __future__ import annotations

import pytest

from tests.rulebook.small_rulebook import (
    FACTS,
    INDUSTRIES,
    SOURCES,
    changed,
    problems,
    product_text,
    reasons_text,
    without,
)

OTHER_LEVEL = INDUSTRIES.replace("0.030", "3%")

MISTAKES: list[tuple[str, dict[str, str], str]] = [
    (
        "no platform code",
        {**SOURCES, "reasons.yaml": reasons_text(("LISTED", "HALVED", "AUTO_OK", "CARD", "AMOUNT"))},
        "reasons.yaml:1: the platform's own code DATA_MISSING is missing",
    ),
    (
        "a reason twice",
        {**SOURCES, "reasons.yaml": SOURCES["reasons.yaml"] + reasons_text(("CARD",)).split("\n", 1)[1]},
        "reason CARD: the code is unusable or given twice",
    ),
    (
        "a reason without officer text",
        {**SOURCES, "reasons.yaml": "reasons:\n  - {code: CARD, customer: {zh: a, en: b}}\n"},
        "reasons.yaml:2: a reason: 'officer' is missing",
    ),
    (
        "a fact twice",
        {**SOURCES, "facts.yaml": FACTS + "  - {name: pd, type: ratio, source: x, level: 1, label: {zh: a, en: b}}\n"},
        "facts.yaml:21: fact pd is declared twice, first in line 6",
    ),
    (
        "unknown type",
        changed("facts.yaml", "type: days", "type: weeks"),
        "facts.yaml:11: fact overdue: unknown type 'weeks'",
    ),
    ("unusable choices", changed("facts.yaml", "choice[A, B, D]", "choice[A, B, A]"), "fact rating: unusable choices"),
    ("choices left open", changed("facts.yaml", "choice[A, B, D]", "choice[A, B"), "fact rating: unusable choices"),
    (
        "a reserved choice",
        changed("facts.yaml", "choice[A, B, D]", "choice[yes, no_]"),
        "fact rating: unusable choices",
    ),
    ("unusable name", changed("facts.yaml", "name: years", "name: Years-x"), "fact Years-x has an unusable name"),
    ("level four", changed("facts.yaml", "level: 1", "level: 4"), "level 4 does not exist"),
    ("range backwards", changed("facts.yaml", "range: [0, 1]", "range: [1, 0]"), "the range ends before it begins"),
    ("range of one", changed("facts.yaml", "range: [0, 1]", "range: [1]"), "the range is unusable"),
    ("range too exact", changed("facts.yaml", "range: [0.01,", "range: [0.001,"), "0.001 is not exact in type money"),
    (
        "derived from nothing",
        changed("facts.yaml", "existing + amount", "existing + amout"),
        "fact exposure: derived reads 'amout', which is not declared; did you mean amount?",
    ),
    (
        "derived in a circle",
        changed("facts.yaml", "existing + amount", "existing + exposure"),
        "facts.yaml:5: derived facts form a circle",
    ),
    (
        "derived from a choice",
        changed("facts.yaml", "existing + amount", "existing + rating"),
        "reads 'rating', a choice",
    ),
    (
        "derived of two kinds",
        changed("facts.yaml", "existing + amount", "existing + years"),
        "mixes money with other numbers",
    ),
    (
        "derived product of facts",
        changed("facts.yaml", "existing + amount", "existing * amount"),
        "multiplies two facts",
    ),
    (
        "default without combine",
        changed("facts.yaml", "combine: strongest, default: none", "default: none"),
        "combine and default belong together",
    ),
    (
        "default that is no choice",
        changed("facts.yaml", "default: none", "default: green"),
        "use one of none, yellow, red",
    ),
    (
        "unknown combination",
        changed("facts.yaml", "combine: strongest", "combine: weakest"),
        "unknown combination 'weakest'",
    ),
    (
        "parameters that overlap",
        changed("parameters.yaml", "effective_to: 2025-01-01", "effective_to: 2025-01-02"),
        "parameters.yaml:3: two rows of policy.line are in force on 2025-01-01 (the other in line 2)",
    ),
    (
        "parameters left open",
        changed("parameters.yaml", ", effective_to: 2025-01-01", ""),
        "parameters.yaml:3: two rows of policy.line are in force on 2025-01-01",
    ),
    (
        "an undeclared parameter",
        changed("parameters.yaml", "name: line", "name: lime"),
        "unknown fact 'policy.lime'; did you mean policy.line?",
    ),
    (
        "a parameter without rows",
        {**SOURCES, "parameters.yaml": "parameters: []\n"},
        "the declared parameter policy.line has no row",
    ),
    (
        "a parameter of the wrong type",
        changed("parameters.yaml", "5_000_000.00", "many"),
        "parameters.yaml:2: policy.line: fact policy.line: 'many' is not a number",
    ),
    (
        "a code twice on one day",
        {**SOURCES, "industries.csv": INDUSTRIES + "35,again,0.1,1,2025-01-01,,x\n"},
        "industries.csv:5: industry 35 has two rows in force on 2025-01-01 (the other in line 3)",
    ),
    (
        "written ends that overlap",
        {**SOURCES, "industries.csv": INDUSTRIES + "51,again,0.1,1,2023-12-31,,x\n"},
        "industries.csv:5: industry 51 has two rows in force on 2023-12-31",
    ),
    (
        "an ill-typed cell",
        {**SOURCES, "industries.csv": OTHER_LEVEL},
        "industries.csv:4: column cutoff: fact industry.cutoff: '3%' is not a number",
    ),
    (
        "an empty cell",
        {**SOURCES, "industries.csv": INDUSTRIES.replace("0.030", "")},
        "industries.csv:4: column cutoff",
    ),
    (
        "a missing cell",
        {**SOURCES, "industries.csv": INDUSTRIES.replace(",0.030", "")},
        "industries.csv:4: 6 cells, but 7 columns",
    ),
    (
        "a cell out of range",
        {**SOURCES, "industries.csv": INDUSTRIES.replace("0.030", "1.03")},
        "industries.csv:4: column cutoff: fact industry.cutoff: '1.03' is out of range",
    ),
    (
        "a missing column",
        {**SOURCES, "industries.csv": INDUSTRIES.replace("ceiling", "cieling")},
        "industries.csv:1: the column 'ceiling' is missing",
    ),
    (
        "an extra column",
        {**SOURCES, "industries.csv": INDUSTRIES.replace("name_zh", "nome")},
        "industries.csv:1: unknown column 'nome'",
    ),
    (
        "a column twice",
        {**SOURCES, "industries.csv": INDUSTRIES.replace("name_zh", "cutoff")},
        "industries.csv:1: the column 'cutoff' stands twice",
    ),
    (
        "a code of one digit",
        {**SOURCES, "industries.csv": INDUSTRIES.replace("51,", "5,")},
        "industries.csv:4: the code '5' is not a two-digit division",
    ),
    (
        "a bad date in a cell",
        {**SOURCES, "industries.csv": INDUSTRIES.replace("2024-01-01", "2024-13-01")},
        "industries.csv:4: effective_to: the date 2024-13-01 does not exist",
    ),
    (
        "no reference",
        {**SOURCES, "industries.csv": INDUSTRIES.replace("2024-01-01,first", "2024-01-01,")},
        "industries.csv:4: the cell 'reference' is empty",
    ),
    ("an open quote", {**SOURCES, "industries.csv": INDUSTRIES + '36,"open,0.1\n'}, "CSV syntax"),
    (
        "an excluded code with parameters",
        changed("industries_excluded.csv", "06,", "35,"),
        "industries_excluded.csv:2: industry 35 is excluded and has parameters",
    ),
    (
        "an excluded code twice",
        {**SOURCES, "industries_excluded.csv": SOURCES["industries_excluded.csv"] + "06,a,b,c,d\n"},
        "industry 06 is excluded twice",
    ),
    ("no indicators", {**SOURCES, "indicators.csv": "id,name\n"}, "indicators.csv:1: the file has no usable line"),
    ("broken lists", {**SOURCES, "lists.yaml": "lists: [\n"}, "lists.yaml:2: YAML syntax"),
    ("a product without file", without("products/invoice.yaml"), "products/invoice.yaml:1: the file is missing"),
    (
        "a product without choice",
        {**SOURCES, "products/other.yaml": product_text("other")},
        "products/other.yaml:1: the fact product has no choice other",
    ),
    (
        "a product under another name",
        changed("products/plain.yaml", "name: plain", "name: plane"),
        "products/plain.yaml:1: the product is named 'plane'",
    ),
    (
        "an unknown required fact",
        changed("products/plain.yaml", "[amount, pd,", "[amount, pb,"),
        "required: unknown fact 'pb'",
    ),
    (
        "an unknown model",
        {**SOURCES, "products/plain.yaml": product_text("plain") + "single_model_blend: forest\n"},
        "unknown model 'forest'; use xgboost or lstm",
    ),
    (
        "a kind of model that nothing serves",
        changed("products/plain.yaml", ", lstm: pd-lstm", ", lstm: pd-lstm, forest: pd-forest"),
        "unknown key 'forest'; use xgboost, lstm, scorecard",
    ),
    ("a missing model", changed("products/plain.yaml", ", lstm: pd-lstm", ""), "models: 'lstm' is missing"),
]


@pytest.mark.parametrize(("sources", "message"), [case[1:] for case in MISTAKES], ids=[case[0] for case in MISTAKES])
def test_a_mistake_is_reported_with_file_line_and_remedy(sources: dict[str, str], message: str) -> None:
    found = problems(sources)
    assert any(message in problem for problem in found), found
    assert all("; " in problem for problem in found)


def test_a_parameter_whose_value_cannot_be_read_is_not_called_missing_as_well() -> None:
    rows = SOURCES["parameters.yaml"].splitlines()[:2]
    sources = {**SOURCES, "parameters.yaml": "\n".join(rows).replace("5_000_000.00", "10%") + "\n"}
    (problem,) = problems(sources)
    assert "parameters.yaml:2: policy.line: '10%' is not a number" in problem
