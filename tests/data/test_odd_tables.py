"""Faults that tests/data/test_any_table.py found, each by itself."""

import io
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from exp import train
from exp.config.flow_values import readable
from exp.config.overrides import column_override, reads_as
from exp.config.validation import config_from_saved
from exp.data.dataset import Dataset
from exp.data.encode import encode_rows
from exp.data.files import table
from exp.data.input_files import check_input_files
from exp.data.prepare import prepare
from exp.data.read_table import read_frame
from exp.errors import DataError, ExpError
from exp.predict import predict
from exp.results.run_folder import read_config


def write(folder: Path, content: str, name: str = "x.csv") -> str:
    (folder / name).write_text(content, encoding="utf-8")
    return str(folder / name)


def read(folder: Path, content: str, target: str = "y", **options: Any) -> Dataset:
    return table(write(folder, content), target, **options)


def rows(*cells: str, count: int = 12) -> str:
    """Return lines of a cell of each of these columns, which begin again after their last word."""
    words = [column.split() for column in cells]
    return "".join(",".join(column[place % len(column)] for column in words) + "\n" for place in range(count))


@pytest.mark.parametrize("cell", ["inf", "-Infinity", "1e400", "1e300", "-2e308"])
@pytest.mark.parametrize("mark", ".,")
def test_infinite_and_huge_numbers_are_gaps_with_a_note(cell: str, mark: str, tmp_path: Path):
    words = [f"1{mark}5", f"2{mark}5", f"4{mark}5", cell]
    lines = "".join(f'"{word}",{"ab"[place % 2]}\n' for place, word in enumerate(words * 3))
    dataset = read(tmp_path, f"size,y\n{lines}")
    assert dataset.x[:4, 0].tolist()[:3] == [1.5, 2.5, 4.5]
    assert np.isnan(dataset.x[3::4]).all()
    (note,) = [note for note in dataset.notes if "infinite" in note]
    assert note.startswith(
        "column 'size': 3 cells are infinite or beyond 1e+100 and read as empty, the first in row 4: "
    )
    data = prepare(dataset, None, scaler="standard", seed=0)
    assert data.train.x.isfinite().all()
    new = read_frame(write(tmp_path, f"size\n{cell}\n"))
    values, is_complete, notes = encode_rows(new.frame, data.preprocessing, "x.csv")
    assert notes[0].startswith("column 'size': 1 cell is infinite or beyond 1e+100 and read as empty, the first in row")
    assert "np." not in notes[0]
    assert np.isnan(values).all()
    assert is_complete.all()


def test_a_target_that_is_infinite_is_a_row_without_a_target(tmp_path: Path):
    dataset = read(tmp_path, "size,y\n" + "".join(f"{i % 7},{i * 1.5 if i else 'inf'}\n" for i in range(30)))
    assert len(dataset.x) == 29
    assert dataset.notes[:2] == (
        "target 'y': 1 cell is infinite or beyond 1e+100 and read as empty, the first in row 1: inf",
        "left out 1 of 30 rows: y is empty",
    )


def test_integers_beyond_64_bits_are_numbers(tmp_path: Path):
    dataset = read(tmp_path, "size,y\n" + rows("100000000000000000000 300000000000000000000 2", "a b"))
    assert dataset.x[:3, 0].tolist() == [1e20, 3e20, 2]
    classes = read(tmp_path, "y,town\n" + rows("100000000000000000000 2", "Graz Linz Wien"))
    assert classes.classes == ("2", "100000000000000000000")


def test_long_integers_are_different_classes_and_categories(tmp_path: Path):
    """In float64 these two are equal."""
    content = "code,y,town\n" + rows(
        "9007199254740992 9007199254740993 1", "1000000000000000001 1000000000000000002", "u v w"
    )
    dataset = read(tmp_path, content, kinds={"code": "category"})
    assert dataset.classes == ("1000000000000000001", "1000000000000000002")
    assert dataset.columns[0].categories == ("1", "9007199254740992", "9007199254740993")  # pyright: ignore


def test_training_rows_without_a_feature_are_refused(tmp_path: Path):
    dataset = read(tmp_path, "size,part,y\n" + rows("NA", "train", "a b") + "1,test,a\n2,test,b\n", split_column="part")
    with pytest.raises(
        DataError, match=r"dataset.split: no feature column has a value in the 12 training rows \(size\)"
    ):
        prepare(dataset, None, scaler="standard", seed=0)


