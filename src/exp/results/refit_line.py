"""The overrides that train a choice of a sweep again, on the training and the validation rows. Imports no torch."""

import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from exp.config.compose import override_key
from exp.config.overrides import shell_line
from exp.errors import ConfigError
from exp.results import summary
from exp.results.best_job import BestChoice
from exp.results.run_folder import read_config

_PLATEAU = ".ReduceLROnPlateau"


def refit_overrides(best: BestChoice) -> list[str]:
    """Return the overrides of a run of the choice on all rows that are not for test.

    What depended on the number of rows or on the length of the best jobs keeps its value: the epochs of `auto` or of
    early stopping, the batch size of `auto`, the length of a schedule.

    Raises:
        ConfigError: The learning rate depends on the validation rows.
    """
    job = best.jobs[0]
    config, content = read_config(job), summary.read(job)
    if str(config["scheduler"].get("_target_")).endswith(_PLATEAU):
        raise ConfigError(
            f"{job}: scheduler=plateau lowers the learning rate by the validation rows, and a refit has none",
            f"a sweep with scheduler=none or cosine, or the models of the sweep: {_use(best)}",
        )
    epochs = round(statistics.fmean(trained_epochs(one) for one in best.jobs))
    changed = {
        "dataset.train_on_val": "true",
        "epochs": str(epochs),
        "early_stopping.patience": "null",
        "early_stopping.restore_best": "false",
        **_kept_schedule(config, content),
    }
    if "batching.batch_size" in content.get("decided", {}):
        changed["batching.batch_size"] = str(content["decided"]["batching.batch_size"])
    kept = [word for word in best.overrides if override_key(word) not in changed]
    added = [f"{key}={value}" for key, value in changed.items()]
    if "train_on_val" not in config["dataset"]:  # a YAML file of the user's own
        added[0] = f"++{added[0]}"
    return [*kept, *added]


def trained_epochs(job: Path) -> int:
    """Return the epochs, rounded up, after which the finished run in `job` had its final parameters; at least 1."""
    content = summary.read(job)
    step, per_epoch = int(content.get("restored_step", content["steps"])), _steps_per_epoch(job)
    return max(1, -(-step // per_epoch))


def _steps_per_epoch(job: Path) -> int:
    content = summary.read(job)
    return int(content["planned_steps"]) // _planned_epochs(read_config(job), content)


def _planned_epochs(config: Mapping[str, Any], content: Mapping[str, Any]) -> int:
    return int(content.get("decided", {}).get("epochs", config["epochs"]))


def _kept_schedule(config: Mapping[str, Any], content: Mapping[str, Any]) -> dict[str, str]:
    """Return what keeps a schedule whose length depends on that of the run, such as cosine with T_max=null."""
    scheduler, epochs = config["scheduler"], _planned_epochs(config, content)
    every = scheduler.get("every", "epoch")
    kept: dict[str, str] = {}
    if scheduler.get("_target_") is None:
        return kept
    if "T_max" in scheduler and scheduler["T_max"] is None:
        kept["scheduler.T_max"] = str(epochs * (_refit_steps(config, content) if every == "step" else 1))
    if every == "evaluation" and config["eval_every"] == "auto":
        # Lazy: it imports torch.
        from exp.training.plan import MAX_EVALUATIONS, compute_period

        period = compute_period(epochs, MAX_EVALUATIONS)
        kept["eval_every"] = f"{period}epochs" if period > 1 else "1epoch"
    return kept


def _refit_steps(config: Mapping[str, Any], content: Mapping[str, Any]) -> int:
    """Return the steps per epoch on the training and validation rows."""
    batching = config["batching"]
    rows = content["rows"]["train"] + content["rows"].get("val", 0)
    size = content.get("decided", {}).get("batching.batch_size", batching["batch_size"]) or rows
    return rows // size if batching["drop_last"] else -(-rows // size)


def _use(best: BestChoice) -> str:
    ensemble = ["ensemble=true"] if len(best.jobs) > 1 else []
    return shell_line(["predict", f"run={best.sweep}", "data=new.csv", "out=predictions.csv", *ensemble])
