"""dataset.header=false: tables whose first line holds values; their columns are column_1, column_2, ..."""

import gzip
import io
import json
import re
import runpy
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import openpyxl
import pandas as pd
import pytest
import torch
from sklearn.datasets import load_iris, load_wine

from exp import train
from exp.data.files import table
from exp.data.input_files import check_input_files
from exp.data.mapped.scratch import Scratch
from exp.data.read_table import open_table, read_frame
from exp.data.reading.gaps import parse_empty_values
from exp.errors import ConfigError, DataError, ExpError
from exp.evaluate import evaluate
from exp.predict import predict
from exp.results.trained_model import load_trained
from exp.serving.folder import PROGRAM, STATE
from exp.serving.rows import lines_to_check
from exp.serving.served_model import ServedModel
from exp.serving.state import make_state

SOURCE = Path(__file__).parents[2] / "src/exp/serving" / PROGRAM


def iris(target_first: bool = False) -> pd.DataFrame:
    bunch: Any = load_wine(as_frame=True) if target_first else load_iris(as_frame=True)
    frame = bunch.data.assign(kind=[f"Iris-{bunch.target_names[code]}" for code in bunch.target])
    return frame[["kind", *bunch.data.columns]] if target_first else frame


def lines_of(frame: pd.DataFrame, **options: Any) -> str:
    return frame.to_csv(index=False, header=False, **options)


def zipped(content: str) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("iris.data", content)
    return stream.getvalue()


FORMS: dict[str, Callable[[pd.DataFrame], str | bytes]] = {
    "iris.data": lines_of,
    "blanks.txt": lambda frame: lines_of(frame, sep=" ").replace(" ", "   "),
    "tabs.tsv": lambda frame: lines_of(frame, sep="\t"),
    "semicolons.csv": lambda frame: lines_of(frame, sep=";"),
    "commas.csv": lambda frame: lines_of(frame, sep=";", decimal=","),
    "comments.csv": lambda frame: "# four lengths, kind\n\n  # by hand\n" + lines_of(frame),
    "names_in_a_comment.csv": lambda frame: f"# {','.join(frame)}\n" + lines_of(frame),
    "marked.csv": lambda frame: "sep=,\n" + lines_of(frame),
    "ends.csv": lambda frame: lines_of(frame).replace("\n", ",\n"),
    "blank_lines.csv": lambda frame: "\n\n" + lines_of(frame) + "\n\n",
    "quoted.csv": lambda frame: lines_of(frame, quoting=1, lineterminator="\r\n"),
    "iris.csv.gz": lambda frame: gzip.compress(lines_of(frame).encode()),
    "iris.zip": lambda frame: zipped(lines_of(frame)),
}


def write(path: Path, content: str | bytes) -> str:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(path)


@pytest.mark.parametrize("name", FORMS)
def test_a_table_without_names_has_all_its_rows(name: str, tmp_path: Path):
    """In memory and mapped, with the values that it has with names."""
    expected = iris().set_axis([f"column_{place}" for place in range(1, 6)], axis=1)
    path = write(tmp_path / name, FORMS[name](iris()))
    if name == "commas.csv":
        assert table(path, -1, header=False).fingerprint == table(path, -1, header=False, decimal=",").fingerprint
        return
    read = read_frame(path, header=False)
    pd.testing.assert_frame_equal(read.frame, expected, check_dtype=False)
    streamed = open_table(path, "dataset.path", None, ".", None, parse_empty_values(None, None), (), header=False)
    assert streamed.rows == 150
    pd.testing.assert_frame_equal(streamed.read([*streamed.places])[0], read.frame)
    skipped = [note for note in (*read.notes, *streamed.notes) if "skipped" in note]
    count = {"comments.csv": 2, "names_in_a_comment.csv": 1}.get(name)
    assert len(skipped) == (2 if count else 0)
    assert all("above the first row" in note for note in skipped)


