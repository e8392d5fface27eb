"""`exp export`: a run as a plain script, or its model for another runtime, also as a folder that takes raw rows."""

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from exp.cli.answer import TextAnswer
from exp.cli.commands import new_file, run_command
from exp.config.nearest_names import nearest
from exp.errors import ConfigError
from exp.results.atomic import replacement
from exp.results.best_job import choose_jobs

if TYPE_CHECKING:
    from exp.results.trained_ensemble import TrainedEnsemble
    from exp.results.trained_model import TrainedModel

_FORMATS = ("script", "pt2", "onnx", "card")
_SUFFIXES = {".py": "script", ".pt2": "pt2", ".onnx": "onnx", ".md": "card"}


def export(
    run: str, format: str, out: str, checkpoint: str = "auto", ensemble: bool = False, **moved: str
) -> TextAnswer:
    """Write a run as a PyTorch script, .pt2, ONNX, or a model card.

        python -m exp export run=FOLDER format=script out=train.py

    The script trains the same run without exp, with the same losses to the bit on the CPU, and ends with the parameters
    of the checkpoint.

    A folder, for pt2 and onnx, predicts rows as they are in a table: its predict.py reads words, numbers and dates, and
    the graph has all the rest, to the target's own unit. It needs NumPy and the runtime, not exp, and is compared with
    `exp predict` before the command ends.

    A file takes features as the run preprocessed them, float32 [N, F]; torch.export.load(FILE).module()(x) returns the
    outputs of a .pt2 file. The outputs of a run that standardised its target are predictions in the target's own unit,
    float64 [N, K]. Those of an ensemble are averages, float64: the probabilities of the classes, or the values.

    A card is Markdown with the sections of Hugging Face's: the columns, the data, the training, metrics with intervals,
    limits, and how to use and repeat it, as far as the run's files tell; lines for the author are marked.

    Args:
        run: Folder of the run; of a sweep, its best job is used.
        format: script, pt2 (torch.export), onnx or card (Markdown).
        out: File to write; without a suffix, for pt2 and onnx, a folder that predicts rows of a table.
        checkpoint: best, last or a .pt file of the run; by default (auto) that of the final metrics: best with early
            stopping, otherwise last.
        ensemble: Whether to average the seeds or folds of a sweep's best choice, as pt2 or onnx.
        dataset.path: Where the run's data file is now, if it moved; likewise dataset.val_path and test_path.
    """
    _check_arguments(format, out, ensemble)
    new_file(out)
    jobs, notes = choose_jobs(run, ensemble)
    # Lazy: importing torch takes a second, and wrong arguments do not need it.
    from exp.results.trained_ensemble import load_models

    models = load_models(jobs, checkpoint, moved)
    parameters = models.parameters
    compared: dict[str, Any] = {"rows_compared": None, "largest_difference": None}
    if format == "script":
        from exp.reports.script_files import write_script_files

        notes = [*notes, *write_script_files(models.lead, out)]
        parameters = f"checkpoint {models.lead.checkpoint}"  # what a script prints is not calibrated
    elif format == "card":
        from exp.reports.model_card import model_card

        card = model_card(models.lead)
        with replacement(Path(out), shared=True) as temporary:
            temporary.write_text(card, encoding="utf-8")
    else:
        more, found = _write_model(models, format, out)
        compared |= found
        notes = [*notes, *more]
    runs = [str(job) for job in jobs]
    fields = {"runs": runs, "kind": format, "out": out, "parameters": parameters, "notes": notes, **compared}
    fields["files"] = sorted(str(path) for path in _written(Path(out)))
    return TextAnswer(fields, [*notes, f"{format}, {parameters}: {out}"])


def _check_arguments(format: str, out: str, ensemble: bool) -> None:
    """Raise ConfigError for what is wrong whatever the run is."""
    if format not in _FORMATS:
        near = nearest(format, _FORMATS) or _SUFFIXES.get(Path(out).suffix, "script")
        raise ConfigError(f"format must be one of {', '.join(_FORMATS)}, got {format}", f"format={near}")
    if (suffix := Path(out).suffix) in _SUFFIXES and _SUFFIXES[suffix] != format:
        fix = f"format={_SUFFIXES[suffix]} {shlex.quote(f'out={out}')}"
        raise ConfigError(f"format={format} out={out}: {suffix} is the suffix of {_SUFFIXES[suffix]}", fix)
    if ensemble and format in ("script", "card"):
        does = "script trains" if format == "script" else "card describes"
        fix = f"format=pt2, or format={format} without ensemble=true"
        raise ConfigError(f"format={format} ensemble=true: a {does} one run", fix)


def _written(out: Path) -> list[Path]:
    """Return the files that were written: a folder's, or a file and those next to it that it reads."""
    if out.is_dir():
        return [path for path in out.rglob("*") if path.is_file()]
    names = [out.with_suffix(".npz"), out.with_suffix(".pt")] if out.suffix == ".py" else [Path(f"{out}.data")]
    return [out, *(path for path in names if path.exists())]


def _write_model(models: "TrainedModel | TrainedEnsemble", format: str, out: str) -> tuple[list[str], dict[str, Any]]:
    """Write a folder that takes rows of a table, or a file that takes prepared features.

    Returns:
        Notes, and for a folder how many rows were compared and the largest difference.
    """
    import torch

    if not Path(out).suffix:
        from exp.serving.folder import write_folder

        found = write_folder(models, format, Path(out))
        return [str(found)], {"rows_compared": found.rows, "largest_difference": found.largest}
    from exp.serving.graph import write_graph

    path = Path(out)
    write_graph(models.module(), torch.zeros(2, len(models.lead.preprocessing.features)), "x", format, path)
    parameters = path.with_name(f"{path.name}.data")
    notes = [f"its parameters (keep them in the same folder): {parameters}"] if parameters.exists() else []
    return [*notes, "it takes prepared features; out=FOLDER, a name without a suffix, takes rows of a table"], {}


if __name__ == "__main__":
    run_command(export, sys.argv[1:])
