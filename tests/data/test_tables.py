"""Tables in files: how columns become features, and the error messages for 47 tables that cannot be trained on."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import config_of, openml_cache_of_iris
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_iris, load_wine
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from exp.data.files import arrays, openml, table
from exp.data.input_files import find_file
from exp.data.prepare import prepare
from exp.data.preprocessing import Preprocessing
from exp.data.splits import Splits
from exp.errors import DataError, ExpError
from exp.results import checkpoints

SPLIT = [0.6, 0.2, 0.2]


def people(rows: int = 60) -> pd.DataFrame:
    """Return a table with columns of every kind."""
    random = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "age": random.integers(18, 80, rows),
            "height": random.normal(170, 10, rows).round(1),
            "sex": random.choice(["female", "male"], rows),
            "town": random.choice(["Aa", "Bb", "Cc"], rows),
            "smoker": random.random(rows) < 0.3,
            "ill": random.choice(["no", "yes"], rows),
        }
    )


def prepare_table(
    path: Path, target: str = "ill", scaler: str = "standard", stratify: bool = False, **options: Any
) -> Splits:
    return prepare(table(str(path), target, **options), SPLIT, scaler, seed=0, stratify=stratify)


def test_features_equal_those_of_scikit_learn(tmp_path: Path):
    """The reference is scikit-learn's imputer, scaler and encoder, fitted on the training rows."""
    frame = people()
    frame.loc[[3, 17, 40], "height"] = np.nan
    frame.to_csv(tmp_path / "people.csv", index=False)
    data = prepare_table(tmp_path / "people.csv", missing="median")
    assert data.features == ("age", "height", "sex=female", "sex=male", "town=Aa", "town=Bb", "town=Cc", "smoker")
    reference = ColumnTransformer(
        [
            ("numbers", make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), ["age", "height"]),
            ("categories", OneHotEncoder(handle_unknown="ignore"), ["sex", "town"]),
            ("booleans", "passthrough", ["smoker"]),
        ]
    )
    order = torch.randperm(60, generator=torch.Generator().manual_seed(0)).numpy()
    parts = np.split(order, [36, 48])
    reference.fit(frame.iloc[parts[0]])
    for split, rows in zip(data.splits.values(), parts, strict=True):
        expected = np.asarray(reference.transform(frame.iloc[rows]), dtype=np.float32)
        assert torch.equal(split.x, torch.from_numpy(expected))
        assert [data.classes[label] for label in split.y] == list(frame["ill"].iloc[rows])


@pytest.mark.parametrize("kind", ["csv", "tsv", "parquet"])
def test_every_file_type_gives_the_same_table(kind: str, tmp_path: Path):
    frame = people()
    frame.to_csv(tmp_path / "one.csv", index=False)
    if kind == "parquet":
        frame.to_parquet(tmp_path / "other.parquet")
    else:
        frame.to_csv(tmp_path / f"other.{kind}", index=False, sep="\t" if kind == "tsv" else ",")
    one, other = (table(str(path), "ill") for path in (tmp_path / "one.csv", tmp_path / f"other.{kind}"))
    assert one.fingerprint == other.fingerprint
    assert one.columns == other.columns


def test_decimal_commas_and_another_encoding(tmp_path: Path):
    frame = people().replace({"town": {"Aa": "Århus"}})
    frame.to_csv(tmp_path / "people.csv", index=False, sep=";", decimal=",", encoding="latin-1")
    dataset = table(str(tmp_path / "people.csv"), "ill", separator=";", decimal=",", encoding="latin-1")
    assert [column.kind for column in dataset.columns] == ["number", "number", "category", "category", "boolean"]
    assert "Århus" in dataset.columns[3].categories


def test_a_category_that_is_not_in_the_training_rows_is_encoded_as_zeros_with_a_note(tmp_path: Path):
    frame = people()
    order = torch.randperm(60, generator=torch.Generator().manual_seed(0))
    frame.loc[int(order[50]), "town"] = "Zz"
    frame.to_csv(tmp_path / "people.csv", index=False)
    data = prepare_table(tmp_path / "people.csv")
    towns = [index for index, name in enumerate(data.features) if name.startswith("town=")]
    assert len(towns) == 3
    assert data.test.x[2, towns].tolist() == [0, 0, 0]
    assert data.notes == ("categories that are not in the training rows, encoded as zeros: town in 1 row",)


