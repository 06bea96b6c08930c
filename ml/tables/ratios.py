"""Recognises the items of financial statements by their columns' names and makes the usual ratios of them.

Sources: E. Altman, Financial Ratios, Discriminant Analysis and the Prediction of Corporate Bankruptcy (1968), the terms
X1 to X5; J. Ohlson, Financial Ratios and the Probabilistic Prediction of Bankruptcy (1980), the terms TLTA, WCTA, CLCA,
NITA, FUTL, OENEG, INTWO, CHIN; the rest are the liquidity, leverage, profitability and turnover ratios of textbooks.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Items = Mapping[str, Array]

ITEMS: Mapping[str, str] = {
    "total_assets": "totalassets assets assetstotal totalasset at 资产总计 总资产 资产总额 资产合计",
    "current_assets": "currentassets totalcurrentassets assetscurrent currentassetstotal act 流动资产 流动资产合计",
    "cash": "cash cashandcashequivalents cashandequivalents cashandshortterminvestments cashequivalents che 货币资金 现金"
    " 现金及现金等价物",
    "receivables": "receivables totalreceivables accountsreceivable tradereceivables netreceivables rect 应收账款 应收款项",
    "inventory": "inventory inventories totalinventory invt 存货",
    "total_liabilities": "totalliabilities liabilities liabilitiestotal totalliability lt 负债合计 总负债 负债总额 负债总计",
    "current_liabilities": "currentliabilities totalcurrentliabilities liabilitiescurrent currentliabilitiestotal"
    " shorttermliabilities lct 流动负债 流动负债合计",
    "long_term_debt": "longtermdebt totallongtermdebt longtermborrowings noncurrentdebt longtermliabilities dltt"
    " 长期借款 长期负债 非流动负债合计",
    "debt": "debt totaldebt borrowings totalborrowings interestbearingdebt 有息负债 借款总额",
    "equity": "equity totalequity shareholdersequity stockholdersequity totalshareholdersequity ownersequity bookequity"
    " networth totalstockholdersequity seq 所有者权益 股东权益 所有者权益合计 股东权益合计 净资产",
    "retained_earnings": "retainedearnings totalretainedearnings accumulatedearnings re 未分配利润 留存收益",
    "revenue": "revenue totalrevenue revenues sales netsales totalsales turnover operatingrevenue netrevenue revt sale"
    " 营业收入 营业总收入 主营业务收入 销售收入 收入",
    "cost_of_goods_sold": "costofgoodssold cogs costofsales costofrevenue 营业成本 主营业务成本 销售成本",
    "gross_profit": "grossprofit grossprofits grossincome gp 毛利 毛利润",
    "operating_expenses": "operatingexpenses totaloperatingexpenses opex operatingcosts totaloperatingcosts xopr"
    " 营业费用 期间费用",
    "ebit": "ebit operatingincome operatingprofit earningsbeforeinterestandtaxes incomefromoperations 营业利润 息税前利润",
    "ebitda": "ebitda earningsbeforeinteresttaxesdepreciationandamortization 息税折旧摊销前利润",
    "net_income": "netincome netprofit netearnings profit profitaftertax netincomeloss netloss ni 净利润 净收益",
    "depreciation": "depreciation depreciationandamortization depreciationamortization dp 折旧 折旧摊销",
    "market_value": "marketvalue marketcap marketcapitalization marketequity mktval 市值 总市值",
    "interest": "interest interestexpense interestexpenses interestpaid financialexpenses xint 利息支出 财务费用",
    "operating_cash_flow": "operatingcashflow cashflowfromoperations cashfromoperations netcashfromoperatingactivities"
    " cfo oancf 经营活动产生的现金流量净额 经营现金流",
}
LEAST_ITEMS = 3
SCALES = ("total_assets", "revenue", "total_liabilities")
_UNIT = re.compile(r"[\(（\[].*?[\)）\]]|(?i:\b(usd|eur|cny|rmb|mio|million|thousand|musd|k|m)$)")
_BY_NAME = {name: item for item, names in ITEMS.items() for name in names.split()}


def recognised(names: Sequence[str]) -> dict[str, str]:
    """Item to column, the first column of each item; empty unless there are assets or revenue and three in all."""
    found: dict[str, str] = {}
    for name in names:
        item = _BY_NAME.get(_squeezed(name))
        if item is not None:
            found.setdefault(item, name)
    enough = len(found) >= LEAST_ITEMS and ("total_assets" in found or "revenue" in found)
    return found if enough else {}


def _squeezed(name: str) -> str:
    bare = re.sub(r"[^a-z\u4e00-\u9fff]", "", _UNIT.sub("", name.strip()).lower())
    return bare


def ratios(items: Items) -> dict[str, Array]:
    """All ratios whose items are there, by name; nan where an item is missing or the denominator is not positive.

    The logarithm of each item is there too: its change over a window is the item's growth.
    """
    full = _with_derived(items)
    made = {name: make(full) for name, (needed, make) in RATIOS.items() if set(needed) <= set(full)}
    for scale in (scale for scale in SCALES if scale in items):
        for item in items:
            if item != scale:
                made[f"{item} / {scale}"] = over(items[item], items[scale])
    return made | {f"log {item}": signed_log(values) for item, values in items.items()}


def over(top: Array, bottom: Array) -> Array:
    """A ratio; nan unless the denominator is positive."""
    positive = bottom > 0
    return np.where(positive, top / np.where(positive, bottom, 1.0), np.nan)


def signed_log(values: Array) -> Array:
    """``sign(x) log(1 + |x|)``: money over many scales, losses included."""
    return np.copysign(np.log1p(np.abs(values)), values)


def _with_derived(items: Items) -> dict[str, Array]:
    full = dict(items)
    if "equity" not in full and {"total_assets", "total_liabilities"} <= set(full):
        full["equity"] = full["total_assets"] - full["total_liabilities"]
    if "total_liabilities" not in full and {"total_assets", "equity"} <= set(full):
        full["total_liabilities"] = full["total_assets"] - full["equity"]
    if {"current_assets", "current_liabilities"} <= set(full):
        full["working_capital"] = full["current_assets"] - full["current_liabilities"]
    if {"net_income", "depreciation"} <= set(full):
        full["funds"] = full["net_income"] + full["depreciation"]
    return full


def _simple(top: str, bottom: str) -> tuple[tuple[str, ...], Callable[[Items], Array]]:
    return (top, bottom), lambda items: over(items[top], items[bottom])


RATIOS: Mapping[str, tuple[tuple[str, ...], Callable[[Items], Array]]] = {
    "altman x1 working capital / assets": _simple("working_capital", "total_assets"),
    "altman x4 market value / liabilities": _simple("market_value", "total_liabilities"),
    "book equity / liabilities": _simple("equity", "total_liabilities"),
    "equity / assets": _simple("equity", "total_assets"),
    "current ratio": _simple("current_assets", "current_liabilities"),
    "quick ratio": (
        ("current_assets", "inventory", "current_liabilities"),
        lambda items: over(items["current_assets"] - items["inventory"], items["current_liabilities"]),
    ),
    "cash ratio": _simple("cash", "current_liabilities"),
    "ohlson clca current liabilities / current assets": _simple("current_liabilities", "current_assets"),
    "ohlson futl funds / liabilities": _simple("funds", "total_liabilities"),
    "ohlson oeneg liabilities above assets": (
        ("total_liabilities", "total_assets"),
        lambda items: _flag(items["total_liabilities"] - items["total_assets"]),
    ),
    "loss": (("net_income",), lambda items: _flag(-items["net_income"])),
    "current liabilities / liabilities": _simple("current_liabilities", "total_liabilities"),
    "interest cover": _simple("ebit", "interest"),
    "debt / equity": _simple("debt", "equity"),
    "long-term debt / equity": _simple("long_term_debt", "equity"),
    "liabilities / equity": _simple("total_liabilities", "equity"),
    "debt / ebitda": _simple("debt", "ebitda"),
    "liabilities / ebitda": _simple("total_liabilities", "ebitda"),
    "return on equity": _simple("net_income", "equity"),
    "inventory turnover": _simple("cost_of_goods_sold", "inventory"),
    "receivables turnover": _simple("revenue", "receivables"),
    "market value / book equity": _simple("market_value", "equity"),
    "liabilities / market value and liabilities": (
        ("total_liabilities", "market_value"),
        lambda items: over(items["total_liabilities"], items["market_value"] + items["total_liabilities"]),
    ),
    "net income / market value and liabilities": (
        ("net_income", "market_value", "total_liabilities"),
        lambda items: over(items["net_income"], items["market_value"] + items["total_liabilities"]),
    ),
    "revenue / market value": _simple("revenue", "market_value"),
    "cash flow / liabilities": _simple("operating_cash_flow", "total_liabilities"),
    "cash flow / current liabilities": _simple("operating_cash_flow", "current_liabilities"),
}


def _flag(above_zero: Array) -> Array:
    return np.where(np.isnan(above_zero), np.nan, (above_zero > 0).astype(float))
