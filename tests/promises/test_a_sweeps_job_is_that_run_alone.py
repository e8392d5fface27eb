"""Promise 2: a job of a sweep writes the bytes, seconds aside, that the same run writes by itself."""

import csv
import json
from pathlib import Path

import torch

from exp import checkpoint


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "metrics.csv").open() as file:
        return [{key: value for key, value in row.items() if key != "seconds"} for row in csv.DictReader(file)]


def test_in_any_order_beside_a_failed_neighbour(exp, tmp_path: Path):
    common = ["dataset=moons", "model.dropout=0.2", "epochs=2", "figures=false"]
    # The third job fails, sets no threads of its own after one that did, and stands between two others.
    swept = exp("-m", *common, "threads=1,null", "batching.batch_size=10,100000,7,601", "hydra.sweep.dir=sweep")
    assert swept.returncode == 1
    assert "batching.batch_size=100000 is more than the 600 training rows" in swept.stdout
    jobs = {path.parent: json.loads(path.read_text()) for path in (tmp_path / "sweep").glob("*/summary.json")}
    assert sorted(job["status"] for job in jobs.values()) == ["failed"] * 4 + ["finished"] * 4
    with (tmp_path / "sweep/sweep.csv").open() as file:
        table = {row["job"]: row for row in csv.DictReader(file)}
    assert list(table) == [str(number) for number in range(8)]
    assert sum(row["status"] == "failed" for row in table.values()) == 4
    for folder, job in jobs.items():
        assert table[folder.name]["status"] == job["status"]
        if job["status"] == "finished":
            assert float(table[folder.name]["loss/val"]) == job["final"]["val"]["loss"]
        if job["status"] == "finished" and "threads=1" in job["overrides"]:
            alone = exp(*job["overrides"], "hydra.run.dir=alone/" + folder.name)
            assert alone.returncode == 0, alone.stderr
            assert rows(folder) == rows(tmp_path / "alone" / folder.name)
            mine, theirs = (
                checkpoint.read(path / "checkpoints/last.pt")["model"]
                for path in (folder, tmp_path / "alone" / folder.name)
            )
            assert all(torch.equal(mine[name], theirs[name]) for name in mine)
