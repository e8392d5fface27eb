"""Write a folder that predicts rows as they are in a table, without exp."""

import json
import shutil
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from exp.errors import ConfigError
from exp.results.atomic import moved_together
from exp.results.trained_ensemble import TrainedEnsemble
from exp.results.trained_model import TrainedModel
from exp.serving.check import TOLERANCE, Comparison, compare
from exp.serving.graph import write_graph
from exp.serving.served_model import Inputs, ServedModel, members_of
from exp.serving.state import make_state

PROGRAM, STATE = "predict.py", "model.json"


def write_folder(models: TrainedModel | TrainedEnsemble, format: str, folder: Path) -> Comparison:
    """Write the graph, `predict.py` and `model.json` to a new folder, and compare what they predict with `exp predict`.

    The graph has what is arithmetic: gaps, categories, parts of dates, scaling, the model, its calibration, the
    target's unit. `predict.py` reads the cells, because no operators of text are in all ONNX runtimes, and pt2 has
    none.

    Raises:
        ConfigError: The model cannot be exported, or the predictions differ. There is then no folder.
    """
    members = members_of(models)
    with moved_together(folder) as place:
        place.mkdir()
        name = f"model.{format}"
        values = torch.zeros(2, len(Inputs.of(members).columns), dtype=torch.float64)
        versions = write_graph(ServedModel(members), values, "values", format, place / name)
        python = ".".join(map(str, sys.version_info[:3]))
        state = make_state(members, name, {"exp": _own_version(), "python": python, **versions})
        (place / STATE).write_text(json.dumps(state, indent=1, ensure_ascii=False), encoding="utf-8")
        shutil.copyfile(Path(__file__).with_name(PROGRAM), place / PROGRAM)
        found = compare(place, models)
        if found.largest > TOLERANCE:
            raise ConfigError(f"{found}, more than {TOLERANCE:g}", "another format")
        shutil.rmtree(place / "__pycache__", ignore_errors=True)
    return found


def _own_version() -> str:
    try:
        return version("exp")
    except PackageNotFoundError:
        return "unknown"
