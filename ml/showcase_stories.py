"""The stories of the showcase: which firm, what it asks for, what must come out, and the changes that make it so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from decision_service.portrait.records import ControlChange, EnterpriseRecords, ListEntry, TaxRating
from ml.city_events import RATING_DAY

SOUND = (1.6, 1.2)  # health and momentum of a firm that should be approved
Change = Callable[[EnterpriseRecords, date], EnterpriseRecords]


@dataclass(frozen=True, slots=True)
class Show:
    """One firm of the showcase. ``sales`` and ``line`` (an existing bank line, drawn) in CNY."""

    key: str
    zh: str
    en: str
    outcome: str
    reasons: tuple[str, ...]
    amount: str
    industry: str = "34"
    sales: float = 40_000_000.0
    line: int = 1_000_000
    state: tuple[float, float] = SOUND
    change: Change = field(default=lambda records, as_of: records)
    product: str = "working_capital"
    purpose: str = "working_capital"
    known_borrower: bool = True


def rated(*letters: str) -> Change:
    """Tax credit ratings of the last published years, oldest first; ``-`` is a year without one."""

    def change(records: EnterpriseRecords, as_of: date) -> EnterpriseRecords:
        newest = as_of.year - 1 if (as_of.month, as_of.day) >= RATING_DAY else as_of.year - 2
        years = zip(range(newest - len(letters) + 1, newest + 1), letters, strict=True)
        ratings = tuple(TaxRating(year, letter, date(year + 1, *RATING_DAY)) for year, letter in years if letter != "-")
        return replace(records, tax_ratings=ratings)

    return change


def listed(name: str, *, disputed: bool = False) -> Change:
    """An entry on a public list, half a year old."""

    def change(records: EnterpriseRecords, as_of: date) -> EnterpriseRecords:
        entry = ListEntry(
            record_id=f"{records.registration.uscc}-{name}",
            list_name=f"list_{name}",
            listed_on=as_of - timedelta(days=180),
            disputed_on=as_of - timedelta(days=5) if disputed else None,
        )
        return replace(records, lists=(*records.lists, entry))

    return change


def indicator(identity: str, value: str | None) -> Change:
    """An indicator delivered with another value, or not delivered."""

    def change(records: EnterpriseRecords, as_of: date) -> EnterpriseRecords:
        rows = [
            row if row.indicator != identity else row._replace(value=None if value is None else Decimal(value))
            for row in records.indicators
        ]
        return replace(records, indicators=tuple(row for row in rows if row.value is not None or row.status != "ok"))

    return change


def registered(**changes: Any) -> Change:
    """Other entries of the register."""
    return lambda records, as_of: replace(records, registration=replace(records.registration, **changes))


def control_changed(records: EnterpriseRecords, as_of: date) -> EnterpriseRecords:
    """A new controller, thirty days ago."""
    return replace(records, control_changes=(ControlChange(as_of - timedelta(days=30), "controller"),))


def both(*changes: Change) -> Change:
    """Several changes, one after the other."""

    def change(records: EnterpriseRecords, as_of: date) -> EnterpriseRecords:
        for one in changes:
            records = one(records, as_of)
        return records

    return change


AAA = rated("A", "A", "A")
SHOWS = (
    Show(
        key="approve",
        zh="稳健制造企业，敞口合计400万元",
        en="Sound manufacturer, exposure 4M in all",
        outcome="APPROVE",
        reasons=("AUTO_OK",),
        amount="3000000.00",
    ),
    Show(
        key="line",
        zh="无存量敞口，恰好500万元",
        en="No exposure yet, exactly 5M",
        outcome="APPROVE",
        reasons=("AUTO_OK",),
        amount="5000000.00",
        industry="35",
        sales=60_000_000.0,
        line=0,
    ),
    Show(
        key="whitelist",
        zh="连续三年A级，无牌",
        en="Rated A three years running, no card",
        outcome="APPROVE",
        reasons=("WL_FAST",),
        amount="2000000.00",
        industry="65",
        change=AAA,
    ),
    Show(
        key="invoice",
        zh="税票贷：开票稳定",
        en="Invoice loan: steady invoices",
        outcome="APPROVE",
        reasons=("AUTO_OK",),
        amount="300000.00",
        industry="51",
        sales=30_000_000.0,
        product="invoice_loan",
    ),
    Show(
        key="over-5m",
        zh="存量敞口450万元，再申请100万元",
        en="Exposure 4.5M, asks for 1M more",
        outcome="REFER",
        reasons=("AMT_OVER_5M",),
        amount="1000000.00",
        line=4_500_000,
    ),
    Show(
        key="over-limit",
        zh="年收入300万元，申请200万元",
        en="Sales of 3M a year, asks for 2M",
        outcome="REFER",
        reasons=("AMT_OVER_LIMIT",),
        amount="2000000.00",
        sales=3_000_000.0,
        line=100_000,
    ),
    Show(
        key="first-loan",
        zh="首贷户申请150万元",
        en="First-time borrower asks for 1.5M",
        outcome="REFER",
        reasons=("FIRST_LOAN",),
        amount="1500000.00",
        line=0,
        known_borrower=False,
    ),
    Show(
        key="yellow",
        zh="在经营异常名录",
        en="On the abnormal operation list",
        outcome="REFER",
        reasons=("CARD_YELLOW", "YEL_ABN"),
        amount="1000000.00",
        change=both(listed("abnormal_operation"), indicator("IND17", "2")),
    ),
    Show(
        key="whitelist-yellow",
        zh="连续三年A级，但有欠税公告",
        en="Rated A three years running, but in tax arrears",
        outcome="REFER",
        reasons=("CARD_YELLOW", "WL_SUSPENDED"),
        amount="1000000.00",
        change=both(AAA, listed("tax_arrears")),
    ),
    Show(
        key="dispute",
        zh="失信记录异议处理中",
        en="Listed dishonest, dispute accepted",
        outcome="REFER",
        reasons=("CARD_YELLOW", "DATA_DISPUTE"),
        amount="1000000.00",
        change=listed("court_dishonest", disputed=True),
    ),
    Show(
        key="pd-refer",
        zh="经营走弱，违约概率居中",
        en="Weakening, middling probability of default",
        outcome="REFER",
        reasons=("PD_REFER",),
        amount="1000000.00",
        industry="33",
        state=(-1.0, -0.8),
    ),
    Show(
        key="missing",
        zh="缺资产负债率",
        en="Leverage is not known",
        outcome="REFER",
        reasons=("DATA_MISSING",),
        amount="1000000.00",
        change=indicator("IND01", None),
    ),
    Show(
        key="control",
        zh="30天前实际控制人变更",
        en="New controller thirty days ago",
        outcome="REFER",
        reasons=("CTRL_CHANGE",),
        amount="1000000.00",
        change=control_changed,
    ),
    Show(
        key="purpose",
        zh="用途为购置房产",
        en="Purpose is property",
        outcome="REFER",
        reasons=("PURPOSE",),
        amount="1000000.00",
        purpose="property",
    ),
    Show(
        key="old-code",
        zh="行业代码为2011年版",
        en="Industry coded by the 2011 classification",
        outcome="REFER",
        reasons=("IND_CLASS",),
        amount="1000000.00",
        change=registered(classification_version="2011"),
    ),
    Show(
        key="unknown-industry",
        zh="行业代码不明",
        en="Industry code is not known",
        outcome="REFER",
        reasons=("IND_UNKNOWN",),
        amount="1000000.00",
        change=registered(industry_code="99"),
    ),
    Show(
        key="red-whitelist",
        zh="连续三年A级，但为失信被执行人",
        en="Rated A three years running, but a dishonest judgement debtor",
        outcome="DECLINE",
        reasons=("CARD_RED", "RED_COURT"),
        amount="1000000.00",
        change=both(AAA, listed("court_dishonest")),
    ),
    Show(
        key="pd-decline",
        zh="经营恶化，违约概率高",
        en="In distress, high probability of default",
        outcome="DECLINE",
        reasons=("PD_DECLINE",),
        amount="1000000.00",
        industry="33",
        state=(-2.6, -2.4),
    ),
    Show(
        key="excluded",
        zh="房地产业，不在准入范围",
        en="Real estate: not covered",
        outcome="DECLINE",
        reasons=("IND_EXCLUDED",),
        amount="1000000.00",
        change=registered(industry_code="70"),
    ),
)
"""Every main outcome and cause. The firms' health is stated; what the models make of it is theirs."""