def test_mapped_files_have_the_rows_in_memory(tmp_path: Path):
    path = write(tmp_path / "iris.data", lines_of(iris()))
    one = table(path, "column_5", header=False)
    other = table(path, "column_5", header=False, scratch=Scratch(tmp_path))
    assert one.fingerprint == other.fingerprint
    assert one.columns == other.columns
    with_names = iris().set_axis([f"column_{place}" for place in range(1, 6)], axis=1)
    with_names.to_csv(tmp_path / "names.csv", index=False)
    assert table(str(tmp_path / "names.csv"), "column_5").fingerprint == one.fingerprint
    assert table(path, -1, header=False).target == "column_5"


def test_several_files_and_files_for_the_splits(tmp_path: Path):
    (tmp_path / "rows").mkdir()
    frame = iris()
    for number in range(3):
        write(tmp_path / "rows" / f"{number}.csv", lines_of(frame[number::3]))
    assert len(read_frame(str(tmp_path / "rows"), header=False).frame) == 150
    paths = [str(tmp_path / "rows" / f"{number}.csv") for number in range(3)]
    dataset = table(paths[0], "column_5", val_path=paths[1], test_path=paths[2], header=False)
    assert len(dataset.x) == 150


def test_excel_without_names(tmp_path: Path):
    book = openpyxl.Workbook()
    for row in iris().values.tolist():
        book.active.append(row)  # pyright: ignore
    book.save(tmp_path / "x.xlsx")
    with pytest.raises(DataError) as refused:
        table(str(tmp_path / "x.xlsx"), -1)
    assert "the first row holds values instead of column names: 5.1, 3.5, 1.4, 0.2, Iris-setosa" in str(refused.value)
    assert refused.value.fix == "dataset.header=false"
    frame = read_frame(str(tmp_path / "x.xlsx"), header=False).frame
    write(tmp_path / "x.data", lines_of(iris()))
    pd.testing.assert_frame_equal(frame, read_frame(str(tmp_path / "x.data"), header=False).frame, check_dtype=False)


def test_names_that_are_found_twice_and_below_are_values(tmp_path: Path):
    """A file of KEEL."""
    path = write(tmp_path / "car.dat", "vhigh,vhigh,2,2,no\nvhigh,vhigh,2,4,no\nlow,low,5more,2,yes\n" * 9)
    with pytest.raises(DataError, match="holds values instead of column names: vhigh, vhigh, 2, 2, no"):
        table(path, "class")


@pytest.mark.parametrize(
    ("target", "fix"),
    [
        ("column_5", "dataset.header=false"),
        (-1, "dataset.header=false"),
        (["column_1", "column_2"], "dataset.header=false"),
        ("species", "dataset.header=false dataset.target=column_5"),
        ("Iris-setosa", "dataset.header=false dataset.target=column_5"),
        (7, "dataset.header=false dataset.target=column_5"),
        (["a", "b"], "dataset.header=false dataset.target=column_5"),
    ],
)
@pytest.mark.parametrize("storage", ["memory", "mapped"])
@pytest.mark.parametrize("end", ["\n", ",\n"])
def test_the_refusal_says_what_to_type(target: Any, fix: str, storage: str, end: str, tmp_path: Path):
    path = write(tmp_path / "iris.data", lines_of(iris()).replace("\n", end))
    scratch = Scratch(tmp_path) if storage == "mapped" else None
    with pytest.raises(DataError) as refused:
        table(path, target, scratch=scratch)
    assert "the first line holds values instead of column names: 5.1, 3.5, 1.4, 0.2, Iris-setosa" in str(refused.value)
    assert refused.value.fix == fix


def test_a_target_that_is_no_column(tmp_path: Path):
    path = write(tmp_path / "iris.data", lines_of(iris()))
    with pytest.raises(DataError) as refused:
        table(path, "species", header=False)
    listed = "column_1, column_2, column_3, column_4, column_5"
    assert refused.value.problem == f"dataset.target=species: {path} has no column 'species' (available: {listed})"
    assert refused.value.fix == refused.value.override == "dataset.target=column_5"


