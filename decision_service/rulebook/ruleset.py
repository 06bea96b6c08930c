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
            rule.id: self.reason(rule.reason, rule=rule.id) for rule in self._by_id.values() if rule.reason
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

    def reasons_of(self, rule_ids: Iterable[str]) -> list[Reason]:
        """The reasons that rules give, in the order of their ids here; a rule may give none."""
        return [self._reasons[rule_id] for rule_id in rule_ids if rule_id in self._reasons]

    def reason(self, code: str, *, rule: str = "", facts: tuple[str, ...] = ()) -> Reason:
        """A reason with the customer's text in both languages; ``{facts}`` in it becomes the labels of ``facts``."""
        texts = self.reasons[code].customer if code in self.reasons else {"zh": code, "en": code}
        filled = {}
        for lang, comma in (("zh", "、"), ("en", ", ")):
            labels = comma.join([self._label(name, lang) for name in facts])
            filled[lang] = texts[lang].replace("{facts}", labels)
        return Reason(code, rule, filled["zh"], filled["en"], facts)

    def _label(self, name: str, lang: str) -> str:
        fact = self.catalogue.get(name)
        return fact.label.get(lang, name) if fact is not None else name

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
