"""New rows in another unit than the training rows are named, and predicted as they are."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exp import train
from exp.data.columns.category import CategoryColumn
from exp.data.columns.column import Column
from exp.data.columns.number import BooleanColumn, NumberColumn
from exp.data.far_values import far_notes
from exp.data.preprocessing import Preprocessing
from exp.data.scalers.registry import SCALERS
from exp.predict import predict

START = "the rows have values far from those of the training rows: "
AWAY = "columns of which half of the cells are more than 10 widths from the training rows: "


def fit(train: np.ndarray, kind: str, *columns: Column) -> Preprocessing:
    """The preprocessing of columns x1, x2, ..., which are numbers unless they are given."""
    columns = columns or tuple(NumberColumn(f"x{n}", fill=0.0) for n in range(1, train.shape[1] + 1))
    plain = Preprocessing(columns, None, "y", None)
    return plain if kind == "none" else plain.with_scaler(kind, train)


DRAWS: dict[str, Callable[[np.random.Generator, int], np.ndarray]] = {
    "normal": lambda rng, n: rng.normal(5, 1, n),
    "skewed": lambda rng, n: np.exp(2 * rng.normal(size=n)),
    "counts": lambda rng, n: rng.poisson(0.3, n).astype(float),
    "heavy": lambda rng, n: rng.standard_t(3, n),
    "two": lambda rng, n: rng.integers(0, 2, n) * 1e5,
    **{
        f"{share} zeros": lambda rng, n, share=share: rng.uniform(1, 9, n) * (rng.uniform(size=n) > share)
        for share in (0.8, 0.95)
    },
}


@pytest.mark.parametrize("kind", SCALERS)
@pytest.mark.parametrize("name", DRAWS)
@given(st.integers(0, 10**6), st.sampled_from([1, 9, 10, 300, 5000]))
@settings(max_examples=20, deadline=None)
def test_rows_like_those_of_training_have_no_note(kind: str, name: str, seed: int, count: int):
    rng = np.random.default_rng(seed)
    fitted = fit(DRAWS[name](rng, 2000)[:, None], kind)
    assert far_notes(DRAWS[name](rng, count)[:, None], fitted) == []


@pytest.mark.parametrize("kind", SCALERS)
@pytest.mark.parametrize("factor", [100, 1000])
@given(st.integers(0, 10**6), st.sampled_from([14, 300, 5000]))
@settings(max_examples=20, deadline=None)
def test_a_column_in_another_unit_is_named_with_its_median(kind: str, factor: float, seed: int, count: int):
    rng = np.random.default_rng(seed)
    rows = rng.normal(5, 1, (2000, 2))
    fitted = fit(rows, kind)
    new = rng.normal(5, 1, (count, 2))
    new[:, 1] *= factor
    new[: count // 4, 1] = np.nan  # the others are the whole column
    (note,) = far_notes(new, fitted)
    expected = f"{AWAY}x2 (median {np.nanmedian(new[:, 1]):.4g}, in training about "
    assert note.startswith(expected)
    middle, _, question = note.removeprefix(expected).partition("); ")
    assert float(middle) == pytest.approx(5, abs=0.2)
    assert question == "in another unit?"


def test_a_single_cell_is_named_if_the_model_gets_it_as_large_as_training_warns_of():
    rows = np.random.default_rng(0).normal(0, 1, (500, 1))
    for kind in (*SCALERS, "none"):
        found = far_notes(np.array([[0.0], [-5000.0], [np.nan]]), fit(rows, kind))
        assert [note.partition(",")[0] for note in found] == [f"{START}x1 is -5000 in row 2"] * (kind == "standard")


@pytest.mark.parametrize("kind", SCALERS)
@pytest.mark.parametrize("zeros", [1600, 1900])
def test_rows_without_the_zeros_of_training_are_not_away(kind: str, zeros: int):
    rows = np.random.default_rng(0).uniform(1, 2, (2000, 1))
    rows[:zeros] = 0
    assert far_notes(rows[zeros:], fit(rows, kind)) == []


def test_a_column_that_is_away_is_not_named_again_for_its_cells():
    rows = np.random.default_rng(0).normal(0, 1, (500, 2))
    new = rows[:20] * [1e6, 1]
    new[7, 1] = 1e5
    away, far = far_notes(new, fit(rows, "standard"))
    assert away.startswith(f"{AWAY}x1 (")
    assert "x2" not in away
    assert far.startswith(f"{START}x2 is 1e+05 in row 8, usually about ")
    assert far.endswith("; predictions of such rows mean little")


def test_columns_without_values_and_of_other_kinds_have_no_note():
    columns = CategoryColumn("x1", categories=tuple(map(str, range(2000))), is_code=True), BooleanColumn("x2", fill=0.0)
    rows = np.stack([np.arange(2000.0), np.arange(2000) % 2, np.arange(2000.0)], axis=1)
    fitted = fit(rows, "standard", *columns, NumberColumn("x3", missing="auto", fill=0.0, has_indicator=True))
    assert far_notes(np.array([[1999.0, np.nan, np.nan]] * 20), fitted) == []
    assert far_notes(np.zeros((0, 3)), fitted) == []


def test_sequences_are_compared_by_channel():
    rng = np.random.default_rng(0)
    columns = tuple(NumberColumn(f"t{t} c{c}", missing="error") for t in range(4) for c in range(2))
    plain = Preprocessing(columns, None, "y", None, shape=(4, 2))
    rows = rng.normal(5, 1, (300, 4, 2)) * [1, 1000]
    fitted = plain.with_scaler("standard", rows.reshape(300, 8))
    assert far_notes(rows.reshape(300, 8), fitted) == []
    (note,) = far_notes((rows[:20] * [1000, 1]).reshape(20, 8), fitted)
    assert all(f"t{t} c0 (median" in note for t in range(4))
    assert "c1" not in note


def test_the_command_and_python_say_it_once_and_predict_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"length": rng.normal(2, 0.5, 200), "width": rng.normal(1, 0.2, 200)})
    frame["area"] = frame["length"] * frame["width"]
    result = train(frame, target="area", model="linear", epochs=2, figures=False, **{"hydra.run.dir": "run"})
    new = frame[["length", "width"]].iloc[:30].assign(length=frame["length"] * 1000)
    new.to_csv("new.csv", index=False)
    lines = [*predict("run", "new.csv", "out.csv").lines()]
    (note,) = (line for line in lines if line.startswith(AWAY))
    assert note.startswith(f"{AWAY}length (median {new['length'].median():.4g}, in training about 1.99)")
    capsys.readouterr()
    predictions = result.predict(new)
    assert capsys.readouterr().out.count(AWAY) == 1
    assert predictions.to_csv(index=False) == Path("out.csv").read_text()


def test_of_a_large_table_few_rows_are_scaled(monkeypatch: pytest.MonkeyPatch):
    x = np.random.default_rng(0).normal(size=(20_000, 2))
    fitted, scaled = fit(x[:1000], "standard"), list[int]()
    assert fitted.scaler is not None
    scaler = type(fitted.scaler)
    transform = scaler.transform
    monkeypatch.setattr(scaler, "transform", lambda self, x: scaled.append(len(x)) or transform(self, x))  # pyright: ignore
    far_notes(x, fitted)
    assert 2 < sum(scaled) <= 210
