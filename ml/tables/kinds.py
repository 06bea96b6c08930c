"""What a column is (number, category, flag, date, identifier, constant, text), and its values as such."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

Array = NDArray[np.float64]

MISSING = frozenset(
    ("", "?", "na", "n/a", "#n/a", "nan", "null", "none", "nil", "-", "--", ".", "nat", "<na>", "missing", "无", "空")
)
READ_AS = 0.95  # share of known values that must be numbers (or dates) for a column to be one
GREATEST = 1e30
FLAG_LEVELS = 2
LOOKED_AT = 2000  # values that tell how a table writes a column that is known already
TEXT_WORDS = 4.0
EPOCH = datetime(1970, 1, 1)
CENTURY = 40  # a year written 41…99 is 1941…1999
CODES = (999.0, 9999.0, 99999.0, 999999.0, 9999999.0, 99999999.0, 999999999.0)
CODE_SHARE = 0.005
QUARTERS = "%YQ%q"  # not one of strptime's
DATE_FORMATS = (
    "%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%Y%m%d", "%d-%b-%y", "%d-%b-%Y", "%d %b %Y", "%b %d, %Y", "%B %d, %Y",
    "%m/%d/%Y", "%d/%m/%Y", "%m/%d/%y", "%d/%m/%y", "%d.%m.%Y", "%d.%m.%y", "%m-%d-%Y", "%d-%m-%Y",
    "%b-%Y", "%b-%y", "%b %Y", "%Y-%m", "%Y/%m", "%Y%m", "%Y年%m月%d日", "%Y年%m月", "%d%b%Y", "%d%b%Y:%H:%M:%S",
    "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y/%m/%d %H:%M:%S", "%Y-%m-%d %H:%M", "%m/%d/%Y %H:%M",
    "%m/%d/%Y %H:%M:%S", "%d/%m/%Y %H:%M", "%Y-%m-%d %H:%M:%S.%f", "%Y-%m-%dT%H:%M:%S.%f",
    "%d/%m/%Y %H:%M:%S", "%d.%m.%Y %H:%M", "%d.%m.%Y %H:%M:%S", "%d-%m-%Y %H:%M", "%d-%m-%Y %H:%M:%S",
    "%m/%d/%y %H:%M", "%m/%d/%Y %I:%M %p", "%m/%d/%Y %I:%M:%S %p", "%d-%b-%Y %H:%M:%S", QUARTERS,
)  # fmt: skip
_DIGITS_ONLY = frozenset(("%Y%m%d", "%Y%m"))
_QUARTER = re.compile(r"(?P<year>\d{4})[-/ ]?q(?P<number>[1-4])|q([1-4])[-/ ]?(\d{4})", re.IGNORECASE)
_UNITS = re.compile(r"(?i)(usd|eur|gbp|cny|rmb|us\$|[$€£¥￥元%％\s\u00a0'])")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.IGNORECASE)
_DECIMAL_COMMA = re.compile(r"[+-]?(\d{1,3}(\.\d{3})+|\d+),\d+")
_DOTTED = re.compile(r"[+-]?\d{1,3}(\.\d{3})+")
_GROUPED = re.compile(r"[+-]?\d{1,3}(,\d{3})+(\.\d*)?")
_IDENTITY = frozenset(
    "id ids nr no num number key index idx uuid guid ssn serial code ref reference permno gvkey cik uscc row rowid"
    " 编号 代码 序号 编码 统一社会信用代码".split()
)
_ZONE = re.compile(r"(Z|[+-]\d{2}:?\d{2})$")


@dataclass(frozen=True, slots=True)
class Column:
    """How a column is read: its kind; ``codes`` are numbers that mean missing; ``form`` is a date's format or a
    number's decimal mark."""

    name: str
    kind: str
    codes: tuple[float, ...] = ()
    form: str = ""


