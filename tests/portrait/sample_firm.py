"""A sound firm, the shipped tables, and short ways to change one thing."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

from decision_service.portrait.calculators import Sight
from decision_service.portrait.calendar import first_day, month_number
from decision_service.portrait.feeds import FEED_MAX_AGE, Freshness
from decision_service.portrait.lists import Lists
from decision_service.portrait.records import (
    Counterparty,
    EnterpriseRecords,
    Financials,
    IndicatorValue,
    Month,
    Registration,
    TaxRating,
)
from decision_service.portrait.registry import Registry
from decision_service.portrait.relations import Cards
from decision_service.portrait.seasons import FLAT
from decision_service.portrait.series import slots
from decision_service.portrait.snapshot import NO_CARDS, Snapshot, snapshot

RULES = Path(__file__).parents[2] / "rules"
REGISTRY = Registry.from_csv(
    (RULES / "indicators.csv").read_text("utf-8"), (RULES / "industries.csv").read_text("utf-8")
)
LISTS = Lists.from_yaml((RULES / "lists.yaml").read_text("utf-8"))
NOW = datetime(2026, 11, 24, 2, tzinfo=timezone.utc)
AS_OF = date(2026, 11, 24)
INDUSTRY = {"industry.max_leverage": Decimal("0.65"), "industry.cashflow_volatility_cap": Decimal("0.6")}
FEEDS = {kind: NOW for kind in (*FEED_MAX_AGE, "indicators", "financials")}
SOUND = {
    "IND01": 50, "IND03": 2, "IND04": 8, "IND05": 12, "IND06": 45, "IND07": Decimal("0.95"), "IND08": 0, "IND11": 4,
    "IND12": 2, "IND13": Decimal("0.5"), "IND14": 0, "IND15": 0, "IND16": 0, "IND17": 0, "IND18": 0, "IND19": 85,
    "IND20": 1, "IND21": 1, "IND22": 0, "IND23": 80, "IND24": 4, "IND25": 2, "IND26": 2, "IND27": 10, "IND30": 10,
}  # fmt: skip


def registration(**changes: Any) -> Registration:
    values: dict[str, Any] = {
        "uscc": "91350100M000100Y43",
        "name": "示例企业",
        "entity_type": "company",
        "registration_status": "active",
        "established_on": date(2012, 5, 9),
        "industry_code": "35",
        "classification_version": "2017",
    }
    return Registration(**{**values, **changes})


def month(back: int, **fields: Any) -> Month:
    """The month that lies ``back`` whole months before the newest complete one, October 2026."""
    return Month(first_day(month_number(AS_OF) - 1 - back), **fields)


def months(sales: Iterable[int | None], **fields: Any) -> tuple[Month, ...]:
    """Consecutive months, given oldest first, that end with October 2026."""
    values = list(sales)
    return tuple(month(len(values) - 1 - place, sales=value, **fields) for place, value in enumerate(values))


def indicator(name: str, value: Any, observed_on: date = date(2026, 11, 23), status: str = "ok") -> IndicatorValue:
    return IndicatorValue(name, None if value is None else Decimal(value), observed_on, status)


def records(**changes: Any) -> EnterpriseRecords:
    """A sound manufacturer with everything delivered this morning."""
    values: dict[str, Any] = {
        "registration": registration(),
        "months": months(
            [50_000_000 + 100_000 * k for k in range(24)],
            purchases=30_000_000,
            sales_invoices=20,
            void_invoices=1,
            negative_invoices=0,
            customers=8,
            suppliers=5,
            tax_filing="on_time",
            electricity_kwh=9_000,
            insured_headcount=40,
        ),
        "counterparties": tuple(
            Counterparty("sales", f"c{k}", date(2026, 11, 1), 1_000_000 * (k + 1)) for k in range(12)
        ),
        "indicators": tuple(indicator(name, value) for name, value in SOUND.items()),
        "financials": Financials(date(2026, 9, 30), 4_000_000_000, 2_000_000_000, 6_000_000_000),
        "tax_ratings": tuple(TaxRating(year, "B", date(year + 1, 4, 15)) for year in (2023, 2024, 2025)),
        "feeds": FEEDS,
    }
    return EnterpriseRecords(**{**values, **changes})


def seen(now: datetime = NOW, *, cards: Cards = NO_CARDS, **changes: Any) -> Snapshot:
    """The snapshot of the sound firm with changes; ``cards`` are those of the firms above it."""
    return snapshot(
        records(**changes),
        registry=REGISTRY,
        lists=LISTS,
        industry=INDUSTRY,
        product="working_capital",
        now=now,
        cards=cards,
    )


def sight(firm: EnterpriseRecords, *, code: str | None = None) -> Sight:
    """What calculators see of a firm; ``code`` gives it the seasons of an industry."""
    seasons = REGISTRY.seasons
    return Sight(
        records=firm,
        window=slots(firm.months, AS_OF),
        as_of=AS_OF,
        factors=seasons.factors(code, AS_OF) if code else FLAT,
        peak_months=seasons.peak_months(code, AS_OF),
        freshness=Freshness(firm, NOW),
        lists=LISTS,
    )
