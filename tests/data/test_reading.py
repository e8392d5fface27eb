"""Files become frames: separators, encodings, compression, lines above the names, Parquet and Excel."""

import bz2
import datetime
import decimal
import gzip
import io
import lzma
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import openpyxl
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exp.data.files import table
from exp.data.from_frame import TableOptions, dataset_from_frame
from exp.data.read_table import Table, frame_in_memory, open_table, read_frame
from exp.data.reading.gaps import EmptyValues
from exp.data.reading.in_memory import read_in_memory
from exp.errors import ConfigError, DataError, ExpError

NAMES = ["age", "town", "ill"]
ROWS = [[30, "Graz", "no"], [41, "Linz", "yes"], [28, "Wien", "no"], [55, "Graz", "yes"]]
LINES = "age,town,ill\n30,Graz,no\n41,Linz,yes\n28,Wien,no\n55,Graz,yes\n"


def read(folder: Path, content: str | bytes, name: str = "x.csv", **options: Any) -> Table:
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_frame(str(folder / name), **options)


def rows_of(table: Table) -> list[list[Any]]:
    return table.frame.astype(object).where(table.frame.notna(), None).to_numpy().tolist()


def zipped(content: str, *names: str) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name in names:
            archive.writestr(zipfile.ZipInfo(name), content)  # without the time, which test ids have
    return stream.getvalue()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("x.csv", LINES),
        ("x.txt", LINES),
        ("x.data", LINES),
        ("x.csv", LINES.replace(",", ";")),
        ("x.csv", LINES.replace(",", "\t")),
        ("x.tsv", LINES.replace(",", "\t")),
        ("x.tsv", LINES),
        ("x.csv", LINES.replace(",", "|")),
        ("x.txt", LINES.replace(",", "   ")),
        ("x.txt", "  " + LINES.replace(",", " \t ").replace("\n", "  \n  ")),
        ("x.csv", LINES.replace(",", ", ")),
        ("x.csv", LINES.replace(",", '","').replace("\n", '"\n"')[:-1].join(['"', ""])),
        ("x.csv", LINES.replace("\n", "\r\n")),
        ("x.csv", LINES.replace("\n", "\r")),
        ("x.csv", "\n\n" + LINES.replace("\n", "\n\n")),
        ("x.csv", LINES.rstrip("\n")),
        ("x.csv", LINES.replace("\n", ",\n")),
        ("x.csv", LINES.replace("\n", ",\n").replace("ill,", "ill")),
        ("x.csv", LINES.replace("ill", "ill,,")),
        ("x.csv", "sep=;\n" + LINES.replace(",", ";")),
        ("x.csv", "sep=,\r\n" + LINES.replace("\n", "\r\n")),
        ("x.csv", b"\xef\xbb\xbf" + LINES.encode()),
        ("x.csv", LINES.encode("utf-16")),
        ("x.csv", LINES.encode("utf-16-le")),
        ("x.csv", b"\xfe\xff" + LINES.encode("utf-16-be")),
        ("x.csv", LINES.encode("utf-32")),
        ("x.csv.gz", gzip.compress(LINES.encode(), mtime=0)),
        ("x.csv", gzip.compress(LINES.encode(), mtime=0)),
        ("x.csv.bz2", bz2.compress(LINES.encode())),
        ("x.csv.xz", lzma.compress(LINES.encode())),
        ("x.zip", zipped(LINES, "x.csv")),
        ("x.csv", zipped(LINES, "folder/x.csv", "__MACOSX/x.csv")),
    ],
)
def test_the_same_table_is_read_from_every_spelling_of_it(name: str, content: str | bytes, tmp_path: Path):
    table = read(tmp_path, content, name)
    assert list(table.frame.columns) == NAMES
    assert rows_of(table) == ROWS
    assert table.frame["age"].dtype == np.int64
    assert table.notes == ()


