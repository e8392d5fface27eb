"""The best choice of a sweep: its jobs, and the command that trains it alone. Imports no torch."""

import math
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hydra.errors import HydraException

from exp.config.compose import compose_config
from exp.config.metric_names import is_higher_better
from exp.config.overrides import override_key, shell_line
from exp.errors import ConfigError, display_path, pluralize
from exp.results import repeats, sweep_csv
from exp.results.best_trial import best_trial_notes, find_best_search
from exp.results.choice_means import average_choices
from exp.results.formatting import format_metric, printable
from exp.results.job_counts import count_jobs, describe_missing, describe_unfinished
from exp.results.repeats import REPEATED
from exp.results.resume_line import resume_sweep_command
from exp.results.run_folder import (
    OVERRIDES,
    check_is_run,
    is_run,
    is_sweep,
    read_command,
    read_config,
    read_config_dir,
    read_overrides,
    read_sweep_metric,
)
from exp.results.sweep_csv import Row
from exp.results.ties import find_ties

# The keys of a cross-validation, which a run on its own does not have, and those that describe the sweep.
_OF_SWEEP = ("folds", "fold_repeats", "fold", "name", "notes")

# Jobs that are listed by name.
_MAX_NAMES = 10


@dataclass(frozen=True)
class BestChoice:
    """The best choice of a sweep by its sweep.metric.

    Attributes:
        sweep: Folder of the sweep.
        jobs: Folders of its finished jobs, by seed and then by fold.
        metric: The metric of the sweep, such as loss/val.
        value: Its mean over the jobs.
        repeated: What the jobs differ in: seed, fold, both, or nothing.
        compared: Number of choices that it is the best of.
        tied: Number of others that a t-test does not tell from it.
        incomplete: Number of choices with fewer finished jobs, which are not compared.
        note: Why the metric cannot compare the choices, if it cannot.
        warnings: Why a better choice may be among jobs that are not compared.
    """

    sweep: Path
    jobs: tuple[Path, ...]
    metric: str
    value: float
    repeated: tuple[str, ...]
    compared: int
    tied: int = 0
    incomplete: int = 0
    note: str = ""
    warnings: tuple[str, ...] = ()

    @property
    def repeats(self) -> str:
        """What the jobs are called together: "5 seeds", "5 folds", "15 jobs"."""
        return f"{len(self.jobs)} {REPEATED[self.repeated[0]] if len(self.repeated) == 1 else 'jobs'}"

    def __str__(self) -> str:
        """Return one line for people: job 3: loss/val 0.0123, mean of 5 seeds, the lowest of 12 choices."""
        names = [job.name for job in self.jobs]
        listed = names if len(names) <= _MAX_NAMES else [*names[:_MAX_NAMES], "..."]
        mean = f", mean of {self.repeats}" if len(names) > 1 else ""
        extreme = "highest" if is_higher_better(self.metric.rpartition("/")[0]) else "lowest"
        order = f", the {extreme} of {self.compared} choices" if self.compared > 1 else ""
        notes = [f"{pluralize(self.tied, 'other')} may be as good"] * bool(self.tied)
        notes += [f"{self.incomplete} more with fewer finished jobs"] * bool(self.incomplete)
        notes += [self.note] * bool(self.note)
        in_brackets = f" ({'; '.join(notes)})" if notes else ""
        value = format_metric(self.metric, self.value)
        line = f"job{'s' * (len(names) > 1)} {', '.join(listed)}: {self.metric} {value}{mean}{order}{in_brackets}"
        return printable(line)

    @property
    def config_dir(self) -> list[str]:
        """The --config-dir of the sweep, as arguments."""
        return read_config_dir(self.jobs[0])

    @property
    def overrides(self) -> list[str]:
        """The overrides that train the choice alone: without folds, and without a seed that the sweep varied.

        Raises:
            ConfigError: They change Hydra's settings, or the folder is damaged.
        """
        job = self.jobs[0]
        try:
            read_command(job)  # refuses Hydra's settings
        except HydraException as error:
            what = f"{job / OVERRIDES}: {str(error).partition(chr(10))[0]}"
            raise ConfigError(what, "a new sweep: another version wrote this one") from error
        left_out = {*_OF_SWEEP, *self.repeated}
        kept = [word for word in read_overrides(job) if override_key(word) not in left_out]
        if read_config(job).get("folds") is None or compose_config(kept, self.config_dir[1:]).folds is None:
            return kept
        return [*kept, "folds=null"]  # a preset has them


def find_best(folder: Path) -> BestChoice:
    """Return the best choice of the sweep in `folder`: the best mean of its sweep.metric over the finished jobs.

    Those of `repeats.find_complete_choices` are compared. The first one wins a tie. Of a search that continues a study,
    or was continued, it is the best one in the folder of the best trial of the study.

    Raises:
        ConfigError: The folder is no sweep, no job finished, or none has the metric.
    """
    check_is_sweep(folder)
    place = find_best_search(folder)
    best = _find_best_in(place)
    notes = best_trial_notes(folder, place, best.value)
    return replace(best, warnings=(*map(printable, notes), *best.warnings))


