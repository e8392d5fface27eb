"""What may change when a run is resumed: its length, its figures, and the places of its data files."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from omegaconf import OmegaConf

from exp.cli.command_line import CommandLine
from exp.config.allowlist import HELD_MODULE
from exp.config.compose import compose_config
from exp.config.former_names import describe_changes
from exp.config.overrides import override_key, shell_line, text_override
from exp.config.schema import flatten
from exp.config.validation import validate
from exp.data.held import MissingRowsError
from exp.data.input_files import DATA_PATHS, check_input_files, place_of
from exp.errors import ConfigError, DataError, ExpError, display_path
from exp.results import summary
from exp.results.run_folder import (
    LAST_CHECKPOINT,
    add_user_modules_to_path,
    init_command,
    read_config,
    resume_command,
)

# Keys that may differ in a resumed run.
_MAY_CHANGE = (
    "epochs",
    "figures",
    "watch",
    "name",
    "notes",
    "tracker",
    "resume",
    "sweep.",
    "dataset.storage",
    *DATA_PATHS,
)

# A model whose dropout falls to 0 at the end of the run.
_DROPOUT_FALLS = "exp.models.realmlp.RealMLP"


class AlreadyFinished(Exception):  # noqa: N818  # not an error
    """The run in `folder` is finished, and `line`, with the overrides in `typed`, does not extend it."""

    def __init__(self, folder: Path, epochs: Any, line: CommandLine, typed: Sequence[str]) -> None:
        if has_stopped_early(folder):
            text = f"stopped early; for a new run from its parameters: {init_command(folder, *line.words)}"
        else:
            kept = [word for word in kept_words(typed) if override_key(word) != "epochs"]
            text = f"to train longer: {resume_command(folder, *kept, f'epochs={_twice(epochs)}')}"
        super().__init__(f"{folder} is finished\n  {text}")
        self.folder = folder


def kept_words(typed: Sequence[str]) -> list[str]:
    """Return those of the overrides in `typed` that may change when a run is resumed."""
    return [word for word in typed if override_key(word).startswith(_MAY_CHANGE)]


def refuse_changes(folder: Path, line: CommandLine, typed: Sequence[str]) -> None:
    """Raise ConfigError, with the changes, if `line` composes another config than that of the run, or an invalid one.

    Args:
        typed: The overrides of `line` that were typed with resume=.
    """
    add_user_modules_to_path(folder)
    config = compose_config(line.overrides, line.search)
    now = flatten(cast("dict[str, Any]", OmegaConf.to_container(config, resolve=True)))
    then = flatten(read_config(folder))
    changed = {key: text for key, text in describe_changes(then, now).items() if not key.startswith(_MAY_CHANGE)}
    if changed:
        what = f"cannot resume with a different config: {'; '.join(changed.values())}"
        fix = f"a new run: {shell_line(line.words)}"
        if not (folder / LAST_CHECKPOINT).exists():
            what = f"{what}; the run has no checkpoint, so it can simply be started again"
        elif not any(key.startswith(("model.", "dataset.", "init")) for key in changed):  # of the same shapes
            fix = f"a new run from its parameters: {init_command(folder, *line.words)}"
        try:
            validate(config)
        except ExpError:  # the changes are wrong in a new run, too
            fix = resume_command(display_path(folder), *kept_words(typed))
        raise ConfigError(what, fix)
    try:
        validate(config)
    except ConfigError as error:
        if error.key == "epochs":
            longer = f"epochs={_twice(then['epochs'])}"
            raise ConfigError(error.problem, longer, key="epochs", override=longer) from None
        raise
    _refuse_other_length(folder, line, typed, now, then)
    _check_files(folder, OmegaConf.to_container(config.dataset, resolve=True), typed)
    _check_module(folder, config.model)


def _check_files(folder: Path, dataset: Any, typed: Sequence[str]) -> None:
    """Raise DataError, with the command that names its new place, if a data file of the run is not found."""
    try:
        check_input_files(dataset)
    except DataError as error:
        if error.key not in DATA_PATHS:
            raise
        is_in_python = isinstance(error, MissingRowsError)
        place = place_of(error, {*map(override_key, typed)})
        kept = [word for word in kept_words(typed) if override_key(word) != error.key]
        fix = resume_command(display_path(folder), *kept, text_override(error.key, place))
        if is_in_python:
            call = f"train({error.given}, resume={str(display_path(folder))!r})"
            fix = f"{call} in Python; or there {error.save}, and then\n  {fix}"
        raise DataError(error.problem, fix) from error


def _check_module(folder: Path, model: Any) -> None:
    """Raise ConfigError, with the call that gives it, if the run's module came from Python and is not here."""
    if model.get("_target_") != HELD_MODULE:
        return
    from exp.training.build_model import MissingModuleError, check_module  # lazy: imports torch

    try:
        check_module(model)
    except MissingModuleError as error:
        call = f"train(model={error.kind}(...), resume={str(display_path(folder))!r})"
        raise ConfigError(error.problem, f"{call} in Python", key=error.key) from error


def has_stopped_early(folder: Path) -> bool:
    """Return whether the run in `folder` ended before its last step, for early stopping."""
    content = summary.read(folder)
    steps, planned = content.get("steps"), content.get("planned_steps")
    is_shorter = isinstance(steps, int) and isinstance(planned, int) and steps < planned
    return content.get("status") == "finished" and is_shorter


def _refuse_other_length(
    folder: Path, line: CommandLine, typed: Sequence[str], now: dict[str, Any], then: dict[str, Any]
) -> None:
    """Check `epochs`, of which those of a run with epochs=auto are in its summary, once it has begun."""
    status = summary.read(folder)
    before = status.get("decided", {}).get("epochs") if then["epochs"] == "auto" else then["epochs"]
    if now["epochs"] == then["epochs"]:
        if status.get("status") == "finished":
            raise AlreadyFinished(folder, before, line, typed)
        return
    if now["epochs"] == "auto" or (before is not None and now["epochs"] < before):
        raise ConfigError(
            f"epochs={now['epochs']} is {'not' if now['epochs'] == 'auto' else 'less than'} the run's {before}",
            f"epochs={_twice(before)} to train longer, or no epochs= to finish the run",
            key="epochs",
        )
    if (spanning := _spans_run(now)) is not None:
        raise ConfigError(
            f"{spanning} spans the whole run: a longer run has a different schedule from its first step",
            f"a new run from its parameters: {init_command(folder, *line.words)}",
            key=spanning.partition("=")[0],
        )
    if has_stopped_early(folder):
        raise ConfigError(
            f"epochs={now['epochs']}: the run stopped early, at epoch {status.get('epochs')}; it would train no step",
            f"a new run from its parameters: {init_command(folder, *line.words)}",
            key="epochs",
        )


def _spans_run(config: dict[str, Any]) -> str | None:
    """Return the key, with its value, of a schedule as long as the run; None if there is none."""
    for key in ("scheduler.T_max", "scheduler.total_steps"):
        if key in config and config[key] is None:
            return f"{key}=null"
    dropout = config.get("model.dropout")
    return f"model.dropout={dropout}" if config.get("model._target_") == _DROPOUT_FALLS and dropout else None


def _twice(epochs: Any) -> int | str:
    return 2 * epochs if isinstance(epochs, int) else "NUMBER"