@pytest.mark.parametrize(
    ("content", "names"),
    [
        (iris().to_csv(index=False), "sepal length (cm), sepal width (cm), petal length (cm), petal width (cm), kind"),
        ("column_1,column_2\na,b\nc,d\n", "column_1, column_2"),
        ("size,kind\n?,a\n3,b\n4,b\n", "size, kind"),
        (",size,kind\n0,?,a\n1,3,b\n2,4,b\n", "size, kind"),
    ],
)
def test_names_in_spite_of_the_option_are_refused(content: str, names: str, tmp_path: Path):
    path = write(tmp_path / "x.csv", content)
    with pytest.raises(DataError) as refused:
        read_frame(path, header=False)
    assert f"the first line holds column names: {names}" in refused.value.problem
    assert refused.value.fix == refused.value.override == "dataset.header=auto"


@pytest.mark.parametrize(
    "content",
    ["?,a\n3,b\n4,b\n", "A1,yes\n77,no\n78,yes\n", "red,a\nblue,b\n", "NA,x,1\n5,x,2\n", "x\ny\nz\n", "1,2\n", "a,b\n"],
)
def test_a_first_row_of_values_is_a_row(content: str, tmp_path: Path):
    path = write(tmp_path / "x.csv", content)
    assert len(read_frame(path, separator=",", header=False).frame) == content.count("\n")


def test_a_row_with_other_cells_is_refused(tmp_path: Path):
    for content, problem in (
        ("1,2,a\n3,4,b\n5,6,7,c\n", "line 3 has 4 cells, but line 1 has 3 cells"),
        ("# x\nA title\n1,2,a\n3,4,b\n", "line 3 has 3 cells, but line 2 has 1 cell"),
        ("r,2,a\ns,4,b\n" * 500 + "t,5,6,c\n", "line 1001 has 4 cells, but line 1 has 3 cells"),
    ):
        with pytest.raises(DataError, match=problem):
            read_frame(write(tmp_path / "x.csv", content), header=False)


def test_parquet_has_names(tmp_path: Path):
    iris().to_parquet(tmp_path / "x.parquet")
    for scratch in (None, Scratch(tmp_path)):
        with pytest.raises(ConfigError, match=r"dataset.header=false: .* has column names") as refused:
            table(str(tmp_path / "x.parquet"), "kind", header=False, scratch=scratch)
        assert refused.value.fix == "dataset.header=auto"


