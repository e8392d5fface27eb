"""Lines that begin with #: comments above the names, names in a comment, and cells that only look like comments."""

import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from exp.data.files import table
from exp.data.read_table import Table, read_frame


def read(folder: Path, content: str | bytes) -> Table:
    (folder / "x.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_frame(str(folder / "x.csv"))


@pytest.mark.parametrize(
    "content",
    [
        '"#k",a,y\n1,2,x\n3,4,z\n',
        '"#k","a","y"\n"Graz","p","x"\n"Wien","q","z"\n',
        '  "#k", a, y\n1, 2, x\n3, 4, z\n',
        '"# made by","a logger","y"\n1,2,x\n3,4,z\n',
        '"#k"\n1\n3\n',
        '"#";a;y\n1;2;x\n3;4;z\n',
        '"#h\ni",a,y\n1,2,x\n3,4,z\n',
        '"#k",a,y\n"#1",2,x\n"# 3",4,z\n',
        "a,b,y\n#1,2,x\n# 3,4,z\n",
        "a,b,y\n1,2,x\n#3,4,z\n",
        "'#k','a','y'\n1,2,x\n3,4,z\n",
        "\t#k\ty\np\t2\tx\nq\t4\tz\nq\t4\tz\n",
    ],
)
def test_a_quoted_cell_and_a_cell_of_a_row_are_no_comment(content: str, tmp_path: Path):
    separator = next(mark for mark in "\t;," if mark in content + ",")
    expected = pd.read_csv(io.StringIO(content), sep=separator, skipinitialspace=separator != "\t")
    expected.columns = [name.replace("\n", " ").replace("Unnamed: 0", "column 1").strip("'") for name in expected]
    for file in (content.encode(), content.encode("utf-8-sig"), content.encode("utf-16")):
        read_back = read(tmp_path, file)
        pd.testing.assert_frame_equal(read_back.frame, expected, check_dtype=False)
        assert not [note for note in read_back.notes if "skipped" in note]


@pytest.mark.parametrize("above", ["# made by a logger\n", "  # cm, kg, x\n\n", "##\n#\n", "sep=,\n", '"# a, b"\n'])
def test_a_quoted_name_below_a_comment(above: str, tmp_path: Path):
    assert read(tmp_path, above + '"#k",b,y\n1,2,x\n3,4,z\n').frame.columns.tolist() == ["#k", "b", "y"]


@pytest.mark.parametrize("names", ["a,b,y", "a,y", '"#a",y'])
@pytest.mark.parametrize("title", ['"# by hand, in Graz"\n', '"# by hand"\n"# cm"\n', "By hand\nin Graz\n"])
def test_a_title_is_above_the_names(title: str, names: str, tmp_path: Path):
    rows = "1,2,x\n3,4,z\n" if names.count(",") == 2 else "1,x\n3,z\n"
    frame = read(tmp_path, f"{title}{names}\n{rows}").frame
    assert frame.columns.tolist() == names.replace('"', "").split(",")
    assert frame.iloc[:, 0].tolist() == [1, 3]


@pytest.mark.parametrize("title", ['"# by hand, in Graz"\n', '"# by hand"\n"# cm"\n'])
def test_a_quoted_comment_is_above_two_columns_of_words(title: str, tmp_path: Path):
    frame = read(tmp_path, f"{title}town,kind\nGraz,a\nLinz,b\n").frame
    assert frame.columns.tolist() == ["town", "kind"]
    assert len(frame) == 2


def test_a_quoted_name_above_row_names(tmp_path: Path):
    """As R writes a table of one column."""
    frame = read(tmp_path, '"#k"\n"r1",1\n"r2",3\n').frame
    assert frame.columns.tolist() == ["#k"]
    assert frame["#k"].tolist() == [1, 3]


@pytest.mark.parametrize(
    ("content", "names"),
    [
        ("#id,a,y\n1,2,x\n3,4,z\n", "id a y"),
        ("\ufeff#id,a,y\n1,2,x\n3,4,z\n", "id a y"),
        ("# id, a, y\n1,2,x\n3,4,z\n", "id a y"),
        ('#"id","a","y"\n1,2,x\n3,4,z\n', "id a y"),
        ("#id,a,y\np,q,x\nr,s,z\n", "id a y"),
        ("# id,a,y\np,q,x\nr,s,z\n", "id a y"),
        ("# id\ta\ty\np\tq\tx\nr\ts\tz\n", "id a y"),
        ("# id, a, y\n" + "p,q,x\np,s,z\nr,q,z\nr,s,x\n" * 4, "id a y"),
        ("# id,a,y\np,q,x\nr,s\nt,u,z\n", "id a y"),
        ("# id a y\n1 2 3\n4 5 6\n", "id a y"),
        ("# id of\ta\ty\np\tq\tx\nr\ts\tz\n", "id_of a y"),
        ('#id,"a\n\nb",y\n1,2,x\n3,4,z\n', "id a_b y"),
        ("#,a,y\n1,2,x\n1,4,z\n", "# a y"),
        ("#\ta\ty\np\tq\tx\nr\ts\tz\n", "# a y"),
        ("#id,a,y\n,,x\nr,s,z\nt,u,w\n", "id a y"),
        ("#id,a,y\n1,2,x\n3,4,5 %\n" + "1,6 %\n" * 3 + "1,6,7 %\n" * 3, "id a y"),
        ("# by\n#\n#,a,y\np,q,x\nr,s,z\n", "# a y"),
    ],
)
def test_names_in_a_comment_are_names(content: str, names: str, tmp_path: Path):
    frame = read(tmp_path, content).frame
    assert frame.columns.tolist() == [name.replace("_", " ") for name in names.split()]
    assert len(frame) == content.replace("\n\n", " ").lstrip("# by\n").count("\n") - 1


@pytest.mark.parametrize(
    "above", ["# Graz, Wien\n", "# cm\n#\n", "# by hand\n", "#\n", "# by hand, in the lab\n", "#\n# by\n"]
)
def test_words_above_the_names_are_no_names(above: str, tmp_path: Path):
    for rows in ("Graz,a\nLinz,b\n", "Graz,1\nLinz,2\n"):
        assert read(tmp_path, f"{above}town,kind\n{rows}").frame.columns.tolist() == ["town", "kind"]
    assert read(tmp_path, f"{above}town\nGraz\nLinz\n").frame.columns.tolist() == ["town"]


@pytest.mark.parametrize("again", ["#id,a,y", "# id,a,y"])
def test_names_in_a_comment_that_are_repeated_are_left_out(again: str, tmp_path: Path):
    """As in files of one program that were put together."""
    repeated = read(tmp_path, f"#id,a,y\n1,2,x\n{again}\n3,4,z\n")
    once = read(tmp_path, "#id,a,y\n1,2,x\n3,4,z\n")
    assert repeated.notes == ("1 row repeated the column names: left out",)
    pd.testing.assert_frame_equal(repeated.frame, once.frame)


def test_a_comment_between_rows_is_a_row_without_a_target(tmp_path: Path):
    lines = [f"{place % 7}.5,{place * place % 11},{'xz'[place % 2]}\n" for place in range(20)]
    (tmp_path / "x.csv").write_text("a,b,y\n" + "".join(lines))
    (tmp_path / "z.csv").write_text("a,b,y\n" + "".join([*lines[:9], "# checked by hand\n", *lines[9:]]))
    one, other = (table(str(tmp_path / name), "y") for name in ("x.csv", "z.csv"))
    assert one.columns == other.columns
    assert np.array_equal(one.x, other.x)
    assert np.array_equal(one.y, other.y)
    assert other.notes == (*one.notes, "left out 1 of 21 rows: y is empty")
