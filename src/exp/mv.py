"""`exp mv`: move a run or sweep."""

import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from exp.cli.answer import Answer
from exp.cli.commands import run_command
from exp.config.overrides import shell_line
from exp.errors import ConfigError
from exp.results.at_rest import check_at_rest, find_dependents
from exp.results.lock import folder_lock
from exp.results.moved_folder import correct_paths
from exp.results.run_folder import is_run, is_sweep


@dataclass(frozen=True)
class Moved(Answer):
    """Where a run or sweep was and is, and what still names the former folder."""

    old: str
    folder: str
    notes: Sequence[str]

    def document(self) -> Mapping[str, Any]:
        return {"old": self.old, "folder": self.folder, "notes": list(self.notes)}

    def lines(self) -> Iterator[str]:
        yield f"{self.old} is now {self.folder}"
        yield from (f"note: {note}" for note in self.notes)


def mv(run: str, new: str, /) -> Moved:
    """Move a run or sweep, or give its folder another name.

        python -m exp mv RUN NEW

    Its own records name the new folder afterwards, so that it can be resumed, evaluated and reported there. A job stays
    in its sweep: what resumes the sweep looks for it.

    Args:
        run: Folder of the run or sweep. It must not run.
        new: The new folder, or an existing folder to move it into.
    """
    folder, place = Path(run), Path(new)
    check_at_rest(folder)
    if is_sweep(folder.absolute().parent):
        fix = shell_line(["mv", str(folder.parent), new])
        raise ConfigError(f"{folder} is a job of the sweep {folder.parent}, and stays in it", f"the whole sweep: {fix}")
    if place.is_dir() and not is_run(place) and not is_sweep(place):
        place = place / folder.absolute().name
    around = next((one for one in (place.absolute(), *place.absolute().parents) if is_run(one) or is_sweep(one)), None)
    if around is not None:
        what = "already is a run or sweep" if around == place.absolute() else f"would be inside {around}"
        raise ConfigError(f"{place} {what}", shell_line(["mv", run, "ANOTHER_FOLDER"]))
    if place.exists():
        raise ConfigError(f"{place} already exists", shell_line(["mv", run, "ANOTHER_FOLDER"]))
    dependents = list(find_dependents(folder, Path()))
    old = folder.absolute()
    with folder_lock(folder):
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(folder, place)
        notes = list(correct_paths(place, old))
    return Moved(run, str(place), [*notes, *(f"{text}, by its former name" for text in dependents)])


if __name__ == "__main__":
    run_command(mv, sys.argv[1:])