@pytest.mark.parametrize(
    ("values", "task", "classes"),
    [
        ([0, 1, 2] * 20, "auto", ("0", "1", "2")),
        ([0.0, 1.0] * 30, "auto", ("0", "1")),
        ([True, False] * 30, "auto", ("False", "True")),
        (["b", "a"] * 30, "auto", ("a", "b")),
        (list(range(60)), "auto", None),
        ([0.5, 1.5] * 30, "auto", None),
        ([0, 1] * 30, "regression", None),
        (list(range(30)) * 2, "classes", tuple(map(str, range(30)))),
    ],
)
def test_the_target_is_classes_or_values(values: list[Any], task: str, classes: Any, tmp_path: Path):
    people().drop(columns="ill").assign(y=values).to_csv(tmp_path / "people.csv", index=False)
    dataset = table(str(tmp_path / "people.csv"), "y", task=task)
    assert dataset.classes == classes
    if classes is None:
        assert dataset.y[:, 0].tolist() == [float(value) for value in values]
    else:
        assert [classes[label] for label in dataset.y] == [str(int(v) if isinstance(v, float) else v) for v in values]


@pytest.mark.parametrize(
    ("values", "classes"),
    [
        (range(20), None),  # each differs: no class can be learned
        ([7, 900, 20, 31, 55] + [1] * 4, None),
        (range(10), None),
        ([*range(10), *range(10)], 10),
        ([0, 1, 2], None),
        ([0, 1, 1], 2),
    ],
)
@pytest.mark.parametrize("spell", [int, "{:,}".format, "{} kg".format])
def test_integers_with_about_a_row_each_are_numbers(values: Any, classes: int | None, spell: Any, tmp_path: Path):
    frame = pd.DataFrame({"x": np.sqrt(np.arange(len(values)) + 1), "y": [spell(value) for value in values]})
    frame.to_csv(tmp_path / "few.csv", index=False)
    dataset = table(str(tmp_path / "few.csv"), "y")
    assert (None if dataset.classes is None else len(dataset.classes)) == classes


def test_stratified_splits_and_grouped_splits(tmp_path: Path):
    frame = people(300).assign(doctor=np.repeat(np.arange(30), 10))
    frame.to_csv(tmp_path / "people.csv", index=False)
    stratified = prepare_table(tmp_path / "people.csv", stratify=True)
    shares = [float(split.y.float().mean()) for split in stratified.splits.values()]
    assert max(shares) - min(shares) < 0.02
    grouped = prepare(table(str(tmp_path / "people.csv"), "ill", group="doctor"), SPLIT, "none", seed=1)
    assert "doctor" not in grouped.features
    by_row = {tuple(row): doctor for *row, doctor in frame[["age", "height", "doctor"]].itertuples(index=False)}
    doctors = [{by_row[(int(row[0]), round(float(row[1]), 1))] for row in split.x} for split in grouped.splits.values()]
    assert sum(map(len, doctors)) == 30
    assert [len(split) for split in grouped.splits.values()] == [180, 60, 60]


def test_the_group_may_be_among_the_dropped_columns(tmp_path: Path):
    people(300).assign(doctor=np.repeat(np.arange(30), 10)).to_csv(tmp_path / "people.csv", index=False)
    plain = table(str(tmp_path / "people.csv"), "ill", group="doctor")
    assert table(str(tmp_path / "people.csv"), "ill", group="doctor", drop=["doctor"]).fingerprint == plain.fingerprint


def test_a_single_group_is_refused_because_it_cannot_be_split(tmp_path: Path):
    people().assign(doctor="Ann").to_csv(tmp_path / "people.csv", index=False)
    with pytest.raises(ExpError, match=r"dataset.split: every split must have a row, got 60, 0, 0 rows"):
        prepare_table(tmp_path / "people.csv", group="doctor")


def test_a_checkpoint_holds_the_fitted_preprocessing(exp, tmp_path: Path):
    people().to_csv(tmp_path / "people.csv", index=False)
    line = "dataset=table dataset.path=people.csv dataset.target=ill epochs=1 figures=false hydra.run.dir=run"
    done = exp(*line.split())
    assert done.returncode == 0, done.stderr
    assert "table: 60 x 8 (2 numbers, 2 categories, 1 boolean), ill: 2 classes" in done.stdout
    saved = Preprocessing.from_json(checkpoints.read(tmp_path / "run/checkpoints/last.pt")["preprocessing"])
    assert saved == prepare_table(tmp_path / "people.csv").preprocessing