@pytest.mark.parametrize("power", [160, 300])
def test_a_target_whose_squares_underflow_is_refused(power: int, tmp_path: Path):
    lines = "".join(f"{place % 5},{place}.5e-{power}\n" for place in range(30))
    with pytest.raises(DataError, match="target 'y' varies by less than 1e-150"):
        read(tmp_path, f"size,y\n{lines}")


def test_the_separator_is_also_between_the_names(tmp_path: Path):
    """Decimal commas are no separators, even if one line has a cell too many."""
    lines = "".join(f"{i}\t{i},5\tno\n" for i in range(8))
    with pytest.raises(DataError, match="line 10 has 4 cells, but line 1 has 3 column names"):
        read_frame(write(tmp_path, f"a\tb\ty\n{lines}9\t9,5\tyes\tmore\n"))


@pytest.mark.parametrize("name", ["[a]", "{b}", "{", "[1]"])
def test_a_name_in_brackets_is_no_json(name: str, tmp_path: Path):
    assert list(read_frame(write(tmp_path, f"{name},y\n3,a\n4,b\n")).frame) == [name, "y"]


@pytest.mark.parametrize("text", ['{"a": [1]}', '{\n  "a": [1]}', '[{"a": 1}]', '[\n {"a": 1}]', "[[1, 2]]"])
def test_json_is_still_refused(text: str, tmp_path: Path):
    with pytest.raises(DataError, match="the file is JSON"):
        read_frame(write(tmp_path, text))


def test_names_after_a_hash_above_words(tmp_path: Path):
    table = read_frame(write(tmp_path, "##made by hand\n#town,kind,y\nGraz,a,no\nLinz,b,yes\nGraz,b,no\n"))
    assert list(table.frame) == ["town", "kind", "y"]
    assert len(table.frame) == 3
    table = read_frame(write(tmp_path, "# two words, made by hand\ntown,size\nGraz,1\nLinz,2\nGraz,3\n"))
    assert list(table.frame) == ["town", "size"]


@pytest.mark.parametrize(
    ("content", "target"),
    [
        ('price;"weight, net";colour\n1;2;red\n2;3;blue\n', "colour"),
        ('inf|"a, b"|b of\n1|2|x\n', "b of"),
        ("Prices, 2024\nprice,kind\n3,a\n", "price"),
    ],
)
def test_a_target_of_the_table_is_not_corrected_by_the_first_line(content: str, target: str, tmp_path: Path):
    check_input_files({"_target_": "exp.data.files.table", "path": write(tmp_path, content), "target": target})


def test_a_target_that_is_in_no_line_is_corrected_before_training(tmp_path: Path):
    dataset = {"_target_": "exp.data.files.table", "path": write(tmp_path, "price,colour\n3,red\n"), "target": "color"}
    with pytest.raises(ExpError, match="has no column 'color'") as caught:
        check_input_files(dataset)
    assert caught.value.override == "dataset.target=colour"


NAMES = (
    "a b",
    "a: b",
    "a=b",
    "a,b",
    "[a]",
    "{b}",
    "2021",
    "a.b",
    "?",
    "größe",
    "it's",
    'a"b',
    "true",
    "1e5",
    "日本",
    "${c}",
)


@pytest.mark.parametrize("name", NAMES)
def test_the_override_for_one_column_is_read_as_that_column_or_is_yaml(name: str):
    override = column_override("dataset.kinds", name, "category")
    if "YAML" in override:
        _, _, text = override.partition("in a YAML file: ")
        assert yaml.safe_load(text) == {"dataset": {"kinds": {name: "category"}}}
        return
    (word,) = shlex.split(override)
    key, _, value = readable(word).partition("=")
    assert key == "dataset.kinds"
    assert {str(found): kind for found, kind in reads_as(value).items()} == {name: "category"}  # pyright: ignore


@pytest.mark.parametrize("text", ["${c}", "a\\${c}", "$x", "\\\\${c}"])
def test_a_saved_config_keeps_its_text(text: str, xor_run: Path):
    saved = read_config(xor_run)
    own = {"_target_": "exp.data.files.table", "path": "x.csv", "target": text, "drop": [text]}
    dataset = config_from_saved({**saved, "dataset": {**saved["dataset"], **own}}).dataset
    assert [dataset["target"], dataset["drop"]] == [text, [text]]


REGIONS = "region,size,kind\n" + "".join(
    f"{region},{size},{kind}\n"
    for region, size, kind in zip("NA EU AS".split() * 6, [*range(17), "NA"], "ab" * 9, strict=True)
)


