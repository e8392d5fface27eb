"""Whether a run has code of the user's own, and where in it an error occurred."""

import linecache
import traceback
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from exp.config import allowlist
from exp.config.signatures import find_syntax_error
from exp.errors import ConfigError, ExpError, display_path

if TYPE_CHECKING:
    from exp.config.schema import Config


def has_user_code(config: "Config") -> bool:
    """Return whether the model or what trains it is a class of the user's own."""
    nodes = (config.model, config.loss, config.optimizer, config.scheduler)
    targets = {node.get("_target_") for node in nodes} - {None, "auto"}
    return any(allowlist.origin(target) == "user" for target in targets)


def refuse_syntax_error(key: str, target: str) -> None:
    """Raise ConfigError, with the place, if the module of `target`, a value of `key`, is no Python."""
    module = target.rpartition(".")[0]
    error = find_syntax_error(module) if allowlist.origin(target) == "user" else None
    if error is not None:
        what = f"{key}={target}: {module} has a syntax error: {error.msg}{place_of(error)}"
        raise ConfigError(what, f"correct the source of {module}", key=key)


def place_of(error: BaseException) -> str:
    """Return the line of the user's code that raised or called what raised `error`, as "\\n  at: FILE:LINE: TEXT".

    It is "" if no module of EXP_ALLOW, or of an object that came from Python, is involved.
    """
    if isinstance(error, SyntaxError) and error.filename and error.lineno:
        return _format(error.filename, error.lineno)
    found = ""
    for frame, number in traceback.walk_tb(error.__traceback__):
        module = str(frame.f_globals.get("__name__", ""))
        if allowlist.is_users(module):
            found = _format(frame.f_code.co_filename, number)
    return found


def describe_error(error: BaseException) -> str:
    """Return the text of an error; with its type and the line, if it is of the user's code."""
    place = place_of(error)
    return f"{type(error).__name__}: {error}{place}" if place else str(error)


def place_of_class(kind: type) -> str:
    """Return the line at which `forward` of the user's class begins, as `place_of` does; "" if the class is another."""
    code = getattr(getattr(kind, "forward", None), "__code__", None)
    return _format(code.co_filename, code.co_firstlineno) if code and allowlist.is_users(kind.__module__) else ""


@contextmanager
def errors_of(what: str, fix: str) -> Generator[None]:
    """Raise ConfigError with `what` and the line for an error of the user's code. Other errors pass."""
    try:
        yield
    except ExpError:
        raise
    except Exception as error:
        if not (place := place_of(error)):
            raise
        raise ConfigError(f"{what}: {type(error).__name__}: {error}{place}", fix) from error


def _format(path: str, number: int) -> str:
    return f"\n  at: {display_path(Path(path).absolute())}:{number}: {linecache.getline(path, number).strip()}"
