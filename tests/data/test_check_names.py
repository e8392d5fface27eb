"""Names of columns that a table does not have are one error, whose correction quotes a name that a comma has split."""

import shlex

import pandas as pd
import pytest

from exp.config.overrides import reads_as
from exp.data.encode import encode_rows
from exp.data.from_frame import TableOptions, find_columns
from exp.errors import ConfigError, DataError

NAMES = ["Age (yrs)", "CRP, mg/l", "a,b", "ward", "y"]


@pytest.mark.parametrize(
    ("options", "said", "fix"),
    [
        (
            {"weight": "nope", "drop": ["nope"], "kinds": {"nope": "category"}, "target": "why?"},
            ["target=why?", "drop=nope", "kinds=nope", "weight=nope"],
            'one of "Age (yrs)", "CRP, mg/l", "a,b", ward, y',
        ),
        (
            {"weight": "wrd", "kinds": {"Age yrs": "number", "ward": "category"}},
            ["kinds=Age yrs", "weight=wrd"],
            "'dataset.kinds={Age \\(yrs\\): number, ward: category}' dataset.weight=ward",
        ),
        ({"drop": ["CRP", "mg/l"]}, ["CRP'; a comma in a name needs quotes", "drop=mg/l"], "dataset.drop=CRP"),
        ({"drop": ["ward", "a", "b"]}, ["a comma in a name needs quotes"], "dataset.drop=ward"),
    ],
)
def test_every_name_that_a_table_does_not_have_is_told(options: dict, said: list[str], fix: str):
    with pytest.raises(DataError) as error:
        find_columns(TableOptions(**{"target": "y", **options}), NAMES, "t.csv")
    assert all(one in error.value.problem for one in said)
    if not fix.startswith("dataset.drop"):
        assert error.value.fix == fix
        return
    assert reads_as(str(error.value.override).partition("=")[2]) == (["CRP, mg/l"] if "CRP" in fix else ["ward", "a,b"])
    assert shlex.split(error.value.fix) == [error.value.override]


@pytest.mark.parametrize("target", ["y", -1])
def test_the_target_cannot_be_dropped(target: str | int):
    with pytest.raises(ConfigError, match="y is the target") as error:
        find_columns(TableOptions(target, drop=["ward", "y"]), NAMES, "t.csv")
    assert error.value.override == "dataset.drop=[ward]"


def test_every_column_that_new_rows_lack_is_told():
    class Preprocessing:
        columns = tuple(type("Named", (), {"name": name}) for name in ("age", "height", "town"))

    with pytest.raises(DataError, match="columns 'age', 'height' are missing"):
        encode_rows(pd.DataFrame({"town": ["x"]}), Preprocessing(), "new.csv")  # pyright: ignore
