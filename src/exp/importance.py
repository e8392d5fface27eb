"""`exp importance`: which columns a trained model needs."""

import sys
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path

from exp.cli.answer import TextAnswer
from exp.cli.commands import new_file, run_command
from exp.config.metric_names import NAMES, PATTERN
from exp.config.nearest_names import nearest
from exp.config.own_metrics import refuse_metric
from exp.errors import ConfigError
from exp.results.best_job import choose_jobs
from exp.results.formatting import table_lines

# More columns are not printed.
_MAX_COLUMNS = 20


def importance(
    run: str,
    split: str | None = None,
    metric: str = "loss",
    repeats: int = 10,
    seed: int = 0,
    out: str | None = None,
    checkpoint: str = "auto",
    **moved: str,
) -> TextAnswer:
    """Print how much a trained model needs each column of its table.

        python -m exp importance run=FOLDER

    The importance of a column is how much the loss rises if its values are shuffled among the rows, as in
    scikit-learn's permutation_importance. Its 95 % interval is over samples of rows. Correlated columns share their
    importance: each can be near 0 although the model uses them. The CSV file has one line per column, and the run's
    report draws the intervals.

    Args:
        run: Folder of the run; of a sweep, its best job is used.
        split: Rows of the run: train, val or test. The default is test, or val if there is no test.
        metric: What is worse: loss, or a metric such as accuracy, auc or r2.
        repeats: Number of permutations of each column.
        seed: Random seed of the permutations.
        out: File to write, .csv. The default is importance.csv in the folder of the run.
        checkpoint: best or last; by default (auto) that of the final metrics: best with early stopping, otherwise last.
        dataset.path: Where the run's data file is now, if it moved; likewise dataset.val_path and test_path.
    """
    _check_arguments(metric, repeats, out)
    (job,), notes = choose_jobs(run)
    # Lazy: importing torch takes a second, and wrong arguments do not need it.
    from exp.reports import run_report
    from exp.reports.importance_table import describe, table
    from exp.reports.permutation_importance import compute_importances
    from exp.results import importance_csv, run_folder, summary
    from exp.results.lock import folder_lock
    from exp.results.terminal import show_progress
    from exp.results.trained_model import load_trained

    trained = load_trained(job, checkpoint, moved)
    refuse_metric("metric", metric, needs_direction=True)
    folder = trained.folder
    if out is None:
        run_folder.refuse_links(folder)
    with folder_lock(folder) if out is None else nullcontext():
        split = split or trained.held_out
        with show_progress(repeats * len(trained.preprocessing.columns)) as on_progress:
            importances = compute_importances(trained, split, metric, repeats, seed, on_progress)
        path = folder / run_folder.IMPORTANCE if out is None else Path(out)
        importance_csv.write(path, importances)
        lines = table_lines(table(importances, _MAX_COLUMNS), left=(0, 2))
        text = [*notes, describe(importances), *lines, str(path)]
        if out is None and (folder / run_folder.REPORT).exists():
            final = run_folder.final_checkpoint(folder, vars(trained.config.early_stopping))
            of_page = trained if trained.checkpoint == final else load_trained(folder, moved=moved)
            run_report.write_page(folder, of_page.experiment, summary.read(folder).get("status", "not begun"))
            text.append(str(folder / run_folder.REPORT))
        fields = {"run": str(job), "out": str(path), **asdict(importances), "notes": notes}
        return TextAnswer(fields, text)


def _check_arguments(metric: str, repeats: int, out: str | None) -> None:
    """Raise ConfigError for what is wrong whatever the run is."""
    if PATTERN.fullmatch(metric) is None:
        near = nearest(metric, NAMES) or "loss"
        raise ConfigError(
            f"metric={metric}: unknown metric '{metric}' (available: {', '.join(NAMES)})", f"metric={near}"
        )
    if repeats < 1:
        raise ConfigError(f"repeats must be an integer >= 1, got {repeats}", "repeats=10")
    if out is not None:
        new_file(out, ".csv")


if __name__ == "__main__":
    run_command(importance, sys.argv[1:])