@pytest.mark.parametrize(
    ("content", "note"),
    [
        ("# made by a logger\n# cm, kg\n" + LINES, "skipped 2 lines above the column names: '# made by a logger'"),
        ("Export of the clinic\n\n" + LINES, "skipped 1 line above the column names: 'Export of the clinic'"),
        ("Clinic, 2024\n" + LINES, "skipped 1 line above the column names: 'Clinic, 2024'"),
        ("Export of the clinic,,\n" + LINES, "skipped 1 line above the column names: 'Export of the clinic,,'"),
        ("".join(f"{','[i == 0:]}{line}\n" if i == 0 else f"{i - 1},{line}\n" for i, line in enumerate(LINES.split())),
         "column 1 has no name and numbers the rows: left out; to keep it, give it a name"),
        ("".join(f"Unnamed: 0,{line}\n" if i == 0 else f"{i - 1},{line}\n" for i, line in enumerate(LINES.split())),
         "column 1 'Unnamed: 0' numbers the rows: left out; to keep it, give it a name"),
        ("".join(line + "\n" if i == 0 else f'"r{i}",{line}\n' for i, line in enumerate(LINES.split())),
         "column 1 has no name and names the rows: left out; to keep it, give it a name"),
        ("".join(line + "\n" if i == 0 else f"{i},{line}\n" for i, line in enumerate(LINES.split())),
         "column 1 has no name and numbers the rows: left out; to keep it, give it a name"),
        (LINES.replace("28,", "age,town,ill\n28,"), "1 row repeated the column names: left out"),
        (LINES + ",,\n,,\n", "2 rows at the end had no cells: left out"),
    ],
)  # fmt: skip
def test_what_the_reader_decides_is_in_a_note(content: str, note: str, tmp_path: Path):
    table = read(tmp_path, content)
    assert list(table.frame.columns) == NAMES
    assert rows_of(table) == ROWS
    assert table.notes == (note,)


def test_the_names_may_be_in_the_last_comment(tmp_path: Path):
    x = np.random.default_rng(0).normal(size=(5, 3))
    np.savetxt(tmp_path / "x.csv", x, delimiter=",", header="a,b,c")
    table = read_frame(str(tmp_path / "x.csv"))
    assert list(table.frame.columns) == ["a", "b", "c"]
    assert np.array_equal(table.frame.to_numpy(), x)


def test_text_that_is_not_utf_8_is_read_as_cp1252_with_a_note(tmp_path: Path):
    content = LINES.replace("Graz", "Århus“")
    table = read(tmp_path, content.encode("cp1252"))
    assert rows_of(table)[0] == [30, "Århus“", "no"]
    assert table.notes == ("the file is not utf-8 text: read as cp1252; to read it otherwise: dataset.encoding=...",)
    assert read(tmp_path, content.encode("cp1250", "replace"), encoding="cp1250").notes == ()


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (LINES + "1,2,3,4,5\n", "line 6 has 5 cells, but line 1 has 3 column names"),
        (LINES.replace("30,", "3,0,"), "line 2 has 4 cells, but line 1 has 3 column names"),
        (LINES.replace("28,", "2,8,"), "line 4 has 4 cells, but line 1 has 3 column names"),
        (LINES.replace("\n3", "\n1,3").replace("\n4", "\n1,4").replace("\n2", "\n2,2").replace("\n5", "\n3,5"),
         "line 2 has 4 cells, but line 1 has 3 column names"),
        (LINES.replace("ill", "ill,sick,tall"), "line 2 has 3 cells, but line 1 has 5 column names"),
        (LINES.replace("town", '"to\nwn"').replace("28,", "2,8,"), "line 5 has 4 cells"),
        (LINES.replace("Wien", '"Wien'), "line 4 begins a quoted cell that does not end"),
        (LINES.replace("town", "age").replace("ill", "age (1)"), "duplicate column names: 'age (1)'"),
        (gzip.compress(LINES.encode(), mtime=0)[:40], "the file cannot be read"),
        (zipped(LINES, "a.csv", "b.csv"), "a zip archive must hold one table, got a.csv, b.csv"),
        (b"%PDF-1.7", "the file is a PDF document"),
        (b"PK\x03\x04 damaged", "the file cannot be read"),
        ("<!DOCTYPE html><html>", "the file is an HTML page"),
        ('[{"age": 30}]', "the file is JSON"),
        (bytes(range(256)) + bytes(300), "the file is not text"),
        (b"", "the file is empty"),
        ("# only\n# comments\n", "the file is empty"),
        ("3.5,Graz,no\n" + LINES[13:], "the first line holds values instead of column names: 3.5, Graz, no"),
        ("1.5,2.5\n3,4\n", "the first line holds values instead of column names: 1.5, 2.5"),
    ],
)  # fmt: skip
def test_files_that_are_no_tables_are_refused(content: str | bytes, problem: str, tmp_path: Path):
    with pytest.raises(DataError) as refused:
        read(tmp_path, content)
    assert problem in refused.value.problem


