"""`exp export`: a run as a plain script, or its model for another runtime."""

import io
import logging
import shlex
import sys
import warnings
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from exp.cli.commands import new_file, run_command
from exp.cli.output import print_notes
from exp.errors import ConfigError, nearest, require_extra
from exp.results.best_job import choose_jobs

if TYPE_CHECKING:
    from exp.results.trained_model import TrainedModel
    from exp.training.build import Experiment

_FORMATS = ("script", "pt2", "onnx")
_SUFFIXES = {".py": "script", ".pt2": "pt2", ".onnx": "onnx"}


def export(run: str, format: str, out: str, checkpoint: str = "auto", ensemble: bool = False, **moved: str) -> None:
    """Write a run as a plain PyTorch script, or its trained model as .pt2 or ONNX.

        python -m exp export run=FOLDER format=script out=train.py

    The script trains the same run without exp, with the same losses to the bit on the CPU, and ends with the parameters
    of the checkpoint. The model takes features as
    the run preprocessed them, float32 [N, F]; torch.export.load(FILE).module()(x) returns the outputs of a .pt2 file.
    The outputs of a run that standardised its target are predictions in the target's own unit, float64 [N, K]. Those of
    an ensemble are averages, float64: the probabilities of the classes, or the values.

    Args:
        run: Folder of the run; of a sweep, its best job is used.
        format: script, pt2 (torch.export) or onnx.
        out: File to write.
        checkpoint: best or last; by default (auto) that of the final metrics: best with early stopping, otherwise last.
        ensemble: Whether to average the seeds or folds of a sweep's best choice, as pt2 or onnx.
        dataset.path: Where the run's data file is now, if it moved; likewise dataset.val_path and test_path.
    """
    if format not in _FORMATS:
        near = nearest(format, _FORMATS) or _SUFFIXES.get(Path(out).suffix, "script")
        raise ConfigError(f"format must be one of {', '.join(_FORMATS)}, got {format}", f"format={near}")
    if (suffix := Path(out).suffix) in _SUFFIXES and _SUFFIXES[suffix] != format:
        fix = f"format={_SUFFIXES[suffix]} {shlex.quote(f'out={out}')}"
        raise ConfigError(f"format={format} out={out}: {suffix} is the suffix of {_SUFFIXES[suffix]}", fix)
    if ensemble and format == "script":
        raise ConfigError(
            "format=script ensemble=true: a script trains one run", "format=pt2, or format=script without ensemble=true"
        )
    path = new_file(out)
    jobs, notes = choose_jobs(run, ensemble)
    print_notes(*notes)
    # Lazy: importing torch takes a second, and wrong arguments do not need it.
    import torch

    from exp.reports.plain_script import needs_rows, write_script
    from exp.reports.source import user_modules
    from exp.results import summary
    from exp.results.trained_ensemble import load_models

    models = load_models(jobs, checkpoint, moved)
    trained = models.lead
    if format == "script":
        experiment = trained.experiment
        ends_with_best = replace(experiment.plan, restore_best=trained.checkpoint == "best")
        experiment, config = replace(experiment, plan=ends_with_best), experiment.config
        threads = int(summary.read(trained.folder).get("environment", {}).get("threads", 1))
        rows = path.with_suffix(".npz")
        if needs_rows(config):
            if rows.exists():
                raise ConfigError(f"out={out}: {rows}, for its rows, already exists", "out=ANOTHER_FILE")
            write_rows(experiment, rows)
            print(f"its rows (keep them in the same folder): {rows}")
        for module in user_modules(config):
            file = Path(str(sys.modules[module].__file__))
            print(
                f"it imports your {module}: PYTHONPATH={shlex.quote(str(file.parents[module.count('.')]))} python {out}"
            )
        parameters = path.with_suffix(".pt") if config.init is not None else None
        if parameters is not None:
            if parameters.exists():
                raise ConfigError(
                    f"out={out}: {parameters}, for its initial parameters, already exists", "out=ANOTHER_FILE"
                )
            write_initial(trained, parameters)
            print(f"its initial parameters (keep them in the same folder): {parameters}")
        script = write_script(experiment, threads, rows.name, parameters.name if parameters is not None else "")
        path.write_text(script, encoding="utf-8")
    elif format == "pt2":
        content = io.BytesIO()  # the system raises OSError, where torch's writer raises RuntimeError
        x = torch.zeros(2, len(trained.preprocessing.features))
        torch.export.save(torch.export.export(models.module(), (x,), dynamic_shapes=_any_rows()), content)
        path.write_bytes(content.getvalue())
    else:
        with require_extra("onnx", "format=onnx", "onnx"), require_extra("onnxscript", "format=onnx", "onnx"):
            x = torch.zeros(2, len(trained.preprocessing.features))
            # Torch logs and warns about packages that are not needed, and about its own deprecations.
            logging.getLogger("torch.onnx").setLevel(logging.ERROR)
            with warnings.catch_warnings(action="ignore"):
                torch.onnx.export(models.module(), (x,), path, dynamo=True, dynamic_shapes=_any_rows(), verbose=False)
        parameters = path.with_name(f"{path.name}.data")
        if parameters.exists():
            print(f"its parameters (keep them in the same folder): {parameters}")
    print(f"{format}, {trained.parameters if format == 'script' else models.parameters}: {out}")


def write_initial(trained: "TrainedModel", path: Path) -> None:
    """Write the parameters that a run with init= started with as the state dict of the script's model."""
    import torch

    from exp.reports.plain_script import script_parameters
    from exp.results import checkpoints
    from exp.results.run_folder import INITIAL_PARAMETERS

    state = checkpoints.read(trained.folder / INITIAL_PARAMETERS)
    torch.save(script_parameters(trained.experiment, state["model"]), path)


def write_rows(experiment: "Experiment", path: Path) -> None:
    """Write the features, targets and weights of each split, as model and loss receive them, to an .npz file."""
    import numpy as np

    arrays = {
        f"{name}_{part}": getattr(split, part).cpu().numpy()
        for name, split in experiment.data.splits.items()
        for part in ("x", "y")
    }
    weights = {f"{name}_w": split.weights for name, split in experiment.data.splits.items()}
    arrays |= {name: of_row.cpu().numpy() for name, of_row in weights.items() if of_row is not None}
    np.savez(path, **arrays)


def _any_rows() -> Any:
    import torch

    return ({0: torch.export.Dim("rows")},)


if __name__ == "__main__":
    run_command(export, sys.argv[1:])
