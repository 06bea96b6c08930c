"""PostgreSQL by libpq's pipeline: values come back as they went, and an error leaves a connection that is usable."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from decision_service.store.wire import Answer, Transaction, Wire

LARGE = 3_000_000


@pytest.fixture
def wire(postgresql_url: str) -> Iterator[Wire]:
    with psycopg.connect(postgresql_url.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute("CREATE TABLE seen (number bigint PRIMARY KEY, name text, content bytea)")
        yield Wire(connection)


def one(wire: Wire, text: str, *values: Any) -> Any:
    [answer] = wire.run([(text, values)])
    return answer.rows[0][0]


@pytest.mark.parametrize(
    ("type_", "value"),
    [
        ("text", "企业 'x' %s $1 \\"),
        ("text", ""),
        ("varchar(4)", "abcd"),
        ("char(2)", "ab"),
        ("bigint", -(2**63)),
        ("bigint", 2**63 - 1),
        ("int", -1),
        ("smallint", 7),
        ("bytea", bytes(range(256))),
        ("bytea", b""),
        ("float8", 0.1),
        ("float8", -1e300),
        ("bool", True),
        ("text", None),
        ("bigint", None),
    ],
)
def test_a_value_comes_back_as_it_went(wire: Wire, type_: str, value: Any) -> None:
    assert one(wire, f"SELECT $1::{type_}", value) == value
    assert one(wire, f"SELECT $1::{type_}", value) == value, "prepared"


def test_statements_are_answered_in_their_order_with_what_they_changed(wire: Wire) -> None:
    insert = "INSERT INTO seen VALUES ($1, $2, $3) ON CONFLICT DO NOTHING"
    answers = wire.run([(insert, (1, "a", None)), (insert, (1, "b", None)), ("SELECT name FROM seen", ())])
    assert answers == [Answer([], 1), Answer([], 0), Answer([("a",)], 1)]


def test_much_is_sent_and_read_without_either_side_waiting_for_the_other(wire: Wire) -> None:
    statement = ("SELECT $1::bytea || $1::bytea, $2::text", (b"x" * LARGE, "y" * LARGE))
    answers = wire.run([statement] * 6)
    assert [tuple(map(len, answer.rows[0])) for answer in answers] == [(2 * LARGE, LARGE)] * 6


@pytest.mark.parametrize(
    "bad",
    [
        ("SELECT nothing FROM nowhere", ()),
        ("SELECT 1 / $1::int", (0,)),
        ("INSERT INTO seen VALUES ($1, NULL, NULL)", (1,)),
        ("SELECT $1::bigint", (2**63,)),
        ("SELECT $1::int", ("text",)),
    ],
)
def test_of_statements_outside_a_transaction_all_count_or_none(wire: Wire, bad: tuple[str, tuple[Any, ...]]) -> None:
    wire.run([("INSERT INTO seen VALUES (1, 'old', NULL)", ())])
    new, after = ("INSERT INTO seen VALUES ($1, 'new', NULL)", (2,)), ("SELECT $1::text || 'after'", ("",))
    for _ in range(2):
        with pytest.raises(psycopg.Error):
            wire.run([new, bad, after])
        assert one(wire, "SELECT count(*) FROM seen") == 1
    assert one(wire, *after[:1], "") == "after", "what was not prepared then is prepared now"


@pytest.mark.parametrize("bad", ["a\0b", object(), "\ud800"])
def test_what_cannot_be_sent_leaves_nothing_half_sent(wire: Wire, bad: Any) -> None:
    with pytest.raises((psycopg.Error, UnicodeEncodeError)):
        wire.run([("SELECT 1", ()), ("SELECT $1::text", (bad,))])
    assert one(wire, "SELECT $1::text", "good") == "good"


def test_a_column_of_a_type_that_nobody_reads_is_an_error_and_no_guess(wire: Wire) -> None:
    with pytest.raises(psycopg.NotSupportedError, match="1700"):
        one(wire, "SELECT 1.5::numeric")
    assert wire.closed, "its answers were not read to their end"


def test_a_transaction_counts_once_it_is_committed(wire: Wire, postgresql_url: str) -> None:
    transaction = Transaction(wire)
    transaction.ask([("INSERT INTO seen VALUES (1, 'a', NULL)", ()), ("SELECT 1", ())])
    with psycopg.connect(postgresql_url.replace("+psycopg", "")) as other:
        assert other.execute("SELECT count(*) FROM seen").fetchone() == (0,)
    transaction.commit()
    wire.rollback()
    assert one(wire, "SELECT count(*) FROM seen") == 1
    Transaction(wire).commit()  # nothing was asked, so nothing was begun


def test_a_server_that_ends_a_connection_is_told_and_the_connection_closed(wire: Wire) -> None:
    with pytest.raises(psycopg.OperationalError):
        wire.run([("SELECT pg_terminate_backend(pg_backend_pid())", ()), ("SELECT 1", ())])
    assert wire.closed