def test_row_names_are_never_shifted_by_a_line_without_one(tmp_path: Path):
    lines = "a,b\n" + "".join(f"r{i},{i},x\n" for i in range(3000))
    assert read(tmp_path, lines).frame["a"].tolist() == list(range(3000))
    with pytest.raises(DataError, match="line 2902 has 2 cells, but line 1 has 2 column names"):
        read(tmp_path, lines.replace("r2900,", ""))
    with pytest.raises(DataError, match="line 2902 has 4 cells, but line 1 has 2 column names"):
        read(tmp_path, lines.replace("r2900,", "r,2900,"))


@pytest.mark.parametrize(
    ("names", "row"),
    [
        ("2019,2020,name", "1.5,2.5,Ann"),
        ("2019,2020,2021", "1.5,2.5,3.5"),
        ("0,1,2,3", "1.5,2.5,3.5,4.5"),
        ("id,1,2,3", "Ann,2.5,3.5,4.5"),
        ("null,NA,None,nan", "1,2,3,4"),
        ("true,yes,no", "1,2,3"),
        ("octane,950.5,951,952.5,953,954.5", "1,2,3,4,5,6"),
        ("a=1,b:2,na{me}", "1,2,3"),
        ("длина,y's,sepal length (cm)", "1,2,3"),
        ("3,town,ill", "Ann,Graz,no"),
    ],
)
def test_names_that_look_like_values_are_names(names: str, row: str, tmp_path: Path):
    table = read(tmp_path, f"{names}\n{row}\n{row.replace('1', '7')}\n")
    assert list(table.frame.columns) == names.split(",")
    assert len(table.frame) == 2


def test_names_in_single_quotes_are_read_without_them(tmp_path: Path):
    (tmp_path / "x.txt").write_text("'age' 'it''s' 'x'\n1 2 3\n4 5 6\n")
    assert [*read_frame(str(tmp_path / "x.txt")).frame.columns] == ["age", "'it''s'", "x"]


def test_a_column_without_a_name_gets_one(tmp_path: Path):
    table = read(tmp_path, LINES.replace("town", ""))
    assert list(table.frame.columns) == ["age", "column 2", "ill"]
    assert table.notes == ("column 2 has no name: 'column 2' here",)
    numbered = read(tmp_path, ",a\n0,5\n1,6\n", keep_row_names=True)
    assert list(numbered.frame.columns) == ["column 1", "a"]


def test_a_cell_may_hold_separators_line_ends_and_quotes(tmp_path: Path):
    frame = pd.DataFrame({"a": [1, 2, 3], "b, c": ['say "no"', "two\nlines", "x;y,z"]})
    frame.to_csv(tmp_path / "x.csv", index=False)
    pd.testing.assert_frame_equal(read_frame(str(tmp_path / "x.csv")).frame, frame)


def test_numbers_are_read_as_pandas_reads_them(tmp_path: Path):
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(300, 4)), columns=list("abcd"))
    frame.iloc[3, 1] = np.nan
    frame["e"] = np.arange(300)
    frame.to_csv(tmp_path / "x.csv", index=False)
    pd.testing.assert_frame_equal(read_frame(str(tmp_path / "x.csv")).frame, frame)
    frame.to_csv(tmp_path / "x.csv", index=False, sep=";", decimal=",")
    pd.testing.assert_frame_equal(read_frame(str(tmp_path / "x.csv"), decimal=",").frame, frame)


@pytest.mark.parametrize("words", ["None", "none"])
def test_none_is_a_word_among_words_and_a_gap_among_numbers(words: str, tmp_path: Path):
    table = read(tmp_path, f"x,y\n1,a\n{words},{words}\n3,NA\n")
    assert rows_of(table) == [[1.0, "a"], [None, words], [3.0, None]]
    assert table.frame["x"].dtype == np.float64
    assert f"column 'x': read as empty cells: '{words}' (1)" in table.notes


