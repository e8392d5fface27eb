"""Empty cells: what becomes of them for each dataset.missing, against scikit-learn's imputer and encoder."""

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.compose import ColumnTransformer
from sklearn.impute import MissingIndicator, SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from exp.data.columns.column import Floats
from exp.data.encode import encode_rows
from exp.data.from_frame import TableOptions, dataset_from_frame
from exp.data.prepare import prepare
from exp.data.preprocessing import Preprocessing


def with_gaps(rows: int = 400) -> pd.DataFrame:
    random = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "age": random.normal(40, 9, rows).round(),
            "height": random.normal(170, 10, rows),
            "town": [f"town {int(number)}" for number in random.exponential(4, rows)],
            "ill": random.choice(["no", "yes"], rows),
        }
    )
    for name in ("age", "town", "ill"):
        frame.loc[random.choice(rows, rows // 10, replace=False), name] = None
    return frame


def test_filled_numbers_indicators_and_rare_categories_equal_those_of_scikit_learn():
    frame = with_gaps()
    dataset = dataset_from_frame(frame, "x.csv", TableOptions("ill", max_categories=5))
    data = prepare(dataset, [0.6, 0.2, 0.2], scaler="standard", seed=0)
    usable = frame.dropna(subset=["ill"]).reset_index(drop=True)
    order = torch.randperm(len(usable), generator=torch.Generator().manual_seed(0)).numpy()
    train = usable.iloc[order[: len(data.train)]]
    # scikit-learn counts the shared feature among max_categories, and takes an empty cell for a category.
    counts = train["town"].value_counts()
    frequent = sorted(counts.index, key=lambda town: (-counts[town], town))[:5]

    def grouped(rows: pd.DataFrame) -> pd.DataFrame:
        town = rows["town"].where(rows["town"].isin(frequent) | rows["town"].isna(), "~rare").fillna("~~missing")
        return rows.assign(town=town)

    reference = ColumnTransformer(
        [
            ("age", make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), ["age"]),
            ("gap", MissingIndicator(), ["age"]),
            ("height", StandardScaler(), ["height"]),
            ("town", OneHotEncoder(), ["town"]),
        ]
    ).fit(grouped(train))
    names = ["age", "age=(missing)", "height", *[f"town={town}" for town in sorted(frequent)]]
    assert data.features == (*names, "town=(rare)", "town=(missing)")
    ends = np.cumsum([len(split) for split in data.splits.values()])
    for split, rows in zip(data.splits.values(), np.split(order, ends[:2]), strict=True):
        expected = np.asarray(reference.transform(grouped(usable.iloc[rows])), dtype=np.float32)
        assert torch.equal(split.x, torch.from_numpy(expected))


def test_rows_without_a_target_are_left_out_and_only_those():
    frame = with_gaps()
    dataset = dataset_from_frame(frame, "x.csv", TableOptions("ill"))
    assert len(dataset.x) == 360
    assert dataset.notes[0] == "left out 40 of 400 rows: ill is empty"
    assert list(dataset.row_numbers) == [row + 1 for row in np.flatnonzero(frame["ill"].notna())]


def test_a_policy_for_one_column():
    frame = with_gaps()
    dataset = dataset_from_frame(frame, "x.csv", TableOptions("ill", missing={"age": "drop"}))
    assert len(dataset.x) == len(frame.dropna(subset=["ill", "age"]))
    assert any("town" in column.name for column in dataset.columns)


@pytest.mark.parametrize("missing", ["drop", "median"])
def test_without_indicators(missing: str):
    dataset = dataset_from_frame(with_gaps(), "x.csv", TableOptions("ill", missing=missing))
    data = prepare(dataset, [0.6, 0.2, 0.2], scaler="standard", seed=0)
    assert not [name for name in data.features if name.endswith("(missing)")]
    assert all(bool(split.x.isfinite().all()) for split in data.splits.values())


def fitted(frame: pd.DataFrame) -> Preprocessing:
    dataset = dataset_from_frame(frame, "x.csv", TableOptions("ill"))
    return prepare(dataset, [0.6, 0.2, 0.2], scaler="standard", seed=0).preprocessing


def encoded(frame: pd.DataFrame, preprocessing: Preprocessing) -> Floats:
    rows, is_complete, _ = encode_rows(frame, preprocessing, "new.csv")
    assert is_complete.all()
    return preprocessing.transform(rows)


def test_new_rows_with_gaps_where_training_had_none_are_predicted():
    frame = with_gaps()
    preprocessing = fitted(frame)
    new = frame.iloc[:3].assign(height=None)
    rows, is_complete, notes = encode_rows(new, preprocessing, "new.csv")
    assert is_complete.all()
    assert any(note.startswith("3 rows without height: replaced by") for note in notes)
    assert np.isfinite(preprocessing.transform(rows)).all()


@pytest.mark.parametrize(
    "respell", [lambda text: f"{text}.0", lambda text: f"0{text}", float, lambda text: f" {text} "]
)
def test_a_category_of_numbers_is_the_same_however_it_is_spelled(respell):
    """pandas reads 11 as 11.0 where another cell is empty, and as text where another is a word."""
    frame = with_gaps().assign(clinic=lambda frame: [str(11 + row % 3) for row in range(len(frame))])
    dataset = dataset_from_frame(frame, "x.csv", TableOptions("ill", kinds={"clinic": "category"}))
    preprocessing = prepare(dataset, [0.6, 0.2, 0.2], scaler="standard", seed=0).preprocessing
    respelled = frame.assign(clinic=frame["clinic"].map(respell))
    assert np.array_equal(encoded(respelled, preprocessing), encoded(frame, preprocessing))


def test_columns_survive_json():
    preprocessing = fitted(with_gaps())
    assert Preprocessing.from_json(preprocessing.to_json()) == preprocessing


def test_4000_words_take_no_more_memory_than_their_most_frequent_ones():
    rows = 20_000
    random = np.random.default_rng(0)
    frame = pd.DataFrame(
        {"tail": [f"N{number}" for number in random.integers(0, 4000, rows)], "y": random.normal(size=rows)}
    )
    data = prepare(dataset_from_frame(frame, "x.csv", TableOptions("y")), [0.6, 0.2, 0.2], scaler="standard", seed=0)
    assert len(data.features) == 501
    assert any(note.startswith("rare categories that share one feature: tail (") for note in data.notes)


def test_rows_that_do_not_fit_into_memory_are_refused(monkeypatch: pytest.MonkeyPatch):
    from exp.data import memory
    from exp.errors import DataError

    monkeypatch.setattr(memory, "available_memory", lambda: 2**20)
    memory.check_memory(1000, 100)
    with pytest.raises(DataError, match=r"10,000 rows of 100 features need 8\.0 MB.*1\.0 MB are available"):
        memory.check_memory(10_000, 100)
