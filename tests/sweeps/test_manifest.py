"""sweep.json is written when a sweep begins and ends, and at most once a second between."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from conftest import config_of

from exp.results import sweep_json
from exp.sweeps import manifest
from exp.sweeps.jobs import Job
from exp.sweeps.manifest import Manifest


def job(number: int) -> Job:
    return Job(number, [], config_of("dataset=xor"), {"seed": number})


def test_the_jobs_of_a_long_search_are_not_written_at_each_trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    now, began = 0.0, ""
    describe = manifest.describe_process
    monkeypatch.setattr(manifest, "describe_process", lambda: {**describe(), "began": str(now)})
    monkeypatch.setattr(manifest, "time", SimpleNamespace(monotonic=lambda: now))
    jobs, written = Manifest(tmp_path), list[int]()
    for number in range(40):
        jobs.add([job(number)], [str(number)], 40)
        began = began or sweep_json.read(tmp_path)["process"]["began"]
        written.append(len(sweep_json.read(tmp_path)["folders"]))
        now += 0.1
    assert written[0] == 1
    assert len(set(written)) <= 5
    assert written[-1] >= 30
    assert sweep_json.read(tmp_path)["process"]["began"] == began
    jobs.flush()
    (tmp_path / manifest.MULTIRUN).touch()  # the sweep has begun
    sweep_json.remove_process(tmp_path)
    assert "process" not in sweep_json.read(tmp_path)
    assert Manifest(tmp_path).folders == jobs.folders
    assert len(jobs.folders) == 40


def test_the_jobs_of_a_sweep_are_written_before_they_begin(tmp_path: Path):
    for number in range(3):  # of commands that resume it
        Manifest(tmp_path).add([job(0), job(number)], ["0", str(number)], 2)
        assert len(json.loads((tmp_path / manifest.SWEEP_MANIFEST).read_text())["folders"]) == number + 1
