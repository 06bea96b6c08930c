"""What the API says of errors is said in Chinese to who asks for it, every part of it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from decision_service.api.chinese import SEPARATOR, TEXTS, in_chinese
from tests.api.fakes import application

SERVICE = Path(__file__).parents[2] / "decision_service"
SOURCES = (
    *sorted((SERVICE / "api").glob("*.py")),
    *(SERVICE / name for name in ("lives.py", "objections.py", "decide.py", "simulate.py", "webhooks/reach.py")),
    *(SERVICE / name for name in ("lending/life.py", "governance/objection.py")),
    *(SERVICE / "store" / f"{name}.py" for name in ("idempotency", "leases", "cursors", "events", "webhooks")),
    SERVICE / "store" / "batches.py",
)
RAISED = {
    "ValidationError", "HttpProblem", "bad_json", "bad_header", "invalid_fields", "NotFound", "NotNow", "Inadmissible",
    "InputError", "IdempotencyConflict", "StillRunning", "unauthorized", "_not_now", "_at_most",
    "Failure",
}  # fmt: skip
OF_SETTINGS = re.compile("pip install|the library limits|no counter can be|give a URL|is not usable|these are no ports|"
                         "give yes or no|443 8443|undeclared")  # fmt: skip
"""What those who run the service are told, not those who call it."""
AMOUNTS = ": at most {}"


def template(node: ast.AST) -> str | None:
    """A text of the program, with its values left open."""
    if isinstance(node, ast.JoinedStr):
        return "".join(str(one.value) if isinstance(one, ast.Constant) else "{}" for one in node.values)
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def texts(node: ast.AST) -> Iterator[str]:
    found = template(node)
    if found is not None:
        yield found
        return
    for inner in ast.iter_child_nodes(node):
        yield from texts(inner)


def raised() -> Iterator[str]:
    for source in SOURCES:
        for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
            called = node.func if isinstance(node, ast.Call) else None
            name = called.id if isinstance(called, ast.Name) else getattr(called, "attr", "")
            if isinstance(node, ast.Call) and name in RAISED:
                given = [*node.args, *(one.value for one in node.keywords if one.arg not in ("headers", "where"))]
                said = [text for one in given for text in texts(one) if " " in text]
                yield from (text + AMOUNTS if name == "_at_most" else text for text in said)


def test_every_message_that_is_raised_has_its_row() -> None:
    found = {part for text in raised() for part in text.split(SEPARATOR) if not OF_SETTINGS.search(text)}
    assert len(found) > 100
    missing = {part for part in found if in_chinese(part.replace("{}", "7")) == part.replace("{}", "7")}
    assert missing == set()


def test_rows_keep_their_values() -> None:
    for english, chinese in TEXTS.items():
        assert SEPARATOR not in english
        places = re.findall(r"\{(\d?)\}", chinese)
        assert english.count("{}") == len(places) and ("" not in places or set(places) == {""})


SAID = {
    "is required": "必填",
    "assignee: no such reviewer; name a client of the kind risk": "assignee：没有该审批人；请指定risk类客户端",
    "Expecting ',' delimiter at line 3, column 9; send one JSON document": "第3行第9列：缺少分隔符','；请发送一个JSON文档",
    "send at most 10,000 in each of several batches": "请分批发送，每批至多10,000",
    "no row at all; is empty": "no row at all；为空",
}


@pytest.mark.parametrize(("english", "chinese"), SAID.items())
def test_a_message_is_said_part_by_part(english: str, chinese: str) -> None:
    assert in_chinese(english) == chinese


def test_who_asks_for_chinese_reads_chinese(client: FlaskClient) -> None:
    def told(lang: str, **headers: str) -> dict[str, Any]:
        body = application(amount="1e6", application_id="", surprise=1)
        answer = client.post("/v1/decisions", json=body, headers={"Accept-Language": lang, **headers})
        assert answer.headers["Content-Language"] == lang[:2]
        found: dict[str, Any] = answer.get_json()
        return found

    key = {"Authorization": "Bearer bank-key", "Idempotency-Key": "k"}
    chinese = told("zh-CN,zh;q=0.9", **key)
    assert chinese["detail"] == "不符合要求：amount, application_id, surprise；请更正这些字段"
    assert [one["message"] for one in chinese["errors"]] == [
        '须为文本金额，例如"3000000.00"，整数至多13位，小数至多两位', "须为1至64个字符，现为0个", "不是本请求的字段",
    ]  # fmt: skip
    assert told("zh")["detail"] == "请发送请求头Authorization: Bearer <key>；请向平台申请密钥"
    assert told("en", **key)["detail"] == "not acceptable: amount, application_id, surprise; correct the fields"
