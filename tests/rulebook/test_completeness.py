"""What a rulebook lacks although every file is correct: approval of a product, a card that somebody sets."""

from __future__ import annotations

from datetime import date

import pytest

from decision_service.rulebook.completeness import incomplete
from tests.rulebook.small_rulebook import DECISION, STATUS, TODAY, ruleset

APPROVES = "\n      all: [exposure <= policy.line, pd <= industry.cutoff, card == none]"


def lacking(on: date = TODAY, **changes: str) -> list[str]:
    return [str(problem) for problem in incomplete(ruleset(**changes), on=on)]


def test_the_small_rulebook_lacks_nothing() -> None:
    assert lacking() == []


PRODUCTS = [
    ("a product is named", "product == plain", ["invoice"]),
    ("a product is named with more", "product == plain and pd <= 0.5", ["invoice"]),
    ("the product is another", "product != plain", ["plain"]),
    ("both are listed", "product in [plain, invoice]", []),
    ("one is listed", "product in [invoice]", ["plain"]),
    ("either way", "product == plain or product == invoice", []),
    ("either way, of one product", "product == plain or product == plain and pd <= 0.5", ["invoice"]),
    ("never true", "product == plain and product == invoice", ["invoice", "plain"]),
    ("nothing is said of the product", "pd <= 0.5", []),
    ("one of two ways leaves it open", "product == plain or pd <= 0.5", []),
    ("an exclusion is not followed", "not (product == plain and pd <= 0.5)", []),
]


@pytest.mark.parametrize(("when", "missing"), [case[1:] for case in PRODUCTS], ids=[case[0] for case in PRODUCTS])
def test_each_product_needs_a_rule_that_can_approve_it(when: str, missing: list[str]) -> None:
    assert APPROVES in DECISION
    found = lacking(decision=DECISION.replace(APPROVES, f' "{when}"'))
    assert [problem.split(":")[0] for problem in found] == [f"products/{name}.yaml" for name in missing]


def test_a_rule_that_has_ended_approves_nothing() -> None:
    ended = DECISION.replace("reason: AUTO_OK\n", "reason: AUTO_OK\n    effective_to: 2024-06-03\n")
    assert len(lacking(date(2024, 6, 2), decision=ended)) == 0
    assert len(lacking(date(2024, 6, 3), decision=ended)) == 2


def test_a_card_that_no_rule_sets_is_named_with_its_line() -> None:
    white = "whitelisted: true"
    (found,) = lacking(status=STATUS.replace("card: red", white).replace("card: yellow", white))
    assert found.startswith("facts.yaml:13: no rule in force from 2024-06-03 on sets 'card'")