def test_marks_among_numbers_are_gaps_with_a_note(tmp_path: Path):
    table = read(tmp_path, "x,y,z\n1,a,2.5\n ?,?, \n-,b,unknown\n?,-,4\n")
    assert rows_of(table) == [[1.0, "a", 2.5], [None, "?", None], [None, "b", None], [None, "-", 4.0]]
    assert table.notes == (
        "column 'x': read as empty cells: '?' (2), '-' (1)",
        "column 'z': read as empty cells: 'unknown' (1)",
    )


def test_na_values_are_words_and_numbers(tmp_path: Path):
    content = "x,y,z,w\n-999,a,-999.0,-999\n2,x ,3.5,b\n3,c,-999.00,9\n"
    assert rows_of(read(tmp_path, content)) == [[-999, "a", -999, "-999"], [2, "x", 3.5, "b"], [3, "c", -999, "9"]]
    table = read(tmp_path, content, na_values=["x", -999])
    assert rows_of(table) == [[None, "a", None, None], [2, None, 3.5, "b"], [3, "c", None, "9"]]


def test_blanks_around_words_are_removed_with_a_note_if_words_merge(tmp_path: Path):
    table = read(tmp_path, 'x,y\n1,"left "\n2,left\n3," right"\n4,"  "\n5,Right\n')
    assert rows_of(table) == [[1, "left"], [2, "left"], [3, "right"], [4, None], [5, "Right"]]
    assert table.notes == (
        "column 'y': removed blanks around words, which merged 1 spelling, such as 'left'",
        "column 'y': words that differ only in case are different: 'right', 'Right'",
    )


def test_null_characters_are_left_out_with_a_note(tmp_path: Path):
    for encoding in ("utf-8", "cp1252"):
        (tmp_path / "x.csv").write_bytes("x,y\n1\0,caf\u00e9\n2,b\0c\n3,d\n".encode(encoding))
        table = read_frame(str(tmp_path / "x.csv"))
        assert rows_of(table) == [[1, "caf\u00e9"], [2, "bc"], [3, "d"]]
        assert table.notes[-1] == r"the text has 2 null characters (\0), read as if not there"


def test_words_that_look_the_same_are_told(tmp_path: Path):
    table = read(tmp_path, "x,y\n1,caf\u00e9\n2,cafe\u0301\n3,na\u00efve\n")
    assert table.notes == (
        r"column 'y': words that look the same are different: 'caf\xe9', 'cafe\u0301'; as one: in Unicode's NFC",
    )


def test_text_columns_are_read_as_they_are_spelled(tmp_path: Path):
    table = read(tmp_path, "zip,x\n02139,1\n 00101,2\n?,3\n,4\n", text=["zip"])
    assert rows_of(table) == [["02139", 1], ["00101", 2], ["?", 3], [None, 4]]


def test_a_parquet_column_of_any_type(tmp_path: Path):
    time = datetime.datetime(2024, 5, 1, 12, 30)
    table = pa.table(
        {
            "decimal": pa.array([decimal.Decimal("1.25"), None, decimal.Decimal("-3.50")], pa.decimal128(10, 2)),
            "nullable": pa.array([1, None, 3], pa.int64()),
            "whole": pa.array([1, 2, 3], pa.int8()),
            "word": pa.array(["a ", None, "b"]).dictionary_encode(),
            "flag": pa.array([True, None, False]),
            "day": pa.array([time.date(), None, time.date()], pa.date32()),
            "zone": pa.array([time.replace(tzinfo=datetime.UTC)] * 3, pa.timestamp("us", tz="Europe/Vienna")),
            "duration": pa.array([datetime.timedelta(seconds=90), None, datetime.timedelta(0)], pa.duration("ms")),
            "clock": pa.array([time.time(), None, time.time()], pa.time64("us")),
            "bytes": pa.array([b"x", b"y", None]),
            "half": pa.array(np.array([0.5, 1.5, 2.5], np.float16)),
            "list": pa.array([[1], [2], []]),
            "struct": pa.array([{"x": 1}] * 3),
            "none": pa.nulls(3),
            " 7 ": pa.array([1.5, 2.5, 3.5]),
        }
    )
    pq.write_table(table, tmp_path / "x.parquet")
    read = read_frame(str(tmp_path / "x.parquet"))
    frame = read.frame
    assert list(frame.columns) == [name.strip() for name in table.column_names if name not in ("list", "struct")]
    assert read.notes[0] == "column 'list' holds list<element: int64>, not numbers or words: left out"
    assert "'struct'" in read.notes[1]
    columns = {name: frame[name].astype(object).where(frame[name].notna(), None).tolist() for name in frame.columns}
    assert columns["decimal"] == [1.25, None, -3.5]
    assert columns["nullable"] == [1, None, 3]
    assert columns["word"] == ["a", None, "b"]
    assert columns["flag"] == [True, None, False]
    assert columns["duration"] == [90, None, 0]
    assert columns["clock"] == ["12:30:00", None, "12:30:00"]
    assert columns["bytes"] == ["x", "y", None]
    assert columns["half"] == [0.5, 1.5, 2.5]
    assert columns["none"] == [None] * 3
    assert frame["zone"].tolist() == [pd.Timestamp(time)] * 3
    assert frame["day"].tolist()[0] == pd.Timestamp("2024-05-01")


