"""Intake of feed files: good rows are kept, bad rows are named, counted and set aside, feeds advance or do not."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet as parquet
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from decision_service.errors import InputError
from decision_service.portrait.records import Counterparty, CreditLine, ListEntry, Month, Relation
from decision_service.radar.intake import Counts, IntakeReport, load_feeds
from decision_service.radar.kinds import KINDS

NOW = datetime(2020, 3, 1, 9, tzinfo=timezone(timedelta(hours=8)))
GOOD = "91350100M000100Y43"
REGISTRATION = "uscc,name,entity_type,registration_status"
INVOICE = "uscc,direction,invoice_number,issued_on,counterparty,amount,status"


class MemoryStore:
    """A store that remembers what it was given."""

    def __init__(self) -> None:
        self.records: dict[tuple[str, str, str], Any] = {}
        self.feeds: dict[str, datetime] = {}

    def write_records(
        self, kind: str, rows: Iterable[tuple[str, str, Any]], *, source_time: datetime, now: datetime
    ) -> int:
        before = len(self.records)
        self.records.update({(kind, uscc, key): record for uscc, key, record in rows})
        return len(self.records) - before

    def set_feed(self, kind: str, source_time: datetime) -> None:
        self.feeds[kind] = source_time

    def has_records(self, kind: str) -> bool:
        return bool(self.of(kind))

    def of(self, kind: str) -> list[Any]:
        return [record for (name, _, _), record in self.records.items() if name == kind]


def load(folder: Path, name: str, content: str | bytes) -> tuple[MemoryStore, IntakeReport]:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    store = MemoryStore()
    return store, load_feeds([path], store, now=NOW)


def texts(report: IntakeReport) -> str:
    return "\n".join(map(str, report.problems))


BAD_ROWS = [
    (
        "a USCC whose check character is wrong",
        "registrations",
        REGISTRATION,
        GOOD[:-1] + "4,n,company,active",
        "check character is '3'",
    ),
    ("a USCC that is too short", "registrations", REGISTRATION, "9135,n,company,active", "has 4 characters"),
    (
        "a USCC with a letter that no code uses",
        "registrations",
        REGISTRATION,
        GOOD[:-1] + "I,n,company,active",
        "contains 'I'",
    ),
    ("an empty required cell", "registrations", REGISTRATION, f"{GOOD},,company,active", "name is empty; fill in name"),
    (
        "a word outside the closed set",
        "registrations",
        REGISTRATION,
        f"{GOOD},n,shop,active",
        "'shop' is not one of company",
    ),
    (
        "control characters in a text",
        "registrations",
        REGISTRATION,
        f"{GOOD},a\x00b,company,active",
        "control characters",
    ),
    (
        "bytes that are not UTF-8",
        "registrations",
        REGISTRATION,
        f"{GOOD},".encode() + b"\xff\xfe,company,active",
        "not UTF-8",
    ),
    ("too many cells", "registrations", REGISTRATION, f"{GOOD},n,company,active,x", "5 cells under 4 columns"),
    ("too few cells", "registrations", REGISTRATION, f"{GOOD},n,company", "3 cells under 4 columns"),
    ("a month that is not its first day", "months", "uscc,month", f"{GOOD},2020-01-02", "write 2020-01-01"),
    ("a date that does not exist", "months", "uscc,month", f"{GOOD},2020-02-30", "is not a date"),
    ("three decimals of money", "months", "uscc,month,sales", f"{GOOD},2020-01-01,1.234", "not an amount in CNY"),
    ("money with an exponent", "months", "uscc,month,sales", f"{GOOD},2020-01-01,1e5", "not an amount in CNY"),
    ("money that is not a number", "months", "uscc,month,sales", f"{GOOD},2020-01-01,NaN", "not an amount in CNY"),
    ("money beyond a trillion", "months", "uscc,month,sales", f"{GOOD},2020-01-01,1000000000000.01", "out of range"),
    ("a negative count", "months", "uscc,month,customers", f"{GOOD},2020-01-01,-1", "out of range"),
    ("half a customer", "months", "uscc,month,customers", f"{GOOD},2020-01-01,1.5", "not a whole number"),
    (
        "more red-letter invoices than invoices",
        "months",
        "uscc,month,sales_invoices,negative_invoices",
        f"{GOOD},2020-01-01,1,2",
        "more negative_invoices",
    ),
    (
        "an indicator beyond the 32",
        "indicators",
        "uscc,indicator,value,observed_on",
        f"{GOOD},IND33,1,2020-01-01",
        "IND01 to IND32",
    ),
    (
        "a boolean spelled yes",
        "counterparties",
        "uscc,direction,counterparty,period_end,amount,related",
        f"{GOOD},sales,c,2020-03-01,1,yes",
        "neither true nor false",
    ),
    (
        "a negative drawn amount",
        "exposures",
        "uscc,bank,line_id,drawn,undrawn_committed",
        f"{GOOD},b,l,-0.01,0",
        "out of range",
    ),
    ("a share above one", "relations", "uscc,other,link,share", f"{GOOD},{GOOD},parent,1.01", "out of range"),
    (
        "a related party that is neither code nor token",
        "relations",
        "uscc,other,link",
        f"{GOOD},Zhang,parent",
        "person's token",
    ),
    (
        "a related party whose check character is wrong",
        "relations",
        "uscc,other,link",
        f"{GOOD},{GOOD[:-1]}4,parent",
        "check character is '3'",
    ),
    ("a token without a name", "relations", "uscc,other,link", f"{GOOD},P:,parent", "person's token"),
    ("a month of a person", "months", "uscc,month", "P:1,2020-01-01", "has 3 characters"),
    (
        "cured before it began",
        "overdues",
        "uscc,record_id,bank,started_on,max_days,cured_on",
        f"{GOOD},r,b,2020-01-02,30,2020-01-01",
        "cured_on lies before",
    ),
    (
        "ended before it was listed",
        "lists",
        "uscc,record_id,list_name,listed_on,ended_on",
        f"{GOOD},r,executee,2020-01-02,2020-01-01",
        "ended_on lies before",
    ),
    (
        "scheduled to end before it was listed",
        "lists",
        "uscc,record_id,list_name,listed_on,ends_on",
        f"{GOOD},r,executee,2020-01-02,2020-01-01",
        "ends_on lies before",
    ),
    (
        "a changed rating without its date",
        "tax_ratings",
        "uscc,year,rating,published_on,changed_to",
        f"{GOOD},2019,A,2019-04-01,D",
        "belong together",
    ),
    (
        "an invoice that is neither valid nor void",
        "invoices",
        INVOICE,
        f"{GOOD},sales,1,2020-01-01,c,1,open",
        "not one of valid, void",
    ),
]


@pytest.mark.parametrize(
    ("kind", "header", "row", "fault"), [case[1:] for case in BAD_ROWS], ids=[case[0] for case in BAD_ROWS]
)
def test_a_bad_row_is_named_with_file_and_line(
    kind: str, header: str, row: str | bytes, fault: str, tmp_path: Path
) -> None:
    content = header.encode() + b"\n" + (row if isinstance(row, bytes) else row.encode()) + b"\n"
    store, report = load(tmp_path, f"{kind}.csv", content)
    assert report.kinds[kind] == Counts(read=1, written=0, rejected=1)
    assert fault in texts(report) and texts(report).startswith(f"{kind}.csv:2: ")
    assert not store.records


BAD_FILES = [
    ("an empty file", "registrations.csv", "", "no header line"),
    ("a missing column", "registrations.csv", "uscc,name\n", "missing column 'entity_type', 'registration_status'"),
    ("an unknown column", "months.csv", "uscc,month,sale\n", "unknown column 'sale'"),
    ("a column given twice", "months.csv", "uscc,month,sales,sales\n", "column given twice 'sales'"),
    ("bytes that are no Parquet file", "months.parquet", "PAR1 nothing", "not a readable Parquet file"),
]


@pytest.mark.parametrize(
    ("name", "content", "fault"), [case[1:] for case in BAD_FILES], ids=[case[0] for case in BAD_FILES]
)
def test_a_file_that_cannot_be_used_is_a_problem_and_does_not_advance_its_feed(
    name: str, content: str, fault: str, tmp_path: Path
) -> None:
    store, report = load(tmp_path, name, content)
    assert fault in texts(report)
    assert not store.feeds and not store.records


def test_good_rows_are_kept_beside_bad_ones_and_the_bad_are_set_aside(tmp_path: Path) -> None:
    rows = [f"{GOOD},2020-01-01,12.30", f"{GOOD},2020-01-32,1", f"{GOOD},2020-02-01,-0.05"]
    store, report = load(tmp_path, "months.csv", "uscc,month,sales\n" + "\n".join(rows))
    assert report.kinds == {"months": Counts(3, 2, 1)}
    assert [month.sales for month in store.of("months")] == [1230, -5]
    (file,) = report.reject_files
    rejected = list(csv.DictReader(file.open(encoding="utf-8")))
    assert [(row["file"], row["line"]) for row in rejected] == [("months.csv", "3")]
    assert json.loads(rejected[0]["row"])[1] == "2020-01-32"


def test_a_record_delivered_twice_is_kept_once(tmp_path: Path) -> None:
    row = f"{GOOD},b,l,1.00,0.50\n"
    store, report = load(tmp_path, "exposures.csv", "uscc,bank,line_id,drawn,undrawn_committed\n" + row + row)
    assert store.of("exposures") == [CreditLine("b", "l", 100, 50, 0)]
    assert "exposures.csv:3: delivered twice, first in line 2" in texts(report)


PERSONS = [
    ("relations", "uscc,other,link", f"P:1,{GOOD},control", Relation(GOOD, "control")),
    ("lists", "uscc,record_id,list_name,listed_on", "P:1,r,executee,2020-01-02", None),
    ("exposures", "uscc,bank,line_id,drawn,undrawn_committed", "P:1,b,l,1.00,0", CreditLine("b", "l", 100, 0)),
]


@pytest.mark.parametrize(("kind", "header", "row", "record"), PERSONS, ids=[case[0] for case in PERSONS])
def test_a_person_may_have_records_under_its_token(
    kind: str, header: str, row: str, record: Any, tmp_path: Path
) -> None:
    store, report = load(tmp_path, f"{kind}.csv", f"{header}\n{row}\n")
    assert report.problems == ()
    ((name, owner, _), found), *others = store.records.items()
    assert (name, owner, others) == (kind, "P:1", []) and (record is None or found == record)


EMPTY = [
    ("a kind of which nothing is on file", "lists", False, None, True),
    ("a kind that has records", "lists", True, None, False),
    ("one for which the source vouches", "lists", True, True, True),
    ("one for which it does not", "lists", True, False, False),
    ("invoices, whose months are on file", "invoices", True, None, False),
]


@pytest.mark.parametrize(
    ("kind", "on_file", "complete", "advances"), [case[1:] for case in EMPTY], ids=[case[0] for case in EMPTY]
)
def test_an_empty_delivery(kind: str, on_file: bool, complete: bool | None, advances: bool, tmp_path: Path) -> None:
    header = INVOICE if kind == "invoices" else "uscc,record_id,list_name,listed_on"
    (tmp_path / f"{kind}.csv").write_text(header + "\n")
    store = MemoryStore()
    if on_file:
        store.write_records("months" if kind == "invoices" else kind, [(GOOD, "k", "x")], source_time=NOW, now=NOW)
    entry: dict[str, Any] = feed(kind, f"{kind}.csv")
    report = load_feeds(
        [manifest(tmp_path, entry if complete is None else {**entry, "complete": complete})], store, now=NOW
    )
    assert (kind in store.feeds) is advances
    assert ("no rows" in texts(report)) is not advances


def test_an_empty_delivery_advances_its_feed(tmp_path: Path) -> None:
    store, report = load(tmp_path, "lists.csv", "uscc,record_id,list_name,listed_on\n")
    assert store.feeds == {"lists": NOW} and report.problem_count == 0


@pytest.mark.parametrize(
    ("kind", "header", "good", "bad", "advances"),
    [
        ("lists", "uscc,record_id,list_name,listed_on", f"{GOOD},r,executee,2020-01-01", f"{GOOD},s,executee,x", False),
        ("months", "uscc,month", f"{GOOD},2020-01-01", f"{GOOD},x", True),
    ],
    ids=[
        "a lost list entry could hide a card: the feed stands still",
        "a lost month is only unknown: the feed advances",
    ],
)
def test_a_delivery_with_rejects(kind: str, header: str, good: str, bad: str, advances: bool, tmp_path: Path) -> None:
    store, _ = load(tmp_path, f"{kind}.csv", f"{header}\n{good}\n{bad}\n")
    assert len(store.of(kind)) == 1
    assert (kind in store.feeds) is advances


def test_a_date_in_the_future_is_flagged_and_the_row_kept(tmp_path: Path) -> None:
    rows = f"{GOOD},a,executee,2020-03-01\n{GOOD},b,executee,2020-03-02\n"
    store, report = load(tmp_path, "lists.csv", "uscc,record_id,list_name,listed_on\n" + rows)
    assert report.kinds["lists"] == Counts(2, 2, 0)
    assert "lists.csv:3: listed_on 2020-03-02 lies in the future" in texts(report) and report.problem_count == 1
    assert ListEntry("b", "executee", date(2020, 3, 2)) in store.of("lists")


def manifest(folder: Path, *feeds: dict[str, Any], as_of: str | None = "2020-03-01") -> Path:
    (folder / "manifest.json").write_text(json.dumps({"as_of": as_of, "feeds": feeds}))
    return folder


def feed(kind: str, file: str, source_time: str = "2020-03-01T00:00:00+08:00") -> dict[str, str]:
    return {"kind": kind, "file": file, "source_time": source_time}


@pytest.mark.parametrize(
    ("hours", "advances"), [(3, True), (3.01, False)], ids=["three hours ahead pass", "more than three hours do not"]
)
def test_a_source_time_in_the_future(hours: float, advances: bool, tmp_path: Path) -> None:
    (tmp_path / "months.csv").write_text("uscc,month\n")
    store, moment = MemoryStore(), NOW + timedelta(hours=hours)
    report = load_feeds([manifest(tmp_path, feed("months", "months.csv", moment.isoformat()))], store, now=NOW)
    assert ("months" in store.feeds) is advances
    assert ("lies in the future" in texts(report)) is not advances


@pytest.mark.parametrize(
    ("entry", "as_of", "fault"),
    [
        (feed("month", "months.csv"), "2020-03-01", "unknown kind 'month'"),
        (feed("months", "../months.csv"), "2020-03-01", "not a plain name"),
        (feed("months", "absent.csv"), "2020-03-01", "absent.csv: cannot be read"),
        (feed("months", "months.csv", "2020-03-01T00:00:00"), "2020-03-01", "no time zone"),
        (feed("months", "months.csv", "noon"), "2020-03-01", "source_time"),
        (feed("months", "months.csv"), None, "as_of is missing"),
        (feed("months", "months.csv"), "2020-3-1", "as_of: '2020-3-1' is not a date"),
        ({"kind": "months"}, "2020-03-01", "are needed"),
        ({**feed("months", "months.csv"), "complete": "yes"}, "2020-03-01", "complete is 'yes'"),
    ],
)
def test_a_bad_manifest_entry_is_a_problem(
    entry: dict[str, str], as_of: str | None, fault: str, tmp_path: Path
) -> None:
    (tmp_path / "months.csv").write_text("uscc,month\n")
    report = load_feeds([manifest(tmp_path, entry, as_of=as_of)], MemoryStore(), now=NOW)
    assert fault in texts(report)


@pytest.mark.parametrize("content", ["", "[]", "{", '{"feeds": 3}', "[" * 100_000])
def test_a_manifest_that_is_none_is_refused(content: str, tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(InputError, match="manifest.json"):
        load_feeds([tmp_path], MemoryStore(), now=NOW)


@pytest.mark.parametrize("name", ["absent", "note.csv", "months.txt"])
def test_a_path_that_is_no_feed_is_refused(name: str, tmp_path: Path) -> None:
    if name != "absent":
        (tmp_path / name).write_text("x")
    with pytest.raises(InputError):
        load_feeds([tmp_path / name], MemoryStore(), now=NOW)


def test_registrations_are_loaded_first_whatever_the_order(tmp_path: Path) -> None:
    (tmp_path / "months.csv").write_text(f"uscc,month\n{GOOD},2020-01-01\n")
    (tmp_path / "registrations.csv").write_text(f"{REGISTRATION}\n{GOOD},n,company,active\n")
    store = MemoryStore()
    feeds = (feed("months", "months.csv"), feed("registrations", "registrations.csv"))
    load_feeds([manifest(tmp_path, *feeds)], store, now=NOW)
    assert [kind for kind, _, _ in store.records] == ["registrations", "months"]


MONTH_ROWS: list[dict[str, Any]] = [
    {"uscc": GOOD, "month": "2020-01-01", "sales": "12.30", "customers": 4, "tax_filing": "late_30"},
    {"uscc": GOOD, "month": "2020-02-01", "sales": None, "customers": None, "tax_filing": None},
]


def test_the_three_formats_give_the_same_records(tmp_path: Path) -> None:
    names = list(MONTH_ROWS[0])
    lines = [",".join("" if row[name] is None else str(row[name]) for name in names) for row in MONTH_ROWS]
    (tmp_path / "months.csv").write_text("\ufeff" + "\r\n".join([",".join(names), *lines]) + "\r\n", encoding="utf-8")
    (tmp_path / "months.jsonl").write_text("\n".join(map(json.dumps, MONTH_ROWS)) + "\n\n")
    table = pyarrow.Table.from_pylist([{**row, "month": date.fromisoformat(row["month"])} for row in MONTH_ROWS])
    parquet.write_table(table, tmp_path / "months.parquet")
    expected = [Month(date(2020, 1, 1), sales=1230, customers=4, tax_filing="late_30"), Month(date(2020, 2, 1))]
    for suffix in ("csv", "jsonl", "parquet"):
        store = MemoryStore()
        report = load_feeds([tmp_path / f"months.{suffix}"], store, now=NOW)
        assert (suffix, store.of("months"), report.problem_count) == (suffix, expected, 0)


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("{", "not JSON"),
        ("[1]", "not a JSON object"),
        ('"text"', "not a JSON object"),
        ('{"uscc": "x", "uscc": "y"}', "given twice"),
        ('{"uscc": "x", "mont": "y"}', "unknown name 'mont'"),
        ('{"uscc": ["x"], "month": "y"}', "not a single value"),
        ("[" * 100_000, "not JSON"),
        (f'{{"uscc": "{GOOD}", "month": "2020-01-01", "customers": 1e400}}', "not a whole number"),
        (f'{{"uscc": "{GOOD}", "month": "2020-01-01", "sales": NaN}}', "not an amount"),
        (f'{{"uscc": "{GOOD}", "month": "2020-01-01", "sales": true}}', "not an amount"),
        ('{"uscc": "\\ud800", "month": "2020-01-01"}', "USCC"),
    ],
)
def test_a_bad_json_line_is_a_reject(line: str, fault: str, tmp_path: Path) -> None:
    _, report = load(tmp_path, "months.jsonl", line)
    assert report.kinds["months"].rejected == 1 and fault in texts(report)


def test_progress_tells_every_row(tmp_path: Path) -> None:
    path = tmp_path / "months.csv"
    path.write_text("uscc,month\n" + "".join(f"{GOOD},{year}-01-01\n" for year in range(1990, 2020)))
    seen: list[tuple[str, int]] = []
    load_feeds([path], MemoryStore(), now=NOW, progress=lambda kind, rows: seen.append((kind, rows)))
    assert seen == [("months", 30)]


def test_invoices_are_summed_exactly(tmp_path: Path) -> None:
    rows = [
        "sales,1,2020-01-05,a,100.10,valid",
        "sales,2,2020-01-06,b,0.20,valid",
        "sales,3,2020-01-07,a,-50.05,valid",
        "sales,4,2020-01-08,c,999.00,void",
        "purchases,9,2020-01-09,s,70.00,valid",
        "purchases,8,2020-01-09,s,5.00,void",
        "sales,5,2019-11-01,a,3.00,valid",
        "sales,5,2019-11-01,a,3.00,valid",
        "sales,6,2019-02-28,old,8.00,valid",
        "sales,7,2020-03-01,late,9.00,valid",
    ]
    store, report = load(tmp_path, "invoices.csv", "\n".join([INVOICE, *(f"{GOOD},{row}" for row in rows)]))
    assert report.kinds["invoices"] == Counts(10, 9, 1)
    months = {month.month: month for month in store.of("months")}
    assert len(months) == 14 and min(months) == date(2019, 2, 1) and max(months) == date(2020, 3, 1)
    assert months[date(2020, 1, 1)] == Month(
        date(2020, 1, 1),
        sales=5025,
        purchases=7000,
        sales_invoices=3,
        void_invoices=1,
        negative_invoices=1,
        purchase_invoices=1,
        customers=2,
        suppliers=1,
    )
    assert months[date(2019, 12, 1)].sales == 0 and months[date(2019, 12, 1)].customers == 0
    end = date(2020, 3, 1)
    assert set(store.of("counterparties")) == {
        Counterparty("sales", "a", end, 5305),
        Counterparty("sales", "b", end, 20),
        Counterparty("purchases", "s", end, 7000),
    }
    assert set(store.feeds) == {"invoices", "months", "counterparties"}


def test_invoices_that_all_fail_do_not_advance_the_feed(tmp_path: Path) -> None:
    store, _ = load(tmp_path, "invoices.csv", f"{INVOICE}\n{GOOD},sales,1,today,a,1,valid\n")
    assert not store.feeds


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kind=st.sampled_from(sorted(KINDS)),
    suffix=st.sampled_from(["csv", "jsonl", "parquet"]),
    content=st.binary(max_size=300),
)
def test_any_bytes_give_a_report(kind: str, suffix: str, content: bytes, tmp_path: Path) -> None:
    store, report = load(tmp_path, f"{kind}.{suffix}", content)
    counts = report.kinds[kind]
    assert counts.read == counts.written + counts.rejected
    assert store.records == {}


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cells=st.lists(st.text(max_size=12), min_size=7, max_size=7))
def test_any_text_in_any_cell_is_taken_or_named(cells: list[str], tmp_path: Path) -> None:
    line = json.dumps(dict(zip(INVOICE.split(","), cells, strict=True)))
    _, report = load(tmp_path, "invoices.jsonl", line)
    assert report.kinds["invoices"] == Counts(1, 0, 1)
    assert texts(report).startswith("invoices.jsonl:1: ")


def test_sources_of_funds_that_are_left_blank_are_unknown_not_zero(tmp_path: Path) -> None:
    header = "uscc,period_end,total_assets,total_liabilities,revenue_last_year,own_funds,other_sources"
    store, report = load(tmp_path, "financials.csv", f"{header}\n{GOOD},2019-12-31,10,5,7,0.00,\n")
    (statements,) = store.of("financials")
    assert report.problems == ()
    found = (statements.own_funds, statements.working_capital_loans, statements.other_sources)
    assert found == (0, None, None)


def test_messages_come_in_the_order_of_the_lines(tmp_path: Path) -> None:
    rows = [f"{GOOD},2020-13-01,1", "too,few", f"{GOOD},2020-01-01,1", f"{GOOD},2020-01-01,1", "a,b,c,d", f"{GOOD},x,1"]
    _, report = load(tmp_path, "months.csv", "uscc,month,sales\n" + "\n".join(rows))
    assert [problem.line for problem in report.problems] == [2, 3, 5, 6, 7]


def test_a_mistake_of_the_whole_file_names_no_line(tmp_path: Path) -> None:
    _, report = load(tmp_path, "overdues.csv", f"uscc,record_id,bank,started_on,max_days\n{GOOD},r,b,2020-01-01,x\n")
    assert str(report.problems[-1]).startswith("overdues.csv: every row was rejected")


def test_rejected_rows_keep_their_chinese(tmp_path: Path) -> None:
    name, broken = "福州晨光" * 20, b"\xff"
    content = f"uscc,name,entity_type,registration_status\n{GOOD},{name},公司,active\n".encode()
    _, report = load(tmp_path, "registrations.csv", content + f"{GOOD},晨光".encode() + broken + b",company,active\n")
    (file,) = report.reject_files
    rows = list(csv.DictReader(file.open(encoding="utf-8", newline="")))
    assert name in file.read_text(encoding="utf-8") and "'公司' is not one of" in rows[0]["what"]
    assert [json.loads(row["row"])[1] for row in rows] == [name, "晨光\ufffd"]


@pytest.mark.parametrize(
    ("name", "header", "good", "bad"),
    [
        (
            "registrations.csv",
            "uscc,name,entity_type,registration_status",
            f"{GOOD},a,company,active",
            f"{GOOD},a,firm,active",
        ),
        ("months.csv", "uscc,month", f"{GOOD},2020-01-01", f"{GOOD},x"),
    ],
    ids=["registrations", "months"],
)
def test_a_file_without_a_good_row_does_not_advance_its_feed_whatever_came_before(
    name: str, header: str, good: str, bad: str, tmp_path: Path
) -> None:
    store = MemoryStore()
    for folder, row in (("first", good), ("second", bad)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / name).write_text(f"{header}\n{row}\n")
    load_feeds([tmp_path / "first" / name], store, now=NOW)
    store.feeds.clear()
    both = [tmp_path / "first" / name, tmp_path / "second" / name]
    assert load_feeds(both[1:], store, now=NOW).problem_count == 2 and not store.feeds
    report = load_feeds(both, store, now=NOW)
    assert f"{name}: every row was rejected" in texts(report)


def test_a_list_that_the_rules_do_not_declare_is_rejected_with_those_they_do(tmp_path: Path) -> None:
    rows = f"{GOOD},a,list_court_dishonst,2020-01-01\n{GOOD},b,list_wage_arrears,2020-01-01\n"
    (tmp_path / "lists.csv").write_text(f"uscc,record_id,list_name,listed_on\n{rows}{GOOD},c,unheard_of,2020-01-01\n")
    store = MemoryStore()
    declared = ("list_court_dishonest", "list_wage_arrears")
    report = load_feeds([tmp_path / "lists.csv"], store, now=NOW, lists=declared)
    assert [entry.list_name for entry in store.of("lists")] == ["list_wage_arrears"] and not store.feeds
    misspelt, strange, _ = map(str, report.problems)
    assert misspelt == (
        "lists.csv:2: list_name: 'list_court_dishonst' is not a list of the active rules;"
        " did you mean list_court_dishonest? their lists are list_court_dishonest, list_wage_arrears"
    )
    assert strange.startswith("lists.csv:4: ") and "did you mean" not in strange and "their lists are" in strange
