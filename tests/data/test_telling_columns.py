"""A note on columns of which each value always has the same target, such as the id of a patient."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from exp.data.files import table
from exp.data.prepare import prepare


def visits(people: int = 40, each: int = 6) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    person = np.repeat(np.arange(people), each)
    frame = pd.DataFrame({"patient": person * 7 % 1000 + 100, "value": rng.normal(size=len(person))})
    frame["died"] = np.where(rng.random(people) < 0.4, "yes", "no")[person]
    frame["height"] = rng.normal(170, 10, size=people).round(1)[person]
    return frame.sample(frac=1, random_state=0)


def notes_of(frame: pd.DataFrame, target: str, folder: Path, split: Any = (0.6, 0.2, 0.2), **options: Any) -> list[str]:
    frame.to_csv(folder / "x.csv", index=False)
    data = prepare(table(str(folder / "x.csv"), target, **options), split, "standard", seed=0)
    return [note for note in data.notes if "always have the same" in note or "read off" in note]


@pytest.mark.parametrize("target", ["died", "height"])
@pytest.mark.parametrize("spell", [int, "P{}".format])
def test_rows_of_the_same_patient_tell_the_target(target: str, spell: Any, tmp_path: Path):
    frame = visits()[["patient", "value", target]]
    frame["patient"] = frame["patient"].map(spell)
    (note,) = notes_of(frame, target, tmp_path)
    assert note == (
        f"rows of the same patient always have the same {target}, and 46 of 48 test rows share theirs with training "
        "rows: the metrics are those of a known patient; for new ones: dataset.group=patient"
    )
    assert notes_of(frame, target, tmp_path, group="patient") == []
    assert notes_of(frame, target, tmp_path, split=None) == []
    frame.loc[frame.index[0], target] = "maybe" if target == "died" else 1
    assert notes_of(frame, target, tmp_path) == []


def test_all_rows_of_a_long_table_count(tmp_path: Path):
    frame = visits(1500, 5)[["patient", "value", "died"]]
    frame["patient"] = np.repeat(np.arange(1500), 5)[frame.index]
    (note,) = notes_of(frame, "died", tmp_path)
    assert note.startswith("rows of the same patient always have the same died")
    frame.iloc[-1, 2] = "maybe"
    assert notes_of(frame, "died", tmp_path) == []


def test_the_coarsest_column_is_the_group(tmp_path: Path):
    frame = visits()[["patient", "value", "died"]]
    frame["home town"] = frame["patient"] // 14
    frame["died"] = frame["home town"] % 3 == 1
    (note,) = notes_of(frame, "died", tmp_path)
    assert note.startswith("rows of the same home town (likewise patient) always have")
    assert note.endswith("for new ones: 'dataset.group=home town'")


@pytest.mark.parametrize("digits", [1, 12])
def test_numbers_from_which_the_target_is_read_off(digits: int, tmp_path: Path):
    frame = visits()[["patient", "value"]]
    frame["log pay"] = frame["value"].round(digits)
    frame["pay"] = np.exp(frame["log pay"] / 3)
    (note,) = notes_of(frame.drop(columns="value"), "pay", tmp_path)
    assert note == (
        "pay only rises or only falls with log pay, and can be read off: if it is not known for new rows: "
        "'dataset.drop=[log pay]'"
    )
    frame["value"] = frame["log pay"] ** 3
    (note,) = notes_of(frame, "pay", tmp_path)
    assert "with value, log pay, and can be read off: if they are not known for new rows: 'dataset.drop=[" in note
    in_order = frame.sort_values("log pay")[["patient", "log pay", "pay"]]  # as years are
    assert notes_of(in_order, "pay", tmp_path) == []


@pytest.mark.parametrize(
    "make",
    [
        lambda frame: frame.assign(died=frame["value"] > 0),  # of each row
        lambda frame: frame.assign(patient=frame["patient"] % 5, died=frame["patient"] % 5 > 2),  # few values
        lambda frame: frame.assign(died=frame["patient"] > 200),  # a range of numbers
        lambda frame: frame.assign(died=np.arange(len(frame)) == 3),  # by chance
        lambda frame: frame.assign(patient=np.arange(len(frame)) // 1.5),  # few rows of the same
    ],
)
def test_other_columns_are_not_noted(make: Any, tmp_path: Path):
    assert notes_of(make(visits()[["patient", "value", "died"]]), "died", tmp_path) == []
