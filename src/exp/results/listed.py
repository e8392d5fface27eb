"""A run, a sweep or a job of one as a line of a list. Imports no torch."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from yaml import YAMLError

from exp.config.overrides import override_key, parse_override
from exp.config.schema import choices_of
from exp.errors import ConfigError
from exp.results import metrics_csv, summary, sweep_json
from exp.results.about import read_tags, read_word
from exp.results.choice_means import mean_metrics
from exp.results.find_runs import job_folders
from exp.results.flat_config import read_flat_config
from exp.results.repeats import REPEATED
from exp.results.run_folder import HYDRA_SETTINGS, is_sweep, read_sweep_overrides
from exp.results.sweep_csv import SPLITS
from exp.results.sweep_status import read_sweep_status
from exp.results.yaml_file import read_value


@dataclass(frozen=True)
class Listed:
    """What a list says of one run, job or sweep. A sweep has the means of its best choice.

    Its settings are those of the first job of that choice; before a job finished, those that its jobs do not vary.

    Attributes:
        folder: Its folder, as the commands take it.
        kind: run, sweep, or job (of a sweep).
        name: The name= that it was given; None without one.
        tags: Its tags, by `exp tag`.
        began: When its last process began, ISO 8601; None if that is not known.
        choices: The option of each group.
        config: The config with dotted keys.
        typed: The keys that the command line set.
        metric: The metric that decides, by metric= or sweep.metric=, with its split: loss/val.
        metrics: The final metrics of val and test, by the same names; those so far while it runs. Of a sweep, the means
            over the jobs of its best choice of the metrics that all of them have.
        jobs: Of a sweep, the number of its jobs by status, and of `all` and `done`.
        best_job: Of a sweep, the folder of the first job of its best choice; None before one finished.
        repeated: Of a sweep, which of seed and fold its jobs vary; each choice is averaged over them.
        decided: What was decided where the config says auto, by key; the option for the loss.
        engines: What made the steps, compiled, replay or eager: one of a run, those of the best choice of a sweep.
        fingerprints, splits: Of the rows of the dataset, and of how they are split: one of a run, those of the jobs of
            the best choice of a sweep; empty if that is not known.
    """

    folder: str
    kind: str
    name: str | None
    notes: str | None
    tags: tuple[str, ...]
    status: str
    began: str | None
    seconds: float | None
    choices: Mapping[str, str]
    config: Mapping[str, Any] = field(repr=False)
    typed: frozenset[str] = field(repr=False)
    metric: str | None
    metrics: Mapping[str, float]
    jobs: Mapping[str, int] | None = None
    best_job: str | None = None
    repeated: Collection[str] = ()
    decided: Mapping[str, Any] = field(default_factory=dict[str, Any], repr=False)
    engines: frozenset[str] = frozenset()
    fingerprints: frozenset[str] = frozenset()
    splits: frozenset[str] = frozenset()

    @property
    def when(self) -> str:
        """When it began, in the reader's time zone, to the minute: 2026-11-28 14:05."""
        return "" if self.began is None else f"{datetime.fromisoformat(self.began).astimezone():%Y-%m-%d %H:%M}"

    @property
    def timestamp(self) -> float:
        """When it began, in seconds since 1970; 0 if that is not known."""
        return 0.0 if self.began is None else datetime.fromisoformat(self.began).timestamp()

    @property
    def value(self) -> float | None:
        """The metric that decides."""
        return None if self.metric is None else self.metrics.get(self.metric)


def read_listed(folder: Path) -> Listed:
    """Read the run or sweep in `folder`. ConfigError if there is none."""
    return _read_sweep(folder) if is_sweep(folder) else _read_run(folder)


def read_listed_jobs(sweep: Path) -> list[Listed]:
    """Read the jobs of a sweep that have begun."""
    return [replace(_read_run(job), kind="job") for job in job_folders(sweep)]


def _read_run(folder: Path) -> Listed:
    content, config = summary.read(folder), read_flat_config(folder)
    metrics = _read_metrics(folder, content)
    return Listed(
        folder=str(folder),
        kind="run",
        name=read_word(content, "name", _text(config.get("name"))),
        notes=read_word(content, "notes", _text(config.get("notes"))),
        tags=read_tags(content),
        status=content.get("status", "not begun"),
        began=_read_began(folder, content),
        seconds=content.get("seconds"),
        choices=content["choices"] if "choices" in content else _read_choices(folder),
        config=config,
        typed=frozenset(map(override_key, summary.read_overrides(folder, content))),
        metric=_deciding_metric(config, metrics),
        metrics=metrics,
        decided=content.get("decided", {}),
        engines=_known([content], "engine_used"),
        fingerprints=_known([content], "data_sha256"),
        splits=_known([content], "split_sha256"),
    )


