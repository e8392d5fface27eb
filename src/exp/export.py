"""`exp export`: a run as a plain script, or its model for another runtime."""

import io
import logging
import shlex
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from exp.cli.answer import TextAnswer
from exp.cli.commands import new_file, run_command
from exp.errors import ConfigError, nearest, require_extra
from exp.results.best_job import choose_jobs

if TYPE_CHECKING:
    from exp.results.trained_ensemble import TrainedEnsemble
    from exp.results.trained_model import TrainedModel

_FORMATS = ("script", "pt2", "onnx")
_SUFFIXES = {".py": "script", ".pt2": "pt2", ".onnx": "onnx"}


def export(
    run: str, format: str, out: str, checkpoint: str = "auto", ensemble: bool = False, **moved: str
) -> TextAnswer:
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
    _check_arguments(format, out, ensemble)
    path = new_file(out)
    jobs, notes = choose_jobs(run, ensemble)
    # Lazy: importing torch takes a second, and wrong arguments do not need it.
    from exp.results.trained_ensemble import load_models

    models = load_models(jobs, checkpoint, moved)
    if format == "script":
        from exp.reports.script_files import write_script_files

        notes = [*notes, *write_script_files(models.lead, out)]
    else:
        _write_module(models, format, path)
    runs = [str(job) for job in jobs]
    fields = {"runs": runs, "kind": format, "out": out, "parameters": models.parameters, "notes": notes}
    return TextAnswer(fields, [*notes, f"{format}, {models.parameters}: {out}"])


def _check_arguments(format: str, out: str, ensemble: bool) -> None:
    """Raise ConfigError for what is wrong whatever the run is."""
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


def _write_module(models: "TrainedModel | TrainedEnsemble", format: str, path: Path) -> None:
    """Write the models as one module that takes any number of rows, as pt2 or onnx."""
    import torch

    x = torch.zeros(2, len(models.lead.preprocessing.features))
    any_rows = ({0: torch.export.Dim("rows")},)
    if format == "pt2":
        content = io.BytesIO()  # the system raises OSError, where torch's writer raises RuntimeError
        torch.export.save(torch.export.export(models.module(), (x,), dynamic_shapes=any_rows), content)
        path.write_bytes(content.getvalue())
        return
    with require_extra("onnx", "format=onnx", "onnx"), require_extra("onnxscript", "format=onnx", "onnx"):
        # Torch logs and warns about packages that are not needed, and about its own deprecations.
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        with warnings.catch_warnings(action="ignore"):
            torch.onnx.export(models.module(), (x,), path, dynamo=True, dynamic_shapes=any_rows, verbose=False)
    parameters = path.with_name(f"{path.name}.data")
    if parameters.exists():
        print(f"its parameters (keep them in the same folder): {parameters}")


if __name__ == "__main__":
    run_command(export, sys.argv[1:])
