"""`model.json`: how the exported `predict.py` reads cells and names predictions."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from exp.data.columns.category import CategoryColumn
from exp.data.columns.column import Column
from exp.data.columns.date import DateColumn
from exp.data.columns.date_formats import MONTH_NUMBERS, PATTERNS, TIME, year_limits
from exp.data.columns.gap_marks import MARKS
from exp.data.columns.labels import number_label
from exp.data.columns.number import BooleanColumn, NumberColumn
from exp.data.columns.number_cells import PLAIN, PLAINLY, Notation, number_pattern
from exp.data.columns.parse_booleans import BOOLEANS
from exp.data.columns.parse_dates import DATETIME, first_part, new_formats
from exp.data.columns.parse_numbers import singular
from exp.data.encode import FEWEST_CELLS, UNREADABLE_SHARE
from exp.data.reading.gaps import EMPTY_WORDS, parse_empty_values
from exp.data.reading.records import BLANKS, DECIMAL, SEPARATORS, check_separator
from exp.results.trained_model import TrainedModel
from exp.serving.served_model import Inputs, output_names, threshold_of
from exp.training.member_models import rows_per_pass

# The groups of the patterns of dates, which are not all in each of them.
_DATE_PARTS = ("name", "q", "w", "m", "d", "y", "yy", *"HMSf", "half", "zone")

# Infinite numbers count as empty, as those beyond 1e100.
_INFINITE = [f"{sign}{word}" for sign in ("", "+", "-") for word in ("inf", "infinity", "\u221e")]


def make_state(members: Sequence[TrainedModel], model: str, versions: Mapping[str, str | int]) -> dict[str, Any]:
    """Return the content of `model.json`.

    Args:
        model: The name of the file with the graph.
        versions: What wrote the graph, for the record.
    """
    lead = members[0]
    preprocessing, dataset = lead.preprocessing, lead.config.dataset
    inputs, empty = Inputs.of(members), parse_empty_values(dataset.get("na_values"), dataset.get("keep_words"))
    predictions, probabilities = output_names(preprocessing)
    gives_probabilities = getattr(lead.objective, "is_probability", True)
    decimal = str(dataset.get("decimal") or ".")
    separator = check_separator(dataset.get("separator"))
    return {
        "model": model,
        "versions": dict(versions),
        "runs": [str(member.folder) for member in members],
        "parameters": lead.parameters,
        "target": preprocessing.target,
        "kind": preprocessing.target_kind.kind,
        "classes": preprocessing.classes,
        "threshold": threshold_of(lead.objective) if len(members) == 1 else threshold_of_average(lead),
        "names": [*predictions, *(probabilities if gives_probabilities else ())],
        "probabilities": len(probabilities) if gives_probabilities else 0,
        "width": len(probabilities) or len(predictions),
        "rows_per_pass": min(rows_per_pass(member.model) for member in members),
        "shape": preprocessing.shape,
        "order": [column.name for column in preprocessing.columns],
        "required": [place for place, column in enumerate(inputs.columns) if _is_required(column.name, members)],
        "columns": [_describe(column, decimal) for column in inputs.columns],
        "empty": sorted({*(word for word in EMPTY_WORDS if word not in empty.kept), *empty.words}),
        "empty_numbers": sorted(empty.numbers),
        "gaps": ["", *sorted(MARKS)],
        "infinite": _INFINITE,
        "booleans": BOOLEANS,
        "plainly": {chr(mark): plain for mark, plain in PLAINLY.items()},
        "months": {"": 0, **MONTH_NUMBERS},
        "parts": _DATE_PARTS,
        "separators": [" " if mark == BLANKS else mark for mark in dict.fromkeys([separator, *SEPARATORS]) if mark],
        "is_numbered": dataset.get("header") is False,
        "above": r"\A(?:\s*\n| *#[^\n]*\n|sep=.\s*\n)+",  # comments and blank lines above rows without names
        "cell": rf"(?m)^ *{DECIMAL.pattern} *$",  # which there are most of if they are found with the right separator
        "fewest_cells": FEWEST_CELLS,
        "unreadable_share": UNREADABLE_SHARE,
        "encoding": dataset.get("encoding") or "utf-8",
    }


def threshold_of_average(lead: TrainedModel) -> float | None:
    """Return the threshold of an average of models: that of a loss with one output, 0.5."""
    return 0.5 if lead.objective.outputs == 1 and lead.preprocessing.classes is not None else None


def _is_required(name: str, members: Sequence[TrainedModel]) -> bool:
    """Return whether a row without a value in this column has no prediction."""
    columns = (column for member in members for column in member.preprocessing.columns)
    return any(column.name == name and column.replacement is None for column in columns)


def _describe(column: Column, decimal: str) -> dict[str, Any]:
    """Return what `predict.py` needs to read a column. `ways` are the notations that its cells may have."""
    known: dict[str, Any] = {"name": column.name, "kind": column.kind, "ways": []}
    if isinstance(column, CategoryColumn):
        codes = {category: code for code, category in enumerate(column.categories)}
        return known | {"is_spelled": column.is_spelled, "codes": codes, "numbers": _by_value(codes)}
    if isinstance(column, DateColumn):
        return known | {"ways": _date_ways(column.format)}
    if isinstance(column, BooleanColumn) or not isinstance(column, NumberColumn):
        return known | {"ways": [{"order": ""}]}
    notation = column.notation
    if notation == PLAIN and decimal != ".":  # the reader of the file has taken this mark for the decimal point
        notation = Notation(decimal=decimal)
    plain = Notation(prefix=notation.prefix, suffix=notation.suffix)
    return known | {"ways": [_number_way(notation), _number_way(plain)]}


def _by_value(codes: Mapping[str, int]) -> dict[str, int]:
    """Return the codes of categories that are numbers by their value, where it tells them apart."""
    labels = {category: number_label(category) for category in codes}
    counts = Counter(labels.values())
    numbers = {category: label for category, label in labels.items() if label is not None and counts[label] == 1}
    return {str(float(label)): codes[category] for category, label in numbers.items()}


def _number_way(notation: Notation) -> dict[str, Any]:
    marks = {"thousands": notation.thousands, "decimal": notation.decimal}
    unit = singular(notation.suffix) if notation.has_unit else ""
    return {"pattern": _cell_pattern(notation), **marks, "unit": unit, "order": ""}


def _cell_pattern(notation: Notation) -> str:
    """Return the pattern of the cells that `split_cell` and `value_of` read as numbers in this notation.

    It has at most one sign, or brackets, and one currency. The blanks are possessive, as in `split_cell`.
    """
    currency, unit = re.escape(notation.prefix), r"\s+".join(map(re.escape, singular(notation.suffix).split()))
    first, second = (rf"(?P<prefix>{currency})?\ *+", rf"(?(prefix)|(?:{currency})?)\ *+") if currency else ("", "")
    sign = r"(?P<sign>[-+])?\ *+"
    inner = r"(?(sign)|(?P<open>\()?)\ *+(?(sign)|(?(open)|(?P<sign2>[-+])?))\ *+"
    number = rf"(?P<number>{number_pattern(notation.decimal, notation.thousands).pattern})"
    number += r"(?P<exponent>e[-+]?[0-9]+)?(?P<more>\+)?"
    number += r"(?(sign)|(?(open)|(?(sign2)|(?(more)|(?:\ *+(?P<trailing>-))?))))"
    suffix = rf"(?:\ *+(?P<suffix>{unit + 's?' if unit else 's'}\.*))?\ *+"
    end = r"(?(open)\))(?(more)|(?(trailing)|(?(suffix)(?(open)\+?)|\+?)))"
    return rf"(?:<=|>=|<|>|~)?\ *+{sign}{first}{inner}{second}{number}{suffix}{end}"


def _date_ways(form: str) -> list[dict[str, Any]]:
    """Return the formats in which a cell may be written, that of the column first."""
    return [_date_way(other) for other in new_formats(form)]


def _date_way(form: str) -> dict[str, Any]:
    if form == DATETIME:  # cells that were times in a file of another kind: no text is written so
        return {"pattern": "(?!)", "first": 0, "last": 0, "is_time": False, "order": ""}
    first, last = year_limits(form)
    years = {"first": first, "last": last}
    return {"pattern": PATTERNS[form].pattern, **years, "is_time": form == TIME, "order": first_part(form)}
