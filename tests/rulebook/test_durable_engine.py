"""What the durable-rules engine says of single conditions, and how it behaves at its limits."""

from __future__ import annotations

import gc
import multiprocessing
import threading
from datetime import date
from pathlib import Path
from random import Random
from types import SimpleNamespace

import pytest

from decision_service.errors import EngineError
from decision_service.rulebook import durable_engine
from decision_service.rulebook.conditions import AllOf, AnyOf, Comparison, Condition, Exact, FactName, Not
from decision_service.rulebook.durable_engine import DurableEngine
from decision_service.rulebook.encoding import INT64_MAX, INT64_MIN, Fact, FactType
from decision_service.rulebook.evaluate import ReferenceEngine
from decision_service.rulebook.facts import FactCatalogue
from decision_service.rulebook.files import load
from decision_service.rulebook.rules import Stage, StageResult
from tests.rulebook.generate import AWKWARD, PLAIN, TableMaker, catalogue, rules_in_force, ruleset

RULES = Path(__file__).resolve().parents[2] / "rules"
N0, N1 = "number.0", "number.1"
HIGH, LOW = Comparison(N0, ">", 5), Comparison(N1, "<", 5)


def evaluated(condition: Condition, facts: dict[str, Exact | None]) -> str:
    """``true``, ``false`` or ``unknown``; facts not given are unknown."""
    engine = DurableEngine(ruleset(catalogue(), [condition]))
    try:
        result = engine.evaluate(Stage.DECISION, {**dict.fromkeys(catalogue()), **facts})
    finally:
        engine.close()
    return "true" if result.matched else "unknown" if result.unknown else "false"


@pytest.mark.parametrize(
    ("sentence", "condition", "facts", "expected"),
    [
        ("below its bound", Comparison(N0, "<=", 5), {N0: 4}, "true"),
        ("on its bound", Comparison(N0, "<=", 5), {N0: 5}, "true"),
        ("above its bound", Comparison(N0, "<=", 5), {N0: 6}, "false"),
        ("an unknown number", Comparison(N0, "<=", 5), {}, "unknown"),
        ("an unknown number and the largest bound", Comparison(N0, "<=", INT64_MAX), {}, "unknown"),
        ("the largest number equals itself", Comparison(N0, "==", INT64_MAX), {N0: INT64_MAX}, "true"),
        ("the largest number but one does not", Comparison(N0, "==", INT64_MAX), {N0: INT64_MAX - 1}, "false"),
        ("the smallest number equals itself", Comparison(N0, "==", INT64_MIN), {N0: INT64_MIN}, "true"),
        ("the smallest number but one is larger", Comparison(N0, ">", INT64_MIN), {N0: INT64_MIN + 1}, "true"),
        ("beyond a float's precision", Comparison(N0, "==", 2**53), {N0: 2**53 + 1}, "false"),
        ("different and known", Comparison(N0, "!=", 5), {N0: 0}, "true"),
        ("different and unknown", Comparison(N0, "!=", 5), {}, "unknown"),
        ("two equal facts", Comparison(N0, ">=", FactName(N1)), {N0: 7, N1: 7}, "true"),
        ("the left fact smaller by one", Comparison(N0, ">=", FactName(N1)), {N0: 6, N1: 7}, "false"),
        ("extremes whose difference overflows", Comparison(N0, ">=", FactName(N1)), {N0: INT64_MAX, N1: -2}, "true"),
        ("the left fact unknown", Comparison(N0, ">=", FactName(N1)), {N1: 7}, "unknown"),
        ("the right fact unknown", Comparison(N0, ">=", FactName(N1)), {N0: 7}, "unknown"),
        ("a fact against itself", Comparison(N0, "!=", FactName(N0)), {N0: 7}, "false"),
        ("a flag", Comparison("flag0", "==", 1), {"flag0": 1}, "true"),
        ("a flag that is down", Comparison("flag0", "==", 1), {"flag0": 0}, "false"),
        ("a number in a list", Comparison(N0, "in", (1, 3, INT64_MAX)), {N0: 3}, "true"),
        ("a number between those of a list", Comparison(N0, "in", (1, 3)), {N0: 2}, "false"),
        ("an unknown number and a list", Comparison(N0, "in", (1, 3)), {}, "unknown"),
        ("a choice in a list of all choices", Comparison("card0", "in", PLAIN), {"card0": "none"}, "true"),
        ("an unknown choice and a list of all choices", Comparison("card0", "in", PLAIN), {}, "unknown"),
        ("a choice not in a list", Comparison("card0", "in", ("red", "none")), {"card0": "yellow"}, "false"),
        ("not in a list", Not(Comparison(N0, "in", (1, 3))), {N0: 2}, "true"),
        ("a choice in a list", Comparison("card0", "in", ("red", "none")), {"card0": "red"}, "true"),
        ("choices of two facts, the same text", Comparison("card0", "==", FactName("choice0")),
         {"card0": "none", "choice0": "none"}, "true"),
        ("choices of two facts, different texts", Comparison("card0", "==", FactName("choice0")),
         {"card0": "none", "choice0": ""}, "false"),
        ("true and unknown", AllOf((HIGH, LOW)), {N0: 6}, "unknown"),
        ("false and unknown", AllOf((HIGH, LOW)), {N0: 5}, "false"),
        ("unknown and false", AllOf((HIGH, LOW)), {N1: 5}, "false"),
        ("true or unknown", AnyOf((HIGH, LOW)), {N0: 6}, "true"),
        ("false or unknown", AnyOf((HIGH, LOW)), {N0: 5}, "unknown"),
        ("not unknown", Not(AllOf((HIGH, LOW))), {}, "unknown"),
        ("not (false and unknown)", Not(AllOf((HIGH, LOW))), {N0: 5}, "true"),
        ("not (true or unknown)", Not(AnyOf((HIGH, LOW))), {N0: 6}, "false"),
        ("not not", Not(Not(HIGH)), {N0: 6}, "true"),
    ],
)  # fmt: skip
def test_a_condition_is(sentence: str, condition: Condition, facts: dict[str, Exact | None], expected: str) -> None:
    assert evaluated(condition, facts) == expected


