"""What a shadow makes of a recorded decision: which facts it starts from, and where its rules differ."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import date
from typing import Any

import pytest

from decision_service.audit.replay import Answer, Recorded
from decision_service.decide import Assessment
from decision_service.rulebook.facts import Facts
from decision_service.rulebook.ruleset import Ruleset
from decision_service.vocabulary import Outcome, Scores
from decision_service.workbench.reference import judge
from decision_service.workbench.shadow_compare import Pairs, admits, deed, facts_for, judged, paired
from tests.rulebook.small_rulebook import RULE, SOURCES, TODAY, changed, load_sources

ACTIVE = load_sources(SOURCES)
SOUND: Mapping[str, Any] = {
    "product": "plain",
    "amount": 100_000_000,
    "existing": 0,
    "pd": 40_000,
    "rating": "B",
    "listed": 0,
    "disputed": 0,
    "years": 9,
    "overdue": 0,
    "established": 12_000,
    "industry_status": "covered",
}


def recorded(facts: Mapping[str, Any], *, code: Any = "35", on: date = TODAY, client: str = "bank-01") -> Recorded:
    """A decision of the active rules as its record tells it; a fact that is ``None`` is unknown.

    Without ``code`` the record does not hold the industry's code, which was 35 all the same.
    """
    rules = ACTIVE.in_force(on, client)
    known = {name: value for name, value in {**SOUND, **facts}.items() if value is not None}
    parameters = rules.parameters(str(known.get("product")), code if isinstance(code, str) else "35")
    found = judge(rules, Facts(rules.catalogue, {**parameters, **known}))
    return Recorded(
        decision_id="d",
        client_id=client,
        product=str(known.get("product")),
        ruleset_digest=ACTIVE.digest,
        in_force_on=on,
        facts=found.facts.known(),
        features={"industry_code": code},
        series=(),
        mask=(),
        scores=Scores(),
        answer=answer_of(found),
        alarms=(),
    )


def answer_of(found: Assessment) -> Answer:
    stages = {stage.value: (one.result.matched, one.result.unknown) for stage, one in found.verdicts.items()}
    return Answer(found.outcome.name, (), found.card, found.whitelisted, found.limit, (), 0, stages)


def shadow(path: str, before: str, after: str) -> Ruleset:
    return load_sources(changed(path, before, after))


def found_by(version: Ruleset, record: Recorded) -> Assessment:
    return judged(version.in_force(record.in_force_on, record.client_id), ACTIVE.catalogue, record)


def pairs_of(version: Ruleset, record: Recorded) -> Pairs:
    on, client = record.in_force_on, record.client_id
    return paired(ACTIVE.in_force(on, client), version.in_force(on, client), record, found_by(version, record))


LOWER_LINE = shadow("parameters.yaml", "value: 5_000_000.00", "value: 900_000.00")
ANOTHER_INDUSTRY = shadow("industries.csv", "35,专用设备,0.045", "35,专用设备,0.035")
LATER_LINE = date(2025, 1, 1)


@pytest.mark.parametrize(
    ("version", "record", "outcome"),
    [
        pytest.param(ACTIVE, recorded({}), Outcome.APPROVE, id="the same version says the same"),
        pytest.param(LOWER_LINE, recorded({}), Outcome.REFER, id="its own policy is in force"),
        pytest.param(LOWER_LINE, recorded({"amount": 90_000_000}), Outcome.APPROVE, id="up to its own line"),
        pytest.param(LOWER_LINE, recorded({}, on=LATER_LINE), Outcome.APPROVE, id="what holds on the decision's day"),
        pytest.param(ANOTHER_INDUSTRY, recorded({}), Outcome.REFER, id="its own row of the industry is in force"),
        pytest.param(ANOTHER_INDUSTRY, recorded({"pd": 35_000}), Outcome.APPROVE, id="up to its own cut-off"),
        pytest.param(ANOTHER_INDUSTRY, recorded({}, code=None), Outcome.APPROVE, id="no code: the day's parameters"),
        pytest.param(ANOTHER_INDUSTRY, recorded({}, code=math.nan), Outcome.APPROVE, id="a code that is no text"),
        pytest.param(LOWER_LINE, recorded({}, code=None), Outcome.REFER, id="no code: its own policy all the same"),
        pytest.param(ACTIVE, recorded({"pd": None}), Outcome.REFER, id="unknown stays unknown"),
    ],
)
def test_a_shadow_judges_recorded_facts_by_its_own_parameters(
    version: Ruleset, record: Recorded, outcome: Outcome
) -> None:
    assert found_by(version, record).outcome is outcome


def facts_in(version: Ruleset, record: Recorded) -> Mapping[str, Any]:
    return facts_for(version.in_force(record.in_force_on, record.client_id), ACTIVE.catalogue, record)


RATIO, COUNT = "ratio, range: [0, 1], source: scoring", "count, range: [0, 200], source: registry"
DECLARATIONS = {
    "as the record has it": (ACTIVE, "pd", 40_000),
    "in a range that ends with it": (shadow("facts.yaml", RATIO, RATIO.replace("1]", "0.04]")), "pd", 40_000),
    "beyond its range": (shadow("facts.yaml", RATIO, RATIO.replace("1]", "0.039999]")), "pd", None),
    "in another unit": (shadow("facts.yaml", COUNT, COUNT.replace("count", "days")), "years", None),
    "a choice that it has": (shadow("facts.yaml", "choice[A, B, D]", "choice[A, B]"), "rating", "B"),
    "a choice that it lacks": (shadow("facts.yaml", "choice[A, B, D]", "choice[A, D]"), "rating", None),
    "set by rules": (ACTIVE, "card", None),
    "derived": (ACTIVE, "exposure", None),
    "a parameter": (LOWER_LINE, "policy.line", 90_000_000),
    "the industry's status": (shadow("industries_excluded.csv", "06,", "07,"), "industry_status", "covered"),
}


@pytest.mark.parametrize(("version", "name", "value"), DECLARATIONS.values(), ids=DECLARATIONS)
def test_a_fact_is_taken_as_the_shadow_declares_it(version: Ruleset, name: str, value: Any) -> None:
    assert facts_in(version, recorded({})).get(name) == value


def test_the_status_of_an_industry_is_the_shadows_own() -> None:
    excluding = shadow("industries_excluded.csv", "06,煤炭", "52,零售")
    assert facts_in(ACTIVE, recorded({}, code="06"))["industry_status"] == "excluded"
    assert facts_in(ACTIVE, recorded({}, code="52"))["industry_status"] == "unknown"
    assert facts_in(excluding, recorded({}, code="52"))["industry_status"] == "excluded"
    assert facts_in(excluding, recorded({}, code=None))["industry_status"] == "covered"


def test_facts_that_only_one_version_declares_are_dropped_or_unknown() -> None:
    line = next(line for line in SOURCES["facts.yaml"].splitlines() if "name: years" in line)
    assert "years" not in facts_in(shadow("facts.yaml", line, line.replace("years", "age", 1)), recorded({}))
    declared = SOURCES["facts.yaml"] + line.replace("years", "age") + "\n"
    asks = RULE.replace("years >= 1", "age >= 1").replace("APPROVE", "REFER\n    reason: AMOUNT")
    version = load_sources({**SOURCES, "facts.yaml": declared, "more.yaml": "stage: decision\nrules:\n" + asks})
    assert found_by(version, recorded({})).outcome is Outcome.REFER
    assert pairs_of(version, recorded({})).differing == {"NEW-1": ("absent", "unknown")}


AMOUNT = "money, range: [0.01, 1_000_000_000.00], source: application"


@pytest.mark.parametrize(("most", "admitted"), [("1_000_000.00", True), ("999_999.99", False)])
def test_an_application_beyond_the_shadows_declarations_is_one_it_would_not_have_taken(
    most: str, admitted: bool
) -> None:
    version = shadow("facts.yaml", AMOUNT, AMOUNT.replace("1_000_000_000.00", most))
    assert admits(version, ACTIVE.catalogue, recorded({})) is admitted


OVERLAY = """\
stage: decision
rules:
  - id: AUTO-1
    title: {zh: 一号行秒批, en: instant of bank one}
    when:
      all: [exposure <= policy.line, pd <= 0.01, card == none]
    outcome: APPROVE
    reason: AUTO_OK
    effective_from: 2023-10-15
    reference: bank one
