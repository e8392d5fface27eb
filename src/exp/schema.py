"""`exp schema`: JSON Schemas with which an editor completes and checks YAML files."""

import json
import shlex
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from exp.cli.answer import Answer
from exp.cli.commands import run_command
from exp.config.json_schema import schemas
from exp.errors import ConfigError
from exp.results.atomic import replacement


@dataclass(frozen=True)
class Schemas(Answer):
    """The schemas that were written to `folder`, and the files that each of them is for."""

    folder: str
    files: Mapping[str, tuple[str, ...]]

    def document(self) -> Mapping[str, Any]:
        return {"folder": self.folder, "files": {name: list(patterns) for name, patterns in self.files.items()}}

    def lines(self) -> Iterator[str]:
        yield f"{len(self.files)} schemas in {self.folder}"
        yield "VS Code, with the extension YAML by Red Hat: in .vscode/settings.json"
        yield json.dumps({"yaml.schemas": self.document()["files"]}, indent=2)
        yield "any editor with yaml-language-server: as the first line of a file"
        yield f"# yaml-language-server: $schema={next(iter(self.files))}"


def schema(out: str, /) -> Schemas:
    """Write JSON Schemas with which an editor completes and checks YAML files.

        python -m exp schema schemas

    There is one for a config or an experiment, and one for the options of each group. They know the keys of the
    installed exp and their limits.

    Args:
        out: Folder to write them to. Those of another version are replaced.
    """
    folder = Path(out)
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{out} is a file", f"python -m exp schema {shlex.quote(f'{out}-schemas')}")
    folder.mkdir(parents=True, exist_ok=True)
    made = schemas()
    for name, content in made.items():
        with replacement(folder / f"{name}.json") as temporary:
            temporary.write_text(_as_text(content), encoding="utf-8")
    return Schemas(out, {f"{out}/{name}.json": _patterns(name) for name in made})


def _patterns(name: str) -> tuple[str, ...]:
    return ("config.yaml", "experiment/*.yaml") if name == "config" else (f"{name}/*.yaml",)


def _as_text(content: Mapping[str, Any]) -> str:
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    run_command(schema, sys.argv[1:])