def test_an_index_in_parquet_is_a_column_if_it_has_a_name(tmp_path: Path):
    frame = pd.DataFrame({"a": [1, 2]}, index=pd.Index(["p", "q"], name="patient"))
    frame.to_parquet(tmp_path / "x.parquet")
    assert list(read_frame(str(tmp_path / "x.parquet")).frame.columns) == ["a", "patient"]
    frame.rename_axis(None).to_parquet(tmp_path / "x.parquet")
    assert list(read_frame(str(tmp_path / "x.parquet")).frame.columns) == ["a", "__index_level_0__"]
    frame.set_axis([3, 1]).to_parquet(tmp_path / "x.parquet")
    assert list(read_frame(str(tmp_path / "x.parquet")).frame.columns) == ["a", "__index_level_0__"]


def test_a_note_names_numbers_with_zeros_in_front(tmp_path: Path):
    lines = [f"{row % 3:03},{row % 5:02}.5,{row % 7 + 8:02},a{row % 2},{row % 2:02}" for row in range(30)]
    (tmp_path / "x.csv").write_text("\n".join(("zip,half,hour,word,y", *lines)))
    note = "read as numbers, without the zeros in front: zip ('000' is 0), hour ('08' is 8), y ('00' is 0); for codes: "
    assert read_frame(str(tmp_path / "x.csv")).notes == (f"{note}'dataset.kinds={{zip: category}}'",)
    streamed = open_table(str(tmp_path / "x.csv"), "dataset.path", None, ".", None, EmptyValues(), [])
    assert streamed.read(["hour", "y"])[1] == [
        "read as numbers, without the zeros in front: hour ('08' is 8), y ('00' is 0); for codes: "
        "'dataset.kinds={hour: category}'"
    ]
    options = TableOptions("y", kinds={"y": "category", "zip": "category", "hour": "category"})
    read = read_frame(str(tmp_path / "x.csv"), text=[*(options.kinds or {})])
    assert read.notes == ()
    assert dataset_from_frame(read.frame, "x.csv", options).classes == ("00", "01")


@pytest.mark.parametrize("name", [None, np.nan, pd.NA, ""])
def test_a_column_of_a_frame_without_a_name_is_called_as_in_its_file(name: object, tmp_path: Path):
    """It was called nan, and the file that the DataFrame was saved to had no such column."""
    frame = pd.DataFrame([[1.0, 2.0], [3.0, 4.0]], columns=pd.Index(["a", name], dtype=object))
    frame.to_csv(tmp_path / "rows.csv", index=False)
    table, read = frame_in_memory(frame, "df", EmptyValues()), read_frame(str(tmp_path / "rows.csv"))
    assert list(table.frame) == list(read.frame) == ["a", "column 2"]
    assert "column 2 has no name: 'column 2' here" in table.notes


