"""`resume=FOLDER`: the command of that run again, in its own folder, with nothing changed but how long it goes on."""

import shlex
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

from hydra import compose, initialize_config_dir
from hydra._internal.utils import get_args_parser
from omegaconf import OmegaConf

from exp.config.schema import CONF, flatten
from exp.config.untrusted import refuse_hydra_settings
from exp.errors import ConfigError, as_yaml
from exp.results import summary
from exp.results.run_folder import (
    SWEEP_MANIFEST,
    override_key,
    read_config,
    read_config_dir,
    read_overrides,
    refuse_links,
)

# What another value of would not make another run.
_MAY_CHANGE = ("epochs", "figures", "watch", "resume", "sweep.")


class AlreadyFinished(Exception):  # noqa: N818  # nothing went wrong
    """The run that was to go on has come to its end."""


def resume_run(typed: list[str]) -> list[str]:
    """The command line `typed`, where it says resume=..., as the one that goes on with that run; else as it is.

    ConfigError if there is no such run, if anything but its length would be another than it was, or if the run is a
    stranger's and would do more than train; Finished if it has come to its end and is not to be longer.
    """
    asked = [word.removeprefix("resume=") for word in typed if word.startswith("resume=")]
    if not asked or asked == ["null"]:
        return typed
    if len(asked) > 1 or not asked[0]:
        what = f"{' '.join(f'resume={name}' for name in asked)}: it takes one folder"
        raise ConfigError(what, "one resume=FOLDER", key="resume")
    rest = [word for word in typed if not word.startswith("resume=")]
    line = get_args_parser().parse_args(rest)
    if line.multirun:
        raise ConfigError("resume goes on with one run, and -m makes many", "resume=FOLDER without -m", key="resume")
    overrides = cast("list[str]", line.overrides)
    if asked[0] == "auto":
        folder = _latest(overrides)
        if folder is None:
            return rest
    else:
        folder = Path(asked[0].strip("'\"")).expanduser().resolve()
    if not (folder / ".hydra" / "overrides.yaml").is_file():
        above = next((path for path in folder.parents if (path / ".hydra" / "overrides.yaml").is_file()), None)
        cure = (
            f"the run's folder itself: resume={above}"
            if above
            else "resume= and the folder that a run named at its end"
        )
        override = f"resume={above}" if above else None
        raise ConfigError(f"resume={asked[0]}: no run is there", cure, key="resume", override=override)
    refuse_links(folder)
    saved = read_overrides(folder)
    names = {override_key(word) for word in overrides}
    words = [*(word for word in saved if override_key(word) not in names), *overrides]
    search = read_config_dir(folder) if line.config_dir is None else []
    folders = [line.config_dir or search[1]] if line.config_dir or search else []
    refuse_hydra_settings(words, overrides, folders)
    _refuse_changes(folder, words, folders)
    flags = [word for word in rest if word not in overrides]
    return [*search, *flags, *words, f"hydra.run.dir={_quoted(folder)}", f"resume={_quoted(folder)}"]


def resume_sweep(typed: list[str]) -> list[str]:
    """The command line `typed`, where it says sweep.resume=..., as one that writes into that sweep's folder.

    ConfigError if there is no such sweep. With `auto` it is the latest; if there is none, a new one begins.
    """
    asked = [word.removeprefix("sweep.resume=") for word in typed if word.startswith("sweep.resume=")]
    if not asked or asked == ["null"]:
        return typed
    if len(asked) > 1:
        raise ConfigError(
            f"{' '.join(f'sweep.resume={name}' for name in asked)}: one folder",
            "one sweep.resume=FOLDER",
            key="sweep.resume",
        )
    rest = [word for word in typed if not word.startswith("sweep.resume=")]
    if not get_args_parser().parse_args(rest).multirun:
        what = f"sweep.resume={asked[0]} goes on with many runs, which -m makes"
        raise ConfigError(what, shlex.join(["-m", *typed]), key="sweep.resume")
    if asked[0] == "auto":
        named = [word.partition("=")[2].strip("'\"") for word in rest if word.startswith("hydra.sweep.dir=")]
        where = Path(named[-1] if named else "outputs")
        found = sorted(where.glob(f"**/{SWEEP_MANIFEST}"), key=lambda path: path.stat().st_mtime)
        if not found:
            return rest
        folder = found[-1].parent.resolve()
    else:
        folder = Path(asked[0].strip("'\"")).expanduser().resolve()
    if not (folder / SWEEP_MANIFEST).is_file():
        if (folder / "multirun.yaml").is_file():
            what, fix = f"sweep.resume={asked[0]}: another launcher made it", "a new sweep, by our own launcher"
        else:
            what, fix = f"sweep.resume={asked[0]}: no sweep is there", "the folder that a sweep named at its end"
        raise ConfigError(what, fix, key="sweep.resume")
    refuse_links(folder)
    rest = [word for word in rest if not word.startswith("hydra.sweep.dir=")]
    return [*rest, f"hydra.sweep.dir={_quoted(folder)}", f"sweep.resume={_quoted(folder)}"]


def _quoted(folder: Path) -> str:
    """For Hydra, which reads = and commas in it otherwise."""
    return "'" + str(folder).replace("'", "\\'") + "'"


def _latest(typed: list[str]) -> Path | None:
    """The newest run's folder of these very overrides below outputs/."""
    runs = sorted(Path("outputs").glob("**/.hydra/overrides.yaml"), key=lambda path: path.stat().st_mtime, reverse=True)
    wanted = sorted(word for word in typed if not word.startswith("hydra."))
    for path in runs:
        folder = path.parents[1].resolve()
        with suppress(ConfigError):  # another's is damaged
            if sorted(read_overrides(folder)) == wanted:
                return folder
    return None


def _refuse_changes(folder: Path, line: list[str], folders: list[str]) -> None:
    """ConfigError, with the difference, if `line` does not compose what the run was started with."""
    more = [f"hydra.searchpath=[file://{Path(name).absolute()}]" for name in folders]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        now = flatten(cast("dict[str, Any]", OmegaConf.to_container(compose("config", [*line, *more]), resolve=True)))
    then = flatten(read_config(folder))
    changed = [
        key for key in sorted({*now, *then}) if not key.startswith(_MAY_CHANGE) and now.get(key) != then.get(key)
    ]
    if changed:
        told = "; ".join(f"{key} was {as_yaml(then.get(key))} and would be {as_yaml(now.get(key))}" for key in changed)
        what = f"resume goes on with the run as it was, and {told}"
        raise ConfigError(what, "a run of its own, without resume", key="resume")
    if now["epochs"] == then["epochs"] and summary.read(folder).get("status") == "finished":
        raise AlreadyFinished(
            f"{folder} is finished, and nothing is left to do\n"
            f"  to go on for longer: python -m exp resume={folder} epochs={2 * then['epochs']}"
        )
    if now["epochs"] < then["epochs"]:
        raise ConfigError(
            f"epochs={now['epochs']} is less than the {then['epochs']} of the run",
            f"epochs={2 * then['epochs']} to go on for longer, or no epochs at all to end it as it was",
            key="epochs",
        )
    if now["epochs"] > then["epochs"] and "scheduler.T_max" in now and now["scheduler.T_max"] is None:
        raise ConfigError(
            "scheduler.T_max=null spans the whole run, so a longer one has another schedule from its first step on",
            f"a run of its own, without resume: epochs={now['epochs']}",
            key="scheduler.T_max",
        )
