"""Texts in Chinese and English for the records that a case may give, and for their fields."""

from __future__ import annotations

from collections.abc import Mapping

Words = Mapping[str, tuple[str, str]]

KINDS: Words = {
    "registration": ("工商登记。", "The business register's entry."),
    "lists": ("名单记录。", "Entries of public lists."),
    "tax_ratings": ("纳税信用等级，每年一条。", "Tax credit ratings, one a year."),
    "overdues": ("银行上报的逾期。", "Overdue episodes reported by banks."),
    "relations": ("关联关系。", "Links to related parties."),
    "related_lists": ("关联方的名单记录，按关联方。", "List entries of related parties, by party."),
    "related_relations": ("关联方自己的关联关系，按关联方。", "Links of related parties, by party."),
    "controllers": ("可能的控股企业及其记录。", "Firms that may control it, each with its own records."),
    "control_changes": ("控制权变更。", "Changes of control."),
    "months": ("月度序列。", "Months of the series."),
}

FIELDS: Words = {
    # registration
    "uscc": ("统一社会信用代码。", "Unified social credit code."),
    "name": ("名称。", "The name."),
    "entity_type": ("主体类型：company、partnership、sole_proprietorship、individual_business。", "Type of entity."),
    "registration_status": ("登记状态：active、revoked、cancelled、bankruptcy。", "Registration status."),
    "established_on": ("成立日期。", "Date of establishment."),
    "industry_code": ("两位行业代码。", "Two-digit industry division."),
    "classification_version": ("行业分类版本：2017、2011或空。", "Version of the classification: 2017, 2011 or empty."),
    "public_sector": ("公共部门或平台类主体。", "Public-sector borrower or financing vehicle."),
    "bank_related": ("银行内部人或关联人。", "Bank insider or related to one."),
    "name_code_mismatch": ("名称与代码不一致。", "Name and code do not match."),
    "predecessor_uscc": ("前身企业的代码。", "Code of the predecessor."),
    "predecessor_reviewed": ("前身企业已复核。", "Whether the predecessor was reviewed."),
    # lists
    "record_id": ("记录编号。", "Id of the record."),
    "list_name": ("名单名称，见 lists.yaml。", "The list's name, as in lists.yaml."),
    "listed_on": ("列入日期。", "Listed on this date."),
    "severity": ("严重程度：minor、general、serious。", "Severity of a penalty: minor, general or serious."),
    "ends_on": ("来源给出的届满日期。", "Scheduled end given by the source."),
    "ended_on": ("实际移出日期。", "Actual end."),
    "end_reason": ("移出原因。", "Reason of the end: repaired, removed, performed, deleted_by_source."),
    "disputed_on": ("异议受理日期。", "Date on which a dispute was accepted."),
    "dispute_ruled_on": ("异议裁定日期。", "Date on which the dispute was ruled on."),
    # tax ratings
    "year": ("评价年度。", "The year rated."),
    "rating": ("等级：A、B、M、C、D。", "The rating: A, B, M, C or D."),
    "published_on": ("公布日期。", "Published on this date."),
    "basis": ("判级方式：score、direct。", "Basis of the rating: score or direct."),
    "changed_on": ("变更日期。", "Changed on this date."),
    "changed_to": ("变更后的等级。", "The rating after the change."),
    # overdues
    "bank": ("银行。", "The bank."),
    "started_on": ("逾期开始日期。", "First day past due."),
    "max_days": ("最长逾期天数。", "Greatest number of days past due."),
    "cured_on": ("结清日期。", "Cured on this date."),
    "written_off": ("已核销。", "Whether it was written off."),
    # relations and control
    "other": ("关联方：代码，或P:开头的个人标识。", "The related party: a code, or a person's token that starts with P:."),
    "link": ("关系类型。", "Link: parent, controller_person, control, same_legal_representative, guarantee, holding."),
    "share": ("持股比例。", "Share held, as a ratio."),
    "what": ("变更内容。", "What changed: legal_representative, controller or shareholding."),
    # months
    "month": ("月份，写第一天。", "The month, by its first day."),
    "sales": ("销项（分，不含税）。", "Sales in fen, without tax."),
    "purchases": ("进项（分，不含税）。", "Purchases in fen, without tax."),
    "sales_invoices": ("销项发票张数。", "Number of sales invoices."),
    "void_invoices": ("作废发票张数。", "Number of void invoices."),
    "negative_invoices": ("红字发票张数。", "Number of negative invoices."),
    "purchase_invoices": ("进项发票张数。", "Number of purchase invoices."),
    "customers": ("当月购方户数。", "Distinct buyers in the month."),
    "suppliers": ("当月销方户数。", "Distinct sellers in the month."),
    "tax_filing": ("申报：on_time、zero_return、late_30、not_filed。", "Filing: on_time, zero_return, late_30 or not_filed."),
    "electricity_kwh": ("用电量（千瓦时）。", "Electricity in kWh."),
    "insured_headcount": ("参保人数。", "Insured headcount."),
}
