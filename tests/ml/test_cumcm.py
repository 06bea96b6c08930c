"""Real invoices through the platform: loader, feed files, folds without leaks, report. On made-up firms, never real."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from mlflow import MlflowClient

from decision_service.errors import InputError
from decision_service.portrait.records import EnterpriseRecords, Month
from decision_service.radar.intake import Counts, load_feeds
from decision_service.radar.uscc import uscc_problem
from decision_service.rulebook.files import load as load_rules
from ml.cumcm import AS_OF, Dataset, Firm, load, registration, synthetic_uscc
from ml.cumcm_commands import cumcm
from ml.cumcm_feeds import application_id, requested, write_applications, write_feeds, write_rules
from ml.cumcm_folds import Rows, cutoffs, out_of_fold, select, stratified_folds
from ml.cumcm_inputs import DECIDED_AT, RISK, Inputs, parameters, read_inputs
from ml.cumcm_models import blended, fit_fold
from ml.cumcm_report import build_report, lines, read_decisions

RULES = Path(__file__).parents[2] / "rules"
INVOICE_COLUMNS = ["enterprise_id", "invoice_no", "issued_on", "counterparty", "amount", "tax", "total", "status"]


class MemoryStore:
    """A store that remembers what it was given."""

    def __init__(self) -> None:
        self.records: dict[tuple[str, str, str], Any] = {}
        self.feeds: dict[str, datetime] = {}

    def write_records(self, kind: str, rows: Any, *, source_time: datetime, now: datetime) -> int:
        self.records.update({(kind, uscc, key): record for uscc, key, record in rows})
        return len(self.records)

    def set_feed(self, kind: str, source_time: datetime) -> None:
        self.feeds[kind] = source_time

    def has_records(self, kind: str) -> bool:
        return any(name == kind for name, *_ in self.records)


def sale(firm: str, number: int, day: str, amount: float, status: str = "valid") -> list[Any]:
    return [firm, str(number), date.fromisoformat(day), f"C{number % 3}", amount, 0.0, amount, status]


def write_data(folder: Path, firms: dict[str, str], sales: list[list[Any]], purchases: list[list[Any]]) -> Path:
    outcomes = [[firm, "***", "A", flag] for firm, flag in firms.items()]
    header = ["enterprise_id", "name_masked", "credit_rating", "defaulted"]
    pd.DataFrame(outcomes, columns=header).to_csv(folder / "enterprises.csv", index=False)
    for name, rows in (("output_invoices", sales), ("input_invoices", purchases)):
        pd.DataFrame(rows, columns=INVOICE_COLUMNS).to_parquet(folder / f"{name}.parquet", index=False)
    return folder


def made_up(folder: Path, firms: int) -> Path:
    """Every fourth firm is small and irregular, and defaults."""
    generator = np.random.default_rng(5)
    outcomes, sales, purchases = {}, [], []
    for number in range(firms):
        weak = number % 4 == 0
        outcomes[f"E{number}"] = str(int(weak))
        for month in pd.date_range("2018-03-01", "2020-02-01", freq="MS"):
            for _ in range(int(generator.integers(0, 2 if weak else 5))):
                amount = round(float(generator.lognormal(7 if weak else 9, 1)), 2)
                sales.append(sale(f"E{number}", len(sales), f"{month:%Y-%m}-11", amount))
                purchases.append(sale(f"E{number}", len(sales), f"{month:%Y-%m}-12", round(amount / 2, 2)))
    return write_data(folder, outcomes, sales, purchases)


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    sales = [
        sale("E1", 1, "2020-01-05", 1000.10),
        sale("E1", 2, "2020-02-05", -0.05),
        sale("E1", 2, "2020-02-05", -0.05),
        sale("E2", 3, "2019-12-31", 7.0, "void"),
        sale("E2", 4, "2019-12-31", 20.0),
    ]
    return write_data(tmp_path, {"E1": "0", "E2": "1"}, sales, [sale("E1", 9, "2020-01-01", 3.0)])


def test_the_loader_sums_invoices_exactly_and_counts_what_came_twice(tiny: Path) -> None:
    dataset = load(tiny)
    assert (dataset.read, dataset.duplicates, dataset.defaulted.tolist()) == (6, 1, [0, 1])
    january, february = dataset.firms[0].records.months
    assert (january.sales, january.purchases, february.sales) == (100_010, 300, -5)
    assert [month.void_invoices for month in dataset.firms[1].records.months] == [1, 0, 0]


def test_the_rating_of_the_bank_is_not_read(tiny: Path) -> None:
    before = load(tiny)
    table = pd.read_csv(tiny / "enterprises.csv").drop(columns=["credit_rating"])
    table.to_csv(tiny / "enterprises.csv", index=False)
    assert load(tiny).firms == before.firms


def _drop_column(folder: Path) -> None:
    pd.read_parquet(folder / "input_invoices.parquet").drop(columns=["amount"]).to_parquet(
        folder / "input_invoices.parquet"
    )


def _change(column: str, value: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        table = pd.read_parquet(folder / "output_invoices.parquet")
        table.loc[1, column] = value
        table.to_parquet(folder / "output_invoices.parquet")

    return change


def _outcome(text: str) -> Callable[[Path], object]:
    return lambda folder: (folder / "enterprises.csv").write_text("enterprise_id,defaulted\n" + text)


@pytest.mark.parametrize(
    ("spoil", "fault"),
    [
        (lambda folder: (folder / "enterprises.csv").unlink(), "enterprises.csv: cannot be read"),
        (
            lambda folder: (folder / "output_invoices.parquet").write_text("x"),
            "output_invoices.parquet: cannot be read",
        ),
        (_drop_column, "input_invoices.parquet: cannot be read"),
        (_change("status", "open"), "row 2: status is neither valid nor void"),
        (_change("enterprise_id", "E9"), "row 2: the firm is not in enterprises.csv"),
        (_change("amount", float("inf")), "row 2: amount is not a number"),
        (_change("counterparty", None), "row 2: a value is missing"),
        (_outcome("E1,0\nE2,maybe\n"), "defaulted is 'maybe'"),
        (_outcome("E1,0\nE1,1\n"), "stands twice"),
    ],
)
def test_data_that_cannot_be_used_are_refused_by_name(spoil: Callable[[Path], Any], fault: str, tiny: Path) -> None:
    spoil(tiny)
    with pytest.raises(InputError, match=fault):
        load(tiny)


def test_synthetic_codes_are_valid_and_differ() -> None:
    codes = [synthetic_uscc(number) for number in range(1, 200)]
    assert len(set(codes)) == 199
    assert [uscc_problem(code) for code in codes] == [None] * 199


def test_the_intake_gives_the_same_records_as_the_loader(tiny: Path, tmp_path: Path) -> None:
    dataset, store = load(tiny), MemoryStore()
    write_feeds(dataset, tmp_path / "feeds")
    report = load_feeds([tmp_path / "feeds"], store, now=DECIDED_AT)
    assert report.problem_count == 0 and report.kinds["invoices"] == Counts(5, 5, 0)
    for firm in dataset.firms:
        delivered = [
            record for (kind, uscc, _), record in store.records.items() if (kind, uscc) == ("months", firm.uscc)
        ]
        assert tuple(delivered) == firm.records.months
        assert store.records["registrations", firm.uscc, ""] == firm.records.registration
    assert {"lists", "overdues", "tax_ratings", "exposures", "relations", "control_changes"} < set(store.feeds)


def firm_selling(yuan: int) -> Firm:
    month = Month(date(2020, 2, 1), sales=yuan * 100)
    return Firm("E1", EnterpriseRecords(registration(synthetic_uscc(1), "E1"), (month,)), defaulted=False)


@pytest.mark.parametrize(
    ("sales", "amount"),
    [(0, 10_000), (-5, 10_000), (199_999, 10_000), (200_000, 20_000), (4_999_999, 490_000), (99_000_000, 500_000)],
)
def test_the_assumed_request_is_a_tenth_of_sales_within_its_bounds(sales: int, amount: int, tmp_path: Path) -> None:
    firm = firm_selling(sales)
    assert requested(firm) == amount
    write_applications([firm], tmp_path / "a.jsonl")
    application = json.loads((tmp_path / "a.jsonl").read_text())
    assert application["amount"] == f"{amount}.00" and application["enterprise"] == {"uscc": firm.uscc}


def test_the_rules_of_a_fold_are_in_force_in_2020_and_differ_in_cutoffs_only(tmp_path: Path) -> None:
    write_rules(RULES, tmp_path / "base", {})
    write_rules(RULES, tmp_path / "fold", {"pd_cutoff_auto": Decimal("0.012345"), "pd_cutoff_review": Decimal("0.2")})
    base, fold = (parameters(load_rules(tmp_path / name)) for name in ("base", "fold"))
    assert {name for name in base if base[name] != fold[name]} <= {"product.pd_cutoff_auto", "product.pd_cutoff_review"}
    assert fold["product.pd_cutoff_auto"] == Decimal("0.012345")
    shipped = load_rules(RULES)
    now, then = shipped.in_force(date(2024, 1, 1)), load_rules(tmp_path / "base").in_force(AS_OF)
    assert now.parameters("invoice_loan", "51").keys() == then.parameters("invoice_loan", "51").keys()


def test_a_product_file_without_the_cutoff_is_refused(tmp_path: Path) -> None:
    (tmp_path / "rules" / "products").mkdir(parents=True)
    (tmp_path / "rules" / "products" / "invoice_loan.yaml").write_text("name: invoice_loan\n")
    with pytest.raises(InputError, match="pd_cutoff_auto stands 0 times"):
        write_rules(tmp_path / "rules", tmp_path / "out", {"pd_cutoff_auto": Decimal("0.1")})


def test_folds_hold_every_row_once_with_like_shares() -> None:
    labels = np.array([1] * 27 + [0] * 96)
    folds = stratified_folds(labels, 5, 20200301)
    assert sorted(np.concatenate(folds)) == list(range(123))
    assert {int(labels[rows].sum()) for rows in folds} == {5, 6}
    assert [rows.tolist() for rows in folds] == [rows.tolist() for rows in stratified_folds(labels, 5, 20200301)]


def test_an_out_of_fold_margin_comes_from_a_model_that_never_saw_the_row() -> None:
    labels = np.array([1, 0] * 10)
    rows = np.arange(3, 20)

    def fit(training: Rows) -> Callable[[Rows], Any]:
        assert set(training) <= set(rows)
        return lambda others: np.isin(others, training).astype(float)

    assert out_of_fold(fit, rows, labels).tolist() == [0.0] * len(rows)


def test_the_better_candidate_is_selected_and_its_margins_returned() -> None:
    labels = np.array([1, 0] * 10)
    right = labels.astype(float)
    name, margins = select(
        {"wrong": lambda _: lambda rows: -right[rows], "right": lambda _: lambda rows: right[rows]},
        np.arange(20),
        labels,
    )
    assert name == "right" and margins.tolist() == right.tolist()


def test_cutoffs_let_the_stated_shares_of_the_firms_that_paid_through() -> None:
    pd_12m = np.arange(1, 101) / 1000
    labels = np.array([0] * 100 + [1] * 50)
    found = cutoffs(labels, np.concatenate([pd_12m, np.full(50, 0.9)]))
    assert (pd_12m <= found.auto).mean() == pytest.approx(0.73, abs=0.011)
    assert (pd_12m <= found.review).mean() == pytest.approx(0.91, abs=0.011)


def test_blending_is_on_the_logit_scale() -> None:
    assert blended(np.array([0.2]), np.array([0.2]), (0.7, 0.3))[0] == pytest.approx(0.2)
    assert blended(np.array([0.1]), np.array([0.9]), (0.5, 0.5))[0] == pytest.approx(0.5)


@pytest.fixture(scope="module")
def inputs() -> Inputs:
    generator = np.random.default_rng(3)
    labels = np.array([1, 0, 0] * 10)
    matrix = generator.normal(size=(30, len(RISK))) + labels[:, None]
    series = generator.normal(size=(30, 24, 2)) - labels[:, None, None]
    return Inputs(matrix, series, np.ones((30, 24), dtype=bool), ("sales", "purchases"), labels)


def test_a_held_out_firm_has_no_influence_on_the_models_that_score_it(inputs: Inputs) -> None:
    rows = np.array([0, 1, 2, 3, 4, 5])
    training = np.arange(6, 30)
    flipped = inputs.labels.copy()
    flipped[rows] = 1 - flipped[rows]
    changed = Inputs(inputs.matrix.copy(), inputs.series.copy(), inputs.mask, inputs.series_names, flipped)
    changed.matrix[rows[1:]] = 99.0
    changed.series[rows[1:]] = 99.0
    first, second = (
        fit_fold(data, 1, rows, training, weights=(0.7, 0.3), base_rate=0.06) for data in (inputs, changed)
    )
    assert first.cutoffs == second.cutoffs and first.feature_set == second.feature_set
    assert first.pd_12m[0] == second.pd_12m[0] and first.xgboost.weights == second.xgboost.weights
    assert first.lstm.weights == second.lstm.weights
    assert first.pd_12m[1] != second.pd_12m[1]


def test_the_portrait_gives_the_models_every_declared_feature(tiny: Path, tmp_path: Path) -> None:
    write_rules(RULES, tmp_path / "rules", {})
    found = read_inputs(load(tiny), load_rules(tmp_path / "rules"))
    assert found.matrix.shape == (2, len(RISK)) and found.series.shape[:2] == found.mask.shape == (2, 24)
    assert found.mask.sum(axis=1).tolist() == [2, 3]
    assert found.columns(["inv_sales_24m"]).tolist() == [[1000.05], [20.0]]


def dataset_of(*defaulted: bool) -> Dataset:
    firms = tuple(
        Firm(f"E{n}", EnterpriseRecords(registration(synthetic_uscc(n), f"E{n}")), flag)
        for n, flag in enumerate(defaulted, start=1)
    )
    return Dataset(firms, pd.DataFrame(), 0, 0)


def scores_of(dataset: Dataset) -> pd.DataFrame:
    columns = {name: [0.01 * n for n in range(1, len(dataset.firms) + 1)] for name in ("pd_xgb", "pd_lstm", "pd_12m")}
    flags = [int(firm.defaulted) for firm in dataset.firms]
    return pd.DataFrame({"enterprise_id": [firm.firm_id for firm in dataset.firms], "defaulted": flags, **columns})


def decision(number: int, outcome: str, *codes: str, score: str | None = None) -> dict[str, Any]:
    scores = dict.fromkeys(("pd_xgb", "pd_lstm", "pd_12m"), score or f"{0.01 * number:.6f}")
    reasons = [{"code": code} for code in codes]
    return {"application_id": application_id(f"E{number}"), "outcome": outcome, "scores": scores, "reasons": reasons}


def test_the_report_counts_outcomes_against_defaults() -> None:
    dataset = dataset_of(False, False, True, True)
    made = [decision(1, "APPROVE", "AUTO_OK"), decision(2, "REFER", "PD_REFER"), decision(3, "DECLINE", "PD_DECLINE")]
    found = build_report(dataset, scores_of(dataset), {item["application_id"]: item for item in made})
    assert found.counts["APPROVE", 0] == 1 and found.counts["REFER", 0] == 1 and found.counts["DECLINE", 1] == 1
    assert found.undecided == ("E4",) and found.differing == ()
    assert found.approved_share(0) == 0.5 and found.approved_share(1) == 0.0
    assert found.auc["xgboost"].value == 1.0 and found.reasons["REFER"] == {"PD_REFER": 1}
    assert "approved: 1 of 2 that paid (50.0%), 0 of 2 that defaulted" in lines(found)
    assert "通过：正常还款 2 户中 1 户（50.0%），违约 2 户中 0 户" in lines(found, "zh")


@pytest.mark.parametrize(("score", "differs"), [("0.010001", False), ("0.010003", True)])
def test_a_decision_by_other_models_than_the_fold_s_is_found(score: str, differs: bool) -> None:
    dataset = dataset_of(False, True)
    made = {application_id("E1"): decision(1, "APPROVE", score=score), application_id("E2"): decision(2, "DECLINE")}
    assert build_report(dataset, scores_of(dataset), made).differing == (("E1",) if differs else ())


@pytest.mark.parametrize("form", ["lines", "list", "object"])
def test_decisions_are_read_as_lines_list_or_object(form: str, tmp_path: Path) -> None:
    made = [decision(1, "APPROVE"), decision(2, "REFER")]
    content = {
        "lines": "\n".join(map(json.dumps, made)),
        "list": json.dumps(made),
        "object": json.dumps({"decisions": made}),
    }[form]
    (tmp_path / "d.json").write_text(content)
    assert list(read_decisions([tmp_path / "d.json"])) == ["CUMCM-E1", "CUMCM-E2"]


@pytest.mark.parametrize("content", ["not json", "[1]", '{"outcome": "APPROVE"}'])
def test_files_that_hold_no_decisions_are_refused(content: str, tmp_path: Path) -> None:
    (tmp_path / "d.json").write_text(content)
    with pytest.raises(InputError, match="decide --json"):
        read_decisions([tmp_path / "d.json"])


def test_a_firm_decided_twice_is_refused(tmp_path: Path) -> None:
    (tmp_path / "d.json").write_text(json.dumps(decision(1, "APPROVE")))
    with pytest.raises(InputError, match="decided twice"):
        read_decisions([tmp_path / "d.json", tmp_path / "d.json"])


def test_prepare_refuses_a_folder_with_other_files(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep")
    result = CliRunner().invoke(cumcm, ["prepare", "--data", "absent", "--out", str(tmp_path)])
    assert result.exit_code == 2 and "the folder holds other files" in result.output
    assert (tmp_path / "mine.txt").read_text() == "keep"


def test_report_without_prepare_says_so(tmp_path: Path) -> None:
    arguments = ["report", "--data", "absent", "--out", str(tmp_path), "--decisions", "absent.jsonl"]
    result = CliRunner().invoke(cumcm, arguments)
    assert result.exit_code == 2 and "run prepare first" in result.output


@pytest.mark.slow
def test_prepare_writes_everything_the_decision_path_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uri = f"sqlite:///{tmp_path / 'ml.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    (tmp_path / "data").mkdir()
    out, data = tmp_path / "out", made_up(tmp_path / "data", 40)
    arguments = ["prepare", "--data", str(data), "--out", str(out), "--rules", str(RULES), "--json"]
    result = CliRunner().invoke(cumcm, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    scores = pd.read_csv(out / "oof_scores.csv")
    assert sorted(scores["enterprise_id"]) == sorted(f"E{n}" for n in range(40))
    applied = [
        json.loads(line)["application_id"]
        for fold in range(1, 6)
        for line in (out / f"fold-{fold}" / "applications.jsonl").read_text().splitlines()
    ]
    assert sorted(applied) == sorted(application_id(f"E{n}") for n in range(40))
    client = MlflowClient(tracking_uri=uri, registry_uri=uri)
    for name in ("pd-xgboost-invoice", "pd-lstm-invoice"):
        versions = [client.get_model_version_by_alias(name, f"fold-{k}").version for k in range(1, 6)]
        assert list(map(str, versions)) == list("12345")
    assert json.loads((out / "assumptions.json").read_text())[0].keys() == {"en", "zh"}
    made = tmp_path / "decisions.jsonl"
    made.write_text("\n".join(json.dumps(_answer(row)) for row in scores.to_dict("records")))
    arguments = ["report", "--data", str(data), "--out", str(out), "--decisions", str(made), "--json"]
    result = CliRunner().invoke(cumcm, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert (out / "report.png").stat().st_size > 10_000


def _answer(row: dict[str, Any]) -> dict[str, Any]:
    scores = {name: f"{row[name]:.6f}" for name in ("pd_xgb", "pd_lstm", "pd_12m")}
    outcome = "APPROVE" if row["pd_12m"] <= row["cutoff_auto"] else "REFER"
    return {"application_id": application_id(row["enterprise_id"]), "outcome": outcome, "scores": scores}
