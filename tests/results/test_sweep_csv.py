"""The rows of sweep.csv as numbers."""

from exp.reports.sweep_report import SweepResults
from exp.results.sweep_csv import metric_value, sort_best_first


def test_zero_is_a_value_of_a_metric(tmp_path):
    rows = [
        {"job": name, "lr": name, "status": "finished", "loss/val": loss} for name, loss in [("1", 0.5), ("2", 0.0)]
    ]
    assert [row["job"] for row in sort_best_first(rows, "loss/val")] == ["2", "1"]
    assert metric_value(rows[1], "loss/val") == 0.0
    (chart,) = SweepResults(tmp_path, rows, "loss/val").charts()
    assert len(chart.marks) == 2
