"""Problem details (RFC 9457): one table of types, one exception that carries a type, and the body it becomes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from werkzeug.datastructures import LanguageAccept
from werkzeug.http import parse_accept_header

from decision_service.api.chinese import in_chinese
from decision_service.errors import DecisionServiceError

CONTENT_TYPE = "application/problem+json"
RETRY_AFTER_SECONDS = "1"
NAMED = 8  # fields that a detail names; an application has no more


@dataclass(frozen=True, slots=True)
class ProblemType:
    """A stable kind of problem: its name in the ``type`` URI, its status, its title in two languages."""

    name: str
    status: int
    en: str
    zh: str

    @property
    def uri(self) -> str:
        """The ``type`` member; documented in ``docs/problems.md``."""
        return f"/problems/{self.name}"


_ALL = (
    ProblemType("invalid-json", 400, "The body is not acceptable JSON", "请求体不是可接受的JSON"),
    ProblemType("invalid-header", 400, "A header is missing or malformed", "请求头缺失或格式有误"),
    ProblemType("bad-request", 400, "The request cannot be understood", "无法理解该请求"),
    ProblemType("unauthorized", 401, "Authentication is required", "需要身份认证"),
    ProblemType("forbidden", 403, "This client may not do that", "该客户端无此权限"),
    ProblemType("not-found", 404, "There is no such thing", "资源不存在"),
    ProblemType("enterprise-unknown", 404, "The enterprise is not on record", "企业不在库"),
    ProblemType("method-not-allowed", 405, "This resource does not know that method", "不支持该方法"),
    ProblemType("still-running", 409, "The same request is under way", "相同请求正在处理"),
    ProblemType("precondition-failed", 412, "It was changed meanwhile", "资源已被更改"),
    ProblemType("not-now", 409, "The present state does not admit that", "当前状态不允许该操作"),
    ProblemType("body-too-large", 413, "The body is too large", "请求体过大"),
    ProblemType("unsupported-media-type", 415, "The body must be JSON", "请求体须为JSON"),
    ProblemType("invalid-fields", 422, "Some fields are not acceptable", "部分字段不符合要求"),
    ProblemType("idempotency-conflict", 422, "The idempotency key belongs to another request", "幂等键已用于其他请求"),
    ProblemType("precondition-required", 428, "If-Match is required", "须提供If-Match请求头"),
    ProblemType("too-many-requests", 429, "Too many requests", "请求过于频繁"),
    ProblemType("internal-error", 500, "Something went wrong inside", "内部错误"),
    ProblemType("unavailable", 503, "The service cannot answer now", "服务暂不可用"),
)
TYPES: Mapping[str, ProblemType] = {one.name: one for one in _ALL}


class HttpProblem(DecisionServiceError):
    """An error that knows its problem type. ``errors`` are (field, message) pairs."""

    def __init__(
        self,
        name: str,
        what: str,
        *,
        remedy: str = "",
        errors: Iterable[tuple[str, str]] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.type = TYPES[name]
        self.errors = tuple(errors)
        self.headers = dict(headers or {})
        super().__init__(what, remedy=remedy)


def bad_json(what: str, remedy: str) -> HttpProblem:
    """A body that is not JSON as this service reads it."""
    return HttpProblem("invalid-json", what, remedy=remedy)


def bad_header(what: str, remedy: str) -> HttpProblem:
    """A header that is missing or malformed."""
    return HttpProblem("invalid-header", what, remedy=remedy)


def invalid_fields(errors: Iterable[tuple[str, str]]) -> HttpProblem:
    """Fields that are not acceptable, every one of them in ``errors``; the text names the first and counts the rest."""
    listed = tuple(errors)
    names = list(dict.fromkeys(field for field, _ in listed))
    rest = len(names) - NAMED
    shown = ", ".join(names[:NAMED]) + (f" and {rest} more" if rest > 0 else "")
    return HttpProblem("invalid-fields", f"not acceptable: {shown}", remedy="correct the fields", errors=listed)


def language(accepted: str) -> str:
    """``zh`` or ``en``, whichever a header Accept-Language asks for; English if neither."""
    return parse_accept_header(accepted, LanguageAccept).best_match(["en", "zh"], default="en")


def body(
    problem: ProblemType,
    detail: str,
    *,
    request_id: str,
    lang: str,
    errors: Iterable[tuple[str, str]],
    admits: Mapping[str, str] | None = None,
) -> bytes:
    """The problem document as bytes, in English or Chinese; ``admits`` are addresses by what is done there."""
    said = in_chinese if lang == "zh" else str
    document: dict[str, Any] = {
        "type": problem.uri,
        "title": problem.zh if lang == "zh" else problem.en,
        "status": problem.status,
        "detail": said(detail),
        "request_id": request_id,
    }
    listed = [{"field": field, "message": said(message)} for field, message in errors]
    if listed:
        document["errors"] = listed
    if admits:
        document["admits"] = [{"act": act, "address": address} for act, address in admits.items()]
    # A lone surrogate in a caller's text is no UTF-8; its escape is good JSON.
    return json.dumps(document, ensure_ascii=False).encode("utf-8", "backslashreplace")


def kept(document: bytes, lang: str) -> bytes:
    """A problem that was written down in English by ``body``, in English or Chinese."""
    if lang == "en":
        return document
    found = json.loads(document)
    return body(
        TYPES[found["type"].rpartition("/")[2]],
        found["detail"],
        request_id=found["request_id"],
        lang=lang,
        errors=[(one["field"], one["message"]) for one in found.get("errors", ())],
    )