def test_arrays(tmp_path: Path):
    wine = load_wine()
    names = np.array(wine.feature_names)
    np.savez(tmp_path / "wine.npz", x=wine.data, y=wine.target, feature_names=names, target_names=wine.target_names)
    dataset = arrays(str(tmp_path / "wine.npz"))
    assert dataset.classes == ("class_0", "class_1", "class_2")
    assert [column.name for column in dataset.columns] == wine.feature_names
    assert np.array_equal(dataset.x, wine.data)


def test_openml_is_read_from_its_cache(tmp_path: Path):
    openml_cache_of_iris(tmp_path)
    dataset = openml("iris", 1, "class", str(tmp_path))
    assert dataset.classes == ("Iris-setosa", "Iris-versicolor", "Iris-virginica")
    # Two rows of the archive differ from Fisher's paper; scikit-learn has corrected its copy.
    assert [int(row) for row in np.flatnonzero((dataset.x != load_iris().data).any(axis=1))] == [34, 37]


GOOD = "age,town,ill\n" + "".join(f"{20 + i * 7 % 23},{'AB'[i % 2]},{'no' if i % 3 else 'yes'}\n" for i in range(30))
ROWS = GOOD.partition("\n")[2]
BROKEN: list[tuple[str, str | bytes, dict[str, Any], str, str]] = [
    # file name, content, options, part of the problem, part of the fix
    ("x.csv", "", {}, "the file is empty", "a line of column names"),
    ("x.csv", "\n\n", {}, "the file is empty", "a line of column names"),
    ("x.csv", "age,town,ill\n", {}, "the file has column names but no rows", "a line for each row"),
    ("x.csv", b"\xff\xfea\x00g\x00", {}, "the file has column names but no rows", "a line for each row"),
    ("x.csv", GOOD.replace("A", "Å").encode("latin-1"), {"encoding": "ascii"}, "not ascii text", "encoding=null"),
    ("x.csv", GOOD, {"encoding": "utf8000"}, "unknown encoding", "dataset.encoding=utf-8"),
    ("x.csv", ROWS, {}, "the first line holds values instead of column names: 20, A, yes", "dataset.header="),
    ("x.csv", "1,2,3\n4,5,6\n", {}, "the first line holds values instead of column names: 1, 2, 3", "dataset.header="),
    ("x.csv", GOOD.replace(",", ";"), {"separator": ","}, "are not separated by ','", "dataset.separator=null"),
    ("x.csv", GOOD, {"separator": "tab"}, "are not separated by '\\t'", "dataset.separator=null"),
    ("x.csv", GOOD, {"separator": "::"}, "must be one character, tab or blanks", "dataset.separator=null"),
    ("x.csv", GOOD + "1,2,3,4,5\n", {}, "line 32 has 5 cells, but line 1 has 3 column names", "as many cells in"),
    ("x.csv", GOOD + "1,A\n", {"missing": "error"}, "has empty cells: ill (1) in 31 rows", "dataset.missing=drop"),
    ("x.csv", GOOD + ",A,no\n,B,no\n", {"missing": "error"}, "empty cells: age (2) in 32 rows", "dataset.missing=auto"),
    ("x.csv", GOOD + "NA,n/a,no\n", {"missing": {"town": "error"}}, "age (1), town (1)", "dataset.missing=drop"),
    ("x.csv", "age,town,ill\n" + "1,A,\n2,B,\n" * 9, {}, "target 'ill' is empty in every row", "another"),
    ("x.csv", "age,ill\n" + "1,1e200\n2,5e300\n" * 9, {}, "beyond 1e+100 and read as empty", "larger"),
    ("x.csv", "a,b,ill\n1,,x\n,2,y\n", {"missing": "drop"}, "every row of", "'dataset.drop=[...]'"),
    ("x.csv", "age,size,ill\n" + "1,,x\n1,,y\n" * 9, {}, "age: it is '1' in every row; size: it is empty", "{age: "),
    ("x.csv", GOOD, {"kinds": {"age": "boolean"}}, "and '20' is not true or false", "{age: category}"),
    ("x.csv", GOOD, {"missing": "mean"}, "must be one of auto, error, drop, median, got mean", "dataset.missing=auto"),
    ("x.csv", GOOD, {"target": "il"}, "dataset.target=il: ", "dataset.target=ill"),
    ("x.csv", GOOD, {"target": "outcome"}, "has no column 'outcome'", "one of age, town, ill"),
    ("x.csv", GOOD, {"drop": ["size"]}, "dataset.drop=size: ", "one of age, town, ill"),
    ("x.csv", GOOD, {"group": "twn"}, "dataset.group=twn: ", "dataset.group=town"),
    ("x.csv", GOOD, {"kinds": {"twn": "category"}}, "dataset.kinds=twn: ", "dataset.kinds={town: category}"),
    ("x.csv", GOOD, {"kinds": {"age": "words"}}, "got {age: words}", "dataset.kinds={age: category}"),
    ("x.csv", GOOD, {"drop": ["age", "town"]}, "the table has no feature columns", "dataset.drop"),
    ("x.csv", GOOD, {"task": "regression"}, "the target 'ill' is not numeric", "dataset.task=classes"),
    ("x.csv", GOOD.replace("yes", "no"), {}, "'no' in every row", "another column as dataset.target"),
    ("x.csv", GOOD, {"kinds": {"town": "number"}}, "to hold numbers, and 'A' is not a number", "{town: category}"),
    ("x.csv", "age,ill\n" + "".join(f"{i % 7},ill {i}\n" for i in range(90)), {},
     "90 distinct values in 90 rows: too many for classes", "another column"),
    ("x.json", '{"age": [20]}', {}, "the file is JSON", "the table saved as .csv"),
    ("x.parquet", GOOD, {}, "not a Parquet file, or damaged", "the table saved again"),
    ("folder.csv/x", GOOD, {"path": "folder.csv"}, "the folder has no tables", "a folder with .csv"),
    ("data.csv", GOOD, {"path": "dta.csv"}, "file not found", "data.csv"),
    ("x.csv", GOOD, {"path": "https://somewhere.org/x.csv"}, "URLs are not supported", "download the file"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "content", "options", "problem", "fix"), BROKEN)
