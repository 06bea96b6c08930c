"""A batch's body becomes lines; what is wrong with the whole is told at once, what is wrong with a line is not."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from decision_service.api.batch_lines import MAX_LINES, of_json, of_json_lines
from decision_service.api.problems import HttpProblem

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.lists(VALUES, min_size=1, max_size=5), st.sampled_from([None, 1, "\t"]), st.booleans())
def test_each_element_is_one_line_that_means_the_same(elements: list, indent: int | str | None, ascii_: bool) -> None:
    body = json.dumps({"applications": elements}, indent=indent, ensure_ascii=ascii_)
    lines = of_json(body.encode("utf-8", "surrogatepass") if ascii_ else body.encode("utf-8", "replace"))
    assert not any(b"\n" in line for line in lines)
    if ascii_:
        assert [json.loads(line) for line in lines] == elements
    assert of_json_lines(b"\n".join(lines) + b"\n") == lines


def test_numbers_stay_as_they_were_written() -> None:
    body = b'{"applications": [1.10, 1e400, NaN, ' + b"9" * 5_000 + b"]}"
    assert of_json(body) == [b"1.10", b"1e400", b"NaN", b"9" * 5_000]


def test_line_feeds_between_tokens_are_blanks() -> None:
    assert of_json(b'{"applications":[{"a":\r\n1}]}') == [b'{"a":  1}']


LINES = {
    "one": (b"{}", [b"{}"]),
    "ended": (b"{}\n", [b"{}"]),
    "of another system": (b"{}\r\n1\r\n", [b"{}", b"1"]),
    "blank ones between and around": (b"\n{}\n\n \t\r\n1\n\n", [b"{}", b"1"]),
    "no JSON at all": (b"\xff\x00\nx", [b"\xff\x00", b"x"]),
}


@pytest.mark.parametrize(("body", "lines"), LINES.values(), ids=LINES.keys())
def test_json_lines_are_kept_as_they_are(body: bytes, lines: list[bytes]) -> None:
    assert of_json_lines(body) == lines


WRONG = {
    "nothing": (b"", 400),
    "no object": (b"[]", 400),
    "cut off": (b'{"applications": [{}', 400),
    "cut off after a comma": (b'{"applications": [{},', 400),
    "a comma too many": (b'{"applications": [{},]}', 400),
    "something after it": (b'{"applications": [{}]} x', 400),
    "a name without quotes": (b"{applications: []}", 400),
    "a number as a name": (b"{1: []}", 400),
    "twice": (b'{"applications": [1], "applications": [2]}', 400),
    "no UTF-8": (b'{"applications": ["\xff"]}', 400),
    "a control character": (b'{"applications": ["\x01"]}', 400),
    "nested too deep": (b'{"applications": [' + b"[" * 100_000, 400),
    "none": (b"{}", 422),
    "empty": (b'{"applications": []}', 422),
    "no list": (b'{"applications": {"a": 1}}', 422),
    "null": (b'{"applications": null}', 422),
    "another field": (b'{"applications": [1], "priority": 1}', 422),
    "too many": (b'{"applications": [' + b",".join([b"1"] * (MAX_LINES + 1)) + b"]}", 422),
}


@pytest.mark.parametrize(("body", "status"), WRONG.values(), ids=WRONG.keys())
def test_what_is_wrong_with_the_whole_is_refused(body: bytes, status: int) -> None:
    with pytest.raises(HttpProblem) as caught:
        of_json(body)
    assert caught.value.type.status == status


@pytest.mark.parametrize("body", [b"", b"\n \n", b"1\n" * (MAX_LINES + 1)], ids=["empty", "blank", "too many"])
def test_no_lines_and_too_many_lines_are_refused(body: bytes) -> None:
    with pytest.raises(HttpProblem):
        of_json_lines(body)
    assert len(of_json_lines(b"1\n" * MAX_LINES)) == MAX_LINES
