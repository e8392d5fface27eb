"""The benchmarks run, and the GPU benchmark does as far as it can be tested without a GPU."""

import ast
import importlib
import json
import subprocess
import sys
from pathlib import Path

import forking
import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
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


def test_what_benchmarks_import_of_exp_exists():
    """They are run by hand, so nothing else would show that a name has moved."""
    for path in sorted(BENCHMARKS.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "exp":
                module = importlib.import_module(str(node.module))
                for name in node.names:
                    if not hasattr(module, name.name):
                        importlib.import_module(f"{node.module}.{name.name}")


@pytest.mark.slow
def test_the_profile_of_a_run_has_a_label_for_each_part(tmp_path: Path):
    line = [sys.executable, str(BENCHMARKS / "profile_run.py"), "--child", "dataset=xor", "epochs=2"]
    done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    seconds = json.loads(done.stdout.splitlines()[-1])
    assert {
        "check of _target_s",
        "validation of the config",
        "training: steps",
        "event file",
        "figures",
    } <= seconds.keys()
