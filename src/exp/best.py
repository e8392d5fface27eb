"""`exp best`: the command that trains the best choice of a sweep."""

import sys
from pathlib import Path

from exp.cli.commands import run_command
from exp.config.overrides import shell_line
from exp.results.best_job import find_best


def best(sweep: str, /) -> None:
    """Print the command that trains the best choice of a sweep.

        python -m exp best SWEEP

    The best choice has the best mean of sweep.metric over its seeds and folds. The first line is a comment with its
    jobs, and the second one the command, without the seeds and folds of the sweep.

    Args:
        sweep: Folder of the sweep or search.
    """
    found = find_best(Path(sweep))
    print(f"# {found}")
    for text in found.warnings:
        print(f"# note: {text}")
    print(shell_line([*found.config_dir, *found.overrides]))


if __name__ == "__main__":
    run_command(best, sys.argv[1:])
