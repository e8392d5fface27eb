"""Estimators of scikit-learn: they pass its checks, and train the runs that `train` does."""

import pickle
import subprocess
import sys
import tempfile
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import one_in
from joblib import parallel_config
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_iris
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import Bunch
from sklearn.utils.estimator_checks import check_estimator, estimator_checks_generator
from torch import nn

from exp import ExpClassifier, ExpRegressor, load, train
from exp.cli.python_data import hold_rows

QUICK = {"model": "linear", "epochs": 3, "random_state": 0}
IRIS = load_iris(return_X_y=True)
LABELS = [["", "NA"], ["no", "yes"], [1.0, 2.0], ["1", "01", "1.0"], [False, True], [10**18, 10**18 + 1]]

# Those of scikit-learn's checks that take less than half a second each; a few of each kind.
FAST = set(
    "check_no_attributes_set_in_init check_get_params_invariance check_set_params check_estimators_pickle "
    "check_estimator_cloneable check_parameters_default_constructible check_n_features_in_after_fitting "
    "check_fit2d_1sample check_dict_unchanged check_regressor_multioutput check_classifiers_one_label "
    "check_all_zero_sample_weights_error".split()
)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()


@pytest.mark.slow
@pytest.mark.parametrize("kind", [ExpClassifier, ExpRegressor])
def test_it_passes_the_checks_of_scikit_learn(kind):
    done = check_estimator(kind(), on_skip=None, on_fail=None)
    others = {one["check_name"] for one in done if one["status"] != "passed"}
    assert len(done) > 50
    # The first needs SCIPY_ARRAY_API. As in scikit-learn's own networks, a weight of 2 is not the row twice: there are
    # other batches, and other rows for validation.
    equivalence = {f"check_sample_weight_equivalence_on_{rows}_data" for rows in ("dense", "sparse")}
    assert others <= {"check_array_api_input", *equivalence}


@pytest.mark.parametrize("kind", [ExpClassifier, ExpRegressor])
def test_it_passes_some_checks_of_scikit_learn(kind):
    passed = 0
    for estimator, check in estimator_checks_generator(kind(**QUICK)):
        if check.func.__name__ in FAST:
            check(estimator)
            passed += 1
    assert passed >= 8


def test_a_pipeline_is_searched_and_cross_validated():
    line = make_pipeline(StandardScaler(), ExpClassifier(**QUICK, optimizer__lr=0.5))
    grid = GridSearchCV(line, {"expclassifier__optimizer__lr": [1e-7, 0.1]}, cv=2).fit(*IRIS)
    assert grid.best_params_ == {"expclassifier__optimizer__lr": 0.1}
    assert grid.best_score_ > 0.8
    assert grid.best_estimator_[-1].trained_.config.optimizer["lr"] == 0.1
    one = cross_val_score(ExpClassifier(**QUICK), *IRIS, cv=2)
    with parallel_config("threading", n_jobs=2):
        other = cross_val_score(ExpClassifier(**QUICK), *IRIS, cv=2)
    assert one.tolist() == other.tolist()
    assert list(Path().iterdir()) == [Path("temporary")]  # nothing is written here
    assert list(Path("temporary").iterdir()) == []


def table(count: int = 90) -> tuple[pd.DataFrame, pd.Series]:
    random = np.random.default_rng(0)
    x = pd.DataFrame({"size": random.normal(60, 9, count), "city": random.choice(["Bonn", "Ulm", None], count)})
    x.loc[3, "size"] = np.nan
    return x, pd.Series(x["size"].fillna(60) * 3 + 7, name="price")


