"""`exp tag`: words that a run or sweep is found by."""

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from exp.cli.answer import Answer
from exp.cli.commands import run_command
from exp.results.about import check_tag, write_tags
from exp.results.at_rest import check_at_rest
from exp.results.lock import folder_lock


@dataclass(frozen=True)
class Tags(Answer):
    """The tags that the run or sweep in `folder` has now."""

    folder: str
    tags: tuple[str, ...]

    def document(self) -> Mapping[str, Any]:
        return {"folder": self.folder, "tags": list(self.tags)}

    def lines(self) -> Iterator[str]:
        yield f"{self.folder}: {', '.join(self.tags) or 'no tags'}"


def tag(run: str, /, *tags: str, remove: bool = False) -> Tags:
    """Add tags to a run or sweep, or remove some.

        python -m exp tag RUN paper

    `exp ls` shows them, and tag=paper is a filter of it. They are in summary.json, those of a sweep in sweep.json, and
    change nothing else.

    Args:
        run: Folder of the run or sweep. It must not run.
        tags: One or more words.
        remove: Remove them instead.
    """
    folder = Path(run)
    check_at_rest(folder)
    for word in tags:
        check_tag(word)
    with folder_lock(folder):
        return Tags(run, write_tags(folder, () if remove else tags, tags if remove else ()))


if __name__ == "__main__":
    run_command(tag, sys.argv[1:])
