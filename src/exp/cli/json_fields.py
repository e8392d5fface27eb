"""The fields of the JSON objects, from json_fields.yaml: as lines of a help text."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import yaml

from exp.cli.columns import column_row

_FILE = Path(__file__).with_name("json_fields.yaml")
_WIDTH = 28

# The objects that are not those of one command.
EVERY, ERROR, TRAIN = "every object", "error", "train"


@cache
def read_json_fields() -> dict[str, dict[str, str]]:
    """Return what there is to say of each field, by the command and by the field: runs[].folder, metrics.METRIC."""
    return yaml.safe_load(_FILE.read_text(encoding="utf-8"))


def empty_fields(command: str) -> dict[str, None]:
    """Return the names of the fields of a command's object, as far as their first part, each with null."""
    return dict.fromkeys(name.partition(".")[0].removesuffix("[]") for name in read_json_fields()[command])


def fields_of(command: str) -> Iterator[str]:
    """Yield a line, or several, for each field of a command."""
    for name, clause in read_json_fields()[command].items():
        yield from column_row(name, _WIDTH, clause)