def test_a_fit_is_the_run_of_train(tmp_path: Path):
    x, y = table()
    model = ExpRegressor(epochs=2, random_state=3, folder=tmp_path / "runs").fit(x, y)
    words = ["dataset.split=[0.8,0.2,0]", "dataset.task=regression", "epochs=2", "seed=3", "figures=false"]
    result = train((x, y), *words)
    assert model.summary_["final"] == result.final
    assert model.history_["loss"].tolist() == result.metrics["loss"].tolist()
    assert model.predict(x).tolist() == result.predict(x)["prediction"].tolist()
    assert model.result_.folder.is_relative_to(tmp_path / "runs")
    assert load(model.result_.folder).final == result.final
    assert model.seed_ == 3
    several = ExpRegressor(**QUICK).fit(x, pd.DataFrame({"a": y, "b": -y}))
    assert several.predict(x).shape == (90, 2)


@pytest.mark.slow
def test_a_fit_of_arrays_is_the_run_of_train():
    diabetes = load_diabetes(return_X_y=True)
    by_arrays = ExpRegressor(epochs=2, random_state=3).fit(*diabetes)
    words = ["model=tabm_small", "optimizer=tabular_adamw", "dataset.split=[0.8,0.2,0]", "epochs=2", "seed=3"]
    result = train(diabetes, *words, figures=False)
    assert by_arrays.summary_["final"] == result.final
    assert by_arrays.result_ is None


@pytest.mark.parametrize(("is_class", "as_frame"), one_in(2, product([True, False], [True, False])))
def test_weights_are_those_of_the_command_line(is_class: bool, as_frame: bool):
    """The same losses as from a column or an array of weights; rows that weigh 0 are left out."""
    random = np.random.default_rng(0)
    x, weights = random.normal(size=(90, 3)), random.integers(0, 4, 90)
    y = (x[:, 0] > 0).astype(int) if is_class else x[:, 0] * 3
    names = ["a", "b", "sample_weight"]
    given = pd.DataFrame(x, columns=names) if as_frame else x
    kind = ExpClassifier if is_class else ExpRegressor
    model = kind(**QUICK).fit(given, y, sample_weight=weights.tolist())
    words = ["split=[0.8,0.2,0]", "weight=w", *["stratify=true"] * is_class]
    words = [f"dataset.{word}" for word in words] + ["epochs=3", "seed=0", "figures=false", "model=linear"]
    if as_frame:
        pd.DataFrame({**dict(zip(names, x.T, strict=True)), "target": y, "w": weights}).to_csv("t.csv", index=False)
        task = "classes" if is_class else "regression"
        words += ["dataset=table", "dataset.path=t.csv", "dataset.target=target", f"dataset.task={task}"]
    else:
        np.savez("t.npz", x=x, y=y, w=weights)
        words += ["dataset=arrays", "dataset.path=t.npz", "optimizer=tabular_adamw"]
    result = train(*words)
    assert model.history_["loss"].tolist() == result.metrics["loss"].tolist()
    assert any("their weight" in note and "is 0" in note for note in model.summary_["notes"])
    unweighted = kind(**QUICK).fit(given, y)
    assert model.history_["loss"].tolist() != unweighted.history_["loss"].tolist()
    same = kind(**QUICK).fit(given, y, sample_weight=pd.Series(np.ones(90), index=range(5, 95)))
    assert np.allclose(same.predict(given), unweighted.predict(given))
    assert model.predict(given).shape == (90,)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1.0, 2.0], r"sample_weight has the shape \(2,\), and X 150 rows\n  try: a number >= 0 for each row"),
        (np.ones((150, 1)), r"sample_weight has the shape \(150, 1\), and X 150 rows\n  try: a number"),
        ([*[1.0] * 149, -2], r"dataset__weight=sample_weight: row 150 has -2\n  try: .* >= 0 in every row"),
        ([*[1.0] * 149, np.nan], r"dataset__weight=sample_weight: row 150 has no number\n  try: a number >= 0"),
        ([*[1.0] * 149, np.inf], r"dataset__weight=sample_weight: row 150 has inf\n  try: "),
        ([0] * 150, r"sample_weight is zero in every row\n  try: a number > 0"),
        (["one"] * 150, r"sample_weight: could not convert .*'one'\n  try: a number >= 0 for each row"),
        ([*[-1.0] * 50, *[1.0] * 100], r"dataset__weight=sample_weight: row 1 has -1\n  try: .* >= 0 in every row"),
        ([*[0.0] * 50, *[1.0] * 100], r"sample_weight: it is zero in every row of the class 0\n  try: fit without"),
    ],
)
def test_wrong_weights_are_named(weights: object, message: str):
    with pytest.raises(ValueError, match=message):
        ExpClassifier(**QUICK).fit(*IRIS, sample_weight=weights)
    with pytest.raises(ValueError, match=r"dataset__weight='w' gives each row a weight, too\n  try: fit\(X, y\)"):
        ExpClassifier(**QUICK, dataset__weight="w").fit(*IRIS, sample_weight=np.ones(150))


