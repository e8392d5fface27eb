"""`exp tag`: the tags, name and notes that a run or sweep is found by."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from exp.cli.answer import Answer
from exp.cli.commands import run_command
from exp.config.overrides import shell_line
from exp.errors import ConfigError
from exp.results.about import check_tag, write_about
from exp.results.at_rest import check_at_rest
from exp.results.listed import read_listed
from exp.results.lock import folder_lock
from exp.results.run_folder import is_run, is_sweep


@dataclass(frozen=True)
class Tags(Answer):
    """The tags, name and notes that the run or sweep in `folder` has now."""

    folder: str
    tags: tuple[str, ...]
    name: str | None
    notes: str | None

    def document(self) -> Mapping[str, Any]:
        return {"folder": self.folder, "name": self.name, "notes": self.notes, "tags": list(self.tags)}

    def lines(self) -> Iterator[str]:
        yield f"{self.folder}: {', '.join(self.tags) or 'no tags'}"
        yield from (f"{key}: {value}" for key, value in (("name", self.name), ("notes", self.notes)) if value)


def tag(run: str, /, *tags: str, remove: bool = False, name: str | None = None, notes: str | None = None) -> Tags:
    """Add tags to a run or sweep, remove some, or change its name and notes.

        python -m exp tag RUN

    `exp ls` shows them, and tag=paper is a filter of it. They are in summary.json, those of a sweep in sweep.json, and
    change nothing else.

    Args:
        run: Folder of the run or sweep. It must not run.
        tags: One or more words, such as paper.
        remove: Remove these tags instead.
        name: A new name, instead of that of name= when it was trained; null: none.
        notes: New notes, likewise.
    """
    folder = Path(run)
    check_at_rest(folder)
    given = {key: value for key, value in (("name", name), ("notes", notes)) if value is not None}
    if not tags and not given:
        raise ConfigError("tag takes RUN TAG..., name= or notes=", shell_line(["tag", run, "paper"]))
    for word in tags:
        _check_word(run, word, tags)
    listed = read_listed(folder)
    words = {key: (None if value == "null" else value, listed.config.get(key)) for key, value in given.items()}
    with folder_lock(folder):
        now = write_about(folder, () if remove else tags, tags if remove else (), words)
    listed = read_listed(folder)
    return Tags(run, now, listed.name, listed.notes)


def _check_word(run: str, word: str, tags: Sequence[str]) -> None:
    """Raise ConfigError if a word is no tag, or another run."""
    if is_run(Path(word)) or is_sweep(Path(word)):
        rest = [other for other in tags if not Path(other).is_dir()] or ["paper"]
        folders = [run, *(other for other in tags if Path(other).is_dir())]
        lines = (shell_line(["tag", folder, *rest]) for folder in folders)
        raise ConfigError(f"{word} is a run: tag takes one run, and then tags", " && ".join(lines))
    check_tag(word)


if __name__ == "__main__":
    run_command(tag, sys.argv[1:])
