"""The folder of a command, locked from before the first file is written there until the command ends.

Hydra writes .hydra and opens exp.log before it calls exp, so a lock that `run` takes itself would be too late.
"""

from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from pathlib import Path

from exp.results import new_folder
from exp.results.lock import folder_lock

# What the end of the command releases. Other threads have their own.
_until_end: ContextVar[ExitStack | None] = ContextVar("_until_end", default=None)


@contextmanager
def locks_until_end() -> Generator[None]:
    """Release what `lock_until_end` locks when the context exits, also by Ctrl-C."""
    with ExitStack() as stack:
        token = _until_end.set(stack)
        try:
            yield
        finally:
            _until_end.reset(token)


def lock_until_end(folder: Path, instead: str | None = None) -> None:
    """Create and lock the folder. If nothing is written there until the command ends, it is removed again.

    A program with a `hydra.main` of its own is no command of exp's, and nothing is locked for it.

    Args:
        instead: What to type if another process uses the folder, and this command may run in another one.

    Raises:
        ConfigError: Another process uses the folder.
        OSError: It cannot be created, or not be read.
    """
    stack = _until_end.get()
    if stack is None:
        return
    new = new_folder.create(folder)
    stack.enter_context(folder_lock(folder, instead=instead))
    stack.callback(new_folder.remove_empty, new)  # under the lock: another command may be about to use the folder