@pytest.mark.parametrize("text", AWKWARD)
def test_a_choice_is_only_itself_however_its_text_looks(text: str) -> None:
    engine = DurableEngine(ruleset(catalogue(), [Comparison("choice0", "==", text)]))
    found = {
        other
        for other in AWKWARD
        if engine.evaluate(Stage.DECISION, {"choice0": other}) == StageResult(matched=("R-000",))
    }
    engine.close()
    assert found == {text}


@pytest.mark.parametrize(
    ("sentence", "facts"),
    [
        ("one above 64 bits", {N0: INT64_MAX + 1}),
        ("one below 64 bits", {N0: INT64_MIN - 1}),
        ("a float", {N0: 1e-07}),
        ("a number as text", {N0: "5"}),
        ("a boolean", {N0: True}),
        ("a choice that is not declared", {"choice0": "no such choice"}),
        ("a choice of another fact only", {"choice0": "yellow"}),
        ("a number for a choice", {"choice0": 1}),
        ("a list for a choice", {"choice0": ["none"]}),
    ],
)
def test_a_value_that_is_not_exact_is_refused(sentence: str, facts: dict) -> None:
    engine = DurableEngine(ruleset(catalogue(), [HIGH, Comparison("choice0", "!=", "none")]))
    with pytest.raises(EngineError, match=f"fact {next(iter(facts))}: .*not exact"):
        engine.evaluate(Stage.DECISION, {N0: 1, "choice0": "none", **facts})
    assert engine.evaluate(Stage.DECISION, {N0: 1, "choice0": "none"}) == StageResult()
    engine.close()


def test_a_fact_that_is_not_given_is_an_error_and_not_unknown() -> None:
    engine = DurableEngine(ruleset(catalogue(), [HIGH]))
    with pytest.raises(EngineError, match="fact number.0: .*missing"):
        engine.evaluate(Stage.DECISION, {})
    engine.close()


@pytest.mark.parametrize(
    ("sentence", "condition"),
    [
        ("a literal beyond 64 bits", Comparison(N0, "<", INT64_MAX + 1)),
        ("a text for a number", Comparison(N0, "==", "5")),
        ("a number for a choice", Comparison("choice0", "==", 5)),
        ("a choice nobody declared", Comparison("choice0", "==", "no such choice")),
        ("a number against a choice", Comparison(N0, "==", FactName("choice0"))),
        ("an operator nobody knows", Comparison(N0, "=>", 5)),
        ("a list without in", Comparison(N0, "<", (1, 2))),
        ("in without a list", Comparison(N0, "in", 1)),
        ("an empty list", Comparison(N0, "in", ())),
        ("all of nothing", AllOf(())),
        ("a fact that is not declared", Comparison("nowhere", "==", 1)),
    ],
)
def test_a_condition_without_exact_meaning_is_refused_when_loading(sentence: str, condition: Condition) -> None:
    with pytest.raises(EngineError):
        DurableEngine(ruleset(catalogue(), [condition]))