@pytest.mark.parametrize("kind", ["csv", "parquet", "xlsx", "frame"])
def test_words_that_become_numbers_are_noted_with_the_zeros_and_digits_that_they_lose(kind: str, tmp_path: Path):
    large = [str(2**53 + row) for row in range(30)]
    cells = {"zip": [f"{row % 3:03}" for row in range(30)], "x": ["0.5"] * 30, "large": large}
    frame = pd.DataFrame(cells | {"city": ["Bonn"] * 30}).map(lambda cell: "?" if cell in ("002", large[3]) else cell)
    path = tmp_path / f"x.{kind}"
    writers = {"csv": frame.to_csv, "xlsx": frame.to_excel, "parquet": frame.to_parquet}
    if kind == "frame":
        notes = frame_in_memory(frame, "df", EmptyValues()).notes
    else:
        writers[kind](path, index=False)
        notes = read_frame(str(path)).notes
    lost = "without the zeros in front: zip ('000' is 0); for codes: 'dataset.kinds={zip: category}'"
    assert f"read as numbers, {lost}" in notes
    rounded = "whole numbers beyond 9007199254740992 are rounded: large; for codes: 'dataset.kinds={large: category}'"
    assert rounded in notes


def test_a_note_names_whole_numbers_that_are_rounded(tmp_path: Path):
    """Groups 2^53 and 2^53 + 1 would be one, where an empty cell makes them floats."""
    numbers = [2**53, 2**53 + 1, None, *range(20)]
    frame = pd.DataFrame({"id": pd.array(numbers, dtype="Int64"), "whole": 2**53 + 1, "large": 1e25, "half": 1e16})
    frame.loc[0, "half"] = 0.5
    frame.to_csv(tmp_path / "x.csv", index=False)
    frame.to_parquet(tmp_path / "x.parquet")
    note = "whole numbers beyond 9007199254740992 are rounded: id; for codes: 'dataset.kinds={id: category}'"
    csv = read_frame(str(tmp_path / "x.csv"))
    assert csv.notes == (note,)
    assert csv.frame["id"][0] == csv.frame["id"][1]
    assert read_frame(str(tmp_path / "x.parquet")).notes == (note,)
    streamed = open_table(str(tmp_path / "x.csv"), "dataset.path", None, ".", None, EmptyValues(), [])
    assert streamed.read(["id", "whole"])[1] == [note]
    assert read_in_memory(frame, "data")[2] == [note]
    as_words = read_frame(str(tmp_path / "x.csv"), text=["id"])
    assert as_words.notes == ()
    assert as_words.frame["id"].tolist()[:2] == [str(2**53), str(2**53 + 1)]


def test_a_parquet_file_with_two_columns_of_one_name_is_refused(tmp_path: Path):
    pq.write_table(pa.table([pa.array([1, 2]), pa.array([3, 4])], names=["a", " a"]), tmp_path / "x.parquet")
    pq.write_table(pa.table([pa.array([1, 2]), pa.array([3, 4])], names=["a", "a"]), tmp_path / "y.parquet")
    for name in "xy":
        with pytest.raises(DataError, match="duplicate column names: 'a'"):
            read_frame(str(tmp_path / f"{name}.parquet"))


@pytest.mark.parametrize("write", [pd.DataFrame.to_csv, pd.DataFrame.to_excel], ids=["csv", "xlsx"])
def test_columns_of_the_same_name_are_numbered(write: Any, tmp_path: Path):
    frame = pd.DataFrame([[1.5, 2, "a", 4], [5.5, 6, "b", 8], [9.5, 9, "a", 9]], columns=["sum", "x", " sum", "sum "])
    path = tmp_path / f"x.{'csv' if write is pd.DataFrame.to_csv else 'xlsx'}"
    write(frame, path, index=False)
    names = ["sum (1)", "x", "sum (2)", "sum (3)"]
    note = "columns of the same name: 'sum (1)', 'sum (2)', 'sum (3)' here"
    read = read_frame(str(path))
    assert [*read.frame.columns] == names
    assert read.frame.to_numpy().tolist() == frame.to_numpy().tolist()
    assert read.notes == (note,)
    held = read_in_memory(frame, "data")
    assert (held[1], held[2]) == (names, [note])
    with pytest.raises(DataError, match="has no column 'sum'") as caught:
        table(str(path), "sum")
    assert "sum (1)" in caught.value.fix


def write_excel(path: Path, **sheets: list[list[Any]]) -> None:
    book = openpyxl.Workbook()
    book.remove(book.active)
    for title, rows in sheets.items():
        page = book.create_sheet(title)
        for row in rows:
            page.append(row)
    book.save(path)