"""


def test_the_shadows_overlay_holds_for_its_client_alone() -> None:
    version = load_sources({**SOURCES, "overlays/bank-01/decision.yaml": OVERLAY})
    assert found_by(version, recorded({})).outcome is Outcome.REFER
    assert found_by(version, recorded({"pd": 10_000})).outcome is Outcome.APPROVE
    assert found_by(version, recorded({}, client="bank-02")).outcome is Outcome.APPROVE


DECISION_RULES = "stage: decision\nrules:\n"
PAIRS = {
    "nothing differs": (ACTIVE, {}, Pairs(("AUTO-1", "LIM-1"))),
    "a rule that both leave unknown": (ACTIVE, {"rating": None}, Pairs(("AUTO-1", "LIM-1"), ("WL-1",))),
    "matched here, missed there": (
        LOWER_LINE,
        {},
        Pairs(("LIM-1",), (), {"AMT-1": ("missed", "matched"), "AUTO-1": ("matched", "missed")}),
    ),
    "unknown in the shadow alone": (
        shadow("facts.yaml", "choice[A, B, D]", "choice[A, D]"),
        {},
        Pairs(("AUTO-1", "LIM-1"), (), {"WL-1": ("missed", "unknown")}),
    ),
    "a rule that only the shadow has, matched": (
        load_sources({**SOURCES, "more.yaml": DECISION_RULES + RULE}),
        {},
        Pairs(("AUTO-1", "LIM-1"), (), {"NEW-1": ("absent", "matched")}),
    ),
    "a rule that only the shadow has, missed": (
        load_sources({**SOURCES, "more.yaml": DECISION_RULES + RULE.replace(">= 1", ">= 100")}),
        {},
        Pairs(("AUTO-1", "LIM-1")),
    ),
    "a rule under another id": (
        shadow("decision.yaml", "id: AUTO-1", "id: AUTO-2"),
        {},
        Pairs(("LIM-1",), (), {"AUTO-1": ("matched", "absent"), "AUTO-2": ("absent", "matched")}),
    ),
    "a rule that is not in force that day": (
        shadow("decision.yaml", "effective_to: 2030-01-01", "effective_to: 2024-06-03"),
        {"amount": 600_000_000},
        Pairs(("LIM-1",), (), {"AMT-1": ("matched", "absent")}),
    ),
}


@pytest.mark.parametrize(("version", "facts", "expected"), PAIRS.values(), ids=PAIRS)
def test_rules_are_paired_by_their_ids(version: Ruleset, facts: Mapping[str, Any], expected: Pairs) -> None:
    found = pairs_of(version, recorded(facts))
    assert found == expected
    assert Pairs.read(found.written()) == expected


def test_a_deed_is_what_a_rule_does_and_not_when() -> None:
    same, other = (shadow("decision.yaml", *change) for change in (("> policy", ">= policy"), ("REFER", "DECLINE")))
    was, again, edited = (deed(one.in_force(TODAY), "AMT-1") for one in (ACTIVE, same, other))
    assert was == again != edited
    assert deed(ACTIVE.in_force(TODAY), "AMT-9") is None