RUN = ["figures=false", "epochs=3", "model=mlp", "hydra.run.dir=run"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("target", ["column_5", "column_1"])
def test_new_rows_are_read_as_those_of_the_run(target: str, folder: Path, capsys: pytest.CaptureFixture[str]):
    """Without names and with column_1, ...; in a row alone, without a target in the last column, by predict.py."""
    frame = iris(target_first=target == "column_1")
    write(folder / "iris.data", lines_of(frame))
    numbers = [f"column_{place}" for place in range(1, len(frame.columns) + 1)]
    with_names = frame.set_axis(numbers, axis=1)
    with_names.to_csv("names.csv", index=False)
    result = train("dataset=table", "dataset.path=iris.data", f"dataset.target={target}", "dataset.header=false", *RUN)
    own = evaluate(run="run").metrics
    assert own["accuracy"] == result.final["test"]["accuracy"]
    one, other = (evaluate(run="run", data=path).metrics for path in ("iris.data", "names.csv"))
    assert one == other
    expected = predicted("iris.data")
    assert len(expected) == len(frame)
    assert predicted("names.csv") == expected
    write(folder / "blanks.txt", "# new\n\n" + lines_of(frame, sep=" "))
    assert predicted("blanks.txt") == expected
    write(folder / "ends.csv", lines_of(frame).replace("\n", ",\n"))
    assert predicted("ends.csv") == expected
    write(folder / "one.csv", lines_of(frame[:1].assign(**{frame.columns[-1]: ""})))
    assert len(predicted("one.csv")) == 1
    if target == "column_5":
        write(folder / "no_target.csv", lines_of(frame.iloc[:, :-1]))
        assert predicted("no_target.csv") == expected
    else:
        write(folder / "no_target.csv", lines_of(frame.iloc[:, 1:]))
        with pytest.raises(ExpError, match="column_14") as refused:
            predicted("no_target.csv")
        assert refused.value.fix == "a table with the columns of the training table"
    frame.to_csv("words.csv", index=False)
    capsys.readouterr()
    with pytest.raises(ExpError, match=r"'column_4'.* are missing") as refused:
        predicted("words.csv")
    assert "dataset." not in refused.value.fix


def predicted(path: str) -> list[str]:
    predict(run="run", data=path, out="out.csv")
    lines = Path("out.csv").read_text().splitlines()[1:]
    Path("out.csv").unlink()
    return lines


@pytest.mark.parametrize(("target", "decimal"), [("column_5", "."), ("column_1", "."), ("column_5", ",")])
def test_an_exported_program_reads_rows_without_names(
    target: str, decimal: str, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    frame = iris(target_first=target == "column_1")
    if decimal == ",":
        frame = frame.astype(str).replace(r"(\d)\.(\d)", r"\1,\2", regex=True)
    write(folder / "iris.data", lines_of(frame, sep="," if decimal == "." else ";"))
    train("dataset=table", "dataset.path=iris.data", f"dataset.target={target}", "dataset.header=false", *RUN)
    trained = load_trained(folder / "run")
    (folder / STATE).write_text(json.dumps(make_state([trained], "model.pt2", {})), encoding="utf-8")
    (folder / PROGRAM).write_text(SOURCE.read_text(encoding="utf-8"), encoding="utf-8")
    monkeypatch.setattr(torch.export, "load", lambda _: SimpleNamespace(module=lambda: ServedModel([trained])))
    served = runpy.run_path(str(folder / PROGRAM))
    expected = [line.split(",")[0] for line in predicted("iris.data")]
    copied = lines_to_check(trained, folder)
    assert copied is not None
    frame.set_axis([f"column_{place}" for place in range(1, len(frame.columns) + 1)], axis=1).to_csv(
        "n.csv", index=False
    )
    write(folder / "blanks.txt", "# new\n\n" + lines_of(frame, sep=" "))
    write(folder / "ends.csv", "\n" + lines_of(frame, sep=";").replace("\n", ";\n"))
    for path in ("iris.data", "n.csv", "blanks.txt", "ends.csv", str(copied[0])):
        found = served["predict"](served["read_file"](path))
        assert [row["prediction"] for row in found] == expected[: len(found)], path
        assert len(found) == len(copied[1]) == len(expected), path


@pytest.mark.parametrize(
    "given", ["dataset.target=species", "dataset.target=Iris-Setosa", "dataset.target=column_5", ""]
)
def test_the_advice_pasted_trains(given: str, folder: Path):
    write(folder / "iris.csv", lines_of(iris()))
    line = ["dataset=table", "dataset.path=iris.csv", *([given] if given else []), *RUN]
    with pytest.raises(ExpError) as refused:
        train(*line)
    words = re.findall(r"dataset\.(?:header|target)=\w+", refused.value.fix)
    keys = {word.partition("=")[0] for word in words}
    result = train(*(word for word in line if word.partition("=")[0] not in keys), *words)
    assert result.summary["status"] == "finished"


def test_a_file_without_names_given_as_arrays_is_offered_as_a_table(tmp_path: Path):
    file = tmp_path / "iris.data.csv"
    file.write_text("5.1,3.5,a\n4.9,3.0,b\n6.3,2.9,a\n")
    with pytest.raises(ConfigError) as error:
        check_input_files({"_target_": "exp.data.files.arrays", "path": str(file)})
    assert error.value.fix.endswith("dataset.header=false dataset.target=column_3")
