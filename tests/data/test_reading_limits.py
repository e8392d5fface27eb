"""Long cells, wide tables, and tables with gaps: a reader that takes too long, or loses cells or rows."""

import time
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from exp import train
from exp.data.columns.number_cells import split_cell
from exp.data.files import table
from exp.data.read_table import read_frame
from exp.data.reading import delimited
from exp.errors import DataError
from exp.predict import predict


def test_a_long_run_of_blanks_takes_no_time():
    start = time.perf_counter()
    assert split_cell("-" + " " * 1000 + "!x") is None
    assert time.perf_counter() - start < 1
    cell = split_cell("-" + " " * 1000 + "$" + " " * 1000 + "5" + " " * 1000 + "kg")
    assert cell is not None
    assert (cell.sign, cell.prefix, cell.number, cell.suffix) == (-1.0, "$", "5", "kg")


@pytest.mark.slow
@pytest.mark.parametrize(
    "end",
    [
        "\n",
        "\r\n",
        "\r",
    ],
)
def test_a_header_of_any_length_is_read_whole(end: str, tmp_path: Path):
    names = [f"gene_{index:06d}" for index in range(25_000)]
    lines = [",".join([*names, "y"]), *(",".join([str(row % 7)] * 25_000 + [f"{row}.5"]) for row in range(12))]
    (tmp_path / "x.csv").write_bytes(end.join([*lines, ""]).encode())
    frame = read_frame(str(tmp_path / "x.csv")).frame
    assert list(frame.columns) == [*names, "y"]
    assert frame["y"].tolist() == [row + 0.5 for row in range(12)]


def test_no_cell_is_left_out(tmp_path: Path):
    """The layout ends at a cell that is longer than the csv module reads, and the line below has a cell too many."""
    long = "x" * 140_000
    (tmp_path / "x.csv").write_text(f"a,b\n{long},1\n2,3\n")
    assert read_frame(str(tmp_path / "x.csv")).frame["b"].tolist() == [1, 3]
    (tmp_path / "x.csv").write_text(f"a,b\n{long},1,2\n3,4,5\n")
    with pytest.raises(DataError, match="a line has more cells than column names"):
        read_frame(str(tmp_path / "x.csv"))


@pytest.mark.parametrize("option", [{"target": "q"}, {"target": "y", "drop": ["q"]}])
def test_an_error_lists_the_first_names_of_a_wide_table(option: dict[str, Any], tmp_path: Path):
    names = [f"gene_{index:06d}" for index in range(1000)]
    (tmp_path / "x.csv").write_text("\n".join([",".join([*names, "y"]), *[",".join(["1"] * 1001)] * 12]))
    with pytest.raises(DataError) as caught:
        table(str(tmp_path / "x.csv"), **option)
    assert "gene_000019, …" in caught.value.fix
    assert "gene_000020" not in caught.value.fix


def read_all(path: Path) -> list[list[Any]]:
    frame = read_frame(str(path), keep_row_names=True, keep_rows=True).frame
    return frame.astype(object).where(frame.notna(), None).to_numpy().tolist()


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("blank", ["", '""', "  ", "NA"])
def test_a_blank_line_in_a_single_column_is_an_empty_cell(blank: str, end: str, tmp_path: Path):
    path = tmp_path / "x.csv"
    path.write_bytes(end.join(["x", "1", blank, "3", "", ""]).encode())
    assert read_all(path) == [[1], [None], [3]]
    path.write_bytes(end.join(["x", "a", blank, "b"]).encode())
    assert read_all(path) == [["a"], [None], ["b"]]


def test_new_rows_keep_empty_rows_of_excel(tmp_path: Path):
    path = tmp_path / "x.xlsx"
    book = openpyxl.Workbook()
    page = book.create_sheet("Data", 0)
    for row in (["Clinic"], [], ["a", "b"], [], [1, "x"], [], [None, None], [3, "y"], [], []):
        page.append(row)
    book.save(path)
    assert read_all(path) == [[1, "x"], [None, None], [None, None], [3, "y"]]
    assert read_frame(str(path)).frame.to_numpy().tolist() == [[1, "x"], [3, "y"]]


def test_new_rows_keep_rows_that_repeat_the_names(tmp_path: Path):
    (tmp_path / "x.csv").write_text("a,b\n1,x\na,b\n3,y\n")
    assert read_all(tmp_path / "x.csv") == [["1", "x"], ["a", "b"], ["3", "y"]]
    assert read_frame(str(tmp_path / "x.csv")).frame.to_numpy().tolist() == [[1, "x"], [3, "y"]]


def test_predict_writes_a_line_for_each_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    lines = ["x,y", *(f"{index % 7}.5,{index % 7 + index % 3}.25" for index in range(40))]
    Path("x.csv").write_text("\n".join(lines))
    options = ("epochs=1", "figures=false", "model.hidden=[4]", "hydra.run.dir=run")
    train("dataset=table", "dataset.path=x.csv", "dataset.target=y", *options)
    for number, content in enumerate(("x\n1\n\nx\n3\n", "x,z\n1,p\nx,z\n2,q\n3,r\n")):
        Path("new.csv").write_text(content)
        predict(run="run", data="new.csv", out=f"{number}.csv")
        assert len(Path(f"{number}.csv").read_text().splitlines()) == 5


def test_row_names_are_scanned_for_missing_cells_only_where_the_last_column_has_gaps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    lines = ["x,y", *(f"r{row},{row},{row}.5" for row in range(600))]
    (tmp_path / "x.csv").write_text("\n".join(lines))
    (tmp_path / "short.csv").write_text("\n".join([*lines, "7,8"]))
    with pytest.raises(DataError, match="line 602 has 2 cells"):
        read_frame(str(tmp_path / "short.csv"))
    monkeypatch.setattr(delimited, "_scan", None)
    assert len(read_frame(str(tmp_path / "x.csv")).frame) == 600
