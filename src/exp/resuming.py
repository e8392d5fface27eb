"""`resume=FOLDER`: the command of that run again, in its own folder, with nothing changed but how long it goes on."""

import shlex
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import yaml
from hydra import compose, initialize_config_dir
from hydra._internal.utils import get_args_parser
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from exp import allowlist, record
from exp.config import CONF, flat
from exp.errors import ConfigError, shown
from exp.strangers import refuse_hydra_settings, refuse_links

# What a sweep leaves in its folder.
SWEEP = "sweep.json"
# What another value of would not make another run.
_MAY_CHANGE = ("epochs", "figures", "watch", "resume", "sweep.")


class Finished(Exception):  # noqa: N818  # nothing went wrong
    """The run that was to go on has come to its end."""


def resumed(typed: list[str]) -> list[str]:
    """The command line `typed`, where it says resume=..., as the one that goes on with that run; else as it is.

    ConfigError if there is no such run, if anything but its length would be another than it was, or if the run is a
    stranger's and would do more than train; Finished if it has come to its end and is not to be longer.
    """
    asked = [word.removeprefix("resume=") for word in typed if word.startswith("resume=")]
    if not asked or asked == ["null"]:
        return typed
    if len(asked) > 1 or not asked[0]:
        raise ConfigError(f"{' '.join(f'resume={name}' for name in asked)}: it takes one folder", "one resume=FOLDER")
    rest = [word for word in typed if not word.startswith("resume=")]
    line = get_args_parser().parse_args(rest)
    if line.multirun:
        raise ConfigError("resume goes on with one run, and -m makes many", "resume=FOLDER without -m")
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
        raise ConfigError(f"resume={asked[0]}: no run is there", cure)
    refuse_links(folder)
    saved = _saved_overrides(folder)
    names = {_key(word) for word in overrides}
    words = [*(word for word in saved if _key(word) not in names), *overrides]
    search = _config_dir(folder) if line.config_dir is None else []
    folders = [line.config_dir or search[1]] if line.config_dir or search else []
    refuse_hydra_settings(words, overrides, folders)
    _refuse_changes(folder, words, folders)
    flags = [word for word in rest if word not in overrides]
    return [*search, *flags, *words, f"hydra.run.dir={_quoted(folder)}", f"resume={_quoted(folder)}"]


def sweep_resumed(typed: list[str]) -> list[str]:
    """The command line `typed`, where it says sweep.resume=..., as one that writes into that sweep's folder.

    ConfigError if there is no such sweep. With `auto` it is the latest; if there is none, a new one begins.
    """
    asked = [word.removeprefix("sweep.resume=") for word in typed if word.startswith("sweep.resume=")]
    if not asked or asked == ["null"]:
        return typed
    if len(asked) > 1:
        raise ConfigError(
            f"{' '.join(f'sweep.resume={name}' for name in asked)}: one folder", "one sweep.resume=FOLDER"
        )
    rest = [word for word in typed if not word.startswith("sweep.resume=")]
    if not get_args_parser().parse_args(rest).multirun:
        raise ConfigError(f"sweep.resume={asked[0]} goes on with many runs, which -m makes", shlex.join(["-m", *typed]))
    if asked[0] == "auto":
        named = [word.partition("=")[2].strip("'\"") for word in rest if word.startswith("hydra.sweep.dir=")]
        where = Path(named[-1] if named else "outputs")
        found = sorted(where.glob(f"**/{SWEEP}"), key=lambda path: path.stat().st_mtime)
        if not found:
            return rest
        folder = found[-1].parent.resolve()
    else:
        folder = Path(asked[0].strip("'\"")).expanduser().resolve()
    if not (folder / SWEEP).is_file():
        if (folder / "multirun.yaml").is_file():
            raise ConfigError(f"sweep.resume={asked[0]}: another launcher made it", "a new sweep, by our own launcher")
        raise ConfigError(f"sweep.resume={asked[0]}: no sweep is there", "the folder that a sweep named at its end")
    refuse_links(folder)
    rest = [word for word in rest if not word.startswith("hydra.sweep.dir=")]
    return [*rest, f"hydra.sweep.dir={_quoted(folder)}", f"sweep.resume={_quoted(folder)}"]


def _quoted(folder: Path) -> str:
    """For Hydra, which reads = and commas in it otherwise."""
    return "'" + str(folder).replace("'", "\\'") + "'"


def refuse_no_run(folder: Path) -> None:
    if not (folder / ".hydra" / "overrides.yaml").is_file():
        below = sorted(path.parents[1] for path in folder.glob("*/.hydra/overrides.yaml"))
        what = (
            "it is a sweep"
            if (folder / "multirun.yaml").is_file()
            else "runs are in it"
            if below
            else "no run is there"
        )
        raise ConfigError(
            f"{folder}: {what}", f"one of them: {below[0]}" if below else "the folder that a run named at its end"
        )


def command_of(folder: Path) -> list[str]:
    """The words after `python -m exp` that started the run in `folder`."""
    words = words_of(folder)
    search = _config_dir(folder)
    refuse_hydra_settings(words[len(search) :], [], search[1:])
    return words


