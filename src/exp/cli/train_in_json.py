"""`exp --json ...`: train or sweep, and print one object at the end; what people read goes to stderr."""

import sys
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from io import StringIO
from typing import TYPE_CHECKING, Any

import yaml

from exp.cli.answer import as_json, error_fields, keep_json
from exp.cli.diagnosis import CommandError
from exp.cli.json_fields import TRAIN, empty_fields
from exp.cli.mode import SHOWING
from exp.cli.training_fields import describe_training
from exp.training.interrupts import exit_code_of, raising_sigterm

if TYPE_CHECKING:
    from exp.cli.main import Completed

FLAG = "--json"


def train_in_json(arguments: Sequence[str], train: "Callable[[Sequence[str]], Completed]") -> int:
    """Train or sweep by `train`, which takes the other arguments, print the object, and return the exit code."""
    words = [word for word in arguments if word != FLAG]
    shown = StringIO() if SHOWING & {word.partition("=")[0] for word in words} else None
    planned: Sequence[Sequence[str]] | None = None
    try:
        with redirect_stdout(shown or sys.stderr), raising_sigterm():
            folder, code, planned = train(words)
    except CommandError as error:
        print(as_json(TRAIN, _error_fields(error), 1))
        return 1
    except KeyboardInterrupt as stop:  # before there is a folder
        folder, code = None, exit_code_of(stop)
    text = None if shown is None else shown.getvalue()
    fields = {
        **empty_fields(TRAIN),  # of every training, sweep or help; null where there is nothing to say
        **describe_training(None if planned is not None else folder),
        "planned": None if planned is None else [{"job": n, "overrides": job} for n, job in enumerate(planned)],
        "text": text,
        "config": _read_yaml(text) if text is not None and {"-c", "--cfg"} & set(words) else None,
    }
    print(as_json(TRAIN, fields, code))
    return code


def _error_fields(error: CommandError) -> dict[str, Any]:
    """Return the first error, all of them, and the corrected line if every one has a correction."""
    others = [{"error": one.problem, "fix": keep_json(one.fix), "key": one.key} for one in error.problems]
    line = None if error.corrected is None else keep_json(str(error.corrected))
    folder = None if error.folder is None else str(error.folder)
    return {**error_fields(error), "errors": others, "corrected": line, "folder": folder}


def _read_yaml(text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        return None