def test_a_bunch_of_the_callers_own_has_no_weights():
    """An array of that name changed the fingerprint, and weighed nothing."""
    x, y = IRIS
    given = [Bunch(data=x, target=y, **more) for more in ({}, {"sample_weight": np.ones(150)})]
    assert hold_rows(given[0], None).words == hold_rows(given[1], None).words


def test_weights_pass_through_a_pipeline():
    weights = np.random.default_rng(0).random(150)
    line = make_pipeline(StandardScaler(), ExpClassifier(**QUICK)).fit(*IRIS, expclassifier__sample_weight=weights)
    alone = ExpClassifier(**QUICK).fit(StandardScaler().fit_transform(IRIS[0]), IRIS[1], weights)
    assert line[-1].history_["loss"].tolist() == alone.history_["loss"].tolist()


@pytest.mark.parametrize(("labels", "as_frame"), one_in(5, product(LABELS, [True, False])))
def test_classes_may_have_any_labels(labels: list[object], as_frame: bool):
    random = np.random.default_rng(0)
    codes = random.integers(0, len(labels), 90)
    x = np.stack([codes + random.normal(0, 0.1, 90), random.normal(size=90)], axis=1)
    given = pd.DataFrame(x, columns=["a", "target"]) if as_frame else x
    y = np.array(labels)[codes]
    model = ExpClassifier(**{**QUICK, "epochs": 40}, optimizer__lr=0.1).fit(given, y)
    assert model.classes_.tolist() == sorted(labels)
    assert np.mean(model.predict(given) == y) > 0.95
    probabilities = model.predict_proba(given)
    assert np.allclose(probabilities.sum(1), 1)
    assert (model.classes_[probabilities.argmax(1)] == model.predict(given)).all()
    again = pickle.loads(pickle.dumps(model))
    assert again.predict_proba(given).tolist() == probabilities.tolist()


def test_parameters_are_keys_of_exp():
    model = ExpClassifier(model="mlp", model__hidden=(5, 4), early_stopping__patience=7, ema=0.9, epochs=2)
    copied = clone(model)
    assert copied.get_params()["model__hidden"] == (5, 4)
    copied.set_params(model__hidden=[6], random_state=np.random.RandomState(0), epochs=1).fit(*IRIS)
    config = copied.trained_.config
    assert (config.model["hidden"], config.early_stopping.patience, config.ema, config.epochs) == ([6], 7, 0.9, 1)
    assert copied.seed_ == np.random.RandomState(0).randint(2**31 - 1)
    assert "verbose=0" not in repr(model)
    assert "model__hidden" in repr(model.get_params())
    with pytest.raises(ValueError, match=r"optimizer__lrr=0.1: unknown key .*\n  try: optimizer__lr=0.1"):
        ExpClassifier(optimizer__lrr=0.1).fit(*IRIS)
    with pytest.raises(ValueError, match="epochs must be"):
        ExpClassifier(epochs=-1).fit(*IRIS)


def test_a_mapping_is_a_parameter_and_probabilities_need_a_loss_that_gives_some():
    x, y = IRIS[0][:100], np.array(["no", "yes"])[IRIS[1][:100]]
    model = ExpClassifier(**QUICK, loss="mse", loss__class_weights={"yes": 3}).fit(x, y)
    assert model.trained_.preprocessing.class_weights == (1, 3)
    assert set(model.predict(x)) <= {"no", "yes"}
    with pytest.raises(ValueError, match=r"the loss gives no probabilities\n  try: loss='bce_with_logits'"):
        model.predict_proba(x)


