"""The rows of sweep.csv: as numbers, by their choices, and of jobs whose files are damaged."""

import json
from pathlib import Path

from exp.reports.sweep_report import SweepResults
from exp.results.repeats import find_varied_columns
from exp.results.sweep_csv import metric_value, read_rows, sort_best_first


def test_zero_is_a_value_of_a_metric(tmp_path: Path):
    rows = [
        {"job": name, "lr": name, "status": "finished", "loss/val": loss} for name, loss in [("1", 0.5), ("2", 0.0)]
    ]
    assert [row["job"] for row in sort_best_first(rows, "loss/val")] == ["2", "1"]
    assert metric_value(rows[1], "loss/val") == 0.0
    (chart,) = SweepResults(tmp_path, rows, "loss/val").charts()
    assert len(chart.marks) == 2


def test_a_key_that_changes_no_number_is_no_choice():
    """A sweep may be resumed with another figures= or watch=."""
    rows = [{"job": "0", "seed": "0", "watch": "True"}, {"job": "1", "seed": "1", "watch": "false", "figures": "false"}]
    assert find_varied_columns(rows) == ["seed"]


def test_a_job_with_a_damaged_record_has_a_row_without_its_choices(tmp_path: Path):
    """Another job gives the lr, so that of this one is looked for in its config."""
    for name, files in {
        "0": {"summary.json": json.dumps({"status": "finished", "overrides": ["optimizer.lr=0.1"]})},
        "1": {".hydra/overrides.yaml": "[not yaml"},
        "2": {"summary.json": json.dumps({"status": "finished", "overrides": []}), ".hydra/config.yaml": "[not yaml"},
    }.items():
        (tmp_path / name / ".hydra").mkdir(parents=True)
        for file, text in {".hydra/overrides.yaml": "[]", ".hydra/config.yaml": "epochs: 1", **files}.items():
            (tmp_path / name / file).write_text(text, encoding="utf-8")
    rows = read_rows(tmp_path)
    assert {name: (row["status"], row.get("optimizer.lr")) for name, row in rows.items()} == {
        "0": ("finished", "0.1"),
        "1": ("not begun", None),
        "2": ("finished", None),
    }
