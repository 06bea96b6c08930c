"""What a column is, and its values."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from ml.tables.kinds import Column, as_written, column_of, days, numbers, parse_number, texts

RANDOM = np.random.default_rng(1)
MANY = 200


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("$60,000.00 ", 60000.0),
        ("12.5%", 12.5),
        ("(1,200)", -1200.0),
        ("5-", -5.0),
        ("1 200", 1200.0),
        ("¥3.5", 3.5),
        ("1e3", 1000.0),
        ("-.5", -0.5),
        ("12,34", np.nan),
        ("1.2.3", np.nan),
        ("abc", np.nan),
        ("?", np.nan),
    ],
)
def test_numbers_as_people_write_them(text: str, value: float) -> None:
    assert parse_number(text) == pytest.approx(value, nan_ok=True)


def kind(values: object, name: str = "x") -> str:
    return column_of(pd.Series(values), name).kind


@pytest.mark.parametrize(
    ("values", "name", "expected"),
    [
        ([f"{value:.2f}" for value in RANDOM.normal(size=MANY)], "x", "number"),
        (["0", "1"] * 50, "x", "number"),
        ([f"{value}" for value in range(MANY)], "row", "identifier"),
        ([f"{value * 37 + 10**9}" for value in range(MANY)], "LoanNr_ChkDgt", "identifier"),
        ([f"{value:.0f}" for value in RANDOM.normal(1e6, 1e5, MANY)], "amount", "number"),
        ([f"K{value}" for value in range(MANY)], "x", "identifier"),
        (["a", "b", None, "c"] * 50, "x", "category"),
        (["Y", "N"] * 50, "x", "flag"),
        (["Y", None] * 50, "x", "flag"),
        (["x"] * 50, "x", "constant"),
        ([None, "?", "NA", ""] * 20, "x", "constant"),
        (["28-Feb-97", "1-Mar-98"] * 50, "x", "date"),
        (["2/28/1997", "12/31/1998"] * 50, "x", "date"),
        (["20040131", "20050228"] * 50, "x", "date"),
        (["Dec-2015", "Jan-2016"] * 50, "x", "date"),
        (["2015年3月", "2016年12月"] * 50, "x", "date"),
        (["28/02/1997 13:05:00", "01/12/1998 00:00:00"] * 50, "x", "date"),
        (["2/28/1997 1:05:00 PM", "12/1/1998 12:00:00 AM"] * 50, "x", "date"),
        (["28.02.1997 13:05", "01.12.1998 00:00"] * 50, "x", "date"),
        (["2005Q1", "2006-Q4", "Q2 2007"] * 50, "x", "date"),
        ([f"a long story told number {value}" for value in range(MANY)], "x", "text"),
        ([True, False] * 50, "x", "flag"),
        (pd.to_datetime(["2020-01-01", "2021-01-01"] * 9), "x", "date"),
        (["1", "2", "x"] + ["3"] * 97 + ["4"] * 50, "x", "number"),
    ],
)
def test_the_kind_of_a_column(values: object, name: str, expected: str) -> None:
    assert kind(values, name) == expected


def test_codes_that_mean_missing_are_missing() -> None:
    values = [*RANDOM.normal(50, 10, MANY), *[9999.0] * 10, *[-999.0] * 10, np.inf, -np.inf]
    for series in (pd.Series(values), pd.Series([str(value) for value in values])):
        column = column_of(series, "x")
        assert set(column.codes) == {9999.0, -999.0}
        assert np.isnan(numbers(series, column)[MANY:]).all() and not np.isnan(numbers(series, column)[:MANY]).any()


def test_a_nine_that_belongs_to_the_range_is_no_code() -> None:
    assert column_of(pd.Series([*np.arange(900, 1100), 999, 999, 999, 999]), "x").codes == ()


def test_commas_as_decimal_marks() -> None:
    series = pd.Series(["1.234,56", "0,5", "12,75", "3"] * 10)
    column = column_of(series, "x")
    assert numbers(series, column)[:4].tolist() == [1234.56, 0.5, 12.75, 3.0]


def test_points_that_part_thousands() -> None:
    series = pd.Series([f"{place}.234.567" for place in range(1, 99)] + ["12.345", "7"])
    found = numbers(series, column_of(series, "x"))
    assert found[[0, 98, 99]].tolist() == [1234567.0, 12345.0, 7.0]
    assert np.isnan(numbers(pd.Series(["1.2.3", "4.5"]), column_of(pd.Series(["1.2.3", "4.5"]), "x"))[0])


def test_a_quarter_is_its_first_day() -> None:
    series = pd.Series(["1970Q1", "Q2 1970", None])
    assert days(series, column_of(series, "x"))[:2].tolist() == [0.0, 90.0]


def test_dates_of_the_last_century_and_of_other_formats() -> None:
    series = pd.Series(["28-Feb-97", "1-Mar-04"])
    found = days(series, column_of(series, "x"))
    assert found.tolist() == [9920.0, 12478.0]
    ends = pd.Series(["31-Jan-97", "29-Feb-44", "29-Feb-00", "31-Dec-40"])
    assert days(ends, column_of(ends, "x")).tolist() == [9892.0, -9438.0, 11016.0, 25932.0]
    stamps = pd.Series(pd.to_datetime(["1997-02-28", "2004-03-01"]))
    assert days(stamps, column_of(stamps, "x")).tolist() == found.tolist()


def test_whole_numbers_and_their_floats_are_one_text() -> None:
    assert texts(pd.Series([1.0, np.nan, 2.0])).tolist()[0] == "1"
    assert texts(pd.Series([" a  b ", "?"])).tolist() == ["a b", None]


@pytest.mark.parametrize(
    ("values", "known", "form"),
    [
        (["1.5", "0.25"], ",", "."),
        (["1,5", "0,25"], ".", ","),
        (["1.234", "5"], ",", ","),
        (["1,234", "5"], ".", "."),
        (["1.234,5", "0.5"], ",", ","),
        (["?", None], ",", ","),
    ],
)
def test_a_table_is_read_in_its_own_decimal_mark_only_if_it_proves_one(values: object, known: str, form: str) -> None:
    assert as_written(pd.Series(values), Column("x", "number", form=known)).form == form


@pytest.mark.parametrize(
    ("values", "form"),
    [(["2020-01-31"], "%Y-%m-%d"), (["31-Jan-20"], "%d-%b-%y"), (["soon"], "%d-%b-%y"), ([None], "%d-%b-%y")],
)
def test_a_table_is_read_in_its_own_form_of_dates(values: object, form: str) -> None:
    assert as_written(pd.Series(values), Column("x", "date", form="%d-%b-%y")).form == form
