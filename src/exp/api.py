"""Train, sweep and load from Python and notebooks, with the overrides, files and bits of the command line."""

import logging
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias, overload

import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from exp.cli.diagnosis import CommandError
from exp.cli.main import train_or_sweep
from exp.cli.python_calls import in_python, to_overrides
from exp.cli.python_data import Targets
from exp.cli.python_module import hold_module
from exp.cli.python_objects import split_objects
from exp.data.frame import FrameLike
from exp.data.input_files import with_moved_files
from exp.data.seeding import preserved_streams
from exp.errors import ConfigError
from exp.result import Result, SweepResult
from exp.results import run_folder
from exp.results.best_job import choose_jobs
from exp.results.which_checkpoint import check_checkpoint

__all__ = ["Result", "SweepResult", "load", "sweep", "train"]

# Hydra and the random streams are the process's: threads, such as those of joblib, train one after the other.
ONE_AT_A_TIME = threading.RLock()

# Overrides of a sweep that run its jobs in other processes.
_OTHER_PROCESSES = ("sweep.workers=", "hydra/launcher=", "sweep.detach=true")

Pair: TypeAlias = tuple[ArrayLike | Tensor | FrameLike, ArrayLike | Tensor | FrameLike]


@overload
def train(
    data: FrameLike,
    *overrides: str,
    target: Targets | None = None,
    model: str | nn.Module = ...,
    epochs: int | str = ...,
    seed: int = ...,
    figures: bool | str = ...,
    resume: str | Path | None = ...,
    **values: object,
) -> Result: ...
@overload
def train(
    data: Pair,
    *overrides: str,
    model: str | nn.Module = ...,
    epochs: int | str = ...,
    seed: int = ...,
    figures: bool | str = ...,
    resume: str | Path | None = ...,
    **values: object,
) -> Result: ...
@overload
def train(
    *overrides: str,
    dataset: object = ...,
    target: Targets | None = None,
    model: str | nn.Module = ...,
    epochs: int | str = ...,
    seed: int = ...,
    figures: bool | str = ...,
    resume: str | Path | None = ...,
    **values: object,
) -> Result: ...
@overload
def train(*overrides: str, **values: object) -> Result: ...
def train(*arguments: Any, **values: Any) -> Result:
    """Train one run, as `python -m exp` does, and return its results.

    The run prints what the command line prints, and writes its folder below `outputs/`. `seed=0` is the default: the
    same call gives the same bits on the same CPU. The caller's random state, threads and logging are as before.

    Args:
        data: Rows, if they are in no file: a DataFrame, or a pair of arrays or tensors `(x, y)`, with x `[N, F]`,
            `[N, T, C]` or `[N, C, H, W]`, and y `[N]` or `[N, K]`; integers and words are classes, floats are numbers.
            A DataFrame trains the run of its CSV file, to the bit.
        overrides: Words as on the command line: `"dataset=iris", "optimizer.lr=0.1"`.
        target: The name or the position of the column of a DataFrame to predict, or several.
        dataset: The name of an option, or rows: as above, a torch `Dataset` or a `Bunch` of scikit-learn.
        model: The name of an option, or a module that takes the features and returns the outputs that the loss needs.
            A copy of it is trained, which starts with its parameters.
        epochs: The number of passes over the training rows, or `auto`.
        seed: Seeds the split, the initial parameters and the order of the rows.
        figures: Whether to draw figures and write report.html, about half a second.
        resume: The folder of a run to continue.
        values: Other keys; `optimizer__lr=0.1` is the override `optimizer.lr=0.1`.

    Returns:
        The run's folder, metrics and trained model.

    Raises:
        ExpError: The command is wrong, or the run failed; its `fix` says what to type.
        SystemExit: The run was stopped, such as by Ctrl-C. Its state is saved.

    Examples:
        >>> from exp import train
        >>> result = train("dataset=iris", "optimizer.lr=0.1", epochs=30, figures=False)
        data      iris: 150 x 4, 3 classes...
        >>> round(result.final["test"]["accuracy"], 3)
        0.967
    """
    objects = split_objects(arguments, values)
    return Result(run_and_load(to_overrides("train", objects.overrides, objects.values)), held=objects.held)


