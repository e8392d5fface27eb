"""`exp new`: write a small project of your own, with a model, a metric, their options and a test."""

import shlex
import sys
from pathlib import Path

from exp.cli.answer import TextAnswer
from exp.cli.commands import run_command
from exp.cli.new_project import package_name, write_project


def new(folder: str, /) -> TextAnswer:
    """Write a project of your own: a model, a metric, an experiment and a test.

        python -m exp new churn

    The folder gets a Python package of its name, the options that name its code in conf/, tests, and a README with the
    commands that train and test it.

    Args:
        folder: The folder to write; it must not exist, or be empty.
    """
    place = Path(folder)
    package = package_name(place)
    files = write_project(place, package)
    inside = f"cd {shlex.quote(folder)}"
    commands = {
        "train": f"{inside} && EXP_ALLOW={package} python -m exp --config-dir conf experiment=first",
        "test": f"{inside} && python -m pytest",
    }
    lines = [f"{place / name}" for name in files] + [f"{key:<5} {line}" for key, line in commands.items()]
    return TextAnswer({"folder": folder, "package": package, "files": files, **commands}, lines)


if __name__ == "__main__":
    run_command(new, sys.argv[1:])