def words_of(folder: Path) -> list[str]:
    """The same, for a person to read: nobody has looked at what they would do."""
    refuse_no_run(folder)
    return [*_config_dir(folder), *_saved_overrides(folder)]


def config_of(folder: Path) -> dict[str, Any]:
    """The config that the run in `folder` was composed of. ConfigError if it cannot be read."""
    saved: Any = _loaded(folder, "config")
    if not isinstance(saved, dict) or "epochs" not in saved:
        raise ConfigError(f"{folder}/.hydra/config.yaml: it is no run's config", "begin a run of its own")
    return cast("dict[str, Any]", saved)


def _latest(typed: list[str]) -> Path | None:
    """The newest run's folder of these very overrides below outputs/."""
    runs = sorted(Path("outputs").glob("**/.hydra/overrides.yaml"), key=lambda path: path.stat().st_mtime, reverse=True)
    wanted = sorted(word for word in typed if not word.startswith("hydra."))
    for path in runs:
        folder = path.parents[1].resolve()
        with suppress(ConfigError):  # another's is damaged
            if sorted(_saved_overrides(folder)) == wanted:
                return folder
    return None


def _saved_overrides(folder: Path) -> list[str]:
    """What was typed for that run, but where it went and what it went on with."""
    saved: Any = _loaded(folder, "overrides") or []
    if not isinstance(saved, list) or not all(isinstance(word, str) for word in cast("list[Any]", saved)):
        raise ConfigError(f"{folder}/.hydra/overrides.yaml: it is no list of KEY=VALUE", "begin a run of its own")
    return [word for word in cast("list[str]", saved) if _key(word) != "resume"]


def _config_dir(folder: Path) -> list[str]:
    """The --config-dir that the run was started with.

    ConfigError if it is none that Hydra wrote down: a stranger's run could bring a folder along, with modules in it.
    """
    settings: Any = _loaded(folder, "hydra")
    try:
        found = config_dir_in(settings["hydra"])
    except (KeyError, TypeError):
        return []
    if not found:
        return []
    place = Path(found[1])
    if not place.is_absolute() or place.resolve().is_relative_to(folder.resolve()):
        raise ConfigError(
            f"{folder}/.hydra/hydra.yaml: its --config-dir is {place}, which comes with the run", "a run of your own"
        )
    return ["--config-dir", str(place)]


def config_dir_in(hydra: Any) -> list[str]:
    """--config-dir and its folder, as Hydra wrote it into its settings; nothing where it was given none."""
    sources = hydra["runtime"]["config_sources"]
    found = [str(source["path"]) for source in sources if source["provider"] == "command-line"]
    return ["--config-dir", found[0]] if found else []


def find_modules(folder: Path) -> None:
    """Let the user's own modules be found where the run in `folder` found them, if the user allows any."""
    allowlist.find_beside(next(iter(_config_dir(folder)[1:]), None))


def _refuse_changes(folder: Path, line: list[str], folders: list[str]) -> None:
    """ConfigError, with the difference, if `line` does not compose what the run was started with."""
    more = [f"hydra.searchpath=[file://{Path(name).absolute()}]" for name in folders]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        now = flat(cast("dict[str, Any]", OmegaConf.to_container(compose("config", [*line, *more]), resolve=True)))
    then = flat(config_of(folder))
    changed = [
        key for key in sorted({*now, *then}) if not key.startswith(_MAY_CHANGE) and now.get(key) != then.get(key)
    ]
    if changed:
        told = "; ".join(f"{key} was {shown(then.get(key))} and would be {shown(now.get(key))}" for key in changed)
        raise ConfigError(f"resume goes on with the run as it was, and {told}", "a run of its own, without resume")
    if now["epochs"] == then["epochs"] and record.read(folder).get("status") == "finished":
        raise Finished(
            f"{folder} is finished, and nothing is left to do\n"
            f"  to go on for longer: python -m exp resume={folder} epochs={2 * then['epochs']}"
        )
    if now["epochs"] < then["epochs"]:
        raise ConfigError(
            f"epochs={now['epochs']} is less than the {then['epochs']} of the run",
            f"epochs={2 * then['epochs']} to go on for longer, or no epochs at all to end it as it was",
        )
    if now["epochs"] > then["epochs"] and "scheduler.T_max" in now and now["scheduler.T_max"] is None:
        raise ConfigError(
            "scheduler.T_max=null spans the whole run, so a longer one has another schedule from its first step on",
            f"a run of its own, without resume: epochs={now['epochs']}",
        )


def _loaded(folder: Path, name: str) -> Any:
    """One of Hydra's three files about a run. ConfigError if it is damaged."""
    path = folder / ".hydra" / f"{name}.yaml"
    try:
        return OmegaConf.to_container(OmegaConf.load(path), resolve=name == "config")
    except (OSError, ValueError, yaml.YAMLError, OmegaConfBaseException) as error:
        said = " ".join(str(error).split())
        raise ConfigError(f"{path} cannot be read: {said}", "mend that file, or begin a run of its own") from error


def _key(word: str) -> str:
    return word.lstrip("+~").partition("=")[0].partition("@")[0]
