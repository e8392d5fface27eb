"""The GPU benchmark, as far as it can be tested without a GPU."""

import subprocess
import sys
from pathlib import Path

import forking
import pytest

GPU = [sys.executable, str(Path(__file__).parents[1] / "benchmarks/gpu.py")]


@pytest.mark.slow
def test_the_gpu_benchmark_prints_its_table_on_a_cpu(tmp_path: Path):
    typed = ["4-point xor", "cancer", "--device", "cpu", "--seconds", "6", "--only", "plain", "eager", "replayed"]
    done = subprocess.run([*GPU, *typed], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert "| | 4-point xor | cancer |" in lines
    assert [line.split("|")[1].strip() for line in lines if line.startswith("| ")] == ["", "plain", "eager", "replayed"]
    results = [line for line in lines if line.startswith(("4-point xor ", "cancer "))]
    assert len(results) == 2
    assert all("replayed  the same " in line and "eager after all" not in line for line in results)


def test_without_a_gpu_the_benchmark_is_an_error(tmp_path: Path):
    folder = str(Path(GPU[1]).parent)
    done = forking.begin("gpu", "--check", folder=tmp_path, PYTHONPATH=folder, CUDA_VISIBLE_DEVICES="").completed()
    assert done.returncode == 1
    assert "sees no CUDA device" in done.stderr
