"""The files of a run as a plain script: the script, and what it reads."""

import shlex
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from exp.config.allowlist import HELD_MODULE
from exp.errors import ConfigError
from exp.reports.plain_script import needs_rows, script_parameters, write_script
from exp.reports.source import user_modules
from exp.results import checkpoints, summary
from exp.results.atomic import replacement
from exp.results.run_folder import INITIAL_PARAMETERS
from exp.results.trained_model import TrainedModel
from exp.results.which_checkpoint import is_checkpoint_file
from exp.training.build import Experiment


def write_script_files(trained: TrainedModel, out: str) -> list[str]:
    """Write the script that trains the run, and its rows and initial parameters if it cannot make them itself.

    Returns:
        Notes about what the script needs.

    Raises:
        ConfigError: A file exists already, or the script cannot do what the run does.
    """
    if trained.config.model["_target_"] == HELD_MODULE:
        what = "format=script: the model came from Python as an object, and a script cannot make it"
        raise ConfigError(what, "format=pt2, or the class of the model in a file, which a YAML file names")
    notes: list[str] = []
    stop = _stop_at(trained)
    plan = replace(trained.experiment.plan, restore_best=trained.checkpoint == "best" and stop is None)
    if stop is not None:
        plan = replace(plan, patience=None)
    experiment, config = replace(trained.experiment, plan=plan), trained.experiment.config
    threads = int(summary.read(trained.folder).get("environment", {}).get("threads", 1))
    rows = Path(out).with_suffix(".npz")
    if needs_rows(config):
        notes.append(_note_of_file(rows, out, "its rows"))
    for module in user_modules(config):
        file = Path(str(sys.modules[module].__file__))
        folder = shlex.quote(str(file.parents[module.count(".")]))
        notes.append(f"it imports your {module}: PYTHONPATH={folder} python {out}")
    parameters = Path(out).with_suffix(".pt") if config.init is not None else None
    if parameters is not None:
        notes.append(_note_of_file(parameters, out, "its initial parameters"))
    script = write_script(experiment, threads, rows.name, parameters.name if parameters is not None else "", stop)
    # A script that cannot be written leaves no file, which would be in the way of the next try.
    if needs_rows(config):
        write_rows(experiment, rows)
    if parameters is not None:
        _write_initial(trained, parameters)
    with replacement(Path(out), shared=True) as temporary:
        temporary.write_text(script, encoding="utf-8")
    return notes


def _stop_at(trained: TrainedModel) -> int | None:
    """Return the step at which the script must stop to end at the checkpoint; None: the run itself leads there.

    A run that did not end would train on, and could find better parameters than those of its best.pt.
    """
    is_over = summary.read(trained.folder).get("status") == "finished"
    return trained.step if is_checkpoint_file(trained.checkpoint) or not is_over else None


def write_rows(experiment: Experiment, path: Path) -> None:
    """Write the features, targets and weights of each split, as model and loss receive them, to an .npz file.

    `features` has the names of the columns of x; `targets` those of y, or `classes` what its class numbers mean.
    """
    arrays = {
        f"{name}_{part}": getattr(split, part).cpu().numpy()
        for name, split in experiment.data.splits.items()
        for part in ("x", "y")
    }
    weights = {f"{name}_w": split.weights for name, split in experiment.data.splits.items()}
    arrays |= {name: of_row.cpu().numpy() for name, of_row in weights.items() if of_row is not None}
    kind = experiment.data.preprocessing.target_kind
    names = {"features": experiment.data.features, "classes" if kind.kind == "classes" else "targets": kind.names}
    arrays |= {name: np.array(words, dtype=np.str_) for name, words in names.items()}
    with replacement(path, shared=True) as temporary, temporary.open("wb") as file:
        np.savez(file, **arrays)


def _write_initial(trained: TrainedModel, path: Path) -> None:
    """Write the parameters that a run with init= started with as the state dict of the script's model."""
    state = checkpoints.read(trained.folder / INITIAL_PARAMETERS)
    with replacement(path, shared=True) as temporary:
        torch.save(script_parameters(trained.experiment, state["model"]), temporary)


def _note_of_file(path: Path, out: str, what: str) -> str:
    """Return a note about a file that the script reads. ConfigError if it exists."""
    if path.exists():
        raise ConfigError(f"out={out}: {path}, for {what}, already exists", "out=ANOTHER_FILE")
    return f"{what} (keep them in the same folder): {path}"
