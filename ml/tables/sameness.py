"""What must stay on one side of a split: rows of one firm, and rows that are each other's copies."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from ml.tables.kinds import Column, numbers, texts, words

Rows = NDArray[np.int_]

OWNERS = frozenset(
    "firm firms company companies enterprise customer client borrower obligor debtor member account applicant issuer"
    " gvkey permno cik uscc ticker isin entity organization organisation corp"
    " 企业 公司 客户 借款人 统一社会信用代码 企业代码 企业名称".split()
)
KEYS = frozenset("id no nr num number code key name identifier 编号 代码 名称".split())
REPEATED = (0.02, 0.95)  # distinct values, as a share of the rows, of a column that names owners of several rows
CONTINUOUS = 0.2  # distinct share of a column whose values do not coincide by chance
DIGITS = 3  # significant digits in which copies agree


def owner_column(frame: pd.DataFrame, names: Sequence[str]) -> str | None:
    """A column that names the owner of several rows, by its name and its repeated values."""
    for name in names:
        if _names_an_owner(name):
            share = frame[name].nunique() / max(1, int(frame[name].notna().sum()))
            if REPEATED[0] < share < REPEATED[1] and frame[name].nunique() > 20:
                return name
    return None


def _names_an_owner(name: str) -> bool:
    """``firm``, ``Customer_ID``, ``id``; not ``client_age``."""
    parts = set(words(name))
    return parts == {"id"} or "".join(words(name)) in OWNERS or bool(parts & OWNERS and parts <= OWNERS | KEYS)


def copies(frame: pd.DataFrame, columns: Sequence[Column]) -> Rows | None:
    """A number for each row, the same for rows that agree in every column (numbers to three digits).

    ``None`` where rows may agree by chance, because no column's values are many.
    """
    read = {column.name: numbers(frame[column.name], column) for column in columns if column.kind == "number"}
    distinct = [len(np.unique(values[~np.isnan(values)])) for values in read.values()]
    if max(distinct, default=0) < CONTINUOUS * len(frame) or len(columns) < 4:
        return None
    signature = np.zeros(len(frame), dtype=np.uint64)
    for column in columns:
        values = _rounded(read[column.name]) if column.name in read else pd.factorize(texts(frame[column.name]))[0]
        with np.errstate(over="ignore"):
            signature = signature * np.uint64(1099511628211) + pd.util.hash_array(np.asarray(values, dtype=float))
    return np.asarray(pd.factorize(signature)[0])


def _rounded(values: NDArray[np.float64]) -> NDArray[np.float64]:
    filled = np.where(np.isnan(values), 0.0, values)
    size = 10.0 ** (DIGITS - 1 - np.floor(np.log10(np.maximum(np.abs(filled), 1e-300))))
    return np.where(np.isnan(values), np.nan, np.rint(filled * size) / size)


def joined(first: Rows, second: Rows) -> Rows:
    """Groups so large that neither numbering is ever torn: rows that share a number in either are together."""
    rows = len(first)
    edges = coo_matrix((np.ones(rows), (first, second + first.max() + 1)), shape=(2 * rows + 2, 2 * rows + 2))
    labels = connected_components(edges, directed=False)[1]
    return np.asarray(pd.factorize(labels[first])[0])
