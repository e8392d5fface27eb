"""Columns that nothing can be learned from are left out with a note, and used if their kind is declared."""

import numpy as np
import pandas as pd
import pytest

from exp.data.from_frame import TableOptions, dataset_from_frame


def plain(rows: int = 60) -> pd.DataFrame:
    random = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "size": random.normal(0, 1, rows),
            "town": random.choice(["Aa", "Bb"], rows),
            "ill": random.choice(["no", "yes"], rows),
            "price": random.normal(100, 10, rows),
        }
    )


LEFT_OUT = {
    "constant": (lambda rows, _: [3] * rows, "it is '3' in every row"),
    "empty": (lambda rows, _: [None] * rows, "it is empty"),
    "row_id": (lambda rows, _: range(1000, 1000 + rows), "it numbers the rows"),
    "CustomerID": (lambda rows, _: np.random.default_rng(1).permutation(rows) + 50_000, "it numbers the rows"),
    "name": (
        lambda rows, _: [f"person {row}" for row in range(rows)],
        "60 distinct values in 60 rows identify the rows",
    ),
    "sick": (lambda _, frame: frame["ill"].map({"no": 0, "yes": 1}), "it repeats the target 'ill'"),
}


@pytest.mark.parametrize("name", LEFT_OUT)
def test_a_column_without_information_is_left_out_and_the_note_has_the_override_that_uses_it(name: str):
    values, reason = LEFT_OUT[name]
    frame = plain().assign(**{name: values(60, plain())})
    dataset = dataset_from_frame(frame, "x.csv", TableOptions("ill"))
    assert [column.name for column in dataset.columns] == ["size", "town", "price"]
    (note,) = dataset.notes
    assert note.startswith(f"left out column {name}: {reason}")
    if name != "empty":
        kind = "number" if name in ("row_id", "CustomerID", "sick") else "category"
        assert (f"'dataset.kinds={{{name}: {kind}}}'" in note) == (name != "constant")
        used = dataset_from_frame(frame, "x.csv", TableOptions("ill", kinds={name: kind}))
        assert [column.name for column in used.columns] == ["size", "town", "price", name]
        assert used.notes == ()


@pytest.mark.parametrize("first", [0, 1])
def test_a_first_column_that_counts_the_rows_is_left_out(first: int):
    frame = plain()
    frame.insert(0, "anything", range(first, first + len(frame)))
    dataset = dataset_from_frame(frame, "x.csv", TableOptions("ill"))
    assert "anything" not in [column.name for column in dataset.columns]


@pytest.mark.parametrize("name", ["year", "time", "dose", "valid", "grid", "void"])
def test_numbers_that_differ_in_every_row_are_used_unless_they_have_an_identifiers_name(name: str):
    frame = plain().assign(**{name: range(1900, 1960)})
    dataset = dataset_from_frame(frame, "x.csv", TableOptions("ill"))
    assert name in [column.name for column in dataset.columns]


@pytest.mark.parametrize("copy", [lambda y: y, lambda y: 1.8 * y + 32, lambda y: (-y * 100).round(6)])
def test_a_column_that_is_the_numeric_target_in_another_unit_is_left_out(copy):
    frame = plain().assign(other=lambda frame: copy(frame["price"]))
    dataset = dataset_from_frame(frame, "x.csv", TableOptions("price"))
    assert "other" not in [column.name for column in dataset.columns]


def test_a_column_that_only_correlates_with_the_target_is_used():
    frame = plain().assign(near=lambda frame: frame["price"] + np.random.default_rng(2).normal(0, 0.01, 60))
    dataset = dataset_from_frame(frame, "x.csv", TableOptions("price"))
    assert "near" in [column.name for column in dataset.columns]
