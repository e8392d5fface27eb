"""metrics.csv is read bit for bit, without its damaged rows."""

import csv
from pathlib import Path

import pytest

from exp.results.metrics_csv import Row, read_curves, read_rows

HEAD = "step,epoch,samples,seconds,split,loss,accuracy\n"


def write(folder: Path, *lines: str) -> Path:
    (folder / "metrics.csv").write_text(HEAD + "".join(lines))
    return folder


def test_numbers_are_read_bit_for_bit_and_empty_cells_are_left_out(tmp_path: Path):
    write(tmp_path, "1,0.25,16,0.5,train,0.1,\n", "2,0.5,32,1.5,val,inf,0.30000000000000004\r\n")
    assert list(read_rows(tmp_path)) == [
        Row(1, 0.25, 16, 0.5, "train", {"loss": 0.1}),
        Row(2, 0.5, 32, 1.5, "val", {"loss": float("inf"), "accuracy": 0.30000000000000004}),
    ]


@pytest.mark.parametrize("damage", ["3,1,48,2,val,0.1,0.5", "3,1,48,2,val,0.1\n", "3,1,48,2,val,0.1,0.\x00\n", "\n"])
def test_a_damaged_row_is_skipped(tmp_path: Path, damage: str):
    write(tmp_path, "1,0.25,16,0.5,val,0.1,0.5\n", damage)
    assert [row.step for row in read_rows(tmp_path)] == [1]


def test_a_missing_file_has_no_rows(tmp_path: Path):
    assert list(read_rows(tmp_path)) == []
    assert read_curves(tmp_path, 10) == {}


@pytest.mark.parametrize("count", [5, 20, 21, 1000])
def test_a_curve_is_thinned_evenly(tmp_path: Path, count: int):
    write(tmp_path, *(f"{step},1,1,1,{split},{step / 7!r},1\n" for step in range(count) for split in ("train", "val")))
    with (tmp_path / "metrics.csv").open() as file:
        losses = {int(row["step"]): float(row["loss"]) for row in csv.DictReader(file)}
    for rows in read_curves(tmp_path, 10).values():
        steps = [row.step for row in rows]
        assert min(count, 10) <= len(steps) < 20
        assert steps == list(range(0, count, steps[1]))
        assert [row.metrics["loss"] for row in rows] == [losses[step] for step in steps]
