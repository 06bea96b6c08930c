"""A ruleset: everything the rule files say, under one digest, and the part of it in force on a date."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date

from decision_service.rulebook.conditions import Exact
from decision_service.rulebook.facts import FactCatalogue
from decision_service.rulebook.invariants import Invariant
from decision_service.rulebook.overlays import NO_OVERLAY, Overlay
from decision_service.rulebook.parameters import ParameterTable
from decision_service.rulebook.rules import Product, ReasonCode, Rule, Stage
from decision_service.vocabulary import Reason

POLICY = "policy"
DATES_KEPT = 64
RESERVED_REASONS = ("DATA_MISSING", "NO_APPROVAL", "ENGINE_MISMATCH", "ENGINE_FAILED", "CALENDAR_MISSING")
"""Reason codes that the platform itself gives; every ruleset must have their texts."""
PLACEHOLDERS = FACTS, SUPPLY, REVIEW = "{facts}", "{supply}", "{review}"
"""What in a text for applicants is filled: see ``RulesInForce.reason``."""
OWN_SOURCES = frozenset({"lending", "parameter", "scoring", "switches"})
"""Where the platform makes facts itself: an applicant neither knows them nor can supply them."""
SUPPLIED_SOURCES = frozenset({"indicators", "invoices", "portrait"})
"""Where facts come from papers that an applicant can authorise or hand in."""
LANGUAGES: Mapping[str, Mapping[str, str]] = {
    "zh": {
        "comma": "、",
        "own": "平台自身的评估数据",
        "review": "本次申请将由人工审核，一般在三个工作日内完成。",
        "supply": "如尚未授权或提交以下资料，请补充：{0}。",
        "nothing": "您无需补充资料。",
    },
    "en": {
        "comma": ", ",
        "own": "data of the platform itself",
        "review": "People will review this application, as a rule within three working days.",
        "supply": "If you have not yet authorised or handed in the following, please do: {0}.",
        "nothing": "You need not supply anything.",
    },
}
"""What texts for applicants are filled with."""


class RulesInForce:
    """Rules, reason texts, products and parameters on one business date. Only the catalogue and rules are required.

    ``client`` is the one for whom they are in force, if an overlay changed them; rows of ``own_policy`` go before those
    of ``policy``.
    """

    def __init__(
        self,
        catalogue: FactCatalogue,
        rules: Iterable[Rule],
        *,
        on: date = date(2000, 1, 1),
        reasons: Mapping[str, ReasonCode] | None = None,
        products: Mapping[str, Product] | None = None,
        industries: ParameterTable = ParameterTable(),
        excluded_industries: Iterable[str] = (),
        product_parameters: ParameterTable = ParameterTable(),
        policy: ParameterTable = ParameterTable(),
        own_policy: ParameterTable = ParameterTable(),
        client: str = "",
    ) -> None:
        self.catalogue = catalogue
        self.on = on
        self.client = client
        self.reasons = dict(reasons or {})
        self.products = dict(products or {})
        self._by_id = {rule.id: rule for rule in sorted(rules, key=lambda rule: rule.id)}
        self._reasons = {
            (rule.id, referred): self.reason(rule.reason, rule=rule.id, referred=referred)
            for rule in self._by_id.values()
            if rule.reason
            for referred in (True, False)
        }
        self._by_stage = {
            stage: tuple(rule for rule in self._by_id.values() if rule.stage is stage) for stage in Stage
        }
        self._industries = {code: industries.in_force(code, on) for code in industries.keys()}
        self._excluded = frozenset(excluded_industries)
        self._products = {name: product_parameters.in_force(name, on) for name in self.products}
        self._policy = {**policy.in_force(POLICY, on), **own_policy.in_force(POLICY, on)}

    def rules(self, stage: Stage) -> tuple[Rule, ...]:
        """The rules of a stage, by id."""
        return self._by_stage[stage]

    def rule(self, rule_id: str) -> Rule:
        """One rule by id; raises ``KeyError``."""
        return self._by_id[rule_id]

    def reasons_of(self, rule_ids: Iterable[str], *, referred: bool = True) -> list[Reason]:
        """The reasons that rules give, in the order of their ids here; a rule may give none."""
        return [self._reasons[rule_id, referred] for rule_id in rule_ids if (rule_id, referred) in self._reasons]

    def reason(
        self, code: str, *, rule: str = "", facts: tuple[str, ...] = (), referred: bool = True
    ) -> Reason:
        """A reason with the applicant's text in both languages.

        In it ``{facts}`` becomes the labels of those ``facts`` that an applicant knows, ``{supply}`` what to do about
        them, and ``{review}``, when the application is ``referred``, that people will review it; else nothing.
        """
        texts = self.reasons[code].customer if code in self.reasons else {"zh": code, "en": code}
        filled = {lang: self._filled(texts[lang], lang, facts, referred) for lang in LANGUAGES}
        return Reason(code, rule, filled["zh"], filled["en"], facts)

    def _filled(self, text: str, lang: str, facts: tuple[str, ...], referred: bool) -> str:
        words = LANGUAGES[lang]
        known = [name for name in facts if not self._is_own(name)]
        declared = [self.catalogue[name] for name in known if name in self.catalogue]
        supplied = [fact.name for fact in declared if fact.source in SUPPLIED_SOURCES]
        parts = {
            FACTS: self._labels(known, lang) or (words["own"] if facts else ""),
            SUPPLY: words["supply"].format(self._labels(supplied, lang)) if supplied else words["nothing"],
            REVIEW: words["review"] if referred else "",
        }
        for name, part in parts.items():
            text = text.replace(name, part)
        return " ".join(text.split())

    def _labels(self, names: Iterable[str], lang: str) -> str:
        found = [self.catalogue[name].label.get(lang, name) if name in self.catalogue else name for name in names]
        return LANGUAGES[lang]["comma"].join(found)

    def _is_own(self, name: str) -> bool:
        """Whether the platform makes a fact, or derives it from nothing but such."""
        fact = self.catalogue.get(name)
        if fact is None:
            return False
        return fact.source in OWN_SOURCES or fact.derived is not None and all(map(self._is_own, fact.derived.inputs))

    def parameters(self, product: str, industry_code: str | None) -> dict[str, Exact]:
        """Exact ``policy.*``, ``product.*`` and ``industry.*`` facts; those without a row in force are left out."""
        return {**self._policy, **self._products.get(product, {}), **self._industries.get(industry_code or "", {})}

    def industry_codes(self) -> tuple[str, ...]:
        """Every industry that a file names, covered or excluded."""
        return (*self._industries, *sorted(self._excluded))

    def industry_status(self, industry_code: str | None) -> str:
        """``covered``, ``excluded`` or ``unknown``; there is no default row for a code that is not listed."""
        if industry_code in self._excluded:
            return "excluded"
        return "covered" if self._industries.get(industry_code or "") else "unknown"


@dataclass(frozen=True, slots=True)
class Ruleset:
    """One immutable version of the rule files. ``sources`` are their texts, by path inside the folder, without cases.

    ``lists`` and ``indicators`` are the texts that the portrait reads. ``rules``, ``reasons`` and ``policy`` are the
    base's; ``overlays`` holds what differs for a client, by client id.
    """

    version: str
    digest: str
    sources: Mapping[str, str]
    catalogue: FactCatalogue
    rules: tuple[Rule, ...]
    reasons: Mapping[str, ReasonCode]
    products: Mapping[str, Product]
    industries: ParameterTable
    excluded_industries: Mapping[str, str]
    product_parameters: ParameterTable
    policy: ParameterTable
    lists: str = ""
    indicators: str = ""
    invariants: tuple[Invariant, ...] = ()
    overlays: Mapping[str, Overlay] = field(default_factory=dict)
    _dates: dict[tuple[date, str], RulesInForce] = field(default_factory=dict, repr=False, compare=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    def every_rule(self) -> tuple[Rule, ...]:
        """The rules of the base, then those of each overlay."""
        return (*self.rules, *(rule for overlay in self.overlays.values() for rule in overlay.rules))

    def in_force(self, on: date, client: str = "") -> RulesInForce:
        """What is in force on a business date (Asia/Shanghai), for a client that has an overlay or for all others.

        The last few dates asked for are kept.
        """
        key = on, client if client in self.overlays else ""
        with self._lock:
            found = self._dates.get(key)
            if found is None:
                if len(self._dates) >= DATES_KEPT * (1 + len(self.overlays)):
                    self._dates.pop(next(iter(self._dates)))
                found = self._dates[key] = self._build(on, self.overlays.get(client, NO_OVERLAY))
            return found

    def _build(self, on: date, overlay: Overlay) -> RulesInForce:
        return RulesInForce(
            self.catalogue,
            overlay.rules_over(self.rules, on),
            on=on,
            client=overlay.client,
            reasons={**self.reasons, **overlay.reasons},
            products=self.products,
            industries=self.industries,
            excluded_industries=self.excluded_industries,
            product_parameters=self.product_parameters,
            policy=self.policy,
            own_policy=overlay.policy,
        )


def digest_of(sources: Mapping[str, str]) -> str:
    """``sha256:`` over the canonical JSON list of (path, sha256 of the file's bytes), sorted by path."""
    files = [[path, hashlib.sha256(sources[path].encode()).hexdigest()] for path in sorted(sources)]
    return "sha256:" + hashlib.sha256(json.dumps(files, separators=(",", ":"), ensure_ascii=False).encode()).hexdigest()
