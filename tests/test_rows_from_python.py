"""Rows that are no file: a DataFrame, arrays, tensors or a dataset train the run that their file would train."""

import gc
from pathlib import Path

import forking
import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.datasets import load_iris

from exp import load, sweep, train
from exp.data.files import table
from exp.data.held import hold
from exp.errors import ExpError
from exp.results.compare_runs import find_differences

QUICK = ["epochs=3", "figures=false"]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)


def flats(count: int = 120) -> pd.DataFrame:
    """Rows with a column of each kind, gaps, blanks around words, and an index that is no column."""
    random = np.random.default_rng(0)
    size = random.normal(60, 15, count)
    frame = pd.DataFrame(
        {
            "size": size.astype(np.float32),
            "rooms": random.integers(1, 6, count),
            "city": random.choice(["Bonn", " Ulm", "NA", "Jena"], count),
            "built": pd.date_range("1990-03-01", periods=count, freq="19D"),
            "lift": random.choice([True, False], count),
            "floor": random.choice([0.0, 1.0, 2.5, np.nan], count),
            "price": 3000 * size + random.normal(0, 5000, count),
        },
        index=np.arange(count)[::-1],
    )
    return frame.astype({"city": "category"})


def differences(one: Path, other: Path) -> list[object]:
    """What differs besides the place of the data."""
    found = find_differences(one, other)
    return [difference for difference in found if "dataset.path" not in difference[1]]


def test_a_dataframe_trains_and_predicts_as_its_csv_file_on_the_command_line(tmp_path: Path):
    frame = flats()
    result = train(frame, *QUICK, target="price")
    frame.to_csv("flats.csv", index=False)
    line = ["dataset=table", "dataset.path=flats.csv", "dataset.target=price", *QUICK, "hydra.run.dir=typed"]
    assert forking.run("exp", line, tmp_path).returncode == 0
    assert differences(result.folder, Path("typed")) == []
    assert result.final == load("typed").final
    assert result.summary["data_sha256"] == load("typed").summary["data_sha256"]

    words = ["run=typed", "data=flats.csv", "out=by_command.csv", "checkpoint=last"]
    assert forking.run("exp.predict", words, tmp_path).returncode == 0
    predicted = result.predict(frame, checkpoint="last")
    assert predicted["prediction"].tolist() == pd.read_csv("by_command.csv")["prediction"].tolist()
    assert predicted.index.tolist() == frame.index.tolist()
    assert result.best.predict(frame)["prediction"].tolist() == result.predict(frame)["prediction"].tolist()
    assert list(result.predict(frame[:0])) == ["prediction"]
    with pytest.raises(ExpError, match="checkpoint=worst: unknown checkpoint"):
        result.predict(frame, checkpoint="worst")

    second = train((frame.drop(columns="price"), frame["price"]), *QUICK)
    assert second.summary["data_sha256"] == result.summary["data_sha256"]


def test_best_has_the_parameters_of_the_best_step(tmp_path: Path):
    """The validation loss of this run rises after its best step."""
    line = ["early_stopping.patience=null", "early_stopping.restore_best=false", "optimizer.lr=0.05", "figures=false"]
    result = train(load_iris(), *line, epochs=12)
    kept = torch.load(result.folder / "checkpoints/best.pt", weights_only=False)
    assert kept["progress"]["step"] < result.summary["steps"]
    for name, tensor in result.best.model.state_dict().items():
        assert torch.equal(tensor, kept["model"][name])
    x = load_iris().data
    assert not np.array_equal(result.best.predict(x)["probability setosa"], result.predict(x)["probability setosa"])
    assert result.predict(x, checkpoint="best")["prediction"].tolist() == result.best.predict(x)["prediction"].tolist()


def test_an_array_has_the_cells_of_its_columns_also_of_categories(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """The category 5 was taken for the sixth one, and a boolean or date for what the network has in its place."""
    random = np.random.default_rng(0)
    columns = {"size": random.normal(size=60), "code": random.choice([3, 5, 7], 60), "new": random.random(60) > 0.5}
    frame = pd.DataFrame(columns)
    result = train(frame.assign(y=frame["code"] == 5), *QUICK, "dataset.kinds={code: category}", target="y")
    rows = frame.to_numpy(float)
    np.save("rows.npy", rows)
    forking.run("exp.predict", [f"run={result.folder}", "data=rows.npy", "out=by_command.csv"], tmp_path)
    typed = pd.read_csv("by_command.csv")
    for given in (rows, torch.from_numpy(rows), rows.tolist()):
        found = result.predict(given)
        assert list(found) == list(typed)
        for name, values in result.predict(frame).items():
            assert np.array_equal(found[name], values)
        assert np.allclose(found["probability True"], typed["probability True"])
    assert result.predict(rows[:0])["prediction"].tolist() == []
    capsys.readouterr()
    result.predict([[0.1, 4, 1]])
    assert "code in 1 row" in capsys.readouterr().out

    when = pd.date_range("2024-01-01", periods=60).to_series(name="when", index=range(60))
    dated = train(pd.concat([frame, when], axis=1), *QUICK, target="new")
    with pytest.raises(ExpError, match="when"):
        dated.predict(np.ones((60, 3)))


class Rows(torch.utils.data.Dataset):
    feature_names = ("a", "b", "c", "d")

    def __init__(self, x: np.ndarray, y: np.ndarray) -> None:
        self.x, self.y = x, y

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, row: int):
        return torch.from_numpy(self.x[row]), self.y[row]


