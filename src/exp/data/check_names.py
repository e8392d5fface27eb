"""Refuse names of columns that a table does not have, all in one error."""

import shlex
from collections.abc import Mapping, Sequence

from exp.config.nearest_names import nearest
from exp.config.overrides import quote_names, quote_text, value_override
from exp.data.reading.header import number_names
from exp.data.targets import list_names
from exp.errors import DataError


def check_names(names: Sequence[str], path: str, named: Mapping[str, Sequence[str] | Mapping[str, str]]) -> None:
    """Raise DataError if options name columns that the table does not have.

    Args:
        names: The columns of the table.
        path: Its file.
        named: The columns that each key below `dataset` names.
    """
    unknown = {key: [name for name in columns if name not in names] for key, columns in named.items()}
    wrong = {key: columns for key, columns in unknown.items() if columns}
    if not wrong:
        return
    meant = {key: _corrected(key, named[key], names) for key in wrong}
    fix, override = f"one of {list_names(names)}", None
    overrides = tuple(one for one in meant.values() if one is not None)
    if len(overrides) == len(wrong):
        fix, override = shlex.join(overrides), _one_or_all(overrides)
    listed = [f"dataset.{key}={name}: {path} has no column '{name}'" for key, of in wrong.items() for name in of]
    if [*names] == number_names(len(names)):
        listed[-1] += f" (available: {list_names(names)})"
    split = [hint for key in wrong if (hint := _split_name(key, named[key], names))]
    if split:
        fix, override = (
            shlex.join(split),
            None if len(split) < len(wrong) else split[0] if len(split) == 1 else (*split,),
        )
        listed[0] += "; a comma in a name needs quotes"
    raise DataError("\n".join(listed), fix, key=f"dataset.{next(iter(wrong))}", override=override)


def _one_or_all(overrides: tuple[str, ...]) -> str | tuple[str, ...]:
    return overrides if len(overrides) > 1 else "".join(overrides)


def _corrected(key: str, columns: Sequence[str] | Mapping[str, str], names: Sequence[str]) -> str | None:
    """Return the override with the nearest columns of the table; None if one has none."""
    last = names[-1] if key == "target" and len(columns) == 1 and [*names] == number_names(len(names)) else None
    near = {name: name if name in names else nearest(name, names) or last for name in columns}
    if None in near.values():
        return None
    found = [str(one) for one in near.values()]
    if isinstance(columns, Mapping):
        return f"dataset.{key}={value_override(dict(zip(found, columns.values(), strict=True)))}"
    return f"dataset.{key}={quote_text(found[0]) if len(found) == 1 and key != 'drop' else quote_names(found)}"


def _split_name(key: str, columns: Sequence[str] | Mapping[str, str], names: Sequence[str]) -> str | None:
    """Return the override with the names that their commas have split; None if it has no such names."""
    if isinstance(columns, Mapping):
        return None
    joined: list[str] = []
    rest = [*columns]
    while rest:
        width = next((n for n in range(1, len(rest) + 1) if ", ".join(rest[:n]) in names), None)
        width = width or next((n for n in range(2, len(rest) + 1) if ",".join(rest[:n]) in names), None)
        if width is None:
            return None
        mark = ", " if ", ".join(rest[:width]) in names else ","
        joined.append(mark.join(rest[:width]))
        rest = rest[width:]
    one = len(joined) == 1 and key != "drop"
    return f"dataset.{key}={quote_text(joined[0]) if one else quote_names(joined)}"
