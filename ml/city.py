"""A synthetic city: enterprises with records as feeds would deliver them, and the truth that only the city knows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime

import numpy as np

from decision_service.portrait.records import FEEDS, EnterpriseRecords
from ml.city_events import (
    abnormal_status,
    draw_control_changes,
    draw_counterparties,
    draw_lines,
    draw_lists,
    draw_overdues,
    draw_ratings,
    draw_registration,
    draw_relations,
    penalty_points,
)
from ml.city_indicators import Past, draw_indicators, draw_statements
from ml.city_months import Calendar, calendar, draw_months
from ml.city_traits import Industry, Traits, draw_traits


@dataclass(frozen=True, slots=True)
class Firm:
    """One enterprise: its records, and the truth."""

    records: EnterpriseRecords
    pd: float
    defaulted: bool


@dataclass(frozen=True, slots=True)
class Place:
    """What all firms of a city share. ``delivered`` is the aware time of every feed's delivery."""

    seed: int
    as_of: date
    delivered: datetime
    industries: tuple[Industry, ...]
    excluded: tuple[Industry, ...]


def draw_population(place: Place, numbers: Iterable[int]) -> list[Traits]:
    """The traits of the numbered firms, in order: cheap, no records yet."""
    return [
        draw_traits(number, seed=place.seed, industries=place.industries, excluded=place.excluded) for number in numbers
    ]


def draw_firms(place: Place, population: Sequence[Traits]) -> list[Firm]:
    """Records of a population, related to each other; deterministic by seed, number and population."""
    months = calendar(place.as_of)
    others = [traits.uscc for traits in population]
    firms = [Firm(_records(traits, place, months, others), traits.pd, traits.defaulted) for traits in population]
    by_code = {firm.records.registration.uscc: firm.records for firm in firms}
    return [replace(firm, records=with_related(firm.records, by_code)) for firm in firms]


def with_related(records: EnterpriseRecords, by_code: Mapping[str, EnterpriseRecords]) -> EnterpriseRecords:
    """The records with list entries of related parties over two hops, and their own relations."""
    near = {one.other for one in records.relations if one.other in by_code}
    links = {code: by_code[code].relations for code in near}
    far = {one.other for relations in links.values() for one in relations if one.other in by_code}
    lists = {code: by_code[code].lists for code in sorted(near | far)}
    return replace(records, related_lists=lists, related_relations=links)


def _records(traits: Traits, place: Place, months: Calendar, others: Sequence[str]) -> EnterpriseRecords:
    random = np.random.default_rng([place.seed, traits.number, 1])
    as_of = place.as_of
    statements = draw_statements(traits, random, as_of)
    series = draw_months(traits, random, months)
    lists = draw_lists(traits, random, as_of)
    ratings = draw_ratings(traits, random, as_of)
    overdues = draw_overdues(traits, random, as_of)
    past = Past(
        months=series,
        overdues=overdues,
        rating=max(ratings, key=lambda one: one.year, default=None),
        abnormal=abnormal_status(lists, as_of),
        penalties=penalty_points(lists, as_of),
        executed=any(one.list_name == "list_executee" and one.ended_on is None for one in lists),
    )
    year = sum(month.sales or 0 for month in series[-12:])
    return EnterpriseRecords(
        registration=draw_registration(traits, random, as_of),
        months=series,
        counterparties=draw_counterparties(traits, random, sales=year, period_end=min(months.end, as_of)),
        indicators=draw_indicators(traits, random, as_of, statements=statements, past=past),
        financials=statements.financials if random.random() > 0.01 else None,
        lists=lists,
        tax_ratings=ratings,
        overdues=overdues,
        credit_lines=draw_lines(traits, random),
        relations=draw_relations(traits, random, others),
        control_changes=draw_control_changes(traits, random, as_of),
        feeds=dict.fromkeys(FEEDS, place.delivered),
    )
