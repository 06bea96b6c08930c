"""Why an objection is not taken up: the closed list of reasons, in two languages."""

from __future__ import annotations

from collections.abc import Mapping

REFUSALS: Mapping[str, Mapping[str, str]] = {
    "EVIDENCE_MISSING": {"zh": "未提供有效证明材料", "en": "no sound evidence was given"},
    "NOT_CONCERNED": {"zh": "申请人与该记录无关", "en": "the record does not concern the applicant"},
    "NOT_AUTHORISED": {"zh": "缺少企业授权", "en": "the enterprise's authorisation is missing"},
    "RULED_BEFORE": {"zh": "同一事项已有裁定且无新证据", "en": "it was ruled before, and there is no new evidence"},
    "OTHER_AUTHORITY": {"zh": "应向原认定机关提出", "en": "the authority that made the record must be asked"},
}
