"""Rows that are no observations, such as a total at the end or units below the names, are named."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from exp.data.dataset import Dataset
from exp.data.files import arrays, table
from exp.data.folds import Fold
from exp.data.prepare import prepare

ROWS, START = 60, "classes with fewer rows than splits, too few to learn and to evaluate: "
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


def read(top: list[list[str]], end: list[list[str]], target: str, **options: Any) -> Dataset:
    added = [pd.DataFrame(rows, columns=FRAME.columns) for rows in (top, end)]
    pd.concat([added[0], FRAME, added[1]]).to_csv("t.csv", index=False)
    return table("t.csv", target, **options)


def class_notes(dataset: Dataset, fold: Fold | None = None, seed: int = 0) -> list[str]:
    notes = prepare(dataset, (0.6, 0.2, 0.2), "none", seed, fold=fold).notes
    return [note for note in notes if "class" in note]


@pytest.mark.parametrize("target", ["word", "grade"])
@pytest.mark.parametrize("word", ["Total", "(m, s)", "600"])
@pytest.mark.parametrize("task", ["auto", "classes"])
def test_a_class_of_one_row_is_named_once_whatever_split_it_is_in(target: str, word: str, task: str):
    row = ["1", word, word]
    for top, end, number in (([row], [], 1), ([], [row], 61)):
        dataset = read(top, end, target, task=task)
        expected = f"{START}{word!r} (row {number}); to leave them out: a file without these rows"
        assert all(class_notes(dataset, seed=seed) == [expected] for seed in range(8))


@pytest.mark.parametrize("word", ["Total", "600"])
def test_a_class_of_two_rows_cannot_be_in_three_splits(word: str):
    dataset = read([["1", word, word]], [["2", word, word]], "word")
    noted = {note for seed in range(8) for note in class_notes(dataset, seed=seed)}
    assert f"{START}{word!r} (row 1, row 62); to leave them out: a file without these rows" in noted
    assert all(len(class_notes(dataset, seed=seed)) == 1 for seed in range(8))
    dataset = read([["1", word, word]] * 2, [["2", word, word]], "word")
    assert not any(START in note for seed in range(8) for note in class_notes(dataset, seed=seed))


def test_numbers_and_words_of_few_rows_are_one_note():
    ends = [["1", "p", word] for word in ("Total", "A", "A", "7")]
    assert class_notes(read([], ends, "grade")) == [
        f"{START}'7' (row 64), 'A' (row 62, row 63), 'Total' (row 61); to leave them out: a file without these rows"
    ]


def test_the_file_of_a_row_is_named():
    FRAME.to_csv("train.csv", index=False)
    pd.DataFrame([["1", "p", "1"], ["2", "q", "1"], ["3", "Total", "1"]], columns=FRAME.columns).to_csv(
        "t.csv", index=False
    )
    found = class_notes(table("train.csv", "word", test_path="t.csv"))
    assert found == [f"{START}'Total' (row 3 of dataset.test_path); to leave them out: a file without these rows"]


def test_thousands_of_classes_with_one_row_make_a_short_note_and_folds_have_one_of_their_own():
    rows = [["1", f"w{number}", "1"] for number in range(2000)]
    (note,) = class_notes(read([], rows, "word", task="classes"))
    assert note.startswith(f"{START}'w0' (row 61), 'w1' (row 62), ")
    assert note.endswith(" and 1,995 more; to leave them out: a file without these rows")
    of_fold = class_notes(table("t.csv", "word", task="classes"), Fold(1, 3))
    starts = "no training row has the class 'w", "classes with fewer rows than folds=3: 'w0' (1), "
    assert [note.startswith(start) for note, start in zip(of_fold, starts, strict=True)] == [True, True]
    assert all(" more" in note and len(note) < 300 for note in of_fold)


def test_arrays_of_which_rows_weigh_nothing_have_the_same_note():
    y = np.arange(ROWS) % 2
    y[[7, 20]] = 2
    np.savez("a.npz", x=np.random.default_rng(0).normal(size=(ROWS, 2)), y=y, w=np.arange(ROWS) != 20)
    found = class_notes(arrays("a.npz", weight="w"))
    assert found == [f"{START}'2' (row 8); to leave them out: a file without these rows"]


def test_classes_of_several_rows_and_numbers_have_no_note():
    assert class_notes(read([], [["1", "p", "X"]] * 40, "grade")) == []
    for target in ("word", "grade", "a"):
        assert class_notes(read([], [], target)) == []


def numbers(rows: int = 40) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    columns = {"a": rng.normal(5, 1, rows).round(3), "b": rng.integers(1, 99, rows), "y": rng.uniform(0, 9, rows)}
    return pd.DataFrame({**columns, "word": ["p", "q"] * (rows // 2), "sparse": [0] * (rows - 1) + [1]})


def totals_of(frame: pd.DataFrame, target: str) -> list[str]:
    frame.to_csv("t.csv", index=False)
    notes = prepare(table("t.csv", target), (0.6, 0.2, 0.2), "none", 0).notes
    return [note for note in notes if "sums" in note]


@pytest.mark.parametrize("word", ["Total", "Summe", "p"])
@pytest.mark.parametrize("rows", [40, 400])
def test_a_total_among_the_rows_is_named_by_its_sums(word: str, rows: int):
    frame = numbers(rows)
    total = frame.sum(numeric_only=True).round(9)
    frame.loc[len(frame)] = {**total, "word": word}
    what = f"row {rows + 1}, the last one, holds the sums of the rows above it in"
    fix = "to leave it out: a file without it"
    assert totals_of(frame, "y") == [f"{what} a, b, y; {fix}"]
    assert totals_of(frame.map(lambda cell: f"${cell:,.9f}" if isinstance(cell, float) else cell), "y") == [
        f"{what} a, b, y; {fix}"
    ]
    assert totals_of(frame.assign(y=["u", "v"] * (rows // 2) + ["u"]), "y") == [f"{what} a, b; {fix}"]


def test_rows_that_are_no_total_have_no_such_note():
    frame = numbers()
    assert totals_of(frame, "y") == []
    running = frame.assign(a=frame["a"].cumsum(), b=0, y=frame["y"].cumsum())
    assert totals_of(running, "y") == []
    few = pd.DataFrame({"a": [*range(1, 9), 36], "y": [*np.arange(8) / 4, 7.0]})
    assert totals_of(few, "y") == []