def _read_sweep(folder: Path) -> Listed:
    status, record = read_sweep_status(folder), sweep_json.read(folder)
    jobs = job_folders(folder)
    members = [] if status.best is None else status.best.jobs
    best = folder / members[0] if members else None
    shown = best or next(iter(jobs), None)
    run = None if shown is None else _read_run(shown)
    contents = [summary.read(folder / job) for job in members]
    choices: Mapping[str, str] = {} if run is None else run.choices
    config: Mapping[str, Any] = {} if run is None else run.config
    if run is not None and best is None:  # the first job is one of several choices
        swept = run.typed - _read_fixed(folder)
        if not swept.isdisjoint(choices):  # an option may choose those of other groups
            choices = {group: option for group, option in choices.items() if group in run.typed - swept}
        varied = swept.union(record.get("varied", ()))
        config = {key: value for key, value in config.items() if varied.isdisjoint((key, key.partition(".")[0]))}
    return Listed(
        folder=str(folder),
        kind="sweep",
        name=read_word(record, "name", None if run is None else run.name),
        notes=read_word(record, "notes", None if run is None else run.notes),
        tags=read_tags(record),
        status=status.status,
        began=_valid_time(status.process.began) or _earliest(_read_began(job, summary.read(job)) for job in jobs),
        seconds=status.seconds,
        choices=choices,
        config=config,
        typed=frozenset() if run is None else run.typed,
        metric=status.metric,
        metrics=mean_metrics(folder, members),
        jobs=status.jobs,
        best_job=None if best is None else str(best),
        repeated=[key for key in REPEATED if key in record.get("varied", ())],
        decided={} if run is None or best is None else run.decided,
        engines=_known(contents, "engine_used"),
        fingerprints=_known(contents, "data_sha256"),
        splits=_known(contents, "split_sha256"),
    )


def _known(contents: Sequence[Mapping[str, Any]], key: str) -> frozenset[str]:
    """Return the values of `key` in the summaries of runs; none if one of them lacks it."""
    values = {content.get(key) for content in contents}
    return frozenset() if None in values else frozenset(map(str, values))


def _read_choices(folder: Path) -> dict[str, str]:
    """Return the option of each group by Hydra's record, for a run that has not begun; empty if it cannot be read."""
    try:
        return choices_of(read_value(folder / HYDRA_SETTINGS, "hydra", "runtime", "choices"))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, YAMLError):
        return {}


def _read_fixed(sweep: Path) -> set[str]:
    """Return the keys to which the command line of a sweep gave one value; none if it cannot be read."""
    try:
        parsed = map(parse_override, read_sweep_overrides(sweep))
        return {one.key_or_group for one in parsed if one is not None and not one.is_sweep_override()}
    except ConfigError:
        return set()


def _read_metrics(folder: Path, content: Mapping[str, Any]) -> dict[str, float]:
    """Return the final metrics of val and test; of a run that did not end the last ones."""
    final: Mapping[str, Any] = content.get("final", {})
    if content.get("status") in ("running", "died"):
        final = {split: row.metrics for split, row in metrics_csv.read_last(folder).items()}
    found: dict[str, float] = {}
    for split in SPLITS:
        values = final.get(split)
        for name, value in values.items() if isinstance(values, dict) else ():  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]
            if isinstance(value, int | float) or value in ("nan", "inf", "-inf"):
                found[f"{name}/{split}"] = float(value)  # pyright: ignore[reportUnknownArgumentType]
    return found


def _deciding_metric(config: Mapping[str, Any], metrics: Mapping[str, float]) -> str | None:
    """Return the run's metric= of the validation rows; without them that of the test rows; None without both."""
    name = config.get("metric", "loss")
    return next((f"{name}/{split}" for split in SPLITS if f"{name}/{split}" in metrics), None)


def _read_began(folder: Path, content: Mapping[str, Any]) -> str | None:
    began: object = content.get("process", {}).get("began")
    if isinstance(began, str):
        return _valid_time(began)
    try:  # a folder of an older version
        return datetime.fromtimestamp((folder / ".hydra").stat().st_mtime, UTC).isoformat(timespec="seconds")
    except OSError:
        return None


def _valid_time(began: str | None) -> str | None:
    """Return a time, ISO 8601; None if it is none, as in a damaged file."""
    try:
        if began is not None:
            datetime.fromisoformat(began)
    except ValueError:
        return None
    return began


def _earliest(times: Iterable[str | None]) -> str | None:
    """Return the earliest of the known times, which may be of several time zones."""
    known = [time for time in times if time is not None]
    return min(known, key=lambda time: datetime.fromisoformat(time).timestamp(), default=None)


def _text(value: object) -> str | None:
    return None if value is None else str(value)