def test_excel(tmp_path: Path):
    day = datetime.datetime(2024, 5, 1)
    rows = [
        [*NAMES, "day", "mixed", 2021, "share"],
        *([*row, day, mixed, 1.5, 3] for row, mixed in zip(ROWS, [1, "x", None, 2.0], strict=True)),
    ]
    write_excel(tmp_path / "x.xlsx", Data=rows)
    table = read_frame(str(tmp_path / "x.xlsx"))
    assert table.notes == ()
    assert list(table.frame.columns) == [*NAMES, "day", "mixed", "2021", "share"]
    assert rows_of(table)[1] == [41, "Linz", "yes", pd.Timestamp(day), "x", 1.5, 3]
    assert table.frame["mixed"].tolist()[:2] == ["1", "x"]
    write_excel(tmp_path / "y.xlsx", Notes=[], Data=[["Clinic"], [], [None], *rows], Other=[["a"], [1]])
    titled = read_frame(str(tmp_path / "y.xlsx"))
    pd.testing.assert_frame_equal(titled.frame, table.frame)
    assert titled.notes == (
        "read sheet 'Data' of Notes, Data, Other; another one: dataset.sheet=...",
        "skipped 1 row above the column names: 'Clinic'",
    )
    assert rows_of(read_frame(str(tmp_path / "y.xlsx"), sheet="Other")) == [[1]]
    with pytest.raises(DataError, match=r"unknown sheet 'Dat' \(available: Notes, Data, Other\)"):
        read_frame(str(tmp_path / "y.xlsx"), sheet="Dat")
    (tmp_path / "x.csv").write_bytes((tmp_path / "x.xlsx").read_bytes())
    pd.testing.assert_frame_equal(read_frame(str(tmp_path / "x.csv")).frame, table.frame)


def test_the_sheet_with_the_target_is_offered(tmp_path: Path):
    rows: list[list[Any]] = [["rain", "cases"], *([day * 5 % 9, day * 7 % 11 + 0.5] for day in range(30))]
    write_excel(tmp_path / "x.xlsx", Notes=[["Source", "Links"], ["a", "b"]], Cases=[["Cases of 2024"], *rows])
    with pytest.raises(DataError) as caught:
        table(str(tmp_path / "x.xlsx"), "cases")
    assert "has no column 'cases' in the sheet that was read, but sheet 'Cases' has it" in str(caught.value)
    assert (caught.value.fix, caught.value.override) == ("dataset.sheet=Cases", "dataset.sheet=Cases")
    assert len(table(str(tmp_path / "x.xlsx"), "cases", sheet="Cases").x) == 30
    with pytest.raises(DataError, match="has no column 'other'") as caught:
        table(str(tmp_path / "x.xlsx"), "other")
    assert "dataset.sheet" not in str(caught.value)


def test_options_without_such_a_value_are_refused(tmp_path: Path):
    for options in (
        {"encoding": "hex"},
        {"encoding": "utf8000"},
        {"decimal": ",,"},
        {"separator": "ab"},
    ):
        with pytest.raises(ConfigError):
            read(tmp_path, LINES, **options)


CELLS = st.one_of(
    st.sampled_from(["1", "2.5", "-3", "yes", "no", "", "NA", "None", "?", "1,5", "2024-05-01", "x y", "\u00e9", "#1"]),
    st.text(max_size=6),
)


def read_anything(content: bytes, path: Path, **options: Any) -> None:
    """Read a file, and check what holds for every table; errors must be ExpError."""
    path.write_bytes(content)
    try:
        table = read_frame(str(path), **options)
    except ExpError:
        return
    names = list(table.frame.columns)
    assert all(isinstance(name, str) and name == name.strip() and name for name in names)
    assert len(set(names)) == len(names)
    assert len(table.frame)
    for name in names:
        for cell in table.frame[name].dropna().tolist():
            assert not isinstance(cell, str) or cell == cell.strip() != ""


