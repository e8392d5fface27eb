"""The overrides that train a choice of a sweep again, on the training and the validation rows. Imports no torch."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from omegaconf import OmegaConf

from exp.config.compose import compose_config
from exp.config.overrides import override_key, quote_text, shell_line
from exp.config.validation import validate
from exp.data.input_files import DATA_PATHS, check_input_files, describe_changed_rows, describe_place, with_moved_files
from exp.errors import ConfigError, DataError
from exp.results import summary
from exp.results.best_job import BestChoice
from exp.results.run_folder import read_config

_PLATEAU = ".ReduceLROnPlateau"


def refit_overrides(best: BestChoice, moved: Mapping[str, str] | None = None) -> list[str]:
    """Return the overrides of a run of the choice on all rows that are not for test.

    What depended on the number of rows or on the length of the best jobs keeps its value: the epochs of `auto` or of
    early stopping, the batch size of `auto`, the length of a schedule.

    Args:
        moved: Where the data files are now, by key: {"dataset.path": "data.csv"}.

    Raises:
        ConfigError: The learning rate depends on the validation rows.
        DataError: A data file is not found.
    """
    job = best.jobs[0]
    config, content = read_config(job), summary.read(job)
    if str(config["scheduler"].get("_target_")).endswith(_PLATEAU):
        raise ConfigError(
            f"{job}: scheduler=plateau lowers the learning rate by the validation rows, and a refit has none",
            f"a sweep with scheduler=none or cosine, or the models of the sweep: {_use(best)}",
        )
    epochs = round(statistics.fmean(count_trained_epochs(one) for one in best.jobs))
    changed = {
        "epochs": str(epochs),
        "early_stopping.patience": "null",
        "early_stopping.restore_best": "false",
    }
    if config["dataset"].get("split") is not None and "val" in content.get("rows", {}):
        own = "" if "train_on_val" in config["dataset"] else "++"  # a YAML file of the user's own
        changed = {f"{own}dataset.train_on_val": "true", **changed}
    if "batching.batch_size" in content.get("decided", {}):
        changed["batching.batch_size"] = str(content["decided"]["batching.batch_size"])
    line = _override(best.overrides, changed)
    if moved:
        with_moved_files(config["dataset"], moved)
        line = _override(line, {key: quote_text(path) for key, path in moved.items()})
    _check_files(best, line, moved or {})
    return _override(line, _keep_schedule(config, content, lambda: _count_refit_steps(best, line)))


def describe_split(best: BestChoice) -> str | None:
    """Return that the jobs do not have the same test rows, so that those of a refit are none of a test."""
    if len({summary.read(job).get("split_sha256") for job in best.jobs}) == 1:
        return None
    return (
        f"each of the {best.repeats} of the sweep has another split: the test rows of this run were training or "
        "validation rows of other jobs, so its test metrics are not comparable with the means of the sweep"
    )


def _check_files(best: BestChoice, line: Sequence[str], moved: Mapping[str, str]) -> None:
    """Raise DataError if a data file is not found, or has other rows than those that the jobs were trained on."""
    config = compose_config(line, best.config_dir[1:])
    try:
        check_input_files(cast("dict[str, Any]", OmegaConf.to_container(config.dataset, resolve=True)))
    except DataError as error:
        if error.key not in DATA_PATHS:
            raise
        raise DataError(error.problem, describe_place(error, moved), key=error.key) from error
    recorded = {summary.read(job).get("data_sha256") for job in best.jobs}
    if config.dataset.get("path") is not None and len(recorded) == 1 and None not in recorded:
        # Lazy: it imports torch.
        from exp.training.rows import load_dataset

        if (found := load_dataset(validate(config)).fingerprint) not in recorded:
            how = describe_changed_rows(str(*recorded), found)
            what = f"the rows differ from those that {best.sweep} was trained on: {how}"
            raise DataError(what, f"the original rows, or the line of {shell_line(['best', str(best.sweep)])}")


def _override(words: Sequence[str], changed: Mapping[str, str]) -> list[str]:
    keys = {override_key(key) for key in changed}
    return [
        *(word for word in words if override_key(word) not in keys),
        *(f"{key}={value}" for key, value in changed.items()),
    ]


def count_trained_epochs(job: Path) -> int:
    """Return the epochs, rounded up, after which the finished run in `job` had its final parameters; at least 1."""
    content = summary.read(job)
    step, per_epoch = int(content.get("restored_step", content["steps"])), _steps_per_epoch(job)
    return max(1, -(-step // per_epoch))


def _steps_per_epoch(job: Path) -> int:
    content = summary.read(job)
    return int(content["planned_steps"]) // _count_planned_epochs(read_config(job), content)


def _count_planned_epochs(config: Mapping[str, Any], content: Mapping[str, Any]) -> int:
    return int(content.get("decided", {}).get("epochs", config["epochs"]))


def _keep_schedule(
    config: Mapping[str, Any], content: Mapping[str, Any], steps_per_epoch: Callable[[], int]
) -> dict[str, str]:
    """Return what keeps a schedule whose length depends on that of the run, such as cosine with T_max=null.

    Args:
        steps_per_epoch: Returns the number of steps per epoch of the refit.
    """
    scheduler, epochs = config["scheduler"], _count_planned_epochs(config, content)
    every = scheduler.get("every", "epoch")
    kept: dict[str, str] = {}
    if scheduler.get("_target_") is None:
        return kept
    for key in ("T_max", "total_steps"):
        if key in scheduler and scheduler[key] is None:
            kept[f"scheduler.{key}"] = str(epochs * (steps_per_epoch() if every == "step" else 1))
    if every == "evaluation" and config["eval_every"] == "auto":
        # Lazy: it imports torch.
        from exp.training.plan import MAX_EVALUATIONS, compute_period

        period = compute_period(epochs, MAX_EVALUATIONS)
        kept["eval_every"] = f"{period}epochs" if period > 1 else "1epoch"
    return kept


def _count_refit_steps(best: BestChoice, line: Sequence[str]) -> int:
    """Return the number of steps per epoch of a run with the overrides `line`."""
    config, content = read_config(best.jobs[0]), summary.read(best.jobs[0])
    if config.get("folds") is not None:  # the refit has other rows for testing
        # Lazy: it imports torch.
        from exp.training.build import build

        return build(validate(compose_config(line, best.config_dir[1:]))).batches.steps_per_epoch
    batching = config["batching"]
    rows = content["rows"]["train"]
    if any(override_key(word) == "dataset.train_on_val" for word in line):
        rows += content["rows"]["val"]
    size = content.get("decided", {}).get("batching.batch_size", batching["batch_size"]) or rows
    return rows // size if batching["drop_last"] else -(-rows // size)


def _use(best: BestChoice) -> str:
    ensemble = ["ensemble=true"] if len(best.jobs) > 1 else []
    return shell_line(["predict", f"run={best.sweep}", "data=new.csv", "out=predictions.csv", *ensemble])