def any_of(count: int) -> AnyOf:
    return AnyOf(tuple(Comparison(f"number.{index % 6}", "==", 100 + index) for index in range(count)))


def pair(index: int) -> AnyOf:
    return AnyOf((Comparison(N0, ">", index - 10), Comparison(N1, ">", index - 10)))


@pytest.mark.parametrize(
    ("sentence", "conditions"),
    [
        ("all of 300 comparisons", [AllOf(tuple(Comparison(f"number.{i % 6}", ">", -i) for i in range(300)))]),
        ("any of 300 comparisons", [any_of(300)]),
        ("a list of 400 numbers", [Comparison(N0, "in", tuple(range(400)))]),
        ("an all of anys of 12 each", [AllOf((any_of(12), any_of(12)))]),
        ("all of 10 pairs that can both hold", [AllOf(tuple(pair(index) for index in range(10)))]),
        ("all of 40 lists", [AllOf(tuple(Comparison("card0", "in", ("red", "none")) for _ in range(40)))]),
        ("700 rules whose first conditions all differ", [Comparison(N0, "<", bound) for bound in range(700)]),
        ("200 rules that begin alike", [AllOf((HIGH, Comparison(N1, "<", bound))) for bound in range(200)]),
        ("200 copies of one rule", [AllOf((HIGH, LOW))] * 200),
    ],
)
def test_holds_where_the_library_alone_would_hang_or_fail(sentence: str, conditions: list[Condition]) -> None:
    rules, random = ruleset(catalogue(), conditions), Random(3)
    durable, reference, maker = DurableEngine(rules), ReferenceEngine(rules), TableMaker(rules)
    tables = [maker.table(random) for _ in range(30)] + [dict.fromkeys(catalogue(), None)]
    tables += [{**tables[0], N0: 6, N1: number} for number in (-1, 0, 699, 700)]
    for table in tables:
        assert durable.evaluate(Stage.DECISION, table) == reference.evaluate(Stage.DECISION, table)
    durable.close()


def test_facts_beyond_the_room_of_one_message_are_spread_over_several() -> None:
    facts = FactCatalogue(Fact(name=f"n{index}", type=FactType.COUNT) for index in range(600))
    rules = ruleset(facts, [Comparison(f"n{index}", ">=", index) for index in range(600)])
    durable, reference = DurableEngine(rules), ReferenceEngine(rules)
    table = {name: None if index % 7 == 0 else 300 for index, name in enumerate(facts)}
    result = durable.evaluate(Stage.DECISION, table)
    assert len(result.matched) == 258 and len(result.unknown) == 86
    assert result == reference.evaluate(Stage.DECISION, table)
    durable.close()


@pytest.mark.parametrize(
    ("sentence", "condition"),
    [
        ("too many combinations", AllOf((any_of(12), any_of(12), any_of(12), any_of(12)))),
        ("too many that can hold at once", AllOf(tuple(pair(index) for index in range(11)))),
        ("too many facts", AllOf(tuple(Comparison(f"n{index}", "==", 1) for index in range(200)))),
    ],
)
def test_a_rule_above_the_limits_is_refused_with_a_remedy(sentence: str, condition: Condition) -> None:
    facts = [*catalogue().values(), *(Fact(name=f"n{index}", type=FactType.COUNT) for index in range(200))]
    with pytest.raises(EngineError, match="rule R-000: .*split the rule"):
        DurableEngine(ruleset(FactCatalogue(facts), [condition]))


def test_property_names_never_share_a_hash() -> None:
    names = [f"{letter}{index}" for letter in "fg" for index in range(3_000)]
    names += ["id", "sid", "first", "$s", "$m", "$forward"]
    assert len({_fnv1a(name) for name in names}) == len(names)


def _fnv1a(text: str) -> int:
    """The hash by which durable-rules tells properties apart (32 bits); it never compares their names."""
    found = 2_166_136_261
    for byte in text.encode():
        found = (found ^ byte) * 16_777_619 & 0xFFFFFFFF
    return found


