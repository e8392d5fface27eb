"""Constraints of keys that hold the names of columns: one name, a list of them, or a mapping from them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from exp.config.limits import any_of
from exp.config.nearest_names import nearest
from exp.config.overrides import quote_names, quote_text
from exp.config.yaml_overrides import text_of

KINDS = ("number", "boolean", "date", "category")

# Words for kinds, where the spelling differs too much.
_WORDS_FOR_KINDS = {
    **dict.fromkeys(("float", "int", "integer", "numeric", "real"), "number"),
    **dict.fromkeys(("str", "string", "text", "word", "words", "factor", "object"), "category"),
    **dict.fromkeys(("datetime", "time", "timestamp"), "date"),
}

# In a JSON Schema: a name, which may be a number.
_NAME: dict[str, Any] = {"type": ["string", "number", "boolean"]}


@dataclass(frozen=True)
class ColumnName:
    """The name of one column, which may be a number; with `many` also a list of names."""

    null: bool = False
    many: bool = False

    def accepts(self, value: object) -> bool:
        if self.many and isinstance(value, list):
            names = cast("list[object]", value)
            return bool(names) and not any(name is None or isinstance(name, list | dict) for name in names)
        return self.null if value is None else not isinstance(value, list | dict)

    def closest(self, value: object) -> str | None:
        """Return the first name in `value` as it is typed."""
        names = _names_in(value)
        return quote_text(names[0]) if names else None

    def __str__(self) -> str:
        return f"the name of one column{', or a list of names' * self.many}{', or null' * self.null}"

    def json_schema(self) -> dict[str, Any]:
        names = {"type": "array", "items": _NAME, "minItems": 1}
        return any_of(_NAME, *([names] if self.many else []), *([{"type": "null"}] if self.null else []))


@dataclass(frozen=True)
class ColumnNames:
    """A list of column names, or null."""

    def accepts(self, value: object) -> bool:
        return value is None or isinstance(value, list)

    def closest(self, value: object) -> str | None:
        """Return the names in `value` as a list is typed."""
        return quote_names(_names_in(value)) if value is not None else None

    def __str__(self) -> str:
        return "a list of column names"

    def json_schema(self) -> dict[str, Any]:
        return any_of({"type": "array", "items": _NAME}, {"type": "null"})


@dataclass(frozen=True)
class ColumnKinds:
    """A mapping from column names to kinds, or null."""

    def accepts(self, value: object) -> bool:
        return value is None or (
            isinstance(value, dict) and all(kind in KINDS for kind in cast("dict[object, object]", value).values())
        )

    def closest(self, value: object) -> str | None:
        """Return a mapping from the names in `value` to their kinds, or to those that are meant, as it is typed."""
        if value is None:
            return None
        is_mapping = isinstance(value, Mapping)
        kinds = {**cast("Mapping[object, object]", value)} if is_mapping else dict.fromkeys(_names_in(value))
        return text_of({name: _kind(word) or "category" for name, word in kinds.items()})

    def names_to_drop(self, kinds: Mapping[str, object]) -> list[str]:
        """Return the columns whose word is for no kind, such as ignore."""
        return [str(name) for name, word in kinds.items() if _kind(word) is None]

    def __str__(self) -> str:
        return f"a mapping from column names to {', '.join(KINDS[:-1])} or {KINDS[-1]}"

    def json_schema(self) -> dict[str, Any]:
        kinds = {"enum": [*KINDS]}
        return any_of({"type": "object", "additionalProperties": kinds}, {"type": "null"})


def _kind(word: object) -> str | None:
    """Return the kind that a word means."""
    return nearest(str(word), KINDS) or _WORDS_FOR_KINDS.get(str(word).lower())


def _names_in(value: object) -> list[str]:
    """Return each name in a list, a mapping or a text with commas."""
    if isinstance(value, list | Mapping):
        return [str(name) for name in cast("list[object]", value)]
    text = str(value)
    if text.startswith("[") and text.endswith("]"):  # a list in quotes, as for special characters
        text = text[1:-1]
    return [name.strip() for name in text.split(",")]


# As exp.config.constraints.CONSTRAINTS, which holds them too.
COLUMN_CONSTRAINTS: dict[str, tuple[ColumnName | ColumnNames | ColumnKinds, str]] = {
    "dataset.target": (ColumnName(many=True), "COLUMN"),
    "dataset.group": (ColumnName(null=True), "null"),
    "dataset.split_column": (ColumnName(null=True), "null"),
    "dataset.order": (ColumnName(null=True), "null"),
    "dataset.weight": (ColumnName(null=True), "null"),
    "dataset.drop": (ColumnNames(), "null"),
    "dataset.kinds": (ColumnKinds(), "null"),
}