def check_any_table(data: st.DataObject, folder: Path) -> None:
    width = data.draw(st.integers(1, 5))
    rows = data.draw(st.lists(st.lists(CELLS, min_size=1, max_size=width + 1), min_size=0, max_size=8))
    separator = data.draw(st.sampled_from([",", ";", "\t", "|", " "]))
    end = data.draw(st.sampled_from(["\n", "\r\n", "\r"]))
    text = end.join(separator.join(row) for row in rows)
    encoding = data.draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "latin-1", "cp1252"]))
    content = text.encode(encoding, "replace")
    if data.draw(st.booleans()):
        content = gzip.compress(content)
    read_anything(content, folder / "x.csv")


def check_any_bytes(data: st.DataObject, folder: Path) -> None:
    start = data.draw(st.sampled_from([b"", b"PAR1", b"PK\x03\x04", b"\x1f\x8b\x08", b"BZh9", b"\xff\xfe", b"a,b\n"]))
    read_anything(start + data.draw(st.binary(max_size=60)), folder / "x.csv")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


@settings(max_examples=60)
@given(data=st.data())
def test_no_table_raises_anything_but_our_errors(data: st.DataObject, folder: Path):
    check_any_table(data, folder)


@settings(max_examples=100)
@given(data=st.data())
def test_no_bytes_raise_anything_but_our_errors(data: st.DataObject, folder: Path):
    check_any_bytes(data, folder)


@pytest.mark.slow
@settings(max_examples=2000)
@given(data=st.data())
def test_no_table_raises_anything_but_our_errors_in_2000_examples(data: st.DataObject, folder: Path):
    check_any_table(data, folder)
    check_any_bytes(data, folder)


WORDS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc", "Zs", "Zl", "Zp"]), min_size=1, max_size=8)


@settings(max_examples=25)
@given(data=st.data())
def test_a_table_that_pandas_writes_is_read_back(data: st.DataObject, folder: Path):
    """Whatever the separator, the line ends, the encoding and the compression, unless cells are marks or numbers."""
    names = data.draw(st.lists(WORDS.map(lambda word: "n" + word), min_size=2, max_size=5, unique=True))
    count = data.draw(st.integers(2, 12))
    columns: dict[str, list[Any]] = {}
    for place, name in enumerate(names):
        numbers = st.floats(allow_nan=False, allow_infinity=False) if place % 2 else st.integers(-(2**53), 2**53)
        kind = data.draw(st.sampled_from([numbers, WORDS.map(lambda word: "w" + word)]))
        columns[name] = data.draw(st.lists(kind, min_size=count, max_size=count))
    frame = pd.DataFrame(columns)
    options: dict[str, Any] = {
        "quoting": data.draw(st.sampled_from([0, 1, 2])),
        "sep": data.draw(st.sampled_from([",", ";", "\t", "|"])),
        "lineterminator": data.draw(st.sampled_from(["\n", "\r\n"])),
    }
    content = frame.to_csv(index=False, **options).encode(data.draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16"])))
    compress = data.draw(st.sampled_from([bytes, gzip.compress, bz2.compress, lzma.compress]))
    (folder / "y.csv").write_bytes(compress(content))
    table = read_frame(str(folder / "y.csv"))
    pd.testing.assert_frame_equal(table.frame, frame, check_dtype=False, check_exact=True)


def test_points_that_may_separate_thousands_are_named_and_declared(tmp_path: Path):
    path, people = tmp_path / "rows.csv", ["4.098", "415", "40.642", "7.319", "5.120"]
    rows = [f"{people[row % 5]};{['0.125', '0.5'][row % 2]};{['1.5', '2.25', '3.125'][row % 3]}" for row in range(30)]
    path.write_text("\n".join(["people;share;price", *rows]))
    table = read_frame(str(path), key="dataset.path")
    (note,) = [note for note in table.notes if "thousands" in note]
    assert "'people'" in note
    assert not {"share", "price"} & set(note.split("'"))
    declared = read_frame(str(path), key="dataset.path", decimal=",")
    options = TableOptions("y", decimal=",", task="regression")
    frame = declared.frame.assign(y=np.random.default_rng(0).normal(size=30))
    dataset = dataset_from_frame(frame, "rows.csv", options)
    column = [column.name for column in dataset.columns].index("people")
    assert dataset.x[:5, column].tolist() == [4098, 415, 40642, 7319, 5120]
    assert not [note for note in declared.notes if "thousands" in note]