def test_eight_threads_lose_nothing_and_mix_nothing() -> None:
    rules = load(RULES).in_force(date(2024, 6, 3))
    durable, reference, maker, random = DurableEngine(rules), ReferenceEngine(rules), TableMaker(rules), Random(8)
    tables = [[maker.table(random) for _ in range(150)] for _ in range(8)]
    expected = [[reference.evaluate(Stage.DECISION, table) for table in part] for part in tables]
    found: list[list[StageResult]] = [[] for _ in range(8)]

    def work(index: int) -> None:
        for table in tables[index]:
            found[index].append(durable.evaluate(Stage.DECISION, table))

    threads = [threading.Thread(target=work, args=(index,)) for index in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    durable.close()
    assert found == expected


class _StopsInTheMiddle(SimpleNamespace):
    """The library, interrupted once after the first firing has been taken."""

    def __init__(self, library: object) -> None:
        super().__init__(**{name: getattr(library, name) for name in dir(library) if not name.startswith("__")})
        self._complete = self.complete_and_start_action
        self.complete_and_start_action = self._interrupted

    def _interrupted(self, handle: int, state: int) -> None:
        self.complete_and_start_action = self._complete
        raise KeyboardInterrupt


def test_an_interrupted_evaluation_leaves_nothing_to_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = DurableEngine(ruleset(catalogue(), [Comparison(N0, ">", bound) for bound in range(5)]))
    monkeypatch.setattr(durable_engine, "library", _StopsInTheMiddle(durable_engine.library))
    with pytest.raises(KeyboardInterrupt):
        engine.evaluate(Stage.DECISION, {N0: 9})
    assert engine.evaluate(Stage.DECISION, {N0: 2}).matched == ("R-000", "R-001")
    engine.close()


class _Fails(SimpleNamespace):
    """The library, failing with its own error whenever a fact is asserted."""

    def __init__(self, library: object) -> None:
        super().__init__(**{name: getattr(library, name) for name in dir(library) if not name.startswith("__")})
        self.assert_fact = self._failing

    def _failing(self, handle: int, message: str) -> None:
        raise self.error("Could not assert fact, error code: 303")


def test_an_error_of_the_library_is_an_engine_error_and_is_survived(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = DurableEngine(ruleset(catalogue(), [HIGH]))
    with monkeypatch.context() as patch:
        patch.setattr(durable_engine, "library", _Fails(durable_engine.library))
        with pytest.raises(EngineError, match="303"):
            engine.evaluate(Stage.DECISION, {N0: 6})
    assert engine.evaluate(Stage.DECISION, {N0: 6}).matched == ("R-000",)
    engine.close()


def test_a_closed_engine_says_so_and_closes_twice() -> None:
    engine = DurableEngine(ruleset(catalogue(), [HIGH]))
    engine.close()
    engine.close()
    with pytest.raises(EngineError, match="closed"):
        engine.evaluate(Stage.DECISION, {N0: 6})


def test_loading_and_unloading_two_hundred_times_keeps_memory_flat() -> None:
    rules = load(RULES).in_force(date(2024, 6, 3))
    table = TableMaker(rules).table(Random(1))

    def reload(times: int) -> int:
        for _ in range(times):
            engine = DurableEngine(rules)
            engine.evaluate(Stage.DECISION, table)
            engine.close()
        gc.collect()
        return resident_kilobytes()

    before = reload(20)
    assert reload(200) - before < 4_000  # one engine holds about 4 MB: a leak of one in a hundred would show


def resident_kilobytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4


def _decide_in_child(answers: "multiprocessing.SimpleQueue[tuple[str, ...]]") -> None:
    engine = DurableEngine(rules_in_force(Random(4)))
    answers.put(engine.evaluate(Stage.DECISION, dict.fromkeys(catalogue(), None)).unknown)
    engine.close()


def test_a_forked_child_can_make_its_own_engine() -> None:
    parent = DurableEngine(rules_in_force(Random(4)))
    expected = parent.evaluate(Stage.DECISION, dict.fromkeys(catalogue(), None)).unknown
    context = multiprocessing.get_context("fork")
    answers = context.SimpleQueue()
    child = context.Process(target=_decide_in_child, args=(answers,))
    child.start()
    assert answers.get() == expected
    child.join(10)
    assert child.exitcode == 0
    assert parent.evaluate(Stage.DECISION, dict.fromkeys(catalogue(), None)).unknown == expected
    parent.close()
