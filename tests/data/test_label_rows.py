"""Rows of units or types below the column names."""

import re
from pathlib import Path

import openpyxl
import pandas as pd
import pytest

from exp.data.read_table import open_table, read_frame
from exp.data.reading.gaps import parse_empty_values

UNITS = {
    "units": "name,height,weight\n,cm,kg\nAnn,170,60\nBob,180,75\nEve,165,58\nIan,172,\n",
    "units in brackets": "name,area,when\n,(m2),[day]\nAnn,170,2024-05-01\nBob,180,2024-05-02\nEve,165,2024-05-03\n",
    "types and flags": "a\tb\tc\nc\tcontinuous\td\n\t\tclass\n1\t2\tx\n3\t4\ty\n5\t6\tx\n",
    "types of dates": "when;what\ntime;string\n1.5.24;B1\n2.5.24;B2\n3.5.24;B3\n",
}


@pytest.mark.parametrize("content", UNITS.values(), ids=UNITS)
def test_rows_of_units_and_types_are_no_rows(content: str, tmp_path: Path):
    """They were a class of their own in the target, and an empty cell in each column of numbers."""
    lines = content.splitlines()
    labels = 2 if "class" in content else 1
    (tmp_path / "with.csv").write_text(content)
    (tmp_path / "without.csv").write_text("\n".join([lines[0], *lines[1 + labels :]]) + "\n")
    read = read_frame(str(tmp_path / "with.csv"))
    plain = read_frame(str(tmp_path / "without.csv"))
    pd.testing.assert_frame_equal(read.frame, plain.frame)
    (note,) = set(read.notes) - set(plain.notes)
    count = f"{labels} row{'s' * (labels > 1)}"
    assert note.startswith(f"skipped {count} of units or types below the column names: '")
    parts = open_table(str(tmp_path / "with.csv"), "dataset.path", None, ".", None, parse_empty_values(None), ())
    pd.testing.assert_frame_equal(parts.read([*parts.places])[0], plain.frame)
    assert note in parts.notes
    book = openpyxl.Workbook()
    for line in lines:
        book.active.append([int(cell) if cell.isdigit() else cell or None for cell in re.split(r"[,;\t]", line)])  # type: ignore
    book.save(tmp_path / "with.xlsx")
    sheet = read_frame(str(tmp_path / "with.xlsx"))
    assert len(sheet.frame) == len(plain.frame)
    assert note in sheet.notes


@pytest.mark.parametrize(
    "content",
    [
        "a,b,c\nx,y,z\nu,v,w\nr,s,t\nk,l,m\n",  # words everywhere
        "a,b,c\nx,?,-\nu,1,2\nr,3,4\nk,5,6\n",  # marks of empty cells
        "a,b,c\nx,low,1\nu,1,2\nr,3,4\nk,5,6\n",  # a number
        "a,b,c\nx,low,\nu,1,2\nr,3,4\nk,5,6\n",  # one word alone
        "a,b,c\nx,low,high\nu,1,2\nr,3,low\nk,5,6\n",  # words below
        "a,b,c\nx,cm,kg\nu,1,2\nr,3,4\n",  # two rows tell too little
    ],
)
def test_other_first_rows_are_rows(content: str, tmp_path: Path):
    (tmp_path / "rows.csv").write_text(content)
    assert len(read_frame(str(tmp_path / "rows.csv")).frame) == content.count("\n") - 1
