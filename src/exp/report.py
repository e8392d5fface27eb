"""`exp report`: what came out of a run or a sweep, on one page."""

import sys
from pathlib import Path

from exp.cli.commands import run_command
from exp.errors import CheckpointError, ExpError


def report(run: str, **moved: str) -> None:
    """Write the page FOLDER/report.html of a run or a sweep anew.

        python -m exp report run=FOLDER

    A finished run writes it by itself, unless figures=false. The page is one file and loads nothing from a network.
    Figures show the parameters that the final metrics are of. Without a checkpoint, or without the rows, the page has
    what the run's files say; it does not replace a page that has more.

    Args:
        run: Folder of the run or sweep.
        dataset.path: Where the run's data file is now, if it moved; likewise dataset.val_path and test_path.
    """
    # Lazy: importing torch takes a second, and wrong arguments do not need it.
    from exp.data.batches import Position
    from exp.reports import figures, run_report, sweep_report
    from exp.reports.run_report import draw_and_save
    from exp.results import metrics_csv, run_folder, summary, sweep_csv
    from exp.results.lock import folder_lock
    from exp.results.run_folder import check_is_run, refuse_links
    from exp.results.trained_model import load_trained
    from exp.training.events import Noted

    folder = Path(run)
    refuse_links(folder)
    if (folder / run_folder.SWEEP_MANIFEST).is_file() or (folder / run_folder.SWEEP_TABLE).is_file():
        sweep_report.write_page(folder, list(sweep_csv.read_rows(folder).values()))
        print(folder / run_folder.REPORT)
        return
    check_is_run(folder)
    with folder_lock(folder):
        experiment, missing = None, ""
        try:
            experiment = load_trained(folder, moved=moved).experiment
        except ExpError as error:
            if (folder / run_folder.REPORT).exists():
                raise
            missing = error.problem if isinstance(error, CheckpointError) else str(error)  # it takes no other one
            print(f"without the model's results: {missing}")
        if experiment is not None:
            for event in draw_and_save(folder, experiment, Position(0, 0, 0)):
                if isinstance(event, Noted):
                    print(event.text)
        elif len(list(metrics_csv.read_rows(folder))) > 1:
            figures.save(figures.learning_curves(folder), folder / run_folder.FIGURES / "learning_curves.png")
        run_report.write_page(folder, experiment, summary.read(folder).get("status", "not begun"), missing)
    print(folder / run_folder.REPORT)


if __name__ == "__main__":
    run_command(report, sys.argv[1:])
