"""Long cells, wide tables, and tables with gaps: a reader that takes too long, or loses cells or rows."""

import time

from exp.data.columns.number_cells import split_cell


def test_a_long_run_of_blanks_takes_no_time():
    start = time.perf_counter()
    assert split_cell("-" + " " * 1000 + "!x") is None
    assert time.perf_counter() - start < 1
    cell = split_cell("-" + " " * 1000 + "$" + " " * 1000 + "5" + " " * 1000 + "kg")
    assert cell is not None
    assert (cell.sign, cell.prefix, cell.number, cell.suffix) == (-1.0, "$", "5", "kg")
