"""Promotions: what aliases mean while several move, and that a decision never sees half of it."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from time import monotonic, sleep
from typing import Any
from urllib.parse import unquote, urlparse

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mlflow import MlflowClient
from models_for_tests import application, network, put, trees

from decision_service.errors import ModelError, Refused
from decision_service.scoring import current
from decision_service.scoring.promotions import PROMOTED, ROLLED_BACK, Promotion, State, in_force, promotions_of
from decision_service.scoring.registry import ModelRegistry
from decision_service.scoring.scorer import Scorer
from ml import promotion as moves

A, B = "a", "b"
OLD, NEW = {A: "1", B: "1"}, {A: "2", B: "2"}
FAST = 0.01


def together(members: dict[str, str], before: dict[str, str | None], number: int = 1) -> Promotion:
    return Promotion(f"id{number}", number, "champion", PROMOTED, members, before, "", "")


def seen(promotion: Promotion, a: str | None, b: str | None, *, written: str = "ab") -> dict[str, str | None]:
    """What is served when aliases mean ``a`` and ``b`` and these models have the promotion's tag."""
    states = {
        name: State(version, (promotion,) if name in written else ()) for name, version in ((A, a), (B, b))
    }
    return {name: version for group in in_force(states) for name, version in group.wanted.items()}


STEPS = {
    "nothing is written": ("1", "1", "", OLD),
    "written to the first": ("1", "1", "a", OLD),
    "written to both": ("1", "1", "ab", OLD),
    "the first alias has moved": ("2", "1", "ab", OLD),
    "only the second alias has moved": ("1", "2", "ab", OLD),
    "both have moved": ("2", "2", "ab", NEW),
    "one was moved on by hand": ("7", "2", "ab", {A: "7", B: "2"}),
    "one was taken away by hand": (None, "2", "ab", {A: None, B: "2"}),
}


@pytest.mark.parametrize(("a", "b", "written", "served"), STEPS.values(), ids=STEPS.keys())
def test_half_a_promotion_is_none(a: str, b: str, written: str, served: dict[str, str]) -> None:
    assert seen(together(NEW, dict(OLD)), a, b, written=written) == served


def test_a_later_promotion_of_one_of_them_ends_the_pair() -> None:
    pair, alone = together(NEW, dict(OLD)), together({A: "3"}, {A: "2"}, number=2)
    states = {A: State("3", (pair, alone)), B: State("2", (pair,))}
    assert [group.wanted for group in in_force(states)] == [{B: "2"}, {A: "3"}]


versions = st.sampled_from(["1", "2", "3"])


@given(st.lists(st.tuples(versions, versions), min_size=1, max_size=5), st.integers(0, 7**5))
def test_wherever_a_series_of_promotions_is_cut_the_pair_was_promoted(pairs: list[tuple[str, str]], cut: int) -> None:
    """The promoter dies after any of its writes, and the next one takes back the half before it begins."""
    aliases: dict[str, str | None] = {A: "0", B: "0"}
    tags: dict[str, dict[str, str]] = {A: {}, B: {}}
    known = {("0", "0")}
    for number, pair in enumerate(pairs, start=1):
        members = dict(zip((A, B), pair, strict=True))
        served = served_of(aliases, tags)
        promotion = together(members, {A: served[0], B: served[1]}, number)
        known.add(pair)
        steps: list[Callable[[], object]] = [
            *(lambda name=name, to=to: aliases.update({name: to}) for name, to in zip((A, B), served, strict=True)),
            *(lambda name=name: tags[name].update({promotion.tag: promotion.written()}) for name in members),
            *(lambda name=name: aliases.update({name: members[name]}) for name in members),
        ]
        for step in steps[: cut % 7]:
            step()
            assert served_of(aliases, tags) in known
        cut //= 7


def served_of(aliases: dict[str, str | None], tags: dict[str, dict[str, str]]) -> tuple[str, str]:
    states = {name: State(aliases[name], promotions_of(tags[name], "champion")) for name in (A, B)}
    found = {name: version for group in in_force(states) for name, version in group.wanted.items()}
    return str(found[A]), str(found[B])


@pytest.mark.parametrize("text", ["", "7", "{}", '{"id": 1}', together(NEW, {A: "1"}).written()])
def test_a_tag_that_is_no_promotion_is_told(text: str) -> None:
    with pytest.raises(ModelError, match="cannot be read"):
        promotions_of({"promotion/champion/000001-id1": text}, "champion")


