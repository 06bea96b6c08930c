"""The sandbox line that `serve` prints: an application that would be approved, if one is found."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from decision_service.api import bodies
from decision_service.commands.serving import curl_line, sandbox_application, worth_trying
from decision_service.decide import Platform
from decision_service.settings import Settings
from decision_service.simulate import simulate_application
from decision_service.vocabulary import Client, Outcome, Scores
from tests.api.real import FixedScorer, open_platform, write_feeds


@dataclass
class DoubtfulAtFirst(FixedScorer):
    """Expects a default of those it scores first."""

    doubts: int = 0

    def score(self, *arguments: Any, **options: Any) -> Scores:
        self.doubts -= 1
        self.pd = Decimal("0.9") if self.doubts >= 0 else Decimal("0.003")
        return super().score(*arguments, **options)


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Platform]:
    write_feeds(tmp_path / "feeds")
    built = open_platform(tmp_path, FixedScorer(), tmp_path / "feeds")
    yield built
    built.store.close()


def outcome_of(built: Platform, client: Client, uscc: str) -> Outcome:
    application = bodies.application(sandbox_application(uscc))
    now = datetime.now(UTC)
    found = simulate_application(application, client=client, platform=built, overrides={}, as_of=None, now=now)
    return found.assessment.outcome


def test_the_first_enterprise_that_would_be_approved_is_named(platform: Platform) -> None:
    client, _ = platform.store.add_client("sandbox", "bank", datetime.now(UTC))
    sound = [uscc for uscc in platform.store.uscc_list(50) if outcome_of(platform, client, uscc) is Outcome.APPROVE]
    assert worth_trying(platform, client) == (sound[0], "APPROVE")
    bad = platform.store.uscc_list(50).index(sound[1])  # how many are asked before the second sound one
    assert bad > 0
    later = replace(platform, scorer=DoubtfulAtFirst(doubts=bad))
    assert worth_trying(later, client) == (sound[1], "APPROVE")
    assert list(platform.store.each_decision()) == []


@pytest.mark.parametrize("pd", [None, Decimal("0.9")], ids=["no model answers", "the models expect defaults"])
def test_where_none_would_be_approved_the_first_stands_with_its_outcome(
    platform: Platform, pd: Decimal | None
) -> None:
    client, _ = platform.store.add_client("sandbox", "bank", datetime.now(UTC))
    platform.scorer.pd = pd
    (first,) = platform.store.uscc_list(1)
    assert worth_trying(platform, client) == (first, outcome_of(platform, client, first).name)


def test_without_enterprises_there_is_nothing_to_try(tmp_path: Path) -> None:
    built = open_platform(tmp_path, FixedScorer())
    client, _ = built.store.add_client("sandbox", "bank", datetime.now(UTC))
    assert worth_trying(built, client) == (None, None)
    built.store.close()


def test_the_line_holds_the_application_as_one_argument() -> None:
    words = shlex.split(curl_line(Settings.from_environ({}), "key", "91350100M000100Y43"))
    assert json.loads(words[-1]) == sandbox_application("91350100M000100Y43")
    assert "Authorization: Bearer key" in words
