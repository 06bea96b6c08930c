"""The names that a model must fit are those that the portrait delivers, for every shipped product."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sample_firm import INDUSTRY, LISTS, NOW, REGISTRY, RULES, records

from decision_service.policy import Policy
from decision_service.portrait.snapshot import Snapshot, snapshot
from decision_service.rulebook.files import load

PRODUCTS = {
    "working_capital": ("pd-xgboost", "pd-lstm"),
    "invoice_loan": ("pd-xgboost-invoice", "pd-lstm-invoice"),
}


@pytest.fixture(scope="module")
def policy() -> Iterator[Policy]:
    policy = Policy(load(RULES))
    yield policy
    policy.close()


def delivered(product: str) -> Snapshot:
    return snapshot(records(), registry=REGISTRY, lists=LISTS, industry=INDUSTRY, product=product, now=NOW)


@pytest.mark.parametrize("product", PRODUCTS)
def test_a_tree_model_may_read_what_the_product_delivers_and_nothing_else(policy: Policy, product: str) -> None:
    (place,) = policy.model_inputs(PRODUCTS[product][0])
    assert place.kind == "xgboost" and set(place.names) == set(delivered(product).features_for(product))


@pytest.mark.parametrize("product", PRODUCTS)
def test_a_sequence_model_must_read_what_the_product_delivers(policy: Policy, product: str) -> None:
    (place,) = policy.model_inputs(PRODUCTS[product][1])
    firm = delivered(product)
    assert (place.kind, place.months, len(place.names)) == ("lstm", len(firm.series), len(firm.series[0]))


def test_a_model_that_no_product_names_has_no_place(policy: Policy) -> None:
    assert policy.model_inputs("pd-of-nobody") == ()
