"""Notes in Chinese and English for the headings of a workbook's columns, and how to use the workbook."""

from __future__ import annotations

from collections.abc import Mapping

HEADINGS: Mapping[str, tuple[str, str]] = {
    "code": ("代码，文本格式，保留前导零。", "The code, as text with its leading zero."),
    "name_zh": ("中文名称。", "Name in Chinese."),
    "name_en": ("英文名称。", "Name in English."),
    "section": ("门类代码。", "Section of the classification."),
    "section_zh": ("门类名称。", "Name of the section."),
    "peak_months": ("旺季月份，用分号隔开。", "Peak months, with semicolons between."),
    "note": ("备注。", "A remark."),
    "value_status": ("数值状态。", "Where the values come from."),
    "reason": ("原因代码；不准入行业为原因文本。", "The reason code; for excluded industries the reason."),
    "effective_from": ("生效日期（含当日），如 2024-01-31。", "In force from this date on, e.g. 2024-01-31."),
    "effective_to": (
        "失效日期（不含当日）。改数值时填写，再加一行。",
        "In force until this date, exclusive. To change a value, fill it in and add a row.",
    ),
    "reference": ("依据：文件、条款或决议。", "What it rests on: document, clause or resolution."),
    "id": ("规则编号，全部文件中唯一。", "The rule's id, unique over all files."),
    "title.zh": ("中文标题。", "Title in Chinese."),
    "title.en": ("英文标题。", "Title in English."),
    "when": ("条件：事实 运算符 值，用 and、or、not 连接。", "The condition: fact operator value, joined by and, or, not."),
    "outcome": ("结果：取最严，DECLINE 严于 REFER。", "The outcome; the strictest wins: DECLINE, then REFER."),
    "effects.limit_factor": ("额度系数（0至1），取最小。", "Factor of the limit, 0 to 1; the least counts."),
    "effects.limit_cap": ("额度上限（元或事实名），取最小。", "Cap in CNY or the name of a fact; the least counts."),
    "effects.rate_spread_bp": ("加点（基点），取最大。", "Spread in basis points; the greatest counts."),
    "effects.conditions": ("附加条件代码，用逗号隔开。", "Codes of conditions, with commas between."),
    "comment": ("写在该行上方的注释，不带 #。", "The comment above the entry, without #."),
    "name": ("参数名。", "The parameter."),
    "value": ("数值：金额以元计，比例写小数（0.65）。", "The value: money in CNY, ratios as ratios (0.65)."),
    "list": ("名单，须已在 lists.yaml 中。", "The list; it must stand in lists.yaml."),
    "severity": ("严重程度；any 适用于全部。", "Severity; any fits all."),
    "min_months": ("可申请修复的最短月数。", "Repair may be requested after so many months."),
    "max_months": ("公示月数；空则直到移出。", "Published for so many months; empty: until removed."),
    "customer.zh": ("给申请人的中文文本。", "For the applicant, in Chinese."),
    "customer.en": ("给申请人的英文文本。", "For the applicant, in English."),
    "officer.zh": ("给审核员的中文文本。", "For the officer, in Chinese."),
    "officer.en": ("给审核员的英文文本。", "For the officer, in English."),
    "line": ("文件中的行号，请勿修改；新行留空。", "The line in the file; do not change it. Leave it empty in a new row."),
}

GUIDE = (
    (
        "每张表对应一个规则文件。改单元格、增删行、换次序后保存，再运行 rules import-xlsx。",
        "Each sheet is one rule file. Change cells, add, remove or move rows, save, then run rules import-xlsx.",
    ),
    (
        "新行的 line 列留空。不要用公式。日期写作 2024-01-31。",
        "Leave the column line empty in a new row. No formulas. Write dates as 2024-01-31.",
    ),
    (
        "改数值：旧行填写 effective_to（不含当日），另加一行，effective_from 为同一日期。",
        "To change a value: fill in effective_to (exclusive) of its row and add a row that begins on that date.",
    ),
    (
        "导出后文件若已改动，导入会拒绝：请重新导出。",
        "If a file has changed since the export, the import is refused: export again.",
    ),
)