@pytest.mark.slow
def test_a_module_is_copied_for_each_fit():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    before = net[0].weight.clone()
    model = ExpClassifier(net, epochs=20, optimizer__lr=0.01, random_state=0)
    assert cross_val_score(model, *IRIS, cv=2).mean() > 0.8
    assert torch.equal(net[0].weight, before)


@pytest.mark.slow
def test_without_validation_rows_all_rows_are_trained_on():
    model = ExpRegressor(**QUICK, validation_fraction=0).fit(*load_diabetes(return_X_y=True))
    assert model.summary_["rows"] == {"train": 442}


def test_wrong_arguments_are_named_as_they_were_given():
    for share in (1.5, 1, -0.1, "half", float("nan"), True):
        for model in (ExpClassifier, ExpRegressor):
            with pytest.raises(ValueError, match=rf"^validation_fraction must be .* below 1, .*, got {share!r}$"):
                model(validation_fraction=share).fit(*IRIS)
    with pytest.raises(ValueError, match=r"^y has one class, 'a': give"):
        ExpClassifier().fit(IRIS[0], ["a"] * len(IRIS[0]))


def test_what_fit_decides_is_no_parameter():
    """`seed` was ignored, and the advice for folds and a target was a call that `sweep` does not take."""
    for name, value in {"seed": 3, "folds": 5, "dataset__target": "y", "hydra__run__dir": "mine"}.items():
        with pytest.raises(ValueError, match=rf"^{name}={value!r} is no parameter of an estimator\n  try: "):
            ExpClassifier(**QUICK, **{name: value}).fit(*IRIS)


@pytest.mark.parametrize("as_frame", [False, True])
@pytest.mark.parametrize("gap", [None, np.nan, pd.NA])
def test_a_class_that_is_missing_is_named(as_frame: bool, gap: object):
    x = pd.DataFrame(IRIS[0]) if as_frame else IRIS[0]
    y = np.array([gap, *map(str, IRIS[1][1:])], dtype=object)
    with pytest.raises(ValueError, match=r"y contains NaN"):
        ExpClassifier(**QUICK).fit(x, y)


def test_rows_and_targets_that_are_none_are_refused():
    x = pd.DataFrame(IRIS[0])
    for model in (ExpClassifier(**QUICK), ExpRegressor(**QUICK)):
        with pytest.raises(ValueError, match=r"X has no rows"):
            model.fit(x[:0], IRIS[1][:0])
    days = pd.Series(pd.date_range("2024-01-01", periods=150))
    for dates in (days, days - days[0]):
        with pytest.raises(ValueError, match=r"y has dates or durations, .*\n  try: numbers of days or seconds"):
            ExpRegressor(**QUICK).fit(x, dates)


def test_it_is_silent_unless_asked(capsys: pytest.CaptureFixture[str]):
    ExpClassifier(**QUICK).fit(*IRIS).predict(IRIS[0])
    assert capsys.readouterr().out == ""
    ExpClassifier(**QUICK, verbose=1).fit(*IRIS)
    assert "steps, evaluations included" in capsys.readouterr().out


def test_new_rows_need_the_columns_of_fit():
    x, y = table()
    model = ExpRegressor(**QUICK).fit(x, y)
    with pytest.raises(ValueError, match="feature names should match"):
        model.predict(x[["city"]])
    assert np.isfinite(model.predict(x.assign(city="Mars"))).all()


@pytest.mark.slow
def test_scikit_learn_is_imported_only_for_estimators(tmp_path: Path):
    code = "import sys; from exp import train; assert 'sklearn' not in sys.modules; from exp import ExpClassifier"
    subprocess.run([sys.executable, "-c", code], check=True)