@overload
def sweep(data: FrameLike, *overrides: str, target: Targets | None = None, **values: object) -> SweepResult: ...
@overload
def sweep(data: Pair, *overrides: str, **values: object) -> SweepResult: ...
@overload
def sweep(
    *overrides: str,
    dataset: object = ...,
    model: str | nn.Module = ...,
    target: Targets | None = None,
    **values: object,
) -> SweepResult: ...
@overload
def sweep(*overrides: str, **values: object) -> SweepResult: ...
def sweep(*arguments: Any, **values: Any) -> SweepResult:
    """Run a sweep, as `python -m exp -m` does: one run for each combination of values.

    Each job has the bits of the same run alone. A failed job does not stop the others; it is printed, and has its row
    in the table. Rows and a model that come from Python are in this process only: the jobs run in it too, one after
    the other.

    Args:
        data: Rows, as those of `train`.
        overrides: Words as on the command line, some with several values: `"optimizer.lr=0.01,0.1"`.
        target: As that of `train`.
        dataset: As that of `train`, or a list of the names of options.
        model: As that of `train`, or a list of the names of options.
        values: As those of `train`. A list has the values of a key: `optimizer__lr=[0.01, 0.1]`.

    Returns:
        The sweep's folder, tables and jobs.

    Raises:
        ExpError: The command is wrong; its `fix` says what to type.

    Examples:
        >>> from exp import sweep
        >>> found = sweep("dataset=iris", "optimizer.lr=0.01,0.1", "seed=range(0,3)", figures=False)
        lr    n  best? ...
        >>> found.seeds[["optimizer.lr", "n"]].values.tolist()
        [[0.01, 3.0], [0.1, 3.0]]
    """
    objects = split_objects(arguments, values)
    words = to_overrides("sweep", objects.overrides, objects.values)
    if objects.held:
        others = [word for word in words if word.startswith(_OTHER_PROCESSES) and word != "sweep.workers=0"]
        if others:
            what = f"{others[0]}: rows and a model that came from Python are in this process only"
            raise ConfigError(what, f"no {others[0].partition('=')[0]}=, or the rows in a file")
        words = [*(word for word in words if word != "sweep.workers=0"), "sweep.workers=0"]
    return SweepResult(run_and_load(["-m", *words]), held=objects.held)


def load(folder: Path | str, *overrides: str, checkpoint: str = "auto", model: nn.Module | None = None) -> Result:
    """Return the run in a folder; of a sweep its best job, with a printed note.

    No code of the folder is run: its config is checked against the allow-list, and checkpoints hold tensors and plain
    values only.

    Args:
        folder: The folder of a run or of a sweep.
        overrides: Where the run's data files are now, if they moved: `load("run", "dataset.path=data.csv")`.
        checkpoint: `best` or `last`; `auto` is that of the final metrics: best with early stopping, otherwise last.
        model: A module like that of the run, if that came from Python. A copy of it gets the parameters of the run.

    Returns:
        The run. Its model is read when it is first used.

    Raises:
        ConfigError: There is no run or no such checkpoint, an override is not the path of one of its files, or `model`
            is not like the module of the run.

    Examples:
        >>> from exp import load, train
        >>> result = train("dataset=iris", "hydra.run.dir=runs/iris", epochs=5, figures=False)
        data      iris: 150 x 4, 3 classes...
        >>> load("runs/iris").final == result.final
        True
    """
    check_checkpoint(checkpoint)
    (job,), notes = choose_jobs(str(folder))
    for note in notes:
        print(note)
    moved = {key: value for key, _, value in (word.partition("=") for word in to_overrides("load", overrides, {}))}
    with_moved_files(run_folder.read_config(job)["dataset"], moved)
    return Result(job, moved, checkpoint, () if model is None else (hold_module(model, job).held,))


def run_and_load(arguments: list[str], quiet: bool = False) -> Path:
    """Return the folder of the run or sweep of a command line. `quiet` prints nothing."""
    try:
        return _run(arguments, quiet)
    except CommandError as error:
        error.fix, error.printed = in_python(error.fix), in_python(error.printed)
        raise


def _run(arguments: list[str], quiet: bool) -> Path:
    with ONE_AT_A_TIME, isolated_state():
        completed = train_or_sweep(arguments, quiet)
    if completed.folder is None or (completed.exit_code and "-m" not in arguments):
        raise SystemExit(completed.exit_code)
    return completed.folder.absolute()


@contextmanager
def isolated_state() -> Generator[None]:
    """Restore the random state, threads, precision and log handlers of the caller when the context exits."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    threads, matmul = torch.get_num_threads(), torch.get_float32_matmul_precision()
    try:
        with preserved_streams():
            yield
    finally:
        for handler in set(root.handlers) - set(handlers):
            root.removeHandler(handler)
            handler.close()
        root.handlers[:] = handlers
        root.setLevel(level)
        torch.set_num_threads(threads)
        torch.set_float32_matmul_precision(matmul)
