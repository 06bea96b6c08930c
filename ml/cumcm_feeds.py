"""Writes what the decision path needs of the 123 firms: feed files, applications and one rules folder per fold.

What the data do not say is assumed, and every assumption stands in ``ASSUMPTIONS``: printed and written, never silent.
"""

from __future__ import annotations

import csv
import json
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import get_type_hints

import pyarrow
import pyarrow.parquet as parquet

from decision_service.errors import InputError
from decision_service.portrait import records
from decision_service.portrait.invoices import InvoiceView, invoice_facts
from ml.cumcm import AS_OF, Dataset, Firm

SOURCE_TIME = f"{AS_OF.isoformat()}T00:00:00+08:00"
FOUNDING_DATE, SHIFTED_DATE = "2023-10-15", "2016-01-01"
PRODUCT_FILE = "products/invoice_loan.yaml"
SMALLEST_AMOUNT, LARGEST_AMOUNT, STEP = Decimal(10_000), Decimal(500_000), Decimal(10_000)
SHARE_OF_SALES = Decimal("0.10")
EMPTY_FEEDS: Mapping[str, type] = {
    "lists": records.ListEntry,
    "tax_ratings": records.TaxRating,
    "overdues": records.Overdue,
    "exposures": records.CreditLine,
    "relations": records.Relation,
    "control_changes": records.ControlChange,
}
ASSUMPTIONS: tuple[Mapping[str, str], ...] = (
    {
        "en": "Identity: the data are anonymous; each firm gets a synthetic code of a division"
        " that does not exist (990000).",
        "zh": "身份：数据已匿名，每户使用虚构的统一社会信用代码（行政区划990000不存在）。",
    },
    {
        "en": "Industry: not in the data; every firm counts as 51 (wholesale, GB/T 4754-2017).",
        "zh": "行业：数据中没有，全部按51（批发业，GB/T 4754-2017）处理。",
    },
    {
        "en": "Registration: every firm counts as a company, active, established on"
        " 2015-01-01, before its first invoice.",
        "zh": "登记：全部视为存续企业，成立日期2015-01-01，早于首张发票。",
    },
    {
        "en": "Lists, arrears, relations, control changes: delivered and empty, so no card;"
        " tax credit counts as unrated.",
        "zh": "名单、逾期、关联方、控制权变更：视为已报送且为空，故无红黄牌；纳税信用视为未评级。",
    },
    {"en": "Exposure: no existing credit at any bank.", "zh": "授信：各银行均无存量授信。"},
    {
        "en": "Request: 10 % of the net sales of 12 months, in whole 10,000 CNY, at least 10,000, at most 500,000;"
        " 12 months; working capital.",
        "zh": "申请：近12个月净销项的10%，向下取整到1万元，最低1万元、最高50万元；期限12个月；用途流动资金。",
    },
    {
        "en": "Time: decided as of 2020-03-01; rules and parameters of 2023-10-15 are dated back to 2016-01-01.",
        "zh": "时间：按2020-03-01作出决定；2023-10-15起施行的规则与参数在副本中前移到2016-01-01。",
    },
    {
        "en": "Default: the data name no date; `defaulted` is read as default within 12 months of the decision.",
        "zh": "违约：数据没有违约日期，defaulted按决定后12个月内违约理解。",
    },
    {
        "en": "An invoice delivered twice (all its fields equal) counts once.",
        "zh": "所有字段都相同的发票视为重复报送，只计一次。",
    },
)


def write_feeds(dataset: Dataset, folder: Path) -> None:
    """A folder that ``decision-service feeds load`` reads: registrations, invoices, and feeds delivered empty."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [
        [getattr(firm.records.registration, name) for name in _names(records.Registration)] for firm in dataset.firms
    ]
    _write_csv(folder / "registrations.csv", _names(records.Registration), rows)
    amounts = [f"{Decimal(fen).scaleb(-2)}" for fen in dataset.invoices["amount"].tolist()]
    table = pyarrow.Table.from_pandas(dataset.invoices.assign(amount=amounts), preserve_index=False)
    parquet.write_table(table, folder / "invoices.parquet")
    for kind, record in EMPTY_FEEDS.items():
        _write_csv(folder / f"{kind}.csv", ["uscc", *_names(record)], [])
    files = {"registrations": "registrations.csv", "invoices": "invoices.parquet"}
    files |= {kind: f"{kind}.csv" for kind in EMPTY_FEEDS}
    feeds = [{"kind": kind, "file": file, "source_time": SOURCE_TIME} for kind, file in files.items()]
    _write_json(folder / "manifest.json", {"as_of": AS_OF.isoformat(), "feeds": feeds})


def write_applications(firms: Sequence[Firm], path: Path) -> None:
    """One application a line, as the HTTP contract has it."""
    lines = [json.dumps(_application(firm), ensure_ascii=False) for firm in firms]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def application_id(firm_id: str) -> str:
    """The id under which a firm's decision is found again."""
    return f"CUMCM-{firm_id}"


def _application(firm: Firm) -> dict[str, object]:
    return {
        "application_id": application_id(firm.firm_id),
        "product": "invoice_loan",
        "amount": f"{requested(firm):.2f}",
        "term_months": 12,
        "purpose": "working_capital",
        "authorization_id": f"CUMCM-AUTH-{firm.firm_id}",
        "enterprise": {"uscc": firm.uscc},
    }


def requested(firm: Firm) -> Decimal:
    """The assumed request in CNY: a tenth of the year's net sales, in whole 10,000, within the stated bounds."""
    sales = invoice_facts(InvoiceView.of(firm.records, AS_OF))["inv_sales_12m"] or Decimal(0)
    return min(max(sales * SHARE_OF_SALES // STEP * STEP, SMALLEST_AMOUNT), LARGEST_AMOUNT)


def write_rules(source: Path, target: Path, cutoffs: Mapping[str, Decimal]) -> None:
    """A copy of a rules folder that was in force in 2020 and whose invoice loan has the given cut-offs.

    Raises ``InputError`` when the product file does not hold each cut-off exactly once.
    """
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("cases", "overlays", "*.md"))
    for path in sorted(target.rglob("*")):
        if path.suffix in (".yaml", ".csv"):
            path.write_text(_dated_back(path.read_text(encoding="utf-8")), encoding="utf-8")
    product = target / PRODUCT_FILE
    text = product.read_text(encoding="utf-8")
    for name, value in cutoffs.items():
        text, count = re.subn(rf"(name: {name}, value: )[0-9._]+", rf"\g<1>{value}", text)
        if count != 1:
            raise InputError(
                f"{name} stands {count} times", where=str(product), remedy="keep one row of this parameter"
            )
    product.write_text(text, encoding="utf-8")


def _dated_back(text: str) -> str:
    """Only dates of validity move; references such as JW-2023-10-15-01 stay."""
    text = re.sub(rf"(effective_from: *['\"]?){FOUNDING_DATE}", rf"\g<1>{SHIFTED_DATE}", text)
    return re.sub(rf"(^|,){FOUNDING_DATE}(?=,|$)", rf"\g<1>{SHIFTED_DATE}", text, flags=re.MULTILINE)


def write_assumptions(path: Path) -> None:
    """``ASSUMPTIONS`` as JSON."""
    _write_json(path, list(ASSUMPTIONS))


def _names(record: type) -> list[str]:
    return list(get_type_hints(record))


def _write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows([["" if cell is None else _text(cell) for cell in row] for row in rows])


def _text(cell: object) -> str:
    return str(cell).lower() if isinstance(cell, bool) else str(cell)


def _write_json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
