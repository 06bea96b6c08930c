"""Named firms of the synthetic city, one for each kind of decision, with the application that shows it."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import numpy as np

from decision_service.portrait.records import FEEDS, CreditLine, EnterpriseRecords
from decision_service.sandbox import SandboxCase, sandbox_cases
from ml.city import Firm, Place
from ml.city_events import draw_counterparties, draw_registration
from ml.city_indicators import Past, draw_indicators, draw_statements
from ml.city_months import calendar, draw_months
from ml.city_traits import Industry, Traits, synthetic_uscc, true_pd
from ml.showcase_stories import SHOWS, Show, rated

FIRST_NUMBER = 900_001  # far above any city's own firms
AGE_YEARS = 9.0
CYCLE: dict[str, Any] = {
    "inventory_days": Decimal(80),
    "receivable_days": Decimal(90),
    "payable_days": Decimal(40),
    "prepaid_days": Decimal(15),
    "advance_receipt_days": Decimal(8),
}
"""Turnover days of a slow cash cycle: the need for working capital does not bind what the showcase asks for."""


def showcase(place: Place) -> tuple[list[Firm], list[dict[str, object]]]:
    """The firms, and for each its story, application and expected outcome, as written to ``showcase.json``."""
    industries = {industry.code: industry for industry in place.industries}
    firms = [
        _firm(show, number, place, industries[show.industry]) for number, show in enumerate(SHOWS, start=FIRST_NUMBER)
    ]
    return firms, [_entry(case) for case in sandbox_cases()]


def _firm(show: Show, number: int, place: Place, industry: Industry) -> Firm:
    health, momentum = show.state
    risk = true_pd(health, momentum, industry)
    traits = Traits(
        number=number,
        uscc=synthetic_uscc(number),
        industry=industry,
        entity_type="company",
        health=health,
        momentum=momentum,
        annual_sales=show.sales,
        age_years=AGE_YEARS,
        borrower=show.known_borrower,
        pd=risk,
        defaulted=False,
    )
    return Firm(show.change(_records(show, traits, place), place.as_of), risk, False)


def _for_months(show: Show, traits: Traits) -> Traits:
    return traits if show.months_momentum is None else replace(traits, momentum=show.months_momentum)


def _records(show: Show, traits: Traits, place: Place) -> EnterpriseRecords:
    """A firm without events: complete and fresh data, rated B for three years, one bank line if any."""
    random = np.random.default_rng([traits.number])  # not the city's seed: the showcase is the same in every city
    as_of = place.as_of
    months = calendar(as_of)
    statements = draw_statements(traits, random, as_of)
    series = draw_months(_for_months(show, traits), random, months)
    sales = sum(month.sales or 0 for month in series[-12:])
    plain = EnterpriseRecords(
        registration=replace(
            draw_registration(traits, random, as_of),
            registration_status="active",
            name=f"示例企业（{show.key}）",
            industry_code=traits.industry.code,
            classification_version="2017",
            public_sector=False,
            bank_related=False,
            name_code_mismatch=False,
        ),
        months=series,
        counterparties=draw_counterparties(traits, random, sales=sales, period_end=min(months.end, as_of)),
        financials=replace(statements.financials, working_capital_loans=show.line * 100, **CYCLE),
        credit_lines=(CreditLine("BANK-01", "L1", show.line * 100, 0),) if show.line else (),
        feeds=dict.fromkeys(FEEDS, place.delivered),
    )
    plain = rated("B", "B", "B")(plain, as_of)
    past = Past(series, (), plain.tax_ratings[-1], abnormal=0, penalties=0.0, executed=False)
    rows = draw_indicators(traits, random, as_of, statements=statements, past=past, complete=True)
    return replace(plain, indicators=rows)


def _entry(case: SandboxCase) -> dict[str, object]:
    return {
        "key": case.key,
        "uscc": case.uscc,
        "story": {"zh": case.zh, "en": case.en},
        "application": case.application(f"SHOW-{case.key}"),
        "expected_outcome": case.outcome,
        "expected_reasons": list(case.reasons),
    }