def history(*acts: tuple[str, str]) -> tuple[Promotion, ...]:
    before: str | None = None
    found = []
    for number, (how, version) in enumerate(acts, start=1):
        found.append(replace(together({A: version}, {A: before}, number), how=how))
        before = version
    return tuple(found)


P, R = PROMOTED, ROLLED_BACK
BACK = {
    "one before": (((P, "1"), (P, "2")), "1"),
    "twice back": (((P, "1"), (P, "2"), (P, "3"), (R, "2")), "1"),
    "back, forward, back": (((P, "1"), (P, "2"), (R, "1"), (P, "3")), "1"),
    "the same twice": (((P, "1"), (P, "2"), (P, "2")), "1"),
}


@pytest.mark.parametrize(("acts", "to"), BACK.values(), ids=BACK.keys())
def test_back_is_the_version_before_and_never_what_was_rolled_back(acts: tuple, to: str) -> None:
    assert moves.previous(A, State(acts[-1][1], history(*acts))) == to


@pytest.mark.parametrize("acts", [(), ((P, "1"),), ((P, "1"), (P, "2"), (R, "1"))])
def test_nothing_before_is_refused(acts: tuple) -> None:
    with pytest.raises(Refused, match="no version before"):
        moves.previous(A, State(acts[-1][1] if acts else None, history(*acts)))


def test_an_alias_moved_by_hand_goes_back_to_the_promoted_one() -> None:
    assert moves.previous(A, State("9", history((P, "1"), (P, "2")))) == "2"


@pytest.fixture(scope="module")
def pair(uri: str) -> tuple[str, str]:
    """Two names with two versions each; the first are in force."""
    for seed, rounds in ((1, 20), (2, 5)):
        put(trees(seed=seed, rounds=rounds), "together-xgb", uri, alias=None)
        put(network(seed=seed), "together-lstm", uri, alias=None)
    moves.move({"together-xgb": "1", "together-lstm": "1"}, uri=uri)
    return "together-xgb", "together-lstm"


def score_pair(scorer: Scorer, names: tuple[str, str]) -> tuple[str, ...]:
    return tuple(one.version for one in scorer.score(*application(), models=names, weights=None).models)


@pytest.mark.parametrize("changes", [6, pytest.param(20, marks=pytest.mark.slow)])
def test_no_score_ever_mixes_what_was_promoted_together(uri: str, pair: tuple[str, str], changes: int) -> None:
    scorer, done, seen_pairs = Scorer(uri, poll_seconds=FAST), threading.Event(), set()
    score_pair(scorer, pair)

    def ask() -> None:
        while not done.is_set():
            seen_pairs.add(score_pair(scorer, pair))

    asking = [threading.Thread(target=ask) for _ in range(3)]
    for one in asking:
        one.start()
    for number in range(changes):
        if number % 2 == 0:
            moves.move(dict.fromkeys(pair, "2"), uri=uri)
        else:
            assert moves.rollback([pair[0]], uri=uri).members == dict.fromkeys(pair, "1")
        sleep(0.05)
    done.set()
    for one in asking:
        one.join()
    assert seen_pairs == {("1", "1"), ("2", "2")}


