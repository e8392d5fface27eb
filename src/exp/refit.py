"""`exp refit`: train the best choice of a sweep on the training and the validation rows together."""

import sys
from pathlib import Path

from exp.cli.answer import TextAnswer
from exp.cli.commands import run_command
from exp.config.overrides import shell_line, text_override
from exp.config.user_sources import describe_changed_sources
from exp.errors import ConfigError, display_path
from exp.results.best_job import find_best
from exp.results.refit_line import describe_split, refit_overrides
from exp.results.run_folder import add_user_modules_to_path
from exp.results.summary import find_results_to_keep, read


def refit(sweep: str, /, out: str | None = None, **moved: str) -> TextAnswer:
    """Train the best choice of a sweep on training and validation rows.

        python -m exp refit SWEEP

    It trains as many epochs as the best job, or the mean over its seeds and folds: up to the best evaluation if the
    run ended with its parameters (early_stopping.restore_best), otherwise to its end. The command is printed first; it
    is that of an ordinary run, which can be resumed, exported and verified.

    Args:
        sweep: Folder of the sweep or search.
        out: Folder of the new run; by default one in outputs/.
        dataset.path: Where the data file is now, if it moved; likewise dataset.val_path and test_path.
    """
    found = find_best(Path(sweep))
    if out is not None and (results := find_results_to_keep(Path(out))) is not None:
        raise ConfigError(f"out={out}: the folder already contains {results}", "out=ANOTHER_FOLDER")
    folder = [text_override("hydra.run.dir", out)] if out is not None else []
    line = [*found.config_dir, *refit_overrides(found, moved), *folder]
    print(f"# {found}")
    add_user_modules_to_path(found.jobs[0])
    changed = dict.fromkeys(note for job in found.jobs for note in describe_changed_sources(read(job)))
    for text in (*found.warnings, *changed):
        print(f"# note: {text}")
    print(shell_line(line), flush=True)
    if (note := describe_split(found)) is not None:
        print(f"note: {note}", flush=True)
    # Lazy: the command line imports the commands.
    from exp.cli.main import train_or_sweep
    from exp.cli.training_fields import describe_training

    done = train_or_sweep(line, returns_if_stopped=True)
    fields = {"line": shell_line(line), "folder": None if done.folder is None else str(display_path(done.folder))}
    return TextAnswer({**fields, **describe_training(done.folder)}, [], done.exit_code)


if __name__ == "__main__":
    run_command(refit, sys.argv[1:])