def test_a_table_that_cannot_be_trained_on_is_refused(
    name: str, content: str | bytes, options: dict[str, Any], problem: str, fix: str, tmp_path: Path
):
    file = tmp_path / name
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    options = {"path": name, "target": "ill", **options}
    path = options.pop("path")
    with pytest.raises(ExpError) as refused:
        table(path if "://" in path else str(tmp_path / path), **options)
    assert problem in refused.value.problem
    assert fix in refused.value.fix


def test_the_table_that_the_broken_ones_are_made_from_is_accepted(tmp_path: Path):
    (tmp_path / "x.csv").write_text(GOOD)
    assert table(str(tmp_path / "x.csv"), "ill").classes == ("no", "yes")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ({"z": [1]}, "the file must hold arrays x and y, got z"),
        ({"x": [[1.0], [2.0]], "y": [0, 1, 1]}, "got [2, 1] and [3]"),
        ({"x": np.array([{}, {}], dtype=object), "y": [0, 1]}, "cannot read arrays of numbers"),
    ],
)
def test_arrays_that_cannot_be_used_are_refused(content: dict[str, Any], problem: str, tmp_path: Path):
    np.savez(tmp_path / "x.npz", **content)
    with pytest.raises(ExpError) as refused:
        arrays(str(tmp_path / "x.npz"))
    assert problem in refused.value.problem


def test_a_file_that_is_not_an_npz_archive_is_refused(tmp_path: Path):
    (tmp_path / "x.npz").write_text("text")
    with pytest.raises(ExpError, match="cannot read arrays of numbers"):
        arrays(str(tmp_path / "x.npz"))


def test_kinds_are_a_mapping_on_the_command_line():
    overrides = ["dataset=table", "dataset.path=x.csv", "dataset.target=y", "dataset.kinds={zip: category}"]
    assert config_of(*overrides).dataset["kinds"] == {"zip": "category"}


@pytest.mark.parametrize("override", ["dataset.stratify=true"])
def test_a_bundled_dataset_can_be_stratified(override: str):
    assert config_of("dataset=iris", override).dataset["stratify"] is True


def test_only_a_similar_name_is_suggested_for_a_missing_file(tmp_path: Path):
    for name in ("german.csv", "sales.csv"):
        (tmp_path / name).write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match="file not found") as error:
        find_file(str(tmp_path / "fraud.csv"))
    assert error.value.override is None
    with pytest.raises(DataError) as error:
        find_file(str(tmp_path / "sale.csv"))
    assert str(error.value.override).endswith("sales.csv'") or str(error.value.override).endswith("sales.csv")
