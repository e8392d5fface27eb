"""`resume=FOLDER`: repeat the command of a run in its own folder; only its length may change."""

from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from omegaconf import OmegaConf

from exp.cli.command_line import CommandLine
from exp.config.compose import compose_config, override_key
from exp.config.overrides import reads_as, shell_line, text_override
from exp.config.schema import flatten
from exp.config.untrusted import refuse_hydra_settings
from exp.data.input_files import DATA_PATHS, check_input_files
from exp.errors import ConfigError, DataError, as_yaml, display_path, nearest
from exp.results import summary
from exp.results.run_folder import (
    LAST_CHECKPOINT,
    MULTIRUN,
    OVERRIDES,
    SUMMARY,
    SWEEP_MANIFEST,
    is_run,
    read_config,
    read_config_dir,
    read_overrides,
    read_sweep_config_dir,
    read_sweep_overrides,
    refuse_links,
    resume_command,
)

# Keys that may differ in a resumed run.
_MAY_CHANGE = ("epochs", "figures", "watch", "resume", "sweep.", *DATA_PATHS)


# Keys that folders of older runs do not have, with the values that those runs had.
_ADDED: dict[str, Any] = {"early_stopping.restore_best": False}


class AlreadyFinished(Exception):  # noqa: N818  # not an error
    """The run in `folder` is finished, and the command does not extend it."""

    def __init__(self, folder: Path, epochs: Any) -> None:
        longer = resume_command(folder, f"epochs={_twice(epochs)}")
        super().__init__(f"{folder} is finished\n  to train longer: {longer}")
        self.folder = folder


def resume_run(line: CommandLine) -> CommandLine:
    """Return the command line that resumes the run which `resume=` names; `line` itself without resume=.

    With `auto` it is the latest run of the same overrides; if there is none, a new one begins.

    Raises:
        ConfigError: There is no such run, more than its length would change, or its files cannot be trusted.
        AlreadyFinished: The run is finished, and the command does not extend it.
    """
    given, rest = line.take("resume")
    if not given or given == ["null"]:
        return line
    if len(given) > 1 or not given[0]:
        what = f"{' '.join(f'resume={name}' for name in given)}: resume takes one folder"
        raise ConfigError(what, "one resume=FOLDER", key="resume")
    if line.multirun:
        raise ConfigError("resume= resumes one run, and -m starts several", "resume=FOLDER without -m", key="resume")
    if given[0] == "auto":
        folder = _latest(rest.overrides)
        if folder is None:
            return rest
    else:
        folder = _path(given[0])
    if not is_run(folder):
        raise _no_run(given[0], folder, rest)
    refuse_links(folder)
    keys = {override_key(word) for word in rest.overrides}
    overrides = [*(word for word in read_overrides(folder) if override_key(word) not in keys), *rest.overrides]
    resumed = replace(rest, overrides=tuple(overrides), resumed=folder)
    if rest.config_dir is None and (saved := read_config_dir(folder)):
        resumed = replace(resumed, flags=(*saved, *rest.flags), config_dir=saved[1])
    refuse_hydra_settings(overrides, list(rest.overrides), resumed.search)
    _refuse_changes(folder, resumed)
    added = (text_override("hydra.run.dir", str(folder)), text_override("resume", str(folder)))
    return resumed.with_overrides([*overrides, *added])


@contextmanager
def restored_unless_begun(folder: Path | None) -> Generator[None]:
    """Restore the files of the run in `folder` if resuming it fails before it begins.

    Hydra writes into .hydra before it calls exp, and the error is logged.
    """
    others = [] if folder is None else [*folder.glob("*.log"), *(folder / ".hydra").glob("*.yaml")]
    paths = [] if folder is None else [folder / SUMMARY, *others]
    previous = {path: path.read_bytes() for path in paths if path.exists()}
    try:
        yield
    except BaseException:
        if paths and paths[0] in previous and paths[0].read_bytes() == previous[paths[0]]:
            for path, content in previous.items():
                path.write_bytes(content)
        raise


def resume_sweep(line: CommandLine) -> CommandLine:
    """Return the command line that writes into the folder of the sweep which `sweep.resume=` names.

    With `auto` it is the latest sweep; if there is none, a new one begins. ConfigError if there is no such sweep.
    """
    given, rest = line.take("sweep.resume")
    if not given or given == ["null"]:
        return line
    if len(given) > 1:
        raise ConfigError(
            f"{' '.join(f'sweep.resume={name}' for name in given)}: sweep.resume takes one folder",
            "one sweep.resume=FOLDER",
            key="sweep.resume",
        )
    if not line.multirun:
        what = f"sweep.resume={given[0]} resumes a sweep, and needs -m"
        raise ConfigError(what, shell_line(["-m", *line.words]), key="sweep.resume")
    folders, without_folder = rest.take("hydra.sweep.dir")
    if given[0] == "auto":
        where = Path(folders[-1].strip("'\"") if folders else "outputs")
        found = sorted(where.glob(f"**/{SWEEP_MANIFEST}"), key=lambda path: path.stat().st_mtime)
        if not found:
            return rest
        folder = found[-1].parent.resolve()
    else:
        folder = _path(given[0])
    if not (folder / SWEEP_MANIFEST).is_file():
        if is_run(folder):
            what = f"sweep.resume={given[0]}: it is a run, not a sweep"
            fix = shell_line([text_override("resume", _as_typed(given[0], folder)), *without_folder.overrides])
        elif (folder / MULTIRUN).is_file():
            what, fix = f"sweep.resume={given[0]}: another launcher ran it", "a new sweep, with exp's own launcher"
        else:
            what, fix = f"sweep.resume={given[0]}: no sweep is there", "the folder that a sweep named at its end"
        raise ConfigError(what, fix, key="sweep.resume")
    refuse_links(folder)
    keys = {override_key(word) for word in without_folder.overrides}
    saved = [word for word in read_sweep_overrides(folder) if override_key(word) not in keys]
    added = (text_override("hydra.sweep.dir", str(folder)), text_override("sweep.resume", str(folder)))
    resumed = without_folder.with_overrides([*saved, *without_folder.overrides, *added])
    if line.config_dir is None and (config_dir := read_sweep_config_dir(folder)):
        resumed = replace(resumed, flags=(*config_dir, *line.flags), config_dir=config_dir[1])
    return resumed


