"""Any table trains, or is refused with a reason and a fix; and equal tables in other files are equal datasets.

The oracles are the rows that were written, and the same numbers and words written in another way.
"""

import contextlib
import csv
import math
import re
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import pytest
from any_tables import KINDS, AnyTable, make_table
from conftest import one_in
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exp import train
from exp.config.overrides import text_override
from exp.data.dataset import Dataset
from exp.data.files import table
from exp.errors import ExpError
from exp.predict import predict

seeds = st.integers(0, 2**32)
columns = st.lists(st.sampled_from(list(KINDS)), min_size=1, max_size=7)
targets = st.sampled_from(("yes or no", "words", "few integers", "real", "integer", *KINDS))


def count_left_out(notes: list[str], by_the_reader: bool = False) -> int:
    """Return the number of rows that notes say were left out."""
    patterns = [r"([\d,]+) rows? repeated the column names: left out", r"([\d,]+) rows? at the end had no cells: left"]
    patterns += [] if by_the_reader else [r"left out ([\d,]+) of [\d,]+ rows"]
    found = [match for note in notes for pattern in patterns if (match := re.match(pattern, note))]
    return sum(int(match[1].replace(",", "")) for match in found)


def train_and_predict(made: AnyTable, folder: Path) -> bool:
    """Train on a table and predict its rows. Return whether it trains; assert what is right, or a true refusal."""
    path, names = made.write(folder), made.shown_names()
    name = names[made.target]
    is_unique = name and names.count(name) == 1
    target = text_override("dataset.target", name) if is_unique else f"dataset.target={made.target}"
    line = ("dataset=table", f"dataset.path={path.name}", target, "epochs=1", "figures=false", "model.hidden=[8]")
    try:
        result = train(*line, "hydra.run.dir=run")
    except ExpError as error:
        refusal = error
    else:
        refusal = None
    if refusal is not None:
        assert re.search(r"dataset\b|target|loss", refusal.problem), refusal
        assert " failed: " not in refusal.problem
        assert refusal.fix
        return False
    rows, summary = made.data_lines(), result.summary
    metrics = {(split, name): value for split, of in result.final.items() for name, value in of.items()}
    assert metrics
    notes = summary.get("notes") or []
    for (split, _), value in metrics.items():  # only cells far from the training rows may have an infinite loss
        has_far = any(
            re.match(rf"the {split} rows have values far from .*: .+ is .+ in row \d", note) for note in notes
        )
        assert isinstance(value, float)
        assert math.isfinite(value) or has_far, (metrics, notes)
    assert sum(summary["rows"].values()) == len(rows) - count_left_out(notes), notes
    said_notes: list[str] = predict(run="run", data=path.name, out="predictions.csv").fields["notes"]
    with open(folder / "predictions.csv", newline="", encoding="utf-8") as file:
        predictions = list(csv.reader(file))[1:]
    assert len(predictions) == len(rows) - count_left_out(said_notes, by_the_reader=True), said_notes
    assert all(any(cells) for cells in predictions), said_notes
    has_nan = "nan" in {cell for cells in predictions for cell in cells}
    assert not has_nan or any("NaN or infinite prediction" in note for note in said_notes), said_notes
    return True


def check_a_table(seed: int, count: int, kinds: list[str], target: str, oddity: float) -> bool:
    random = Random(seed)
    made = make_table(random, count, [*kinds, target], oddity)
    if random.random() < 0.6:
        made = replace(made, target=len(kinds))
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        return train_and_predict(made, Path(folder))


any_table = given(seeds, st.integers(0, 60), columns, targets, st.sampled_from((0, 0, 0.05, 0.3)))
quick = [HealthCheck.too_slow, HealthCheck.data_too_large]


@settings(max_examples=2, suppress_health_check=quick)
@any_table
def test_a_table_trains_or_is_refused(seed: int, count: int, kinds: list[str], target: str, oddity: float):
    check_a_table(seed, count, kinds, target, oddity)


@pytest.mark.slow
def test_two_thousand_tables_train_or_are_refused():
    counts = {True: 0, False: 0}

    @settings(max_examples=2000, suppress_health_check=quick)
    @any_table
    def check(seed: int, count: int, kinds: list[str], target: str, oddity: float):
        counts[check_a_table(seed, count, kinds, target, oddity)] += 1

    check()
    print(f"{counts[True]} trained, {counts[False]} refused")
    assert counts[True] > 500


few_or_many = pytest.mark.parametrize("examples", [3, pytest.param(150, marks=pytest.mark.slow)])


def settings_of(examples: int) -> settings:
    return settings(max_examples=examples, suppress_health_check=quick)


