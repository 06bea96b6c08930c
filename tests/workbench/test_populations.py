"""What a backtest runs over: stored decisions as recorded, and every enterprise as if it applied."""

from __future__ import annotations

import io
import json
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest
from click.testing import CliRunner, Result

from decision_service.audit.canonical import canonical
from decision_service.cli import main
from decision_service.commands import rules_backtest, rules_release
from decision_service.decide import Platform, assess, business_date, decide
from decision_service.errors import EngineError, FactError, ModelError
from decision_service.policy import Policy
from decision_service.rulebook.facts import Facts
from decision_service.scoring.graph import GraphFailed
from decision_service.vocabulary import Client, CreditApplication, ModelVersion, Outcome, Scores
from decision_service.workbench import portfolio as portfolios
from decision_service.workbench.gates import GATES
from decision_service.workbench.judging import Gate, GateResult
from decision_service.workbench.populations import Population, from_decisions
from decision_service.workbench.portfolio import Models, Standard, made_by, models_in_force, portfolio
from tests.api.real import FixedScorer, open_platform, write_feeds
from tests.workbench.two_rulesets import RULES, changed

STRICTER = {"parameters.yaml": (("name: auto_cap, value: 5_000_000.00", "name: auto_cap, value: 100_000.00"),)}
BANKS = (Client("bank-a", "A", "bank"), Client("bank-b", "B", "bank"))