def words(name: str) -> tuple[str, ...]:
    """A column's name in lower-case words: ``LoanNr_ChkDgt`` is loan, nr, chk, dgt."""
    apart = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", name)
    return tuple(re.findall(r"[a-z]+|\d+|[\u4e00-\u9fff]+", apart.lower()))


def column_of(series: pd.Series, name: str) -> Column:
    """The column's kind from its values and, for identifiers only, its name."""
    if pd.api.types.is_datetime64_any_dtype(series.dtype):
        return Column(name, "date" if series.nunique() > 1 else "constant")
    if pd.api.types.is_bool_dtype(series.dtype):
        return Column(name, "flag" if series.nunique() > 1 else "constant")
    if _is_numeric(series):
        return _number(name, numbers(series, Column(name, "number", form=".")), ".", len(series))
    found = texts(series)
    known = found.dropna()
    levels = known.unique()
    if len(levels) < 2 and (len(levels) == 0 or len(known) == len(series)):
        return Column(name, "constant")
    form = _decimal_mark(levels)
    values = numbers(series, Column(name, "number", form=form))
    if np.isfinite(values).sum() >= READ_AS * len(known) and not _is_compact_date(levels):
        return _number(name, values, form, len(series))
    form = _date_form(levels)
    if form:
        return Column(name, "date", form=form)
    return _wording(name, known, levels, rows=len(series))


def _wording(name: str, known: pd.Series, levels: Iterable[str], *, rows: int) -> Column:
    count = len(list(levels))
    if count <= FLAG_LEVELS:
        return Column(name, "flag")
    sample = known.iloc[:1000]
    if count > 0.5 * len(known) and np.mean([len(value.split()) for value in sample]) >= TEXT_WORDS:
        return Column(name, "text")
    if count > 0.95 * len(known) and count > 20:
        return Column(name, "identifier")
    return Column(name, "category")


def _number(name: str, values: Array, form: str, rows: int) -> Column:
    known = values[np.isfinite(values)]
    distinct = np.unique(known)
    if len(distinct) < 2 and (len(distinct) == 0 or len(known) == rows):
        return Column(name, "constant")
    if len(known) > 20 and len(distinct) == len(known) and _counts_rows(name, distinct):
        return Column(name, "identifier", form=form)
    return Column(name, "number", _missing_codes(known), form)


def _counts_rows(name: str, distinct: Array) -> bool:
    """Unique whole numbers that are called a key, or that run through a range nearly without gaps."""
    if not np.all(distinct == np.rint(distinct)):
        return False
    dense = distinct[-1] - distinct[0] < 1.5 * len(distinct)
    return bool(dense or _IDENTITY & set(words(name)))


def _missing_codes(known: Array) -> tuple[float, ...]:
    """Values such as 9999 or -999 that repeat at the end of the range, far from everything else."""
    codes: list[float] = []
    for code in (*CODES, *(-code for code in CODES), -99.0):
        often = int((known == code).sum())
        if often < max(3, CODE_SHARE * len(known)):
            continue
        rest = known[~np.isin(known, (*codes, code))]
        if len(rest) > 10 and code > 0 and rest.max() < code / 2:
            codes.append(code)
        if len(rest) > 10 and code < 0 and rest.min() > code / 2:
            codes.append(code)
    return tuple(codes)


def texts(series: pd.Series) -> pd.Series:
    """The values as stripped text, missing where a usual word for missing stands; whole numbers without ``.0``."""
    if _is_numeric(series) or pd.api.types.is_bool_dtype(series.dtype):
        return _mapped(series, lambda value: f"{value:.15g}" if isinstance(value, float) else str(value))
    return _mapped(series, _text)


def _text(value: object) -> str | None:
    stripped = " ".join(str(value).split())
    return None if stripped.lower() in MISSING else stripped