def test_arrays_tensors_and_datasets_train_as_their_file_on_the_command_line(tmp_path: Path):
    iris = load_iris()
    np.savez("iris.npz", x=iris.data, y=iris.target)
    line = ["dataset=arrays", "dataset.path=iris.npz", *QUICK, "hydra.run.dir=typed"]
    assert forking.run("exp", line, tmp_path).returncode == 0
    x, y = torch.from_numpy(iris.data).requires_grad_(), torch.from_numpy(iris.target)
    before = torch.get_rng_state()
    by_arrays, by_tensors = train((iris.data, iris.target), *QUICK), train((x, y), *QUICK)
    by_dataset = train(*QUICK, dataset=Rows(iris.data, iris.target))
    assert torch.equal(torch.get_rng_state(), before)
    for result in (by_arrays, by_tensors, by_dataset):
        assert differences(result.folder, Path("typed")) == []
    assert by_tensors.predict(x)["prediction"].tolist() == by_arrays.predict(iris.data)["prediction"].tolist()
    assert [column.name for column in by_dataset.trained.preprocessing.columns] == ["a", "b", "c", "d"]
    named = train(load_iris(as_frame=True), *QUICK)
    assert list(named.predict(iris.data[:1])) == [
        "prediction",
        *(f"probability {n}" for n in sorted(iris.target_names)),
    ]


def test_a_run_is_resumed_with_its_rows_and_no_others(exp, capsys: pytest.CaptureFixture[str]):
    frame = flats()
    result = train(frame, *QUICK, "hydra.run.dir=run", target="price")
    whole = train(frame, "figures=false", target="price", epochs=6)
    with pytest.raises(ExpError, match=r"the rows differ .*: their fingerprint was (\w{12}), is now (?!\1)\w{12}"):
        train(frame.iloc[1:], resume="run", epochs=6)
    with pytest.raises(ExpError, match=r"the rows differ .*: their fingerprint was \w{12}, is now"):
        train(frame.iloc[1:], resume="run")  # also of a finished run, which has nothing to train
    with pytest.raises(ExpError, match="is of the kind DataFrame, and these rows are of the kind arrays"):
        train((frame[["size"]].to_numpy(), frame["price"].to_numpy()), resume="run", epochs=6)
    asked = exp("resume=run", "epochs=6")
    assert asked.returncode == 1
    assert "came from Python, as a DataFrame, and are in no file" in asked.stderr
    assert "train(df, resume='run') in Python; or there df.to_csv(\"rows.csv\", index=False), and then" in asked.stderr
    line = "python -m exp resume=run epochs=6 dataset.path=rows.csv"
    assert line in asked.stderr
    wanted = whole.final
    del result, whole
    gc.collect()  # nobody refers to the rows of the run now
    with pytest.raises(ExpError, match=r"train\(df, resume='run'\)"):
        train("resume=run", epochs=6)
    resumed = train(frame, resume=Path("run"), epochs=6)
    assert resumed.final == wanted
    frame.to_csv("rows.csv", index=False)
    assert exp(*line.replace("6", "7").split()[3:]).returncode == 0


@pytest.mark.slow
def test_a_command_that_needs_the_rows_says_how_to_save_them(tmp_path: Path):
    iris = load_iris()
    train((iris.data, iris.target), *QUICK, "hydra.run.dir=run")
    asked = forking.run("exp.evaluate", ["run=run", "split=test"], tmp_path)
    assert asked.returncode == 1
    assert 'try: dataset.path=rows.npz, after numpy.savez("rows.npz", x=x, y=y) in Python' in asked.stderr
    np.savez("rows.npz", x=iris.data, y=iris.target)
    done = forking.run("exp.evaluate", ["run=run", "split=test", "dataset.path=rows.npz"], tmp_path)
    assert done.returncode == 0


def test_a_sweep_of_rows_from_python_equals_its_runs():
    frame = flats()
    found = sweep(frame, "optimizer.lr=0.001,0.01", *QUICK, target="price")
    alone = train(frame, *QUICK, "dataset.target=price", optimizer__lr=0.01)
    assert found.runs["1"].final == alone.final
    assert found.best.predict(frame).shape == (120, 1)


