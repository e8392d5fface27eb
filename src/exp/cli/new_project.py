"""Write a project of the user's own from the files in cli/project, in which PACKAGE stands for its package."""

import importlib.util
import keyword
import re
import shlex
import sys
from pathlib import Path

from exp.errors import ConfigError

_TEMPLATES = Path(__file__).parent / "project"
_NAME, _SUFFIX = "PACKAGE", ".template"

# The other folders of a project.
_FOLDERS = ("conf", "tests", "outputs")


def package_name(folder: Path) -> str:
    """Return the name of the package in a project's folder. ConfigError if Python or a library has it already."""
    name = re.sub(r"\W+", "_", folder.absolute().name.lower(), flags=re.ASCII).strip("_")
    if not name or name[0].isdigit() or name in _FOLDERS:
        name = f"my_{name}".rstrip("_")
    if keyword.iskeyword(name) or name in sys.stdlib_module_names or _is_installed(name):
        other = folder.with_name(f"my_{name}")
        raise ConfigError(
            f"{folder}: Python has a module {name} already", f"python -m exp new {shlex.quote(str(other))}"
        )
    return name


def _is_installed(name: str) -> bool:
    """Return whether a module of that name is installed. Those in the current folder do not count."""
    spec = importlib.util.find_spec(name)
    places = [Path(place) for place in (spec.submodule_search_locations or [spec.origin or ""])] if spec else []
    return any(not place.absolute().is_relative_to(Path.cwd() / name) for place in places)


def write_project(folder: Path, package: str) -> list[str]:
    """Write the files of the project and return their paths in it.

    Raises:
        ConfigError: The folder is a file, or is not empty.
    """
    if folder.is_file():
        raise ConfigError(f"{folder} is a file", f"python -m exp new {shlex.quote(f'{folder}_project')}")
    if folder.is_dir() and any(folder.iterdir()):
        inside = shlex.quote(str(folder / "project"))
        raise ConfigError(f"{folder} is not empty, and nothing in it is replaced", f"python -m exp new {inside}")
    written: list[str] = []
    for template in sorted(
        path for path in _TEMPLATES.rglob("*") if path.is_file() and "__pycache__" not in path.parts
    ):
        name = str(template.relative_to(_TEMPLATES)).replace(_NAME, package).removesuffix(_SUFFIX)
        name = ".gitignore" if name == "gitignore" else name
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(template.read_text(encoding="utf-8").replace(_NAME, package), encoding="utf-8")
        written.append(name)
    return written
