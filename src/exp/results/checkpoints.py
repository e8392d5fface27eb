"""Checkpoints: tensors and plain values only, with a checksum, read without running code."""

import hashlib
import pickle
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, Any, cast

import torch
from torch import Tensor

from exp.engine.tensor_state import copy_tensors
from exp.errors import CheckpointError
from exp.results import summary
from exp.results.atomic import replacement, sync_together
from exp.results.metrics_csv import read_rows
from exp.results.run_folder import (
    BEST_CHECKPOINT,
    INITIAL_PARAMETERS,
    LAST_CHECKPOINT,
    METRICS,
    OVERRIDES,
    PREVIOUS_CHECKPOINT,
    resume_command,
)
from exp.results.which_checkpoint import is_checkpoint_file
from exp.training import parameters
from exp.training.events import Ending, Event, Snapshot, State
from exp.training.state import TrainingState

FORMAT = 4


def write(path: Path, state: State) -> None:
    """Write `state` to `path`. `write_together` describes the errors."""
    write_together([(path, state, None)])


def write_together(files: Sequence[tuple[Path, State, Path | None]], covered: Sequence[IO[Any]] = ()) -> None:
    """Write several checkpoints, and wait for the disk once.

    Args:
        files: The path of each, its state, and where the checkpoint that was at the path is kept; None: nowhere. They
            are replaced in this order, once all of them are on the disk.
        covered: Open files, flushed, whose content a run that resumes from these checkpoints does not write again. It
            is on the disk first.

    Raises:
        CheckpointError: A file cannot be written. Until all are on the disk no checkpoint is changed; if one cannot be
            replaced after that, those before it are new, and those after it are as they were.
    """
    with ExitStack() as replaced_last_first:
        written: list[IO[Any]] = []
        for path, state, keep in reversed(files):
            replaced_last_first.enter_context(_naming(path))
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary = replaced_last_first.enter_context(replacement(path, keep=keep))
            written.append(replaced_last_first.enter_context(temporary.open("wb")))
            torch.save({"format": FORMAT, "checksum": checksum(state), **state}, written[-1])
            written[-1].flush()
        try:
            sync_together([*written, *covered])
        except OSError as error:
            raise _cannot_be_written(error.filename, error) from error


@contextmanager
def _naming(path: Path) -> Generator[None]:
    """Name the checkpoint at `path` in an error of the system."""
    try:
        yield
    except (OSError, RuntimeError) as error:  # torch raises RuntimeError if the disk is full
        raise _cannot_be_written(path, error) from error


def _cannot_be_written(path: Path | str, error: Exception) -> CheckpointError:
    fix = "free some space, or use another hydra.run.dir"
    return CheckpointError(f"{path} cannot be written: {_describe(error)}", fix)


