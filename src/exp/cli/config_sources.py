"""Where YAML files of the user's own are: --config-dir, --config-name and hydra.searchpath, as a folder and a file."""

import importlib.util
import shlex
from collections.abc import Sequence
from importlib.machinery import PathFinder
from pathlib import Path
from typing import cast

from exp.config.nearest_names import nearest
from exp.config.overrides import override_key, reads_as, shell_line
from exp.errors import ConfigError

_SEARCHPATH = "hydra.searchpath"
_NAME_FLAGS = ("--config-name", "-cn")


def check_config_dir(config_dir: str | None, arguments: Sequence[str]) -> None:
    """Raise ConfigError, with the line that was probably meant, if --config-dir names no folder."""
    if config_dir is None or Path(config_dir).is_dir():
        return
    place = Path(config_dir)
    if place.is_file():
        flags = ("--config-dir", "-cd", f"--config-dir={config_dir}")
        words = [word for word in arguments if word not in flags]
        raise ConfigError(f"--config-dir {config_dir}: it is a file", shell_line(words))
    near = nearest(place.name, [one.name for one in place.parent.glob("*") if one.is_dir()])
    fix = "--config-dir with a folder of YAML files"
    if near is not None:
        fix = shell_line(word.replace(config_dir, str(place.with_name(near))) for word in arguments)
    raise ConfigError(f"--config-dir {place.absolute()}: no such folder", fix)


def check_recorded_dir(folder: str, resume: str) -> None:
    """Raise ConfigError, with the line that names its new place, if the --config-dir of a run or sweep is gone."""
    if not Path(folder).is_dir():
        what = f"{resume}: the folder of its own YAML files, --config-dir {folder}, is not there"
        flag = ["-m"] if resume.startswith("sweep.") else []
        raise ConfigError(what, shell_line([*flag, "--config-dir", "ITS_NEW_PLACE", resume]))


def take_searchpath(typed: Sequence[str], config_dir: str | None) -> tuple[list[str], str | None]:
    """Return the overrides without hydra.searchpath, and the folder of YAML files that it or --config-dir names.

    Raises:
        ConfigError: There are several folders, or the one is not found.
    """
    given = [word for word in typed if override_key(word) == _SEARCHPATH]
    if not given:
        return list(typed), config_dir
    value = given[0].partition("=")[2]
    places = reads_as(value)
    if not isinstance(places, list):
        raise ConfigError(f"{given[0]}: it must be a list", shlex.quote(f"{_SEARCHPATH}=[{value}]"))
    names = [str(place) for place in cast("list[object]", places)]
    if len(names) != 1 or config_dir is not None:
        several = [*names, *([f"--config-dir {config_dir}"] if config_dir else [])]
        what = f"{given[0]}: exp takes the YAML files of one folder" + (
            f", got {', '.join(several)}" if several else ""
        )
        first = config_dir or (names[0].removeprefix("file://") if names else "FOLDER")
        raise ConfigError(what, f"--config-dir {shlex.quote(first)}, with the options of the others in it")
    return [word for word in typed if word not in given], str(_folder_at(names[0]))


def _folder_at(place: str) -> Path:
    """Return the folder that file://PATH, a path or pkg://PACKAGE.FOLDER names. No module is imported to find it."""
    scheme, colon, name = place.rpartition("://")
    if colon and scheme not in ("file", "pkg"):
        what = f"{_SEARCHPATH}: {place} is neither file://FOLDER nor pkg://PACKAGE.FOLDER"
        raise ConfigError(what, f"'{_SEARCHPATH}=[file://{name}]'")
    if scheme != "pkg":
        folder = Path(name).expanduser().absolute()
        if folder.is_dir():
            return folder
        near = nearest(folder.name, [one.name for one in folder.parent.glob("*") if one.is_dir()])
        fix = f"'{_SEARCHPATH}=[file://{Path(name).with_name(near)}]'" if near else "the path of a folder of YAML files"
        raise ConfigError(f"{_SEARCHPATH}: {place}: no such folder", fix)
    package, _, inside = name.partition(".")
    spec = PathFinder.find_spec(package, [str(Path.cwd())]) or importlib.util.find_spec(package)
    roots = [Path(root).absolute() for root in (spec.submodule_search_locations or [])] if spec is not None else []
    if not roots:
        what = f"{_SEARCHPATH}: {place}: no package {package} in the current folder or installed"
        raise ConfigError(what, f"pip install -e the folder of {package}, or '{_SEARCHPATH}=[file://FOLDER]'")
    found = next((folder for root in roots if (folder := root.joinpath(*inside.split("."))).is_dir()), None)
    if found is None:
        near = nearest(inside, [one.name for one in roots[0].glob("*") if one.is_dir() and one.name.isidentifier()])
        fix = f"'{_SEARCHPATH}=[pkg://{package}.{near}]'" if near else f"a folder of {roots[0]}"
        raise ConfigError(f"{_SEARCHPATH}: {place}: {roots[0]} has no folder {inside}", fix)
    return found


def take_main_file(flags: Sequence[str], name: str | None, config_dir: str | None) -> tuple[list[str], str | None]:
    """Return the flags without --config-name, and the file that it names in the folder of --config-dir.

    The file is read as an experiment: its keys are set above exp's defaults.
    """
    if name is None:
        return list(flags), None
    kept = [
        word
        for word, before in zip(flags, ["", *flags], strict=False)
        if word.partition("=")[0] not in _NAME_FLAGS and before not in _NAME_FLAGS
    ]
    file = f"{name.removesuffix('.yaml')}.yaml"
    if config_dir is not None:
        return kept, str(Path(config_dir) / file)
    if name == "config":
        return kept, None
    fix = [*kept, file] if Path(file).is_file() else [*kept, "--config-dir", "FOLDER", "--config-name", name]
    raise ConfigError(f"--config-name {name}: it is a file in the folder of --config-dir", shell_line(fix))
