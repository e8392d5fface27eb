"""What a command that uses a trained model says first: that the run is not over, or that its code has changed since."""

from pathlib import Path

from exp.config.user_sources import describe_changed_sources
from exp.results import summary


def print_run_notes(folder: Path, said: set[str] | None = None) -> None:
    """Print the notes on the run in `folder` that are not among `said`, to which they are added: each once."""
    said = set() if said is None else said
    for note in (summary.describe_unfinished(folder), *describe_changed_sources(summary.read(folder))):
        if note is not None and note not in said:
            print(f"note: {note}")
            said.add(note)
