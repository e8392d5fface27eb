"""Rows that are none, such as units below the names or a total at the end, do not become classes in silence."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from exp.data.files import table
from exp.data.folds import Fold
from exp.data.prepare import prepare

ROWS = 60
FRAME = pd.DataFrame(
    {
        "a": np.random.default_rng(0).normal(size=ROWS).round(3),
        "word": ["p", "q"] * (ROWS // 2),
        "grade": [1, 2, 3] * (ROWS // 3),
    }
).astype(str)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def notes_of(top: list[list[str]], end: list[list[str]], target: str, **options: object) -> list[str]:
    added = [pd.DataFrame(rows, columns=FRAME.columns) for rows in (top, end)]
    pd.concat([added[0], FRAME, added[1]]).to_csv("t.csv", index=False)
    return [*prepare(table("t.csv", target, **options), (0.6, 0.2, 0.2), "none", 0).notes]  # pyright: ignore


@pytest.mark.parametrize(("word", "quoted"), [("Total", "[Total]"), ("kind of", "[kind of]"), ("(m, s)", '["(m, s)"]')])
@pytest.mark.parametrize("is_end", [True, False])
def test_a_class_of_words_with_one_row_is_named(word: str, quoted: str, is_end: bool):
    rows = [["1", word, "1"]]
    found = notes_of([] if is_end else rows, rows if is_end else [], "word")
    row, fix = (61 if is_end else 1), f"'dataset.na_values={quoted}'"
    assert f"classes with one row: {word!r} (row {row}); to leave them out: {fix}" in found
    left = notes_of([] if is_end else rows, rows if is_end else [], "word", na_values=[word])
    assert "left out 1 of 61 rows: word is empty" in left
    assert not any("one row" in note for note in left)


def test_words_among_classes_that_are_numbers_are_named():
    rows = [["m", "", "scale"], ["", "q", "Sum"], ["", "q", "Sum"]]
    (note,) = (note for note in notes_of(rows, [], "grade") if "among" in note)
    listed, fix = "'scale' in row 1, 'Sum' in row 2", "'dataset.na_values=[scale,Sum]'"
    assert note == f"target 'grade': words among numbers are classes of their own: {listed}; to leave them out: {fix}"
    assert not any("class" in note for note in notes_of(rows, [], "grade", na_values=["scale", "Sum"]))


def test_a_number_that_is_a_class_of_one_row_is_named_without_leaving_out_its_value():
    (note,) = (note for note in notes_of([], [["1", "p", "600"]], "grade") if "class" in note)
    assert note == "classes with one row: '600' (row 61); for numbers: dataset.task=regression"


def test_folds_have_a_note_of_their_own_and_many_single_classes_are_one_note():
    rows = [["1", word, "1"] for word in "abcdefg"]
    (note,) = (note for note in notes_of([], rows, "word") if "one row" in note)
    assert note.startswith("classes with one row: 'a' (row 61), 'b' (row 62), ")
    assert note.endswith(" and 2 more; to leave them out: 'dataset.na_values=[a,b,c,d,e,f,g]'")
    of_fold = prepare(table("t.csv", "word"), (0.6, 0.2, 0.2), "none", 0, fold=Fold(1, 3)).notes
    assert not any("one row" in note for note in of_fold)
    assert any("classes with fewer rows than folds=3" in note for note in of_fold)


def test_classes_of_several_rows_and_numbers_have_no_note():
    for target in ("word", "grade", "a"):
        assert not any("class" in note for note in notes_of([], [], target))


def numbers(rows: int = 40) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    columns = {"a": rng.normal(5, 1, rows).round(3), "b": rng.integers(1, 99, rows), "y": rng.uniform(0, 9, rows)}
    return pd.DataFrame({**columns, "word": ["p", "q"] * (rows // 2), "sparse": [0] * (rows - 1) + [1]})


def totals_of(frame: pd.DataFrame, target: str, **options: object) -> list[str]:
    frame.to_csv("t.csv", index=False)
    notes = prepare(table("t.csv", target, **options), (0.6, 0.2, 0.2), "none", 0).notes  # pyright: ignore
    return [note for note in notes if "sums" in note]


@pytest.mark.parametrize("word", ["Total", "Summe", "p"])
def test_a_total_among_the_rows_is_named_by_its_sums(word: str):
    frame = numbers()
    total = frame.sum(numeric_only=True).round(9)
    frame.loc[len(frame)] = {**total, "word": word}
    (note,) = totals_of(frame, "y")
    what = "row 41, the last one, holds the sums of the rows above it in a, b, y"
    assert note == f"{what}: to leave it out: 'dataset.na_values=[{total['y']}]'"
    assert totals_of(frame, "y", na_values=[total["y"]]) == []
    (note,) = totals_of(frame.assign(y=["u", "v"] * 20 + ["u"]), "y")
    assert (
        note == "row 41, the last one, holds the sums of the rows above it in a, b: to leave it out: a file without it"
    )


def test_rows_that_are_no_total_have_no_such_note():
    frame = numbers()
    assert totals_of(frame, "y") == []
    running = frame.assign(a=frame["a"].cumsum(), b=0, y=frame["y"].cumsum())
    assert totals_of(running, "y") == []
    few = pd.DataFrame({"a": [*range(1, 9), 36], "y": [*np.arange(8) / 4, 7.0]})
    assert totals_of(few, "y") == []
