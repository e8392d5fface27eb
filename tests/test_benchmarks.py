"""The scripts in benchmarks/ that nobody runs here go on running."""

import subprocess
import sys
from pathlib import Path

import pytest

GPU = [sys.executable, str(Path(__file__).parents[1] / "benchmarks/gpu.py")]


@pytest.mark.slow
def test_the_table_of_a_gpu_is_made_on_a_cpu_too(tmp_path: Path):
    typed = ["4-point xor", "cancer", "--device", "cpu", "--seconds", "3"]
    done = subprocess.run([*GPU, *typed], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert "| | 4-point xor | cancer |" in lines
    assert [line.split("|")[1].strip() for line in lines if line.startswith("| ")] == ["", "eager", "replayed"]
    told = [line for line in lines if line.startswith(("4-point xor ", "cancer "))]
    assert len(told) == 2
    assert all("replayed  the same " in line and "eager after all" not in line for line in told)


def test_where_there_is_no_gpu_it_says_so(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    done = subprocess.run([*GPU, "--check"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1
    assert "sees no CUDA device" in done.stderr
