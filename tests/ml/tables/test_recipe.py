"""The recipe learns from training rows only, applies to anything of its schema, and survives its own file."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from loans_for_tests import loans, panel

from decision_service.errors import InputError, ModelError
from ml.tables.kinds import column_of
from ml.tables.recipe import Recipe, fit_recipe
from ml.tables.roles import Roles, meaning_of, time_column, units_of

READ = ("number", "category", "flag", "date")


def fitted(frame: pd.DataFrame, roles: Roles) -> tuple[Recipe, object]:
    frame = frame.rename(columns=str.strip)
    columns = [column_of(frame[name], name) for name in frame.columns if name not in roles.named]
    meaning = meaning_of(frame[roles.target], roles.target)
    units = units_of(frame, roles, time_column(frame, roles))
    readable = [column for column in columns if column.kind in READ]
    return fit_recipe(frame, roles, meaning, readable, units=units, seed=1)


LOANS = loans().rename(columns=str.strip)
RECIPE, INPUTS = fitted(LOANS, Roles("status", id="loan", time="approved"))
PANEL, SERIES = fitted(panel(), Roles("failed", id="firm", time="year", window=3))


def test_a_recipe_is_the_same_after_its_file() -> None:
    for recipe in (RECIPE, PANEL):
        assert Recipe.from_json(recipe.to_json()) == recipe


def test_new_levels_more_columns_and_missing_values_never_fail() -> None:
    frame = LOANS.assign(sector="x", branch=None, amount="n/a", income=np.inf, leverage="high", more=1)
    inputs = RECIPE.inputs(frame.drop(columns=["status", "approved"]))
    assert inputs.labels is None and inputs.names == INPUTS.names and len(inputs) == len(frame)
    assert not np.isinf(inputs.matrix).any()


def test_another_export_of_the_same_table_gives_the_same_inputs() -> None:
    """Decimal commas and dates written otherwise, either way round."""
    plain = LOANS.assign(amount=LOANS["amount"].str.strip(" $").str.replace(",", ""))
    plain = plain.assign(leverage=plain["leverage"].map("{:.4f}".format), opened=plain["approved"])
    other = plain.assign(
        amount=plain["amount"].str.replace(".", ","),
        leverage=plain["leverage"].str.replace(".", ","),
        approved=pd.to_datetime(plain["approved"], format="%d-%b-%y").dt.strftime("%Y/%m/%d"),
        opened=pd.to_datetime(plain["opened"], format="%d-%b-%y").dt.strftime("%d.%m.%Y"),
    )
    for taught, scored in ((plain, other), (other, plain)):
        recipe, inputs = fitted(taught, Roles("status", id="loan", time="approved"))
        assert np.array_equal(recipe.inputs(scored).matrix, recipe.inputs(taught).matrix, equal_nan=True)
        assert np.array_equal(recipe.inputs(scored).times, inputs.times)


def test_a_missing_column_is_named() -> None:
    with pytest.raises(InputError, match="'sector'"):
        RECIPE.inputs(LOANS.drop(columns="sector"))


def test_training_rows_never_read_their_own_label_in_a_category() -> None:
    """A category without any meaning must not tell the outcome of the very rows it was learnt from."""
    random = np.random.default_rng(2)
    frame = LOANS.assign(branch=[f"B{place}" for place in random.integers(0, 200, len(LOANS))])
    recipe, inputs = fitted(frame, Roles("status", id="loan"))
    column = inputs.names.index("branch log-odds")
    applied = recipe.inputs(frame)
    assert abs(np.corrcoef(inputs.matrix[:, column], inputs.labels)[0, 1]) < 0.15
    assert np.corrcoef(applied.matrix[:, column], inputs.labels)[0, 1] > 0.3


def test_ratios_and_growth_of_statements_are_made() -> None:
    names = set(SERIES.names)
    assert {"total_liabilities / total_assets", "return on equity", "net_income / total_assets"} <= names
    assert {"log revenue, change over 1", "loss", "Total_Liabilities, slope"} <= names


def test_a_window_is_the_last_rows_by_time_whatever_the_order() -> None:
    frame = panel()
    mixed = frame.sample(frac=1, random_state=3).reset_index(drop=True)
    one, other = PANEL.inputs(frame), PANEL.inputs(mixed)
    order = [other.ids.index(name) for name in one.ids]
    assert np.array_equal(one.matrix, other.matrix[order], equal_nan=True)
    newest = frame.groupby("firm")["Total Assets"].last()[list(one.ids)]
    assert one.matrix[:, one.names.index("Total Assets")] == pytest.approx(newest.to_numpy())


def test_series_are_normal_quantiles_of_training_ranks() -> None:
    assert SERIES.series is not None
    known = SERIES.series[~np.isnan(SERIES.series)]
    assert np.abs(known).max() < 2.8 and abs(known.mean()) < 0.2
    far = panel().assign(**{"Total Assets": 1e12})
    assert np.nanmax(np.abs(PANEL.inputs(far).series)) < 2.8


DATA = json.loads(PANEL.to_json())


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"{}",
        json.dumps({**DATA, "format": 9}).encode(),
        json.dumps({**DATA, "columns": []}).encode(),
        json.dumps({**DATA, "columns": [{**DATA["columns"][0], "kind": "pickle"}]}).encode(),
        json.dumps({**DATA, "items": {"total_assets": "nothing"}}).encode(),
        json.dumps({**DATA, "knots": {"a": [1e999]}}).encode(),
        json.dumps({**DATA, "roles": {"target": "x", "other": 1}}).encode(),
    ],
)
def test_a_damaged_recipe_is_refused(content: bytes) -> None:
    with pytest.raises(ModelError):
        Recipe.from_json(content)


WORDS = st.sampled_from(["retail", "1,000", "?"])
CELLS = st.one_of(st.none(), st.text(max_size=8), st.floats(width=32).map(str), WORDS)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(CELLS, CELLS, CELLS, CELLS, CELLS), min_size=1, max_size=5))
def test_any_cells_give_inputs_of_the_right_shape(rows: list[tuple[object, ...]]) -> None:
    frame = pd.DataFrame(rows, columns=["leverage", "sector", "amount", "income", "branch"], dtype=object)
    frame["loan"] = "x"
    matrix = RECIPE.inputs(frame.assign(approved="?")).matrix
    assert matrix.shape == (len(rows), len(INPUTS.names)) and not np.isinf(matrix).any()


@pytest.mark.parametrize(
    ("levels", "name", "bad"),
    [
        (["P I F", "CHGOFF"], "MIS_Status", "CHGOFF"),
        (["good", "bad"], "class", "bad"),
        (["Fully Paid", "Charged Off"], "loan_status", "Charged Off"),
        (["1", "1", "2"], "class", "2"),
        (["0", "0", "1"], "y", "1"),
        (["1", "1", "0"], "default", "1"),
        (["1", "1", "0"], "y", "0"),
        (["1", "0", "0"], "repaid", "0"),
        (["Y", "N", "N"], "defaulted", "Y"),
        (["True", "False", "True"], "bankrupt", "true"),
        (["违约", "未违约"], "结果", "违约"),
        (["default", "non-default"], "x", "default"),
        ([1.0, 0.0, 0.0], "y", "1"),
    ],
)
def test_the_bad_label_is_found(levels: list[object], name: str, bad: str) -> None:
    assert meaning_of(pd.Series(levels * 10), name).bad == (bad,)


def test_bad_and_good_labels_may_be_named() -> None:
    series = pd.Series(["paid", "late", "lost", "open"] * 5)
    meaning = meaning_of(series, "status", bad=["lost", "late"], good=["paid"])
    assert meaning.labels(series)[:4].tolist()[:3] == [0.0, 1.0, 1.0] and np.isnan(meaning.labels(series)[3])
    with pytest.raises(InputError, match="'gone' does not occur"):
        meaning_of(series, "status", bad=["gone"])
    with pytest.raises(InputError, match="4 values"):
        meaning_of(series, "status")