def test_later_changes_of_the_callers_frame_do_not_reach_the_run():
    frame = flats()
    result = train(frame, *QUICK, target="price")
    frame["size"] = 0.0
    assert result.trained.evaluate("test").values() == result.final["test"]


TIMES = pd.to_datetime(["2024-01-01 10:00", "2024-06-01 00:00", None, "2023-02-03 04:05"])
COLUMNS = {
    "int8": pd.array([1, 2, 3, 9], dtype="int8"),
    "nullable": pd.array([1, None, 3, 9], dtype="Int64"),
    "nullable_float": pd.array([0.1, None, 3, 9], dtype="Float32"),
    "float16": np.array([0.1, 0.2, 0.3, 9], dtype=np.float16),
    "object_numbers": np.array([1, 2.5, None, 9], dtype=object),
    "spelled_numbers": ["1.50", "2", "?", "7"],
    "boolean": pd.array([True, None, False, True], dtype="boolean"),
    "object_boolean": np.array([True, None, False, True], dtype=object),
    "yes": ["yes", "no", "no", "yes"],
    "text": pd.array(["a", None, "b ", "a"], dtype="string"),
    "mixed": np.array(["a", 1, None, "a"], dtype=object),
    "category": pd.Categorical(["u", "v", None, "u"]),
    "times": TIMES,
    "zone": TIMES.tz_localize("Europe/Berlin"),
    "dates": [None if pd.isna(time) else time.date() for time in TIMES],
    "sparse": pd.arrays.SparseArray([0, 0, 1, 0]),
}


@pytest.mark.parametrize("name", COLUMNS)
def test_a_column_of_each_type_is_that_of_the_csv_file(name: str):
    """Twenty times four rows, so that no column names its rows."""
    frame = pd.concat([pd.DataFrame({name: COLUMNS[name], "other": [1, 1, 2, 3], "y": [0.5, 1.5, 2.5, 4.5]})] * 20)
    frame.to_csv("rows.csv", index=False)
    held = hold(frame, "DataFrame", f"{name:>16}")
    ours, theirs = table(held.path, "y"), table("rows.csv", "y")
    assert [column.name for column in ours.columns] == [name, "other"]
    assert [column.kind for column in ours.columns] == [column.kind for column in theirs.columns]
    assert ours.fingerprint == theirs.fingerprint


def test_columns_that_a_file_would_not_have():
    lists = [[1], [2], [3]] * 10
    frame = pd.DataFrame({"lists": lists, "x": range(30), "x2": [1, 2, 2] * 10, "y": [1.5, 2.5, 3.7] * 10})
    frame["numbers"] = pd.Categorical([7, 8, 7] * 10)
    frame.index.name = "row"
    held = hold(frame, "DataFrame", "lists")
    dataset = table(held.path, "y")
    assert {column.name: column.kind for column in dataset.columns} == {"x2": "number", "numbers": "number"}
    notes = " ".join(dataset.notes)
    assert "column 'lists' holds list, not numbers or words: left out" in notes
    assert "read as numbers; for categories: 'dataset.kinds={numbers: category}'" in notes
    assert "the index (row) is no column: left out; to use it as 1 column: df.reset_index()" in notes


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda frame: train(frame), r"needs target=.*\n  try: train\(df, target='price'\)"),
        (lambda frame: train(frame, target="prise"), r"has no column 'prise'\n  try: target='price'"),
        (lambda frame: train(frame, "dataset=iris", target="price"), "the rows are given twice"),
        (lambda frame: train(frame, target="price", dataset=Rows(np.eye(3), np.eye(3))), "the rows are given twice"),
        (lambda frame: train((frame.to_numpy(), frame["price"]), target="price"), "y is the target"),
        (lambda frame: train((frame, frame["price"])), "'price' is also a column of x"),
        (lambda frame: train((frame, [1.0])), "x has 120 rows and y 1"),
        (lambda _: train(dataset={"x": 1}), "an object of type dict is neither rows nor an override"),
        (lambda frame: train(pd.concat({"a": frame}, axis=1), target="price"), "levels|has no column"),
        (lambda frame: sweep(frame, "sweep.workers=2", target="price"), "came from Python are in this process only"),
        (lambda _: train(torch.zeros(9, 2)), "an object of type Tensor is neither rows nor an override"),
        (lambda frame: train(frame, "dataset.storage=mapped", target="price"), "came from Python, and are in memory"),
        (
            lambda frame: train(frame, "optimizer.lrr=1", target="price"),
            r'corrected: train\(df, "dataset.target=price"',
        ),
    ],
)
def test_wrong_rows_are_explained(call, message: str):
    with pytest.raises(ExpError, match=message):
        call(flats())
