"""Long cells, wide tables, and tables with gaps: a reader that takes too long, or loses cells or rows."""

import time
from pathlib import Path
from typing import Any

import pytest

from exp.data.columns.number_cells import split_cell
from exp.data.files import table
from exp.data.read_table import read_frame
from exp.errors import DataError


def test_a_long_run_of_blanks_takes_no_time():
    start = time.perf_counter()
    assert split_cell("-" + " " * 1000 + "!x") is None
    assert time.perf_counter() - start < 1
    cell = split_cell("-" + " " * 1000 + "$" + " " * 1000 + "5" + " " * 1000 + "kg")
    assert cell is not None
    assert (cell.sign, cell.prefix, cell.number, cell.suffix) == (-1.0, "$", "5", "kg")


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
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
