"""An exported folder predicts raw rows as `exp predict` does, without exp, whatever their cells are."""

import ast
import csv
import json
import random
import runpy
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import forking
import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exp.data.columns.date_formats import FORMATS, SEASON
from exp.data.columns.number_cells import Notation
from exp.data.columns.parse_dates import read_dates
from exp.data.columns.parse_numbers import read_numbers
from exp.data.encode import encode_rows
from exp.errors import ConfigError, DataError
from exp.export import export
from exp.predict import predict
from exp.results.trained_model import TrainedModel, load_trained
from exp.serving.check import TOLERANCE, largest_difference, predict_without_exp
from exp.serving.folder import PROGRAM, STATE
from exp.serving.rows import cells_of, lines_to_check
from exp.serving.served_model import ServedModel
from exp.serving.state import _date_ways, _number_way, make_state

ROOT = Path(__file__).parents[2]
SOURCE = (ROOT / "src/exp/serving" / PROGRAM).read_text(encoding="utf-8")

# How a cell of each column may be written, in the training rows and in others.
CELLS: dict[str, Callable[[random.Random], str]] = {
    "word": lambda one: one.choice(["red", "green", "blue", "", "NA", " red "]),
    "rare": lambda one: f"town {min(one.randrange(40), one.randrange(40))}",
    "code": lambda one: one.choice(["01", "1", "1.10", "02"]),
    "size": lambda one: one.choice(["10", "20", "30"]),
    "price": lambda one: f"${one.randrange(1, 9)},{one.randrange(100, 999)}.50",
    "euro": lambda one: one.choice(["", f"{one.randrange(1, 9)}.{one.randrange(100, 999)},25 €"]),
    "share": lambda one: f"{one.randrange(100)} %",
    "loss": lambda one: one.choice([f"({one.randrange(1, 99)})", f"{one.randrange(1, 99)}", "?"]),
    "plain": lambda one: one.choice([f"{one.gauss(0, 9):.3f}", "", "-999"]),
    "day": lambda one: f"{one.randrange(1, 29):02}/{one.randrange(1, 13):02}/{one.randrange(2010, 2025)}",
    "moment": lambda one: f"2024-0{one.randrange(1, 10)}-11T{one.randrange(24):02}:30:00+05:30",
    "named": lambda one: one.choice([f"{one.randrange(1, 28)} March 2021", "4 Sept 1999", "unknown"]),
    "clock": lambda one: f"{one.randrange(1, 12)}:{one.randrange(10, 60)} pm",
    "quarter": lambda one: f"{one.randrange(2000, 2020)} Q{one.randrange(1, 5)}",
    "smokes": lambda one: one.choice(["yes", "no", "Y", "-"]),
}
ODD = [
    "",
    "?",
    "7",
    "7.0",
    "-3",
    "1e3",
    "inf",
    "<5",
    "US$5",
    "2024",
    "2024-02-30",
    "1/2/2024",
    "3 kg",
    "true",
    "None",
    "x",
]


def rows_of(count: int, seed: int = 0) -> list[dict[str, str]]:
    one = random.Random(seed)
    return [{name: make(one) for name, make in CELLS.items()} for _ in range(count)]


