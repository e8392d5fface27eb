"""Create a folder, and remove it again if nothing was written there."""

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path


def create(folder: Path) -> list[Path]:
    """Create the folder. Return it and those above it that did not exist, the innermost first.

    Raises:
        OSError: It cannot be created. Nothing is left of it.
    """
    new = [path for path in (folder, *folder.parents) if not os.path.exists(path)]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        remove_empty([path for path in new if os.path.isdir(path)])
        raise
    return new


def remove_empty(folders: Sequence[Path]) -> None:
    """Remove the folders up to the first one that is not empty."""
    with suppress(OSError):
        for folder in folders:
            folder.rmdir()
