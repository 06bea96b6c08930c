"""Canonical JSON: the same bytes as a general RFC 8785 encoder, and nothing else is read."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from decimal import Decimal

import pytest
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st

from decision_service.audit.canonical import LARGEST_INTEGER, canonical, moment, money, parsed
from decision_service.errors import AuditError

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
KEYS = st.text(st.characters(max_codepoint=127))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-LARGEST_INTEGER, LARGEST_INTEGER) | TEXT,
    lambda inner: st.lists(inner) | st.dictionaries(KEYS, inner),
    max_leaves=30,
)


@settings(max_examples=500, deadline=None)
@given(VALUES)
def test_the_bytes_are_those_of_rfc_8785(value):
    assert canonical(value) == rfc8785.dumps(value)


@given(VALUES)
def test_what_was_written_is_read_back(value):
    assert parsed(canonical(value)) == value


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"1.5",
        b"1e3",
        b"NaN",
        b"Infinity",
        b'{"a": 1}',
        b'{"b":1,"a":1}',
        b'{"a":1,"a":1}',
        b'"\\u0041"',
        b'"\xff"',
        b'"\\ud800"',
        b"1 ",
        b"-0",
        b"[" * 100_000,
    ],
)
def test_anything_but_canonical_json_is_refused(data):
    with pytest.raises(AuditError):
        parsed(data)


@pytest.mark.parametrize("value", ["\ud800", {"a": float("nan")}, {"a": object()}])
def test_what_json_cannot_hold_is_refused(value):
    with pytest.raises(AuditError, match="cannot be written as evidence"):
        canonical(value)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (datetime(2026, 1, 1, tzinfo=timezone.utc), "2026-01-01T00:00:00.000000Z"),
        (datetime(2026, 1, 1, 8, 0, 0, 1, timezone(timedelta(hours=8))), "2026-01-01T00:00:00.000001Z"),
        (None, None),
    ],
)
def test_moments_are_utc_with_microseconds(value, text):
    assert moment(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(Decimal("1E+4"), "10000.00"), (Decimal("0.1"), "0.10"), (Decimal("5000000.01"), "5000000.01"), (None, None)],
)
def test_money_has_two_decimals(value, text):
    assert money(value) == text