def read(made: AnyTable, **options: object) -> Dataset | str:
    """Return the dataset of a table, or the class of the error that refuses it."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            return table(str(made.write(Path(folder))), made.names[made.target], **options)  # pyright: ignore
        except ExpError as error:
            return type(error).__name__


def assert_equal(one: Dataset | str, other: Dataset | str) -> None:
    if isinstance(one, str) or isinstance(other, str):
        assert one == other
        return
    assert one.columns == other.columns
    assert one.fingerprint == other.fingerprint


PLAIN_KINDS = sorted(set(KINDS) - {"odd words"})
plain_tables = given(seeds, st.integers(3, 60), st.lists(st.sampled_from(PLAIN_KINDS), min_size=1, max_size=5))
REWRITTEN: dict[str, Callable[[AnyTable], AnyTable]] = {
    **{f"separator {mark!r}": lambda made, mark=mark: replace(made, separator=mark) for mark in ";\t|"},
    **{f"{name}": lambda made, name=name: replace(made, encoding=name) for name in ("utf-8-sig", "utf-16", "utf-32")},
    "quoted": lambda made: replace(made, is_quoted=True),
    "gzip": lambda made: replace(made, is_compressed=True),
    "line ends of Windows": lambda made: replace(made, line_end="\r\n"),
    "line ends of old Macs": lambda made: replace(made, line_end="\r"),
    "another suffix": lambda made: replace(made, suffix=".txt"),
}


def plain_table(seed: int, count: int, kinds: list[str]) -> AnyTable:
    """Return a table of plain names, whose target has two classes."""
    random = Random(seed)
    makers = [KINDS[kind] for kind in (*kinds, "yes or no")]
    rows = [[make(random) for make in makers] for _ in range(count)]
    return AnyTable([*(f"c{place}" for place in range(len(kinds))), "y"], rows, len(kinds))


@few_or_many
@pytest.mark.parametrize("how", one_in(2, REWRITTEN))
def test_the_same_table_in_another_file(how: str, examples: int):
    @settings_of(examples)
    @plain_tables
    def check(seed: int, count: int, kinds: list[str]):
        made = plain_table(seed, count, kinds)
        assert_equal(read(made), read(REWRITTEN[how](made)))

    check()


@few_or_many
def test_columns_in_another_order(examples: int):
    settings_of(examples)(plain_tables(check_turned_columns))()


def check_turned_columns(seed: int, count: int, kinds: list[str]) -> None:
    made = plain_table(seed, count, kinds)
    order = [0, *reversed(range(1, len(made.names)))]  # the first column may hold the names of the rows
    turned = replace(
        made,
        names=[made.names[place] for place in order],
        rows=[[row[place] for place in order] for row in made.rows],
        target=order.index(made.target),
    )
    one, other = read(made), read(turned)
    if isinstance(one, str) or isinstance(other, str):
        assert one == other
        return
    assert one.classes == other.classes
    assert np.array_equal(one.y, other.y)
    values = dict(zip(other.columns, other.x.T, strict=True))
    assert set(one.columns) == set(values)
    for column, x in zip(one.columns, one.x.T, strict=True):
        assert np.array_equal(x, values[column], equal_nan=True)


NOTATIONS: dict[str, Callable[[str], str]] = {
    "thousands": lambda word: f"{float(word):,.3f}",
    "decimal comma": lambda word: word.replace(".", ","),
    "points and comma": lambda word: f"{float(word):,.3f}".translate(str.maketrans(",.", ".,")),
    "percent": lambda word: f"{word} %",
    "currency": lambda word: f"${word}" if word[0] != "-" else f"-${word[1:]}",
    "unit": lambda word: f"{word} kg",
    "brackets": lambda word: word if word[0] != "-" else f"({word[1:]})",
    "minus sign": lambda word: word.replace("-", "\u2212"),
    "blanks": lambda word: f"  {word} ",
}


@few_or_many
@pytest.mark.parametrize("notation", one_in(2, NOTATIONS))
def test_the_same_numbers_in_another_notation(notation: str, examples: int):
    @settings_of(examples)
    @given(st.lists(st.integers(-9_999_999, 9_999_999), min_size=4, max_size=40))
    def check(thousandths: list[int]):
        words = [f"{number / 1000:.3f}" for number in (-7_654_321, 8_765_432, *thousandths)]
        rows = [[word, "ab"[place % 2]] for place, word in enumerate(words)]
        made = AnyTable(["size", "y"], rows, 1, separator=";")
        other = replace(made, rows=[[NOTATIONS[notation](word), y] for word, y in rows])
        one, another = read(made), read(other)
        assert isinstance(one, Dataset)
        assert isinstance(another, Dataset)
        assert one.x[:, 0].tolist() == [float(word) for word in words]
        assert np.array_equal(one.x, another.x)

    check()


@few_or_many
def test_renamed_words_change_nothing_but_names(examples: int):
    settings_of(examples)(given(seeds, st.integers(4, 60))(check_renamed_words))()


def check_renamed_words(seed: int, count: int) -> None:
    random = Random(seed)
    rows = [[random.choice("abcde"), random.choice(("p", "q", ""))] for _ in range(count)]
    rows[:2] = [["a", "p"], ["b", "q"]]
    made = AnyTable(["word", "y"], rows, 1)
    other = replace(made, rows=[[f"größer {word}" if word else "" for word in row] for row in rows])
    one, another = read(made), read(other)
    if isinstance(one, str) or isinstance(another, str):
        assert one == another
        return
    assert np.array_equal(one.x, another.x)
    assert np.array_equal(one.y, another.y)
    assert [f"größer {name}" for name in one.classes or ()] == list(another.classes or ())
