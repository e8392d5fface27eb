"""The end of a sweep and, with another launcher than exp's own, of each of its jobs."""

import sys
import traceback
from pathlib import Path

from omegaconf import DictConfig

from exp.results import predictions_csv, repeats, sweep_csv, sweep_json
from exp.results.job_counts import describe_unfinished
from exp.sweeps.comparison import compare_jobs
from exp.sweeps.executors.in_process import InProcess
from exp.sweeps.plugins import is_search, uses_our_launcher


def finish_job(config: DictConfig) -> None:
    """Write sweep.csv anew, if another launcher than exp's own ran the job."""
    if not uses_our_launcher(config):
        sweep_csv.update(Path(config.hydra.sweep.dir))


def finish_sweep(config: DictConfig) -> None:
    """Compare the jobs, write the sweep's page, and print its summary. Exit code 1 if a job failed."""
    # Lazy: only a finished sweep needs rich and the pages.
    from exp.reports import sweep_report
    from exp.reports.sweep_summary import has_succeeded, print_summary

    folder = Path(config.hydra.sweep.dir)
    try:
        rows = sweep_csv.update(folder)
        repeats.write(folder, rows)
        predictions_csv.join(folder, rows)
        if not uses_our_launcher(config) and not is_search(config):
            compare_jobs(config, InProcess())
        try:
            sweep_report.write_page(folder, rows)
        except OSError as error:
            print(f"the sweep's page could not be written: {error}")
        print_summary(folder, rows, config.sweep.metric)
    except Exception:  # Hydra would only warn, and exit with code 0
        traceback.print_exc()
        sys.exit(1)
    finally:
        sweep_json.remove_process(folder)
    has_all = describe_unfinished(folder, rows) is None  # not if the head of a Ray cluster was lost
    if not (has_all and has_succeeded(rows, config.sweep.metric, is_search(config))):
        sys.exit(1)
