"""`exp --json ...`: train or sweep, and print one object at the end; what people read goes to stderr."""

import sys
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from exp.cli.answer import as_json, error_fields
from exp.cli.diagnosis import CommandError
from exp.results.run_folder import is_run, is_sweep
from exp.results.run_status import read_run_status
from exp.results.sweep_status import read_sweep_status
from exp.training.interrupts import exit_code_of, raising_sigterm

FLAG = "--json"


def train_in_json(arguments: Sequence[str], train: Callable[[Sequence[str]], tuple[Path | None, int]]) -> int:
    """Train or sweep by `train`, print the object, and return the exit code.

    Args:
        train: Takes the arguments without --json; returns the folder, None where nothing is to be trained, and the
            exit code.
    """
    words = [word for word in arguments if word != FLAG]
    try:
        with redirect_stdout(sys.stderr), raising_sigterm():
            folder, code = train(words)
    except CommandError as error:
        print(as_json("train", _error_fields(error)))
        return 1
    except KeyboardInterrupt as stop:  # before there is a folder
        folder, code = None, exit_code_of(stop)
    print(as_json("train", {"result": _describe(folder), "exit_code": code}))
    return code


def _error_fields(error: CommandError) -> dict[str, Any]:
    """Return the first error, all of them, and the corrected line if every one has a correction."""
    others = [{"error": one.problem, "fix": one.fix, "key": one.key} for one in error.problems]
    line = None if error.corrected is None else str(error.corrected)
    folder = None if error.folder is None else str(error.folder)
    return {**error_fields(error), "errors": others, "corrected": line, "folder": folder}


def _describe(folder: Path | None) -> dict[str, Any] | None:
    """Return the run or sweep as `exp status --json` does."""
    if folder is None or not (is_run(folder) or is_sweep(folder)):
        return None
    status = read_sweep_status(folder) if is_sweep(folder) else read_run_status(folder)
    return status.fields()
