"""The files of a run folder: their names, and readers of what Hydra wrote there."""

from pathlib import Path
from typing import Any, cast

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from exp.config import allowlist
from exp.config.compose import override_key
from exp.config.untrusted import refuse_hydra_settings
from exp.errors import ConfigError

# Of a run and of a sweep, in its folder.
REPORT = "report.html"


# What a sweep leaves in its folder.
SWEEP_MANIFEST = "sweep.json"


def check_is_run(folder: Path) -> None:
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


def read_command(folder: Path) -> list[str]:
    """The words after `python -m exp` that started the run in `folder`."""
    words = read_arguments(folder)
    search = read_config_dir(folder)
    refuse_hydra_settings(words[len(search) :], [], search[1:])
    return words


def read_arguments(folder: Path) -> list[str]:
    """The same, for a person to read: nobody has looked at what they would do."""
    check_is_run(folder)
    return [*read_config_dir(folder), *read_overrides(folder)]


def read_config(folder: Path) -> dict[str, Any]:
    """The config that the run in `folder` was composed of. ConfigError if it cannot be read."""
    saved: Any = _read_hydra_file(folder, "config")
    if not isinstance(saved, dict) or "epochs" not in saved:
        raise ConfigError(f"{folder}/.hydra/config.yaml: it is no run's config", "begin a run of its own")
    return cast("dict[str, Any]", saved)


def read_overrides(folder: Path) -> list[str]:
    """What was typed for that run, but where it went and what it went on with."""
    saved: Any = _read_hydra_file(folder, "overrides") or []
    if not isinstance(saved, list) or not all(isinstance(word, str) for word in cast("list[Any]", saved)):
        raise ConfigError(f"{folder}/.hydra/overrides.yaml: it is no list of KEY=VALUE", "begin a run of its own")
    return [word for word in cast("list[str]", saved) if override_key(word) != "resume"]


def read_config_dir(folder: Path) -> list[str]:
    """The --config-dir that the run was started with.

    ConfigError if it is none that Hydra wrote down: a stranger's run could bring a folder along, with modules in it.
    """
    settings: Any = _read_hydra_file(folder, "hydra")
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


def add_user_modules_to_path(folder: Path) -> None:
    """Let the user's own modules be found where the run in `folder` found them, if the user allows any."""
    allowlist.add_to_path(next(iter(read_config_dir(folder)[1:]), None))


def _read_hydra_file(folder: Path, name: str) -> Any:
    """One of Hydra's three files about a run. ConfigError if it is damaged."""
    path = folder / ".hydra" / f"{name}.yaml"
    try:
        return OmegaConf.to_container(OmegaConf.load(path), resolve=name == "config")
    except (OSError, ValueError, yaml.YAMLError, OmegaConfBaseException) as error:
        said = " ".join(str(error).split())
        raise ConfigError(f"{path} cannot be read: {said}", "mend that file, or begin a run of its own") from error


def refuse_links(folder: Path) -> None:
    """ConfigError if something in `folder` is a link: what is written there would land elsewhere."""
    for path in folder.rglob("*"):
        if path.is_symlink():
            raise ConfigError(
                f"{path} is a link, and a run that goes on writes in its own folder alone", f"rm {path}, if you can"
            )