def test_words_read_as_empty_cells_are_listed_with_the_override_that_keeps_them(tmp_path: Path):
    """Numbers and booleans do not have such words, and need no note."""
    dataset = read(tmp_path, REGIONS, "kind")
    assert dataset.notes[0] == (
        "words read as empty cells: region 'NA' (6); to keep them as words: 'dataset.keep_words=[NA]'"
    )
    kept = read(tmp_path, REGIONS, "kind", keep_words=["NA"])
    assert kept.columns[0].categories == ("AS", "EU", "NA")  # pyright: ignore
    assert np.isnan(kept.x[:, 1]).sum() == 1
    assert not [note for note in kept.notes if "keep_words" in note]
    classes = read(tmp_path, REGIONS, "region", keep_words=["NA"])
    assert classes.classes == ("AS", "EU", "NA")
    assert len(classes.x) == 18
    answers = read(tmp_path, "size,ok,y\n1,yes,a\n2,no,b\n3,NA,a\n5,no,b\n", missing="auto")
    assert not [note for note in answers.notes if "keep_words" in note]


def test_kept_words_in_a_parquet_file(tmp_path: Path):
    frame = pd.read_csv(io.StringIO(REGIONS), keep_default_na=False)
    frame.to_parquet(tmp_path / "x.parquet")
    one = table(str(tmp_path / "x.parquet"), "kind")
    assert one.notes[0].startswith("words read as empty cells: region 'NA' (6)")
    assert table(str(tmp_path / "x.parquet"), "kind", keep_words=["NA"]).columns[0].categories == ("AS", "EU", "NA")  # pyright: ignore


def test_classes_that_differ_only_in_case_are_named(tmp_path: Path):
    dataset = read(tmp_path, "size,y\n" + rows("1 2 4 5 3", "yes no Yes no"))
    assert dataset.classes == ("Yes", "no", "yes")
    assert dataset.notes[0] == "target 'y': words that differ only in case are different classes: 'Yes', 'yes'"


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("日本 $\\x^{$", 2),
        pytest.param("long" * 75, 2, marks=pytest.mark.slow),
        pytest.param("k", 60, marks=pytest.mark.slow),
    ],
)
def test_figures_of_odd_class_names_warn_of_nothing(name: str, count: int, tmp_path: Path):
    lines = "".join(f'{i % 97},{i % 89},"{name} {i % count}"\n' for i in range(600))
    path = write(tmp_path, f"a,b,y\n{lines}")
    result = train(
        "dataset=table", f"dataset.path={path}", "dataset.target=y", f"hydra.run.dir={tmp_path}/run", epochs=1
    )
    assert {path.stem for path in result.figures} >= {"confusion_matrix", "decision_surface", "scores"}
    assert not [note for note in result.summary["notes"] if "drawn" in note]


@pytest.mark.parametrize("value", [1.7e18, 2e7, -1e30])
def test_a_large_number_that_is_constant_in_the_training_rows_is_scaled(value: float, tmp_path: Path):
    """scikit-learn would only subtract it, and a test row with twice the value would be that large."""
    lines = "".join(f"{value:.17g},{i},train,{'ab'[i % 2]}\n" for i in range(7)) + f"{2 * value:.17g},3,test,a\n"
    data = prepare(read(tmp_path, f"stamp,size,part,y\n{lines}", split_column="part"), None, scaler="standard", seed=0)
    place = data.features.index("stamp")
    assert data.train.x[:, place].abs().max() < 1e-6
    assert data.test.x[0, place].abs() == pytest.approx(1)


@pytest.mark.parametrize(
    "content", ["a,size,town\n1,2.5,NA\n2,3.5,Graz\n", "a\tsize\ttown\n1\t2.5\tNA\n2\t3.5\tGraz\n"]
)
def test_new_rows_with_another_separator_and_no_advice_that_predict_does_not_take(
    content: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)
    lines = "".join(f"{i % 7};{i},5;{('Graz', 'Linz', 'NA')[i % 3]};{'ab'[i % 2]}\n" for i in range(30))
    line = ("dataset=table", f"dataset.path={write(tmp_path, f'a;size;town;y{chr(10)}{lines}')}", "dataset.target=y")
    train(*line, 'dataset.separator=";"', 'dataset.decimal=","', "figures=false", "hydra.run.dir=run", epochs=1)
    capsys.readouterr()
    predict(run="run", data=write(tmp_path, content, "new.csv"), out="out.csv")
    assert "dataset." not in capsys.readouterr().out
    assert len((tmp_path / "out.csv").read_text().splitlines()) == 3
    with pytest.raises(ExpError) as caught:
        predict(run="run", data=write(tmp_path, "a\n1\n", "new.csv"), out="out2.csv")
    assert "dataset." not in caught.value.fix