@pytest.fixture
def half(uri: str, pair: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The promoter died when the first alias had moved."""
    monkeypatch.setattr(current, "FINISH_SECONDS", 0.0)
    moves.move(dict.fromkeys(pair, "1"), uri=uri)

    def dies(client: MlflowClient, name: str, alias: str, version: str) -> None:
        original(client, name, alias, version)
        raise KeyboardInterrupt

    original = MlflowClient.set_registered_model_alias
    with monkeypatch.context() as patched, suppress(KeyboardInterrupt):
        patched.setattr(MlflowClient, "set_registered_model_alias", dies)
        moves.move(dict.fromkeys(pair, "2"), uri=uri)
    yield
    moves.move(dict.fromkeys(pair, "1"), uri=uri)


def test_a_promotion_that_did_not_end_leaves_the_pair_before_and_is_told(
    uri: str, pair: tuple[str, str], half: None
) -> None:
    assert ModelRegistry(uri).state(pair[0], "champion").version == "2"
    scorer = Scorer(uri, poll_seconds=FAST)  # one that never had another pair in memory
    assert score_pair(scorer, pair) == ("1", "1")
    assert "together did not end" in scorer.problems(pair)[0]
    moves.move(dict.fromkeys(pair, "2"), uri=uri)
    assert wait_until(lambda: score_pair(scorer, pair) == ("2", "2")) and not scorer.problems(pair)


def test_one_bad_model_of_two_that_were_promoted_together_keeps_both_back(uri: str) -> None:
    names = "bad-xgb", "bad-lstm"
    for seed in (1, 2):
        put(trees(seed=seed), names[0], uri, alias=None)
        put(network(seed=seed), names[1], uri, alias=None)
    moves.move(dict.fromkeys(names, "1"), uri=uri)
    scorer = Scorer(uri, poll_seconds=FAST)
    assert score_pair(scorer, names) == ("1", "1")
    place = MlflowClient(tracking_uri=uri, registry_uri=uri).get_model_version_download_uri(names[1], "2")
    next(Path(unquote(urlparse(place).path)).rglob("model.onnx")).write_bytes(b"")
    moves.move(dict.fromkeys(names, "2"), uri=uri)
    assert wait_until(lambda: any("was changed" in text for text in scorer.problems(names)))
    assert score_pair(scorer, names) == ("1", "1")
    assert score_pair(Scorer(uri), names) == ("1", "1")  # a process that starts now has no older pair in memory


def test_a_rollback_proves_the_version_before_it_moves_anything(uri: str) -> None:
    for seed in (1, 2):
        put(trees(seed=seed), "spoilt-before", uri)
    place = MlflowClient(tracking_uri=uri, registry_uri=uri).get_model_version_download_uri("spoilt-before", "1")
    next(Path(unquote(urlparse(place).path)).rglob("model.ubj")).write_bytes(b"")
    with pytest.raises(ModelError, match="model.ubj was changed"):
        moves.rollback(["spoilt-before"], uri=uri)
    assert ModelRegistry(uri).state("spoilt-before", "champion").version == "2"


def test_promotions_at_once_are_one_after_the_other(uri: str) -> None:
    put(trees(), "hurried", uri, alias=None)
    threads = [threading.Thread(target=moves.move, args=({"hurried": "1"},), kwargs={"uri": uri}) for _ in range(6)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert [one.number for one in ModelRegistry(uri).state("hurried", "champion").promotions] == [1, 2, 3, 4, 5, 6]


def wait_until(true: Callable[[], bool], seconds: float = 10.0) -> bool:
    end = monotonic() + seconds
    while monotonic() < end:
        if true():
            return True
        sleep(0.02)
    return true()


def test_a_registrys_file_is_read_again_only_when_somebody_wrote_it(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    put(trees(), "still", uri)
    registry, read = ModelRegistry(uri), []
    monkeypatch.setattr(ModelRegistry, "_read", counting(ModelRegistry._read, read))
    assert registry.states(["still"], "champion")["still"].version == "1" and read
    backdated(uri)
    registry.states(["still"], "champion")
    read.clear()
    assert registry.states(["still"], "champion")["still"].version == "1" and not read
    put(trees(seed=2), "still", uri)
    assert registry.states(["still"], "champion")["still"].version == "2" and read


def test_a_file_that_was_just_written_is_read_each_time(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its time of change may not tell the next writing apart."""
    put(trees(), "restless", uri)
    registry, read = ModelRegistry(uri), []
    monkeypatch.setattr("decision_service.scoring.registry.COARSE_SECONDS", 3_600.0)
    monkeypatch.setattr(ModelRegistry, "_read", counting(ModelRegistry._read, read))
    for times in (1, 2):
        registry.states(["restless"], "champion")
        assert len(read) == 2 * times


def counting(original: Callable[..., Any], calls: list[Any]) -> Callable[..., Any]:
    """The same, noting each call."""

    def counted(self: Any, *args: Any) -> Any:
        calls.append(args)
        return original(self, *args)

    return counted


def backdated(uri: str) -> None:
    """As if the registry's file had been written a minute ago."""
    path = uri.removeprefix("sqlite:///")
    os.utime(path, (os.stat(path).st_atime, os.stat(path).st_mtime - 60))