class Home:
    """A platform with the showcase firms, each of which applied for both products, and its rules."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        shows = write_feeds(folder / "feeds")
        self.platform: Platform = open_platform(folder, FixedScorer(), folder / "feeds")
        self.policy: Policy = self.platform.policies.current()
        self.answers: dict[str, str] = {}
        for number, show in enumerate(shows.values()):
            for product in ("working_capital", "invoice_loan"):
                self.decide(show["application"], product, BANKS[number % 2])

    def decide(self, given: dict[str, Any], product: str, client: Client) -> None:
        fields = {name: given[name] for name in ("term_months", "purpose", "authorization_id")}
        application = CreditApplication(
            application_id=f"{given['application_id']}/{product}",
            product=product,
            amount=Decimal("200000.00"),
            uscc=given["enterprise"]["uscc"],
            **fields,
        )
        done = decide(
            application,
            client=client,
            idempotency_key=application.application_id,
            body_digest="digest",
            platform=self.platform,
            render=lambda decision, receipt: decision.outcome.name.encode(),
            now=datetime.now(UTC),
        )
        self.answers[done.decision_id] = done.body.decode()

    def decisions(self, out: Path, new: Policy | None = None) -> tuple[Population, dict[str, dict[str, Any]]]:
        catalogues = {"old": self.policy.ruleset.catalogue, "new": (new or self.policy).ruleset.catalogue}
        found = from_decisions(self.platform, out, stored=self.platform.store.each_decision(), bad={}, **catalogues)
        return found, {row["key"]: row for row in pyarrow.parquet.read_table(found.path).to_pylist()}

    def portfolio(self, home: Path, progress: Any = lambda chunks, total: chunks, **options: Any) -> Population:
        return portfolio(
            self.platform,
            options.pop("policy", self.policy),
            standard=options.pop("standard", Standard()),
            now=options.pop("now", NOW),
            models=options.pop("models", None) or models_in_force(self.platform, [self.policy]),
            home=home,
            open_platform=options.pop("open_platform", partial(open_again, str(self.folder))),
            progress=progress,
            **options,
        )

    def run(self, *arguments: str) -> Result:
        environ = {
            "DECISION_HOME": str(self.folder),
            "MLFLOW_TRACKING_URI": f"sqlite:///{self.folder}/mlflow.db",
            "DECISION_RULES": str(RULES),
        }
        result = CliRunner().invoke(main, ("rules", *arguments), env=environ)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result


NOW = datetime.now(UTC)
NO_MODEL = "no model is registered and in force as pd-lstm, pd-lstm-invoice, pd-xgboost, pd-xgboost-invoice"


def open_again(folder: str) -> Platform:
    """What another process opens."""
    return open_platform(Path(folder), FixedScorer())


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    found = Home(tmp_path_factory.mktemp("home"))
    yield found
    found.platform.store.close()


def test_decisions_keep_their_recorded_facts_and_come_out_as_recorded(home: Home, tmp_path: Path) -> None:
    found, rows = home.decisions(tmp_path / "d.parquet")
    assert rows.keys() == home.answers.keys() and found.rows == len(rows) and found.left_out == 0
    assert found.mistakes == ()
    assert f"{len(rows)} decisions come out as recorded" in found.notes[0]["en"]
    assert {row["client"] for row in rows.values()} == {"bank-a", "bank-b"}
    working = [row for row in rows.values() if row["product"] == "working_capital"]
    assert any(row["industry_code"] for row in working)
    assert all(row["amount"] == 20_000_000 for row in rows.values())
    assert not {"limit_max", "card", "policy.auto_cap", "exposure_total"} & set(working[0])


def test_decisions_without_an_industry_code_keep_their_industry_parameters(home: Home, tmp_path: Path) -> None:
    found, rows = home.decisions(tmp_path / "d.parquet")
    invoice = [row for row in rows.values() if row["product"] == "invoice_loan"]
    assert all(row["industry_code"] is None for row in invoice)
    assert any(row["industry.pd_cutoff_auto"] is not None for row in invoice)
    assert any("no industry code in their record" in note["en"] for note in found.notes)


def test_an_erased_decision_is_left_out_and_a_changed_one_is_told(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    erased, tampered = list(home.answers)[:2]
    home.platform.store.erase_private(erased, datetime.now(UTC), home.platform.signer.receipt)
    stored = [
        one if one.decision_id != tampered else type(one)(**{**_fields(one), "record": _other_outcome(one.record)})
        for one in home.platform.store.each_decision()
    ]
    catalogue = home.policy.ruleset.catalogue
    found = from_decisions(home.platform, tmp_path / "d.parquet", old=catalogue, new=catalogue, stored=stored, bad={})
    assert found.left_out == 1 and found.rows == len(stored) - 1
    assert any("values are erased" in note["en"] and note["en"].startswith("1 ") for note in found.notes)
    assert len(found.mistakes) == 1 and tampered in found.mistakes[0]
    assert found.notes[0]["en"].endswith("; 1 do not")
    home.platform.store.close()


def _fields(stored: Any) -> dict[str, Any]:
    return {name: getattr(stored, name) for name in type(stored).__dataclass_fields__}


def _other_outcome(record: bytes) -> bytes:
    body = json.loads(record)
    body["outcome"] = "DECLINE" if body["outcome"] != "DECLINE" else "REFER"
    return canonical(body)


def test_the_portfolio_is_every_enterprise_for_every_product_as_a_decision_would_see_it(
    home: Home, tmp_path: Path
) -> None:
    found = home.portfolio(tmp_path)
    rows = {row["key"]: row for row in pyarrow.parquet.read_table(found.path).to_pylist()}
    codes = home.platform.store.uscc_list(10_000)
    assert rows.keys() == {f"{uscc}/{product}" for uscc in codes for product in home.policy.ruleset.products}
    assert found.rows == len(rows)
    assert {row["amount"] for row in rows.values()} == {100_000_000}
    assert "amount 1,000,000.00 CNY, term 12 months, purpose working_capital" in found.notes[0]["en"]
    assert {row["pd_12m"] for row in rows.values()} == {3_000} and len(found.notes) == 1
    in_force = home.policy.on(business_date(NOW))
    outcomes = set()
    for row in rows.values():
        given = {name: value for name, value in row.items() if name in in_force.rules.catalogue}
        parameters = in_force.rules.parameters(row["product"], row["industry_code"])
        outcomes.add(assess(in_force, Facts(in_force.rules.catalogue, {**given, **parameters})).outcome)
    assert outcomes == set(Outcome)


def test_the_portfolio_is_made_once_and_again_when_what_it_rests_on_changes(home: Home, tmp_path: Path) -> None:
    made: list[int] = []

    def counted(chunks: Iterable[Any], total: int) -> Iterable[Any]:
        made.append(total)
        return chunks

    first = home.portfolio(tmp_path, counted)
    again = home.portfolio(tmp_path, counted)
    assert again.path == first.path and len(made) == 1
    home.portfolio(tmp_path, counted, fresh=True)
    other = home.portfolio(tmp_path, counted, standard=Standard(amount=Decimal("500000.00")))
    assert len(made) == 3 and other.path != first.path
    assert [path.name for path in tmp_path.iterdir() if not path.name.endswith(".parquet")] == []


def test_the_portfolio_stopped_half_way_leaves_nothing_behind(home: Home, tmp_path: Path) -> None:
    def stopped(chunks: Iterable[Any], total: int) -> Iterable[Any]:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        home.portfolio(tmp_path, stopped)
    assert list(tmp_path.iterdir()) == []


def test_a_table_that_was_cut_off_is_made_again_and_what_killed_processes_left_is_removed(
    home: Home, tmp_path: Path
) -> None:
    first = home.portfolio(tmp_path)
    whole = first.path.read_bytes()
    first.path.write_bytes(whole[:-100])
    gone, alive = (tmp_path / f"portfolio-0.parquet.{process}" for process in (2**22 - 1, os.getppid()))
    gone.touch()
    alive.touch()
    assert pyarrow.parquet.read_table(home.portfolio(tmp_path).path).equals(
        pyarrow.parquet.read_table(pyarrow.BufferReader(whole))
    )
    assert alive.exists() and not gone.exists()


COURT = "max_months: 24, effective_from: 2013-10-01"
OTHER_FACTS: dict[str, dict[str, tuple[tuple[str, str], ...]]] = {
    "lists": {"lists.yaml": ((COURT, COURT.replace("24", "23")),)},
    "indicators": {"indicators.csv": (("quarterly,200,BLOCK_AUTO", "quarterly,199,BLOCK_AUTO"),)},
    "an industry's parameter": {"industries.csv": ((",0.55,0.45,", ",0.60,0.40,"),)},
    "a product's weights": {"products/invoice_loan.yaml": (("weight_xgb, value: 0.70", "weight_xgb, value: 0.60"),)},
    "a status rule": {"cards.yaml": (("when: list_samr_illegal == active", "when: list_samr_illegal == disputed"),)},
    "a range": {"facts.yaml": (("lenders_30d, type: count, range: [0, 10000]", "lenders_30d, type: count"),)},
}
SAME_FACTS: dict[str, dict[str, tuple[tuple[str, str], ...]]] = {
    "nothing": {},
    "a cap of automatic approval": STRICTER,
    "a factor of the limit": {"limits.yaml": (("limit_factor: 0.5,", "limit_factor: 0.75,"),)},
    "an outcome": {"credit_policy.yaml": (("when: term_months > product", "when: term_months >= product"),)},
}


@pytest.mark.parametrize("edits", OTHER_FACTS.values(), ids=OTHER_FACTS)
def test_versions_that_may_make_other_facts_are_told_apart(
    home: Home, tmp_path: Path, edits: dict[str, tuple[tuple[str, str], ...]]
) -> None:
    today = business_date(NOW)
    assert made_by(changed(tmp_path / "new", edits), today) != made_by(home.policy.ruleset, today)


@pytest.mark.parametrize("edits", SAME_FACTS.values(), ids=SAME_FACTS)
def test_versions_that_share_how_facts_are_made_make_the_same(
    home: Home, tmp_path: Path, edits: dict[str, tuple[tuple[str, str], ...]]
) -> None:
    today, new = business_date(NOW), changed(tmp_path / "new", edits)
    assert made_by(new, today) == made_by(home.policy.ruleset, today)
    asked, codes = portfolios._Asked(Standard(), ("working_capital",), NOW), home.platform.store.uscc_list(10_000)
    one, other = (portfolios._Desk(home.platform, policy, asked).rows(codes) for policy in (home.policy, Policy(new)))
    assert one == other


def test_each_version_is_evaluated_over_the_facts_that_it_makes_itself(home: Home, tmp_path: Path) -> None:
    forgiving = changed(tmp_path / "new", {"lists.yaml": ((COURT, COURT.replace("24", "1")),)})
    new = Policy(forgiving)
    result = home.run("backtest", str(RULES), str(tmp_path / "new"), "--no-decisions", "--json")
    told = json.loads(result.stdout)
    (population,) = told["populations"]
    codes = home.platform.store.uscc_list(10_000)
    for ruleset in (home.policy.ruleset, forgiving):
        assert f"portraying {len(codes)} enterprises by version {ruleset.version} …\n" in result.stderr
    assert result.stderr.splitlines()[-1] == "evaluating portfolio …"
    assert [note["en"] for note in population["notes"] if "no score" in note["en"]] == [
        f"{len(codes) * 2} of the rows have no score of a model (unknown); {NO_MODEL}"
    ]
    desk = portfolios._Desk(home.platform, new, portfolios._Asked(Standard(), tuple(forgiving.products), NOW))
    expected: Counter[str] = Counter()
    in_force = new.on(business_date(NOW))
    for row in desk.rows(codes):
        given = {name: value for name, value in row.items() if name in in_force.rules.catalogue}
        parameters = in_force.rules.parameters(row["product"], row["industry_code"])
        scores = dict.fromkeys(("pd_xgb", "pd_lstm", "pd_12m", "models_status"))  # in a command, no model is here
        facts = Facts(in_force.rules.catalogue, {**given, **parameters, **scores})
        expected[assess(in_force, facts).outcome.name] += 1
    found: Counter[str] = Counter()
    for cell in population["swaps"]:
        found[cell["new"]] += cell["count"]
    assert found == expected
    assert told["changed"] > 0, "firms are forgiven by their list alone"
    assert any("each is evaluated over its own" in note["en"] for note in population["notes"])


def test_a_product_that_only_the_old_version_has_is_referred_under_the_new_one(home: Home, tmp_path: Path) -> None:
    found = home.portfolio(tmp_path, products=("working_capital", "no_longer"))
    rows = pyarrow.parquet.read_table(found.path).to_pylist()
    gone = [row for row in rows if row["key"].endswith("/no_longer")]
    assert len(gone) * 2 == len(rows) and {row["product"] for row in gone} == {None}


def test_an_amount_that_the_rules_do_not_admit_is_refused(home: Home, tmp_path: Path) -> None:
    with pytest.raises(FactError, match="amount"):
        home.portfolio(tmp_path, standard=Standard(amount=Decimal("0")))


@dataclass
class Unsteady(FixedScorer):
    """Models that cannot be loaded again, or of which one fails after so many rows."""

    rows: int = 0

    def holding(self, versions: Any) -> FixedScorer:
        if not self.rows:
            raise ModelError("digest sha256:01, recorded sha256:00", where="pd-fixed version 1", remedy="restore it")
        return self

    def score(self, features: Any, series: Any, mask: Any, **options: Any) -> Scores:
        self.rows -= 1
        if not self.rows:
            raise GraphFailed("the ONNX graph failed (no memory)", where="pd-fixed version 1")
        return super().score(features, series, mask, **options)


@pytest.mark.parametrize(("rows", "why"), [(0, "sha256:01, recorded"), (7, "pd-fixed version 1: the ONNX graph")])
def test_a_model_that_is_gone_or_fails_ends_the_portfolio_and_no_table_is_kept(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: int, why: str
) -> None:
    monkeypatch.setattr(home, "platform", replace(home.platform, scorer=Unsteady(rows=rows)))
    with pytest.raises(ModelError, match=why):
        home.portfolio(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_every_row_is_scored_by_the_models_of_one_moment(home: Home, tmp_path: Path) -> None:
    names = home.policy.ruleset.products["working_capital"].models
    versions = tuple(ModelVersion(name, "1", "sha256:00") for name in names)
    others = tuple(replace(version, digest="sha256:01") for version in versions)
    made = [home.portfolio(tmp_path, models=Models(one)).path for one in (versions, others, versions)]
    assert made[0] == made[2] != made[1]
    elsewhere = Models((*versions, ModelVersion("of-another-version", "1", "sha256:02")), ("nobody",))
    found = home.portfolio(tmp_path, models=elsewhere)
    assert found.path == made[0] and len(found.notes) == 1, "what its products do not name is nothing to it"


@pytest.fixture
def two_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(portfolios, "WORTH_A_PROCESS", 1)
    monkeypatch.setattr(portfolios, "CHUNK", 3)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)


@pytest.mark.slow
def test_several_processes_give_the_same_table(home: Home, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    alone = pyarrow.parquet.read_table(home.portfolio(tmp_path / "one").path)
    request.getfixturevalue("two_processes")
    together = pyarrow.parquet.read_table(home.portfolio(tmp_path / "two").path)
    assert together.equals(alone)


def open_unsteady(folder: str) -> Platform:
    """What another process opens, where no model can be loaded."""
    return open_platform(Path(folder), Unsteady())


def open_and_die(folder: str) -> Platform:
    """A process that the system ends."""
    os._exit(9)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("opens", "kind", "why"),
    [
        (open_unsteady, ModelError, "pd-fixed version 1: digest sha256:01, recorded sha256:00; restore it"),
        (open_and_die, EngineError, "a process that portrays enterprises ended by itself"),
    ],
)
@pytest.mark.usefixtures("two_processes")
def test_what_goes_wrong_in_another_process_is_told_in_its_words_and_no_table_is_kept(
    home: Home, tmp_path: Path, opens: Any, kind: type[Exception], why: str
) -> None:
    with pytest.raises(kind, match=why):
        home.portfolio(tmp_path, open_platform=partial(opens, str(home.folder)))
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def stricter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stricter") / "rules"
    changed(folder, STRICTER)
    return folder


def test_the_command_tells_what_changes_and_ends_with_one(home: Home, stricter: Path, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    result = home.run("backtest", str(RULES), str(stricter), "--no-portfolio", "--html", str(page))
    assert result.exit_code == 1, result.output
    assert re.search(r"APPROVE  REFER +\d+ +\d+,\d{3},\d{3}\.\d\d +unknown", result.stdout)
    assert "NA-02 missed → matched" in result.stdout
    approved = [key for key, outcome in home.answers.items() if outcome == "APPROVE"]
    assert f"{len(approved)} applications come out otherwise" in result.stdout and approved
    assert approved[0] in page.read_text(encoding="utf-8")
    assert len(approved) > 10
    assert f"… and {len(approved) - 10} more; --html and --json" in result.stdout


@pytest.mark.slow
def test_the_text_tells_how_many_flips_it_does_not_list(home: Home, stricter: Path) -> None:
    approved = [key for key, outcome in home.answers.items() if outcome == "APPROVE"]
    result = home.run("backtest", str(RULES), str(stricter), "--no-portfolio", "--flips", "1")
    assert f"… and {len(approved) - 1} more; --html and --json" in result.stdout


def test_the_command_ends_with_zero_when_no_decision_changes(
    home: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ruleset, kept, run = home.policy.ruleset, [], rules_backtest.run
    monkeypatch.setattr(rules_backtest, "run", lambda *given, **more: kept.append(run(*given, **more)) or kept[0])
    result = home.run("backtest", ruleset.version[:8], ruleset.digest[:15], "--no-portfolio", "--json")
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert told["changed"] == 0 and told["old"]["version"] == ruleset.version
    assert [one["name"] for one in told["populations"]] == ["decisions"]
    rules_backtest._tell(kept[0], False, None)
    said = capsys.readouterr().out
    assert "APPROVE" in said and "more; --html" not in said


def test_the_portfolio_written_out_can_be_backtested_elsewhere(home: Home, tmp_path: Path) -> None:
    out = tmp_path / "portfolio.parquet"
    written = home.run("facts", "--out", str(out), "--amount", "300_000.00", "--json")
    assert written.exit_code == 0, written.output
    rows = json.loads(written.stdout)["rows"]
    (_, note) = json.loads(written.stdout)["notes"]
    assert note["en"] == f"{rows} of the rows have no score of a model (unknown); {NO_MODEL}"
    changed(tmp_path / "stricter", STRICTER)
    given = ("--facts", str(out), "--no-portfolio", "--no-decisions", "--json")
    told = json.loads(home.run("backtest", str(RULES), str(tmp_path / "stricter"), *given).stdout)
    (population,) = told["populations"]
    assert population["name"] == "portfolio.parquet" and population["left_out"] == 0
    assert population["rows"] == json.loads(written.stdout)["rows"] == population["count"]


def test_what_cannot_run_ends_with_two(home: Home, tmp_path: Path) -> None:
    nothing = home.run("backtest", str(RULES), str(RULES), "--no-portfolio", "--no-decisions")
    assert nothing.exit_code == 2 and "nothing is left to evaluate" in nothing.output
    unknown = home.run("backtest", "no-such-version", str(RULES), "--no-portfolio")
    assert unknown.exit_code == 2 and "no version in the store is called so" in unknown.output
    bad = home.run("backtest", str(RULES), str(RULES), "--amount", "much")
    assert bad.exit_code == 2 and "is not an amount in CNY" in bad.output


def test_publishing_attaches_a_backtest_beside_the_active_version(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rules_release, "GATES", GATES[:1])
    changed(tmp_path / "stricter", STRICTER)
    told = json.loads(home.run("publish", str(tmp_path / "stricter"), "--json").stdout)
    approved = [key for key, outcome in home.answers.items() if outcome == "APPROVE"]
    assert told["new"] and told["backtest"]["old"] == home.policy.ruleset.version
    assert told["backtest"]["changed"] == {"decisions": len(approved), "portfolio": 0}, "here no model scores it"
    assert approved
    page = home.platform.store.attachment(told["report"])
    assert page is not None and approved[0] in page.decode() and "互换矩阵" in page.decode()
    assert any(NO_MODEL in note["en"] for note in told["backtest"]["notes"])
    again = json.loads(home.run("publish", str(tmp_path / "stricter"), "--json").stdout)
    assert not again["new"] and again["report"] == told["report"] and again["backtest"] is None


def test_publishing_tells_its_gates_as_they_end_and_what_to_know_of_its_count(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: list[str] = []

    def second(candidate: Any) -> GateResult:
        ended.extend(said.getvalue().splitlines())
        return GateResult(True, "fine")

    said = io.StringIO()
    monkeypatch.setattr(rules_release, "GATES", (GATES[0], Gate("second", second)))
    monkeypatch.setattr(rules_release, "say", lambda text: said.write(f"{text}\n"))
    changed(tmp_path / "tighter", {"parameters.yaml": (("lenders_30d_max, value: 3", "lenders_30d_max, value: 2"),)})
    result = home.run("publish", str(tmp_path / "tighter"))
    assert result.exit_code == 0, result.output
    assert len(ended) == 1 and ended[0].startswith("check: passed: ")
    assert said.getvalue().splitlines()[1:] == ["second: passed: fine"]
    assert result.stdout.count(NO_MODEL) == 1 and "come out otherwise than by version" in result.stdout
    for step in ("loading the models …", "reading decisions …", "evaluating decisions …", "evaluating portfolio …"):
        assert result.stderr.count(f"{step}\n") == 1


def test_a_gate_that_is_not_passed_is_told_once_with_its_problems(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusing = Gate("refusing", lambda candidate: GateResult(False, "one problem", ("cards.yaml:3: why",)))
    monkeypatch.setattr(rules_release, "GATES", (refusing,))
    changed(tmp_path / "new", STRICTER)
    result = home.run("publish", str(tmp_path / "new"))
    assert result.exit_code == 1 and result.stdout == "cards.yaml:3: why\nrefusing: NOT passed: one problem\n"
    assert result.stderr == "not published: every gate must be passed first\n"
    as_json = home.run("publish", str(tmp_path / "new"), "--json")
    assert json.loads(as_json.stdout)["published"] is False
    assert as_json.stderr.startswith("refusing: NOT passed: one problem\n")


def test_a_report_that_is_given_takes_the_place_of_the_backtest(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rules_release, "GATES", GATES[:1])
    changed(tmp_path / "looser", {"parameters.yaml": (("lenders_30d_max, value: 3", "lenders_30d_max, value: 4"),)})
    report = tmp_path / "report.html"
    report.write_bytes(b"<html>read by the committee</html>")
    result = home.run("publish", str(tmp_path / "looser"), "--report", str(report))
    assert result.exit_code == 0 and f"report: {report} is attached" in result.stdout
    assert "come out otherwise" not in result.stdout