def write(path: Path, rows: list[dict[str, str]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, [*rows[0]])
        table.writeheader()
        table.writerows(rows)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a table with every kind of cell, and its exported folder."""
    folder = tmp_path_factory.mktemp("served")
    rows = rows_of(240)
    for row in rows:
        row["kind"] = random.Random(str(row)).choice(["cat", "dog"]) if row["word"] != "red" else "cat"
    write(folder / "t.csv", rows)
    words = "dataset=table dataset.path=t.csv dataset.target=kind dataset.max_categories=8 dataset.na_values=[-999]"
    line = [*words.split(), "model=mlp", "epochs=2", "figures=false", "threads=1", "hydra.run.dir=run"]
    done = forking.run("exp", [*line, "dataset.kinds={code: category, size: category}"], folder)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def trained(place: Path) -> TrainedModel:
    return load_trained(place / "run")


@pytest.fixture(scope="module")
def served(place: Path, trained: TrainedModel) -> Any:
    """The names that the companion has, with the graph as a module that torch has not exported: that takes 20 s."""
    folder = place / "not_exported"
    folder.mkdir()
    (folder / STATE).write_text(json.dumps(make_state([trained], "model.pt2", {})), encoding="utf-8")
    (folder / PROGRAM).write_text(SOURCE, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.export, "load", lambda _: SimpleNamespace(module=lambda: ServedModel([trained])))
        return runpy.run_path(str(folder / PROGRAM))


@pytest.mark.slow
@pytest.mark.parametrize("format", ["onnx", "pt2"])
def test_an_exported_graph_predicts_the_same_in_batches_of_any_size(place: Path, served: Any, format: str):
    if format == "onnx":
        pytest.importorskip("onnxruntime")
        pytest.importorskip("onnxscript")
    answer = export(str(place / "run"), format, str(place / format), **{"dataset.path": str(place / "t.csv")})
    assert "compared with exp predict on 200 rows, in a process without exp: " in "\n".join(answer.lines())
    exported = runpy.run_path(str(place / format / PROGRAM))
    rows = rows_of(50, seed=3)
    for count in (0, 1, 2, 50):
        expected, found = (one["predict"](rows[:count]) for one in (served, exported))
        assert [row["prediction"] for row in expected] == [row["prediction"] for row in found]
        shares = [[row["probability cat"] for row in of] for of in (expected, found)]
        assert np.allclose(*shares, rtol=0, atol=TOLERANCE)
    state = json.loads((place / format / STATE).read_text(encoding="utf-8"))
    assert {"exp", "python", "torch", *["onnx", "opset"] * (format == "onnx")} == set(state["versions"])
    (place / format / STATE).write_text(json.dumps({**state, "columns": []}), encoding="utf-8")
    with pytest.raises(ConfigError, match=r"predict\.py fails"):
        predict_without_exp(place / format, rows[:2])


def test_the_program_is_one_file_of_less_than_150_lines_that_imports_nothing_of_exp():
    assert len([line for line in SOURCE.splitlines() if line.strip()]) < 150
    assert max(map(len, SOURCE.splitlines())) <= 120
    tree = ast.parse(SOURCE)
    modules = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    modules |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    standard = {"csv", "io", "json", "re", "sys", "datetime", "pathlib", "typing"}
    assert modules == {*standard, "numpy", "onnxruntime", "torch"}


def as_predicted(place: Path, rows: list[dict[str, str]], name: str) -> list[dict[str, str]]:
    write(place / f"{name}.csv", rows)
    (place / f"{name}_out.csv").unlink(missing_ok=True)
    predict(str(place / "run"), str(place / f"{name}.csv"), str(place / f"{name}_out.csv"))
    with (place / f"{name}_out.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def assert_same(ours: list[dict[str, str]], theirs: list[dict[str, Any]]) -> None:
    assert len(ours) == len(theirs)
    for expected, found in zip(ours, theirs, strict=True):
        assert [*expected] == [*found]
        for key, value in expected.items():
            if isinstance(found[key], float):
                assert abs(float(value) - found[key]) <= TOLERANCE * max(1.0, abs(float(value)))
            else:
                assert value == ("" if found[key] is None else str(found[key]))


def test_new_rows_are_predicted_as_by_exp(place: Path, served: Any):
    """Words that training did not have, empty cells, and rows with other kinds of cells."""
    rows = rows_of(60, seed=1)
    one = random.Random(2)
    for row in rows[20:]:
        row[one.choice([*CELLS])] = one.choice(ODD)
    rows[3]["word"], rows[4]["rare"] = "violet", "nowhere"
    assert_same(as_predicted(place, rows, "new"), served["predict"](rows))
    assert_same(as_predicted(place, rows[:1], "one"), served["predict"](rows[:1]))


@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_cells_have_the_values_that_exp_reads(place: Path, served: Any, trained: Any, data: st.DataObject):
    rows = rows_of(5, seed=data.draw(st.integers(0, 99)))
    text = st.one_of(
        st.sampled_from(ODD), st.text(st.sampled_from("0123456789.,-+()$€%/: eEapm'kgs<>~JanMy"), max_size=9)
    )
    for row in rows:
        row[data.draw(st.sampled_from([*CELLS]))] = data.draw(text)
    write(place / "any.csv", rows)
    values, _, _ = encode_rows(trained.read(str(place / "any.csv"), keep_rows=True).frame, trained.preprocessing, "any")
    columns = served["STATE"]["columns"]
    theirs = [served["read"]([row[column["name"]] for row in rows], column, str) for column in columns]
    np.testing.assert_array_equal(np.array(theirs).T, values)


def test_cells_may_be_values_of_json(place: Path, served: Any):
    """Numbers, true, null: as a DataFrame has them."""
    row = dict(rows_of(1)[0])
    given = {**row, "price": 1234.5, "plain": None, "size": 20, "smokes": True, "share": 7}
    text = {**row, "price": "$1,234.50", "plain": "", "size": "20", "smokes": "yes", "share": "7 %"}
    assert served["predict"]([given]) == served["predict"]([text])
    assert served["predict"]([{**text, "plain": -999}]) == served["predict"]([text])  # an empty value of the run
    with pytest.raises(ValueError, match="missing columns: clock, price"):
        served["predict"]([{key: value for key, value in text.items() if key not in ("price", "clock")}])


@pytest.mark.parametrize(
    ("encoding", "separator", "change"),
    [
        ("utf-8-sig", ",", lambda lines: [" word ," + lines[0].partition(",")[2], *lines[1:], ",,,", ""]),
        ("cp1252", ";", lambda lines: [line.replace(";", "; ") for line in lines]),
        ("utf-16", "\t", lambda lines: ["Sales in 2024", "", *lines]),
        ("utf-8", "|", lambda lines: [lines[0], *(line + "|" for line in lines[1:])]),
        ("utf-8", ",", lambda lines: [lines[0], *(f"r{at},{line}" for at, line in enumerate(lines[1:]))]),
    ],
    ids=["blanks and BOM", "semicolons", "title and tabs", "empty ends", "row names"],
)
def test_a_file_is_read_as_exp_predict_reads_it(
    place: Path, served: Any, encoding: str, separator: str, change: Callable[[list[str]], list[str]]
):
    """The names of the columns, the separator, the encoding, lines above and below."""
    path = place / "odd.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, [*CELLS], delimiter=separator)
        table.writeheader()
        table.writerows(rows_of(12, seed=8))
    lines = change(path.read_text(encoding="utf-8").splitlines())
    path.write_text("\n".join(lines), encoding=encoding)
    (place / "odd_out.csv").unlink(missing_ok=True)
    predict(str(place / "run"), str(path), str(place / "odd_out.csv"))
    with (place / "odd_out.csv").open(encoding="utf-8", newline="") as file:
        assert_same(list(csv.DictReader(file)), served["predict"](served["read_file"](str(path))))


def test_an_export_is_compared_on_the_lines_of_the_file_too(place: Path, served: Any, tmp_path: Path):
    """With names and cells as they are written there, which a program could read in another way than rows of cells."""
    run = load_trained(place / "run", moved={"dataset.path": str(place / "t.csv")})
    found = lines_to_check(run, tmp_path)
    assert found is not None
    lines, frame = found
    assert lines.read_bytes() == b"".join((place / "t.csv").read_bytes().splitlines(keepends=True)[:201])
    assert largest_difference(run, frame, served["predict"](served["read_file"](str(lines)))) <= TOLERANCE
    with pytest.raises(ConfigError, match="199 rows with a prediction, where exp predict has 200"):
        largest_difference(run, frame, served["predict"](served["read_file"](str(lines)))[1:])


def test_names_have_no_blanks_around_them(served: Any):
    row = rows_of(1)[0]
    assert served["predict"]([{f" {name}\n": cell for name, cell in row.items()}]) == served["predict"]([row])
    assert served["predict"]([{f"'{name}'": cell for name, cell in row.items()}]) == served["predict"]([row])
    with pytest.raises(ValueError, match=r"^duplicate column names: word$"):
        served["predict"]([{**row, "word ": "red"}])


def test_cells_that_cannot_be_read_are_told(served: Any):
    right = rows_of(1, seed=5)[0] | {
        "word": "red",
        "rare": "town 0",
        "plain": "1",
        "moment": "2024-01-11T03:30:00+05:30",
    }
    warnings: list[str] = []
    plain = served["predict"]([right], warnings.append)
    assert warnings == []
    wrong = {"plain": "many", "day": "1st of never", "smokes": "often", "word": "violet"}
    served["predict"](
        [
            right | wrong,
            right | {"plain": "few", "share": 0.62},
            right | {"euro": "7.5", "day": "2024-05-13", "share": ".5"},
        ],
        warnings.append,
    )
    way = "is not written as in the training rows, and read in another way"
    assert sorted(warnings) == sorted(
        [
            "column 'plain': 'many' is no number, and read as empty (2 cells)",
            "column 'day': '1st of never' is no date, and read as empty",
            f"column 'day': '2024-05-13' {way}",
            f"column 'euro': '7.5' {way}",
            "column 'share': '0.62' lacks the % of the training rows, and is read as if it had it (2 cells)",
            "column 'smokes': 'often' is no boolean, and read as empty",
            "column 'word': 'violet' is rare or not in the training rows",
        ]
    )
    warnings.clear()
    served["predict"]([right | {"plain": " ? ", "day": None, "smokes": "", "word": "NA", "share": 0}], warnings.append)
    assert warnings == []  # gaps
    assert served["predict"](right) == plain


def test_a_column_of_which_hardly_a_cell_can_be_read_is_refused(place: Path, served: Any):
    """Its file has decimal commas, dates in another form: without the column, every prediction would be another one."""
    for name, cell, right, kind in (("plain", "8,5", "1.5", "numbers"), ("day", "soon", "01/02/2020", "dates")):
        rows = [{**row, name: cell} for row in rows_of(20, seed=9)]
        rows[4][name], rows[5][name] = right, ""
        with pytest.raises(
            DataError, match=rf"column '{name}': 18 of 19 cells are not {kind}, the first in row 1"
        ) as error:
            as_predicted(place, rows, "unreadable")
        assert error.value.fix.endswith("as in the training rows, or empty ones to predict without the column")
        with pytest.raises(
            ValueError, match=rf"^column '{name}': 18 of 19 cells cannot be read as .*, such as '{cell}'"
        ):
            served["predict"](rows)
        assert len(served["predict"](rows[:9])) == 9  # cells of a few rows count as empty
    huge = [{**row, "plain": "1e200"} for row in rows_of(20, seed=9)]  # read, and empty as in the training rows
    assert len(as_predicted(place, huge, "huge")) == len(served["predict"](huge)) == 20


def test_a_prediction_does_not_depend_on_other_rows(served: Any):
    rows = [
        row | {"euro": euro} for row, euro in zip(rows_of(4, seed=6), ["1.234", "7.25", "1.234,5", "x"], strict=True)
    ]
    for column in served["STATE"]["columns"]:
        cells = [row[column["name"]] for row in rows]
        alone = [served["read"]([cell], column, str)[0] for cell in cells]
        np.testing.assert_array_equal(served["read"](cells, column, str), alone)


def test_rows_of_another_form_are_refused_with_what_is_expected(served: Any):
    row = rows_of(1)[0]
    with pytest.raises(ValueError, match=r"a cell must be one value, .* got the cell \['7', '8'\]"):
        served["predict"]({**row, "plain": ["7", "8"]})
    values = {**row, "price": 1234.5, "plain": None}
    for wrong, count in ((["7"], 1), ([*values.values(), 1], 16), ([], 0)):
        with pytest.raises(ValueError, match=f"^row 2 has length {count} instead of 15$"):
            served["predict"]([[*values.values()], wrong])
    assert served["predict"]([[*values.values()]]) == served["predict"]([values])


@pytest.mark.parametrize("form", [*FORMATS, SEASON])
def test_a_date_of_every_format_is_read(form: str, served: Any):
    words = {
        "yyyy-mm-dd": ["2024-05-06", "2024/5/6 3:04 am", "2024.05.06T24:00", "2024-02-30", "2024-05-06 01:02:03.25+01"],
        "time": ["3 pm", "13:45", "12:00:01.5 am", "25:00", "13 pm"],
    }
    examples = ["06/05/2024", "13/05/2024", "6.5.24", "05/06/68", "05/06/69", "06.05.24", "1st May 2024", "2 Mai 2024"]
    examples += [
        "Fri, May 3, 2024 at 4 pm",
        "2024 May 3",
        "Sat Nov 28 04:05:06 UTC 2026",
        "2024-11",
        "11/2024",
        "May 24",
    ]
    examples += ["2024 May", "2024M3", "2024-W09", "2020W53-7", "2021-W53", "2010-11", "1999/2000", "2010-13"]
    examples += ["2024Q3", "q1 1999", "Feb 30, 2024", *words["yyyy-mm-dd"], *words["time"]]
    column = {"name": "day", "kind": "date", "ways": _date_ways(form)}
    for word in (*examples, *map(str.upper, examples)):
        cells = pd.Series(["x", word])
        assert np.array_equal(
            served["read"](cells.tolist(), column, str), read_dates(cells, form)[0], equal_nan=True
        ), word
        alone = pd.Series([word])
        assert np.array_equal(served["read"]([word], column, str), read_dates(alone, form)[0], equal_nan=True), word


NOTATIONS = [
    Notation(),
    Notation(thousands=","),
    Notation(",", "."),
    Notation(",", " ", suffix="EUR"),
    Notation(prefix="$", thousands=","),
    Notation(prefix="US$", thousands="'"),
    Notation(suffix="kg"),
    Notation(suffix="%"),
    Notation(suffix="miles per hour"),
    Notation(suffix="s"),
]
PARTS = [
    "",
    " ",
    "-",
    "+",
    "(",
    ")",
    "$",
    "US$",
    "€",
    "1",
    "12",
    "1,234",
    "1.234",
    "1 234",
    "1'234,5",
    "0.5",
    ".5",
    "5.",
]
PARTS += [
    "e3",
    "E-2",
    "kg",
    "kgs.",
    "KG",
    "%",
    "EUR",
    "miles  per hour",
    "s",
    "<",
    ">=",
    "~",
    "x",
    "\u2212",
    "\u00a0",
    "\u2019",
]


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(NOTATIONS),
    st.lists(st.lists(st.sampled_from(PARTS), min_size=1, max_size=6).map("".join), max_size=4),
)
def test_numbers_in_any_notation_are_read(served: Any, notation: Notation, words: list[str]):
    plain = Notation(prefix=notation.prefix, suffix=notation.suffix)
    column = {"name": "x", "kind": "number", "ways": [_number_way(notation), _number_way(plain)]}
    words = [word.strip() for word in words]
    expected = read_numbers(pd.Series(words, dtype=object), notation)[0]
    found = served["read"](words, column, str)
    np.testing.assert_array_equal(found, [np.nan if abs(value) > 1e100 else value for value in expected])


def test_predictions_of_something_else_are_refused(place: Path, served: Any, trained: TrainedModel):
    """The comparison before the end of an export finds wrong classes and probabilities."""
    frame = trained.read(str(place / "t.csv")).frame.iloc[:50]
    rows = cells_of(frame, [column.name for column in trained.preprocessing.columns])
    right = served["predict"](rows)
    assert largest_difference(trained, frame, right) <= TOLERANCE
    turned = [{**row, "prediction": {"cat": "dog", "dog": "cat"}[row["prediction"]]} for row in right]
    with pytest.raises(ConfigError, match="and exp predict says"):
        largest_difference(trained, frame, turned)
    moved = [{**row, "probability cat": row["probability cat"] + 1e-4} for row in right]
    assert largest_difference(trained, frame, moved) == pytest.approx(1e-4, rel=1e-3)