def _find_best_in(folder: Path) -> BestChoice:
    """Return the best choice of the jobs in `folder`."""
    rows, metric = list(sweep_csv.read_rows(folder).values()), read_sweep_metric(folder)
    averages = average_choices(folder, rows, metric)
    if not averages.choices:
        raise _none_finished(folder, rows)
    if averages.best is None:
        raise _no_metric(folder, rows, metric)
    complete, job_rows = [members for members, _ in averages.choices], averages.job_rows
    members, value = averages.best
    varied, compared = repeats.find_varied_columns(rows), [row for members in complete for row in members]
    ties = find_ties(compared, metric, job_rows)
    warnings = describe_missing(folder, rows, metric, value), describe_unfinished(folder, rows)
    return BestChoice(
        sweep=folder,
        jobs=tuple(folder / str(row["job"]) for row in members),
        metric=metric,
        value=value,
        repeated=tuple(key for key in REPEATED if key in varied),
        compared=sum(not math.isnan(mean) for _, mean in averages.choices),
        tied=len(ties.tied) - 1 if ties is not None else 0,
        incomplete=len(repeats.group_finished(rows)) - len(complete),
        note=repeats.other_meaning_note(compared, metric, job_rows) or "",
        warnings=tuple(printable(text) for text in warnings if text is not None),
    )


def choose_jobs(run: str, ensemble: bool | None = None) -> tuple[tuple[Path, ...], list[str]]:
    """Return the folders of the runs whose models `run=` and `ensemble=` mean, and notes that say which and why.

    Of a sweep these are the jobs of its best choice for an ensemble, and otherwise the first of them: the one with the
    best value would be that of a lucky seed. A run has no notes.

    Args:
        ensemble: None: the command takes no ensemble.

    Raises:
        ConfigError: There is no run, nothing to average, or what `find_best` raises.
    """
    folder = Path(run)
    if not is_sweep(folder):
        check_is_run(folder)
        if ensemble:
            what = f"run={run} ensemble=true: it is one run, and an ensemble averages the seeds or folds of a sweep"
            above = folder.absolute().parent
            words = (display_path(above), "true") if is_sweep(above) else (run, "false")
            raise ConfigError(what, shlex.join([f"run={words[0]}", f"ensemble={words[1]}"]))
        return (folder,), []
    best = find_best(folder)
    if ensemble and len(best.jobs) == 1:
        what = f"run={run} ensemble=true: the best choice, {best.jobs[0].name}, has one job, and no seeds or folds"
        raise ConfigError(what, f"run={run} ensemble=false, or a sweep with seed=0,1,2")
    notes = [f"{run if best.sweep == folder else best.sweep}: {best}", *(f"note: {text}" for text in best.warnings)]
    if ensemble:
        return best.jobs, notes
    if len(best.jobs) > 1:
        which = ", ".join(f"{key}={_value_of(best.jobs[0], key)}" for key in best.repeated)
        other = (
            f"; ensemble=true averages all {best.repeats}, and {shell_line(['refit', run])} trains one model on more "
            "rows"
        )
        notes.append(f"uses job {best.jobs[0].name} ({which}){other if ensemble is not None else ''}")
    return best.jobs[:1], notes


def check_is_sweep(folder: Path) -> None:
    """Raise ConfigError if `folder` is not the folder of a sweep."""
    if is_sweep(folder):
        return
    if is_run(folder):
        above = folder.parent
        fix = f"its sweep, {above}" if is_sweep(above) else "the folder of a sweep (-m)"
        raise ConfigError(f"{folder} is a run, not a sweep", fix)
    raise ConfigError(f"{folder} does not contain a sweep", "the folder that a sweep printed at its end")


def _value_of(job: Path, key: str) -> str:
    return next((word.partition("=")[2] for word in read_overrides(job) if override_key(word) == key), "0")


def _none_finished(folder: Path, rows: Sequence[Row]) -> ConfigError:
    found = count_jobs(folder, rows)
    counts = ", ".join(f"{count} {status}" for status, count in found.items()) or "no jobs"
    error = next((f"; {row['job']}: {row['error']}" for row in rows if row["error"]), "")
    is_final = found and found.keys() <= {"diverged", "pruned"}
    fix = "a new sweep" if is_final else resume_sweep_command(folder)
    return ConfigError(f"{folder}: no job finished ({counts}){error}", fix)


def _no_metric(folder: Path, rows: Sequence[Row], metric: str) -> ConfigError:
    finished = [row for row in rows if row["status"] == "finished"]
    available = [name for name in repeats.metric_columns(finished) if all(name in row for row in finished)]
    other = [f"sweep.metric={available[0]}"] if available else []
    having = sum(metric in row for row in finished)
    what = (
        f"the sweep.metric {metric} is defined by the rows of {having} of {len(finished)} finished jobs, and of no "
        "choice by those of all"
        if having
        else f"no finished job has the sweep.metric {metric}"
    )
    return ConfigError(
        f"{folder}: {what} (available: {', '.join(available) or 'none'})", resume_sweep_command(folder, *other)
    )