def _mapped(series: pd.Series, change: Callable[[object], str | None]) -> pd.Series:
    """``change`` of each distinct value, so that long columns cost no more than their levels."""
    codes, levels = pd.factorize(series, use_na_sentinel=True)
    changed = np.array([*(change(value) for value in levels.tolist()), None], dtype=object)
    return pd.Series(changed[codes], index=series.index, dtype=object)


def numbers(series: pd.Series, column: Column) -> Array:
    """Floats; nan for what is missing, not a number, infinite or one of the column's codes."""
    if _is_numeric(series) or pd.api.types.is_bool_dtype(series.dtype):
        values = series.to_numpy(dtype=float, na_value=np.nan).copy()
    elif column.form == ",":
        values = _parsed(series, _decimal_comma)
    else:
        quick = _quick(series)
        values = _parsed(series, parse_number) if quick is None else quick
    values[~(np.abs(values) < GREATEST)] = np.nan
    if column.codes:
        values[np.isin(values, column.codes)] = np.nan
    return values


def _quick(series: pd.Series) -> Array | None:
    """Plain numbers read by Arrow; ``None`` if there is anything else among them."""
    try:
        text = pc.utf8_trim_whitespace(pa.array(series, type=pa.large_string(), from_pandas=True))
        missing = pc.is_in(pc.utf8_lower(text), value_set=pa.array(sorted(MISSING), type=pa.large_string()))
        kept = pc.if_else(missing, pa.scalar(None, type=pa.large_string()), text)
        return np.array(pc.cast(kept, pa.float64()).to_numpy(zero_copy_only=False), dtype=float)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return None


def _parsed(series: pd.Series, parse: Callable[[str], float]) -> Array:
    codes, levels = pd.factorize(series, use_na_sentinel=True)
    return np.array([*(parse(str(value)) for value in levels.tolist()), np.nan])[codes]


def parse_number(text: str) -> float:
    """A number as people write it: ``$60,000.00``, ``12.5%``, ``(1,200)``, ``5-``, ``1 200``; nan if it is none.

    A percent sign is left out, not divided by: a column is in one unit.
    """
    bare = _UNITS.sub("", text.strip())
    if not bare or bare.lower() in MISSING:
        return np.nan
    sign = 1.0
    if bare[0] == "(" and bare[-1] == ")":
        bare, sign = bare[1:-1], -1.0
    if bare[-1:] == "-" and len(bare) > 1:
        bare, sign = bare[:-1], -sign
    if _GROUPED.fullmatch(bare):
        bare = bare.replace(",", "")
    return sign * float(bare) if _NUMBER.fullmatch(bare) else np.nan


def _decimal_comma(text: str) -> float:
    return parse_number(text.replace(".", "").replace(",", "."))


def _decimal_mark(levels: Iterable[str]) -> str:
    """A comma if some values can only be read with one, and none has a comma of thousands and a point; or if points
    part thousands, as in 1.234.567."""
    levels = list(levels)
    pointed = [bare for value in levels[:2000] if "." in (bare := _UNITS.sub("", value))]
    if any(bare.count(".") > 1 for bare in pointed) and all(_DOTTED.fullmatch(bare) for bare in pointed):
        return ","
    looked = [_UNITS.sub("", value) for value in levels[:2000] if "," in value]
    with_comma = [value for value in looked if _DECIMAL_COMMA.fullmatch(value)]
    thousands = [value for value in looked if _GROUPED.fullmatch(value)]
    return "," if len(with_comma) > len(thousands) and len(with_comma) >= 0.9 * len(looked) else "."


def _is_compact_date(levels: Iterable[str]) -> bool:
    """``20040131``: eight digits that are days between 1900 and 2100, nearly all of them."""
    looked = list(levels)[:500]
    good = [value for value in looked if len(value) == 8 and value.isdigit() and _parse_date(value, "%Y%m%d")]
    return len(looked) > 1 and len(good) >= READ_AS * len(looked) and all("1900" <= day[:4] < "2100" for day in good)


