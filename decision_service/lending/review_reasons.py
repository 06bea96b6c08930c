"""Why people decide as they do: the closed lists of reasons for reviews and for banks' final decisions.

docs/life.md lists them. A code says the same wherever it stands.
"""

from __future__ import annotations

from collections.abc import Mapping

Texts = Mapping[str, str]

REVIEW_REASONS: Mapping[str, Mapping[str, Texts]] = {
    "APPROVE": {
        "DOCUMENTS_SOUND": {"zh": "补充材料已核实", "en": "further documents were checked and are sound"},
        "DATA_EXPLAINED": {"zh": "缺失或异常数据已有合理说明", "en": "missing or odd data have a sound explanation"},
        "SECURITY_ADDED": {"zh": "已追加担保或抵押", "en": "a guarantee or collateral was added"},
        "GROUP_CHECKED": {"zh": "集团与关联关系已核查", "en": "the group and related parties were checked"},
        "RISK_BEARABLE": {"zh": "人工评估风险可承受", "en": "a person finds the risk bearable"},
    },
    "DECLINE": {
        "DOCUMENTS_MISSING": {"zh": "未按要求提供材料", "en": "documents asked for were not given"},
        "DOCUMENTS_FALSE": {"zh": "材料不实", "en": "documents are false"},
        "REPAYMENT_DOUBTFUL": {"zh": "还款能力存疑", "en": "repayment is doubtful"},
        "PURPOSE_DOUBTFUL": {"zh": "资金用途存疑", "en": "the purpose is doubtful"},
        "EXPOSURE_TOO_HIGH": {"zh": "授信总额过高", "en": "exposure in all is too high"},
        "RULES_DECLINE": {"zh": "按现行规则和记录不予通过", "en": "today's rules and records decline it"},
        "APPLICATION_REPEATED": {"zh": "该申请已获批准，以原决定为准", "en": "it is approved already: that decision stands"},
    },
}
"""By outcome."""

FINAL_REASONS: Mapping[str, Mapping[str, Texts]] = {
    "APPROVE": {
        "BANK_APPROVED": {"zh": "银行审批通过", "en": "the bank approves"},
        "BANK_REDUCED": {"zh": "银行审批通过并调减金额", "en": "the bank approves a smaller amount"},
    },
    "DECLINE": {
        "BANK_POLICY": {"zh": "不符合本行政策", "en": "against the bank's policy"},
        "BANK_RISK": {"zh": "本行风险评估未通过", "en": "the bank's own assessment fails"},
        "TERMS_NOT_AGREED": {"zh": "条件未达成一致", "en": "terms were not agreed"},
        "CUSTOMER_WITHDREW": {"zh": "客户撤回申请", "en": "the customer withdrew"},
        "APPLICATION_REPEATED": {"zh": "该申请已获批准，以原决定为准", "en": "it is approved already: that decision stands"},
    },
}
"""By outcome."""


def texts_of(code: str) -> Texts:
    """What a reason says in both languages."""
    return next(group[code] for table in (REVIEW_REASONS, FINAL_REASONS) for group in table.values() if code in group)
