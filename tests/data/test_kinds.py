"""What cells mean: numbers in other notations, booleans, dates, and a few odd cells among them."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from exp.data.columns.column import Floats
from exp.data.columns.infer import ColumnOptions, parse_column
from exp.data.encode import encode_new_targets, encode_rows
from exp.data.files import table
from exp.data.from_frame import TableOptions, dataset_from_frame
from exp.data.preprocessing import Preprocessing
from exp.errors import DataError

ROWS = 60


def with_column(values: Any) -> pd.DataFrame:
    random = np.random.default_rng(0)
    return pd.DataFrame(
        {"x": list(values), "size": random.normal(size=ROWS), "ill": random.choice(["no", "yes"], ROWS)}
    )


def cells_of(write) -> list[str]:
    return [write(1000 + 37.5 * row) for row in range(ROWS)]


NUMBERS = {
    "thousands": lambda value: f"{value:,.1f}",
    "continental": lambda value: f"{value:,.1f}".replace(",", "_").replace(".", ",").replace("_", "."),
    "dollars": lambda value: f"${value:,.2f}",
    "percent": lambda value: f"{value} %",
    "blanks": lambda value: f" {value} ",
    "decimal comma": lambda value: str(value).replace(".", ","),
    "unit": lambda value: f"{value} kg",
}


@pytest.mark.parametrize("name", NUMBERS)
def test_numbers_are_read_however_they_are_written(name: str, tmp_path: Path):
    with_column(cells_of(NUMBERS[name])).to_csv(tmp_path / "x.csv", index=False)
    dataset = table(str(tmp_path / "x.csv"), "ill")
    assert [column.kind for column in dataset.columns] == ["number", "number"]
    assert dataset.x[:, 0].tolist() == [1000 + 37.5 * row for row in range(ROWS)]


@pytest.mark.parametrize("name", NUMBERS)
def test_a_target_of_numbers_is_one_however_it_is_written(name: str, tmp_path: Path):
    with_column(cells_of(NUMBERS[name])).to_csv(tmp_path / "x.csv", index=False)
    dataset = table(str(tmp_path / "x.csv"), "x")
    assert dataset.classes is None
    assert dataset.y[:, 0].tolist() == [1000 + 37.5 * row for row in range(ROWS)]


@pytest.mark.parametrize("words", [("Yes", "No"), ("T", "F"), ("true", "false"), ("y", "n"), (True, False)])
def test_words_for_true_and_false_are_booleans(words: tuple[Any, Any], tmp_path: Path):
    with_column([words[row % 2] for row in range(ROWS)]).to_csv(tmp_path / "x.csv", index=False)
    dataset = table(str(tmp_path / "x.csv"), "ill")
    assert dataset.columns[0].kind == "boolean"
    assert dataset.x[:, 0].tolist() == [1 - row % 2 for row in range(ROWS)]


def fitted(frame: pd.DataFrame, **options: Any) -> tuple[Preprocessing, Floats]:
    dataset = dataset_from_frame(frame, "x.csv", TableOptions("ill", **options))
    return Preprocessing.fit(dataset, np.arange(len(dataset.x)), scaler="none")


@pytest.mark.parametrize("form", ["%Y-%m-%d", "%d.%m.%Y", "%Y-%m-%dT%H:%M:%S", "%B %d, %Y"])
def test_dates_become_the_parts_that_pandas_finds(form: str):
    dates = pd.Series(pd.date_range("2023-11-05 06:00", periods=ROWS, freq="31h"))
    preprocessing, x = fitted(with_column(dates.dt.strftime(form)))
    features = dict(zip(preprocessing.features, preprocessing.transform(x).T, strict=True))
    days = dates if "%H" in form else dates.dt.normalize()
    expected = {
        "x days": (days - pd.Timestamp("1970-01-01")) / pd.Timedelta(days=1),
        "x year": dates.dt.year,
        "x month": dates.dt.month,
        "x day of week": dates.map(pd.Timestamp.weekday),
    } | ({"x hour": dates.dt.hour} if "%H" in form else {})
    expected["x days"] -= expected["x days"].min()
    assert [name for name in features if name.startswith("x")] == list(expected)
    for name, values in expected.items():
        assert np.allclose(features[name], values, atol=1e-6), name


def test_a_date_that_is_missing_is_filled_and_marked():
    dates = pd.Series(pd.date_range("2023-11-05", periods=ROWS, freq="31h").strftime("%Y-%m-%d"), dtype=object)
    dates[3] = None
    preprocessing, x = fitted(with_column(dates))
    features = preprocessing.transform(x)
    assert np.isfinite(features).all()
    assert features[:, preprocessing.features.index("x=(missing)")].tolist() == [float(row == 3) for row in range(ROWS)]


def test_a_few_odd_cells_in_a_column_of_numbers_are_missing_and_named():
    cells: list[Any] = [str(row * 1.5) for row in range(ROWS)]
    cells[7] = "136A"
    dataset = dataset_from_frame(with_column(cells), "x.csv", TableOptions("ill"))
    assert dataset.columns[0].kind == "number"
    assert np.isnan(dataset.x[7, 0])
    assert [note for note in dataset.notes if "'136A'" in note and "first in row 8" in note]
    assert [note for note in dataset.notes if "'dataset.kinds={x: category}'" in note]
    words = dataset_from_frame(with_column(cells), "x.csv", TableOptions("ill", kinds={"x": "category"}))
    assert words.columns[0].kind == "category"


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        (["12%", "30%", "0.5"], "'12%' and '0.5' are not written in the same way"),
        (["12%", "many", "few"], "'many' is not a number"),
    ],
)
def test_cells_that_make_no_numbers_together_are_told_from_one_that_is_none(cells: list[str], message: str):
    with pytest.raises(DataError, match=f"column 'x' is to hold numbers, and {message}"):
        dataset_from_frame(with_column(cells * (ROWS // 3)), "x.csv", TableOptions("ill", kinds={"x": "number"}))


def test_infinite_values_are_missing():
    values = np.arange(ROWS, dtype=float)
    values[5] = np.inf
    dataset = dataset_from_frame(with_column(values * 1.5), "x.csv", TableOptions("ill"))
    assert np.isnan(dataset.x[5, 0])
    assert [note for note in dataset.notes if "infinite" in note]


def test_new_rows_are_read_in_the_notation_of_the_training_rows():
    frame = with_column(cells_of(NUMBERS["dollars"])).assign(
        when=pd.date_range("2024-01-13", periods=ROWS).strftime("%d.%m.%Y"), flag=["Yes", "No"] * (ROWS // 2)
    )
    preprocessing, x = fitted(frame)
    again = Preprocessing.from_json(preprocessing.to_json())
    assert again == preprocessing
    rows, is_complete, notes = encode_rows(frame.drop(columns="ill"), again, "new.csv")
    assert np.array_equal(rows, x)
    assert is_complete.all()
    assert notes == []
    one, _, _ = encode_rows(frame.iloc[[4]].assign(x="$1,200.50"), again, "new.csv")
    assert one[0, 0] == 1200.5
    _, _, notes = encode_rows(frame.iloc[[4]].assign(x="many"), again, "new.csv")
    assert [note for note in notes if "1 cell is not a number and read as empty" in note and "'many'" in note]


@pytest.mark.parametrize("later", [0, False])
def test_a_class_of_zero_that_training_did_not_have_is_refused(later: Any):
    """Case 7: whether there is an unknown class was once asked of its truth."""
    frame = with_column(np.arange(ROWS) * 1.5).assign(ill=[1 + row % 2 for row in range(ROWS)])
    preprocessing, _ = fitted(frame)
    new = frame.assign(ill=[later, *frame["ill"][1:]])
    with pytest.raises(DataError, match="unknown class"):
        encode_new_targets(new, preprocessing, "new.csv")


def test_a_single_new_row_is_read_in_the_notation_of_the_run(exp, tmp_path: Path):
    """1.234 alone would be a little more than one; in a column of 1.234,5 it is a thousand."""
    with_column(cells_of(NUMBERS["continental"])).to_csv(tmp_path / "x.csv", index=False)
    done = exp(*"dataset=table dataset.path=x.csv dataset.target=ill epochs=1 figures=false hydra.run.dir=run".split())
    assert done.returncode == 0, done.stderr
    (tmp_path / "one.csv").write_text("x,size\n1.234,0\n")
    from exp.results.trained_model import load_trained

    trained = load_trained(tmp_path / "run")
    rows, _, _ = encode_rows(trained.read(str(tmp_path / "one.csv")).frame, trained.preprocessing, "one.csv")
    assert rows[0, 0] == 1234


@pytest.mark.parametrize("words", [("< 50", ">= 50"), ("<=50K", ">50K"), ("0", "1", "2", "3+")])
def test_bounds_that_are_categories_are_classes_and_categories(words: tuple[str, ...]):
    frame = with_column([words[row % len(words)] for row in range(ROWS)])
    as_target = dataset_from_frame(frame, "x.csv", TableOptions("x"))
    assert as_target.classes == tuple(sorted(words))
    if len(words) == 2:
        as_feature = dataset_from_frame(frame, "x.csv", TableOptions("ill"))
        assert as_feature.columns[0].kind == "category"


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        (["3rd"] * 7 + ["1st"] * 3 + ["2nd"] * 2, "category"),  # the classes of the Titanic
        (["12 kg", "14 kg", "9 kg", "20 lb"], "category"),
        (["5k", "5k", "5k", "half-marathon"], "category"),
        (["1.5", "2.5", "unknown", "3.5", "unknown"], "number"),
        (["1.5", "2.5", "3.5", "low", "high", "4.5", "5.5", "6.5"], "category"),
    ],
)
def test_only_a_few_cells_of_a_column_of_numbers_are_something_else(words: list[str], kind: str):
    cells = (words * ROWS)[:ROWS]
    dataset = dataset_from_frame(with_column(cells), "x.csv", TableOptions("ill"))
    assert dataset.columns[0].kind == kind, dataset.notes


def test_odd_cells_among_prices_are_missing():
    cells = cells_of(NUMBERS["dollars"])
    cells[2] = "call us"
    dataset = dataset_from_frame(with_column(cells), "x.csv", TableOptions("ill"))
    assert dataset.x[1, 0] == 1037.5
    assert np.isnan(dataset.x[2, 0])


@pytest.mark.parametrize(
    ("digits", "odd", "is_code"),
    [
        ([f"{n:02}" for n in range(1, 90)], ["2A", "2B"], True),  # departments of France
        ([f"{n:03}" for n in range(1, 90)], ["02A", "02B"], True),
        ([str(n) for n in range(59000, 59090)], ["2B033", "2A004"], True),
        ([f"{n:02}" for n in range(1, 90)], ["O1"], False),  # one cell is rather a mistake
        ([f"{n:02}" for n in range(1, 90)], ["many", "none"], False),
        ([str(n) for n in range(100, 190)], ["10k", "20k"], False),  # a unit
        ([str(n) for n in range(1, 90)], ["A1", "B22"], False),
        ([f"{n / 10}" for n in range(100, 190)], ["1A.2", "1B.3"], False),
    ],
)
def test_numbers_among_codes_are_codes(digits: list[str], odd: list[str], is_code: bool):
    words = pd.Series([*digits, *odd], dtype="str")
    options = ColumnOptions({}, {}, "auto", None)
    assert parse_column("x", words, options).column.kind == ("category" if is_code else "number")
    declared = ColumnOptions({"x": "number"}, {}, "auto", None)
    assert parse_column("x", words, declared).column.kind == "number"
