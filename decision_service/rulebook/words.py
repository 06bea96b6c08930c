"""Chinese words for choices, for people who read them; the code stays what rules, records and requests say."""

from __future__ import annotations

from collections.abc import Mapping

_WORDS: Mapping[str, str] = {
    # products and purposes
    "working_capital": "流动资金贷款",
    "invoice_loan": "税票贷",
    "goods_purchase": "采购货物",
    "payroll": "发放工资",
    "equipment": "购置设备",
    "research": "研发",
    "property": "购置房产",
    "securities": "证券投资",
    "equity_investment": "股权投资",
    "repay_other_loan": "归还其他贷款",
    # registration and industry
    "company": "公司",
    "partnership": "合伙企业",
    "sole_proprietorship": "个人独资企业",
    "individual_business": "个体工商户",
    "revoked": "吊销",
    "cancelled": "注销",
    "bankruptcy": "破产",
    "covered": "准入",
    "excluded": "不准入",
    "unknown": "不明",
    "gbt_2017": "国民经济行业分类2017版",
    "gbt_2011": "国民经济行业分类2011版",
    "unstated": "未注明",
    "encourage": "鼓励",
    "neutral": "中性",
    "restrict": "限制",
    "low": "低",
    "medium": "中",
    "high": "高",
    # lists, ratings, cards
    "none": "无",
    "active": "在列",
    "disputed": "异议中",
    "unrated": "未评级",
    "score": "评分",
    "direct": "直接判级",
    "yellow": "黄牌",
    "red": "红牌",
    # indicators, portrait, models
    "ok": "正常",
    "not_applicable": "不适用",
    "stale": "过期",
    "missing": "缺失",
    "imputed": "估算",
    "insufficient_data": "数据不足",
    "single": "单模型",
    "fallback": "评分卡替代",
    "unavailable": "不可用",
    # switches
    "enabled": "开启",
    "disabled": "关闭",
    "flat": "统一",
    "industry": "按行业",
}
_OF_FACT: Mapping[tuple[str, str], str] = {
    ("registration_status", "active"): "存续",
    ("purpose", "working_capital"): "流动资金周转",
}


def chinese(fact: str, choice: str) -> str:
    """The word for a choice of a fact; a choice without one, such as the grade P1, is its own word."""
    return _OF_FACT.get((fact, choice)) or _WORDS.get(choice, choice)