def _path(value: str) -> Path:
    """Return the absolute path that is the value of an override."""
    text = reads_as(value)
    return Path(text if isinstance(text, str) else value.strip("'\"")).expanduser().resolve()


def _as_typed(value: str, folder: Path) -> str:
    """Return the text of a path as it was typed, without Hydra's quotes."""
    text = reads_as(value)
    return text if isinstance(text, str) else str(folder)


def _no_run(value: str, folder: Path, rest: CommandLine) -> ConfigError:
    """Return the error for a `resume=` that is not the folder of a run, with the line that was probably meant."""
    what, typed = f"resume={value}: no run is there", _as_typed(value, folder)
    if (folder / SWEEP_MANIFEST).is_file():
        fix = shell_line(["-m", text_override("sweep.resume", typed), *rest.words])
        return ConfigError(f"resume={value}: it is a sweep, not a run", fix, key="resume")
    near = nearest(folder.name, [path.name for path in folder.parent.glob("*") if is_run(path)])
    meant = next((path for path in folder.parents if is_run(path)), folder.with_name(near) if near else None)
    if meant is None:
        return ConfigError(what, "resume= and the folder that a run named at its end", key="resume")
    override = text_override("resume", str(display_path(meant)))
    return ConfigError(what, shell_line([override, *rest.words]), key="resume", override=override)


def _latest(overrides: Sequence[str]) -> Path | None:
    """Return the folder of the latest run below outputs/ with the same overrides; None if there is none."""
    runs = sorted(Path("outputs").glob(f"**/{OVERRIDES}"), key=lambda path: path.stat().st_mtime, reverse=True)
    wanted = sorted(word for word in overrides if not word.startswith("hydra."))
    for path in runs:
        folder = path.parents[1].resolve()
        with suppress(ConfigError):  # a damaged run
            if sorted(read_overrides(folder)) == wanted:
                return folder
    return None


def _refuse_changes(folder: Path, line: CommandLine) -> None:
    """Raise ConfigError, with the changes, if `line` composes another config than that of the run."""
    config = compose_config(line.overrides, line.search)
    now = flatten(cast("dict[str, Any]", OmegaConf.to_container(config, resolve=True)))
    then = _ADDED | flatten(read_config(folder))
    changed = [
        key for key in sorted({*now, *then}) if not key.startswith(_MAY_CHANGE) and now.get(key) != then.get(key)
    ]
    if changed:
        changes = "; ".join(f"{key} was {as_yaml(then.get(key))}, is now {as_yaml(now.get(key))}" for key in changed)
        what = f"cannot resume with a different config: {changes}"
        if not (folder / LAST_CHECKPOINT).exists():
            what = f"{what}; the run has no checkpoint, so it can simply be started again"
        raise ConfigError(what, f"a new run: {shell_line(line.words)}")
    _refuse_other_length(folder, now, then)
    _check_files(folder, OmegaConf.to_container(config.dataset, resolve=True))


def _check_files(folder: Path, dataset: Any) -> None:
    """Raise DataError, with the command that names its new place, if a data file of the run is not found."""
    try:
        check_input_files(dataset)
    except DataError as error:
        if error.key not in DATA_PATHS:
            raise
        new = error.override if isinstance(error.override, str) else f"{error.key}=NEW"
        raise DataError(error.problem, resume_command(folder, new)) from error


def _refuse_other_length(folder: Path, now: dict[str, Any], then: dict[str, Any]) -> None:
    """Check `epochs`, of which those of a run with epochs=auto are in its summary, once it has begun."""
    status = summary.read(folder)
    before = status.get("decided", {}).get("epochs") if then["epochs"] == "auto" else then["epochs"]
    if now["epochs"] == then["epochs"]:
        if status.get("status") == "finished":
            raise AlreadyFinished(folder, before)
        return
    if now["epochs"] == "auto" or (before is not None and now["epochs"] < before):
        raise ConfigError(
            f"epochs={now['epochs']} is {'not' if now['epochs'] == 'auto' else 'less than'} the run's {before}",
            f"epochs={_twice(before)} to train longer, or no epochs= to finish the run",
            key="epochs",
        )
    if "scheduler.T_max" in now and now["scheduler.T_max"] is None:
        raise ConfigError(
            "scheduler.T_max=null spans the whole run: a longer run has a different schedule from its first step",
            f"a new run, without resume: epochs={now['epochs']}",
            key="scheduler.T_max",
        )


def _twice(epochs: Any) -> int | str:
    return 2 * epochs if isinstance(epochs, int) else "NUMBER"
