"""What came out of a run or a sweep, on one page: `python -m exp.report run=FOLDER` writes FOLDER/report.html.

A run that finishes writes it by itself, and its pictures, unless `figures=false`. The page is one file, which asks
nothing of a network.
"""

from pathlib import Path

from exp.cli.key_value import run_command
from exp.data.batches import Position
from exp.errors import ExpError
from exp.reports import figures, run_report, sweep_report
from exp.reports.run_report import draw_and_save
from exp.results import metrics_csv, run_folder, summary, sweep_csv
from exp.results.lock import folder_lock
from exp.results.run_folder import check_is_run, refuse_links
from exp.results.trained_model import load_trained
from exp.training.events import Noted

_KNOWN = {"run": True}


def report(run: str) -> None:
    """Write the page of that run or sweep anew, with pictures under the parameters of its last checkpoint.

    Where there is no checkpoint, or the rows are not to be had, it tells what the files do. It puts no such page in the
    place of a whole one: then that is an ExpError.
    """
    folder = Path(run)
    refuse_links(folder)
    if (folder / sweep_csv.NAME).is_file():
        sweep_report.write_page(folder, list(sweep_csv.read_rows(folder).values()))
        print(folder / run_folder.REPORT)
        return
    check_is_run(folder)
    with folder_lock(folder):
        experiment, missing = None, ""
        try:
            experiment = load_trained(folder).experiment
        except ExpError as error:
            if (folder / run_folder.REPORT).exists():
                raise
            missing = str(error)
            print(f"without what the model would tell: {error}")
        if experiment is not None:
            for told in draw_and_save(folder, experiment, Position(0, 0, 0)):
                if isinstance(told, Noted):
                    print(told.text)
        elif len(list(metrics_csv.read_rows(folder))) > 1:
            figures.save(figures.learning_curves(folder), folder / "figures" / "learning_curves.png")
        run_report.write_page(folder, experiment, summary.read(folder).get("status", "not begun"), missing)
    print(folder / run_folder.REPORT)


if __name__ == "__main__":
    run_command("report", __doc__, _KNOWN, "python -m exp.report run=FOLDER", report)