def _describe(error: BaseException) -> str:
    """Return what the system says. An error of torch only says that fewer bytes were written than it expected."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, OSError):
        cause = cause.__context__
    return str(error) if cause is None or cause.strerror is None else cause.strerror.lower()


def read(path: Path) -> State:
    """Return the state at `path`, its tensors on the CPU.

    Raises:
        CheckpointError: The file is damaged, or holds something else.
    """
    try:
        state: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many types for a damaged file
        raise CheckpointError(f"{path} cannot be read: {_why(error)}", "another checkpoint of the run") from error
    if not isinstance(state, dict) or cast("State", state).get("format") != FORMAT:
        raise CheckpointError(f"{path} is not a checkpoint of format {FORMAT}", "another checkpoint")
    content = {key: value for key, value in cast("State", state).items() if key not in ("format", "checksum")}
    if cast("State", state).get("checksum") != checksum(content):
        raise CheckpointError(f"{path} is damaged: its checksum is wrong", "another checkpoint")
    return content


def _why(error: Exception) -> str:
    """Return why a file cannot be read: what the system says, or the first sentence of torch, which adds advice."""
    if isinstance(error, pickle.UnpicklingError):  # of a file that is no checkpoint: it recommends an unsafe way
        return "not a checkpoint"
    if isinstance(error, EOFError):
        return "it ends too early"
    first = _describe(error).partition("\n")[0].partition(". ")[0].rstrip(". ")
    return first or type(error).__name__


def read_one(run: Path, which: str) -> State:
    """Return the state of the checkpoint `which`: best, last or a .pt file of the run.

    Raises:
        CheckpointError: There is none, it is damaged, or it is another run's.
    """
    if is_checkpoint_file(which):
        state = read(Path(which))
        _check_is_of_run(run, which, state)
        return state
    path, other = (run / name for name in (BEST_CHECKPOINT, LAST_CHECKPOINT)[:: 1 if which == "best" else -1])
    try:
        if path.exists():
            return read(path)
        problem = f"{path} does not exist"
    except CheckpointError as error:
        problem = error.problem
    raise CheckpointError(problem, f"checkpoint={other.stem}" if _is_readable(other) else _fix_without(run))


def _check_is_of_run(run: Path, file: str, state: State) -> None:
    """Raise CheckpointError unless metrics.csv has the best validation metric of the state, to the bit.

    Shapes and rows do not tell a run from one with another learning rate.
    """
    fix = "checkpoint=last, or a .pt file of the run"
    if "progress" not in state:
        raise CheckpointError(f"checkpoint={file}: it has parameters only, not what they belong to", fix)
    progress = TrainingState.from_dict(state["progress"])
    if progress.best_value is None or not (run / METRICS).exists():
        return
    best, step = repr(progress.best_value), progress.best_step  # as texts, because NaN differs from itself
    rows = (row for row in read_rows(run, "val") if row.step == step)
    if not any(best in map(repr, row.metrics.values()) for row in rows):
        what = f"metrics.csv has no validation metric {best} at step {step}"
        raise CheckpointError(f"checkpoint={file}: it is not of the run {run}: {what}", fix)


def _is_readable(path: Path) -> bool:
    with suppress(CheckpointError):
        return path.exists() and bool(read(path))
    return False


def _fix_without(run: Path) -> str:
    """Return what to do about a run that has no checkpoint."""
    status = summary.read(run).get("status")
    if status == "diverged":
        return "a new run with a smaller optimizer.lr"
    return f"a new run with the overrides in {run / OVERRIDES}" if status == "finished" else resume_command(run)


def newest(run: Path) -> tuple[State | None, list[str]]:
    """Return the newest readable state of the run, None if it has no checkpoint, and a message for each damaged one.

    Raises:
        CheckpointError: There are checkpoints, and all of them are damaged.
    """
    damaged: list[str] = []
    for path in (run / LAST_CHECKPOINT, run / PREVIOUS_CHECKPOINT):
        if path.exists():
            try:
                return read(path), damaged
            except CheckpointError as error:
                damaged.append(error.problem)
    if damaged:
        raise CheckpointError("; ".join(damaged), f"start a new run with the overrides in {run / OVERRIDES}")
    return None, []


def checksum(value: Any) -> str:
    """Hash nested dicts, lists and tuples of tensors and plain values: the same on every machine for the same bits."""
    digest = hashlib.blake2b(digest_size=16)
    _feed(digest, value)
    return digest.hexdigest()


def _feed(digest: "hashlib.blake2b", value: Any) -> None:
    if isinstance(value, Tensor):
        value = value.detach().cpu().contiguous()
        digest.update(f"{value.dtype}{tuple(value.shape)}".encode())
        # With a last dimension of stride 1: that of a single element may be 0, as in the gradient of its sum.
        digest.update(value.unsqueeze(-1).view(torch.uint8).reshape(-1).numpy().data)
    elif isinstance(value, dict):
        for key, item in cast("dict[Any, Any]", value).items():
            digest.update(f"{key!r}:".encode())
            _feed(digest, item)
    elif isinstance(value, (list, tuple)):
        digest.update(f"[{len(cast('list[Any]', value))}".encode())
        for item in cast("list[Any]", value):
            _feed(digest, item)
    else:
        digest.update(repr(value).encode())


class CheckpointSink:
    """Writes last.pt at each snapshot, and best.pt, the parameters of the best validation metric, just before it.

    Between writes the best state is kept in memory, so a run that improves a thousand times writes few files. A run
    that improves twice between two writes holds a second copy, which the next best state overwrites.
    """

    def __init__(self, folder: Path, initial: State | None = None, covered: Sequence[IO[Any]] = ()) -> None:
        """Write `initial`, the parameters that a run starts with, to init.pt. `write_together` describes `covered`."""
        self._folder = folder
        self._covered = covered
        self._pending_best: State | None = None  # the latest best state, if it is still to be written
        self._memory: State | None = None  # that of an earlier one, which the next copy overwrites
        if initial is not None:
            write(folder / INITIAL_PARAMETERS, initial)

    def handle(self, event: Event) -> None:
        if not isinstance(event, Snapshot):
            return
        state = {"step": event.at.step, **event.state}
        if event.best:
            # Only these change. An interrupt leaves what is pending.
            copied = {**state, **copy_tensors({key: state[key] for key in parameters.KEYS}, self._memory)}
            self._pending_best, self._memory = copied, self._pending_best
        else:
            best = self._pending_best
            files = [] if best is None else [(self._folder / BEST_CHECKPOINT, best, None)]
            last = self._folder / LAST_CHECKPOINT, state, self._folder / PREVIOUS_CHECKPOINT
            write_together([*files, last], self._covered)
            if best is not None:
                self._pending_best, self._memory = None, best

    def close(self, ending: Ending) -> None:
        del ending
        if self._pending_best is not None:
            write(self._folder / BEST_CHECKPOINT, self._pending_best)
