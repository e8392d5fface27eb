"""A type checker knows what the functions return, and refuses wrong arguments."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import exp

SNIPPET = """
import numpy as np
import pandas as pd
import torch
from torch import nn
from exp import ExpClassifier, load, sweep, train

df = pd.DataFrame({"a": [1.0, 2.0], "y": [1, 2]})
reveal_type(train(df, "optimizer.lr=0.1", target="y", epochs=3, resume="run"))  # Result
reveal_type(train((np.ones((3, 2)), torch.ones(3)), model=nn.Linear(2, 1)))  # Result
reveal_type(train("dataset=iris", **{"optimizer.lr": 0.1}))  # Result
reveal_type(train(model="mlp", dataset="iris", optimizer__lr=0.1))  # Result
reveal_type(sweep(df, "seed=1,2", target="y"))  # SweepResult
reveal_type(load("run").best.predict(df, checkpoint="best"))  # DataFrame
reveal_type(load("run").predict(np.ones((3, 2)))["prediction"])  # ndarray[tuple[Any, ...], dtype[Any]]
reveal_type(load("run").metrics)  # DataFrame
reveal_type(ExpClassifier(model="mlp", optimizer__lr=0.1).fit(df, [0, 1]))  # ExpClassifier
train(df, target=1.5)  # error
train((df, [0, 1]), epochs=1.5)  # error
"""


@pytest.mark.slow
def test_pyright_infers_the_types(tmp_path: Path):
    (tmp_path / "snippet.py").write_text(SNIPPET)
    sources = str(Path(exp.__file__).parents[1])
    settings = {"typeCheckingMode": "strict", "extraPaths": [sources], "reportUnknownMemberType": "none"}
    (tmp_path / "pyrightconfig.json").write_text(json.dumps({**settings, "reportMissingTypeStubs": False}))
    command = [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable, "-p", str(tmp_path)]
    checked = subprocess.run(command, capture_output=True, text=True)
    found = json.loads(checked.stdout)["generalDiagnostics"]
    lines = SNIPPET.splitlines()
    expected = {number: line.rpartition("# ")[2] for number, line in enumerate(lines) if "  # " in line}
    told = {number: [] for number in expected}
    for one in found:
        told.setdefault(one["range"]["start"]["line"], []).append(one)
    for number, wanted in expected.items():
        if wanted == "error":
            assert "error" in {one["severity"] for one in told.pop(number)}
        else:
            (one,) = told.pop(number)
            assert one["message"].endswith(f'is "{wanted}"')
    assert told == {}