def _date_form(levels: Iterable[str]) -> str:
    """The format that reads most of the values, if it reads nearly all; the first listed wins a tie."""
    looked = list(levels)
    looked = looked[:: max(1, len(looked) // 300)]
    if not any(any(sign.isdigit() for sign in value) for value in looked):
        return ""
    counts = {form: sum(_parse_date(value, form) is not None for value in looked) for form in DATE_FORMATS}
    best = max(counts, key=lambda form: counts[form])
    if counts[best] >= READ_AS * len(looked):
        return best
    both = sum(any(_parse_date(value, form) for form in DATE_FORMATS if form not in _DIGITS_ONLY) for value in looked)
    return "mixed" if both >= READ_AS * len(looked) else ""


def _parse_date(text: str, form: str) -> datetime | None:
    if form == QUARTERS:
        return _quarter(text)
    bare = _ZONE.sub("", text) if "%H" in form else text
    try:
        found = datetime.strptime(bare, form)
    except ValueError:
        return None
    if "%y" in form:  # a century apart: 29 February is in both years or in none
        year = found.year % 100
        return found.replace(year=(1900 if year > CENTURY else 2000) + year)
    return found


def as_written(series: pd.Series, column: Column) -> Column:
    """The column with the form in which this table has it: another export may write 1,5 for 1.5, or dates otherwise.

    Only values that contradict the known form change it: 1,234 alone is read as it was learnt.
    """
    if column.kind not in ("number", "date") or pd.api.types.is_datetime64_any_dtype(series.dtype):
        return column
    if _is_numeric(series) or pd.api.types.is_bool_dtype(series.dtype):
        return column
    levels = texts(series.dropna().iloc[:LOOKED_AT]).dropna().unique()
    if column.kind == "number":
        return replace(column, form=_mark_of(levels, column.form))
    read = np.isfinite(days(pd.Series(levels, dtype=object), column)).sum()
    return column if read >= READ_AS * len(levels) else replace(column, form=_date_form(levels) or column.form)


def _mark_of(levels: Iterable[str], known: str) -> str:
    """The decimal mark that these values prove, else the known one."""
    if known != ",":
        return _decimal_mark(levels)
    plain = [_UNITS.sub("", value) for value in levels if "." in value or "," in value]
    pointed = [value for value in plain if _NUMBER.fullmatch(value) and not _DOTTED.fullmatch(value)]
    return "." if pointed and not any(_DECIMAL_COMMA.fullmatch(value) for value in plain) else known


def _quarter(text: str) -> datetime | None:
    """The first day of ``2005Q1``, ``2005-Q1`` or ``Q1 2005``."""
    found = _QUARTER.fullmatch(text)
    if found is None:
        return None
    return datetime(int(found["year"] or found[4]), 3 * int(found["number"] or found[3]) - 2, 1)


def days(series: pd.Series, column: Column) -> Array:
    """Days since 1970-01-01 of dates, or the numbers themselves of years and other counts of time; nan if unknown."""
    if pd.api.types.is_datetime64_any_dtype(series.dtype):
        moments = pd.to_datetime(series, utc=True)
        return ((moments - pd.Timestamp(0, tz="UTC")) / pd.Timedelta(days=1)).to_numpy(dtype=float, na_value=np.nan)
    if column.kind != "date":
        return numbers(series, column)
    forms = [form for form in DATE_FORMATS if form not in _DIGITS_ONLY] if column.form == "mixed" else [column.form]
    return _parsed(texts(series), lambda text: _days(text, forms))


def _days(text: str, forms: Iterable[str]) -> float:
    found = next((date for form in forms if (date := _parse_date(text, form)) is not None), None)
    return np.nan if found is None else (found - EPOCH).total_seconds() / 86400


def _is_numeric(series: pd.Series) -> bool:
    dtype = series.dtype
    return pd.api.types.is_numeric_dtype(dtype) and not pd.api.types.is_bool_dtype(dtype)
