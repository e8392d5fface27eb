"""A dataset from a pandas frame: which columns are features, which one is the target, and which rows are left."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from exp.config.overrides import quote_names
from exp.data.check_names import check_names
from exp.data.columns.column import Parsed
from exp.data.columns.infer import ColumnOptions, parse_column
from exp.data.columns.number_cells import PLAIN
from exp.data.dataset import Dataset
from exp.data.empty_cells import missing_policies, parse_columns_with_hidden_gaps, select_rows
from exp.data.frame import import_pandas, label_rows
from exp.data.parts import order_of_cells, parts_of_cells
from exp.data.read_table import Cells, Frame
from exp.data.select_columns import LeftOut, find_identifier, find_target_copies, find_useless
from exp.data.targets import encode_targets, find_targets, read_targets
from exp.data.weight_column import parse_weights, weigh_rows
from exp.errors import ConfigError, DataError, join_words, pluralize


@dataclass(frozen=True)
class TableOptions:
    """Options for reading a table; `exp.data.files.table` describes them."""

    target: str | int | Sequence[str | int]
    task: str = "auto"
    missing: str | Mapping[str, str] | None = "auto"
    kinds: Mapping[str, str] | None = None
    drop: Sequence[str] = ()
    group: str | None = None
    max_categories: int | str | None = "auto"
    order: str | None = None
    split_column: str | None = None
    decimal: str | None = "."
    day_first: bool | None = None
    weight: str | None = None


def dataset_from_frame(
    frame: Frame,
    path: str,
    options: TableOptions,
    notes: Sequence[str] = (),
    parts: NDArray[np.int8] | None = None,
    row_numbers: NDArray[np.int64] | None = None,
) -> Dataset:
    """Return the dataset in `frame`; `path` is for messages. DataError if it cannot be trained on.

    Args:
        notes: What the user should know of the file.
        parts: The part of each row, as in Dataset.
        row_numbers: The position of each row in its file, counted from 1; None: those in `frame`.
    """
    dataset, left_out = columns_from_frame(frame, path, options, notes, parts, row_numbers)
    if not dataset.columns:
        raise no_features(path, left_out, bool(len(options.drop)))
    return dataset


def columns_from_frame(
    frame: Frame,
    path: str,
    options: TableOptions,
    notes: Sequence[str] = (),
    parts: NDArray[np.int8] | None = None,
    row_numbers: NDArray[np.int64] | None = None,
    first: str | None = None,
) -> tuple[Dataset, list[LeftOut]]:
    """Return the dataset in `frame`, which may have no columns, and the columns that are left out.

    Args:
        first: The first feature of the table, if `frame` has only some of its columns.
    """
    frame = frame.rename(columns=str).reset_index(drop=True)
    if row_numbers is not None and parts is not None:
        frame.index = label_rows(row_numbers, parts)
    names = list(map(str, frame.columns))
    targets, options = find_columns(options, names, path)
    group, order, split_column, weight = options.group, options.order, options.split_column, options.weight
    kinds = options.kinds or {}
    missing, default_missing = missing_policies(options.missing)
    others = (*targets, group, split_column, weight)
    given = frame.drop(columns=[name for name in options.drop if name not in (*others, order)])
    read = read_targets(given[targets], options.task, options.decimal)
    features = [name for name in map(str, given.columns) if name not in (*others, *options.drop)]
    column_options = ColumnOptions(
        kinds, missing, default_missing, options.max_categories, options.decimal, options.day_first
    )
    parsed_before = parse_columns_with_hidden_gaps(given[features], read.is_complete, column_options)
    replaced = {name: given[name].mask(np.isnan(one.values)) for name, one in parsed_before.items()}
    replaced |= read.cells
    weight_notation = PLAIN
    if weight is not None:
        replaced[weight], weight_notation = parse_weights(weight, given[weight], options.decimal)
    of_rows = missing if weight is None else {weight: "auto", **missing}  # a row without a weight is refused
    frame, row_notes = select_rows(given.assign(**replaced), given, targets, path, of_rows, default_missing)
    rows = given.index.get_indexer(frame.index).astype(np.int64)
    y, classes = encode_targets(frame[targets], options.task)
    parsed_before = {name: one._replace(values=one.values[rows]) for name, one in parsed_before.items()}
    parsed, left_out = _parse_columns(frame[features], column_options, parsed_before, first)
    columns = tuple(one.column for one in parsed)
    x = np.stack([one.values for one in parsed], axis=1) if parsed else np.zeros((len(frame), 0))
    copies = {name: targets[n] for name, n in find_target_copies(columns, x, y).items() if name not in kinds}
    left_out += [
        LeftOut(column.name, f"it repeats the target '{copies[column.name]}'", may_be_used=True, kind=column.kind)
        for column in columns
        if column.name in copies
    ]
    kept = [index for index, column in enumerate(columns) if column.name not in copies]
    column_notes = [note for index in kept for note in parsed[index].notes]
    if split_column is not None:
        parts = parts_of_cells(split_column, frame[split_column])
    order_values, order_notes = None, ()
    if order is not None:
        order_values, order_notes = order_of_cells(order, frame[order], options.day_first, options.decimal)
    dataset = Dataset(
        x if len(kept) == len(columns) else x[:, kept],
        y,
        tuple(columns[index] for index in kept),
        classes,
        ", ".join(targets),
        groups=None if group is None else _encode_groups(frame[group]),
        parts=None if parts is None else parts[rows] if split_column is None else parts,
        order=order_values,
        notes=(
            *notes,
            *read.notes,
            *row_notes,
            *_describe_groups(group, frame),
            *(one.note for one in left_out),
            *column_notes,
            *(note for note in order_notes if note not in column_notes),
        ),
        row_numbers=rows + 1 if row_numbers is None else row_numbers[rows],
        target_notation=read.columns[0].notation if len(targets) == 1 else PLAIN,
        weight_notation=weight_notation,
        targets=read.columns if len(targets) > 1 else (),
        is_joined=row_numbers is not None,
    )
    if weight is None:
        return dataset, left_out
    weights = frame[weight].to_numpy(copy=True)
    return weigh_rows(dataset, weights, weight), left_out


def _parse_columns(
    frame: Frame, options: ColumnOptions, parsed_before: Mapping[str, Parsed], first: str | None
) -> tuple[list[Parsed], list[LeftOut]]:
    """Return the columns that can be used, and those that cannot.

    A column of a declared kind is used in any case, unless it is empty. Those in `parsed_before` are not parsed again.
    """
    parsed, left_out = list[Parsed](), list[LeftOut]()
    for name in map(str, frame.columns):
        cells = frame[name]
        useless = find_useless(cells)
        if useless is not None and not (name in options.kinds and cells.notna().any()):
            left_out.append(LeftOut(name, useless, may_be_used=False))
            continue
        one = parsed_before.get(name) or parse_column(name, cells, options)
        identifies = find_identifier(one.column, one.values, is_first=name == (first or str(frame.columns[0])))
        if identifies is not None and name not in options.kinds:
            left_out.append(LeftOut(name, identifies, may_be_used=True, kind=one.column.kind))
        else:
            parsed.append(one)
    return parsed, left_out


def no_features(path: str, left_out: Sequence[LeftOut], has_dropped: bool) -> DataError:
    """Return the error for a table of which no column can be used."""
    problem = f"dataset.path={path}: the table has no feature columns"
    if left_out:
        reasons = "; ".join(map(str, left_out))
        fix = f"a table with more columns, or to use one {left_out[0].override}"
        return DataError(f"{problem} that a model can learn from ({reasons})", fix)
    fix = "fewer columns in dataset.drop" if has_dropped else "a table with more columns, or another dataset.separator"
    return DataError(problem, fix)


# The keys that name one column for another use than a feature.
_ROLES = ("group", "order", "split_column", "weight")


def _named_columns(options: TableOptions, names: Sequence[str]) -> dict[str, Sequence[str] | Mapping[str, str]]:
    """Return the columns that each key names; a target at a position of the table is none."""
    given = [options.target] if isinstance(options.target, str | int) else [*options.target]
    positions = range(-len(names), len(names))
    named = {key: getattr(options, key) for key in _ROLES}
    return {
        "target": [str(one) for one in given if str(one) in names or one not in positions],
        "drop": [*map(str, options.drop)],
        "kinds": {str(name): kind for name, kind in (options.kinds or {}).items()},
        "missing": missing_policies(options.missing)[0],
        **{key: [str(name)] for key, name in named.items() if name is not None and str(name)},
    }


def find_columns(options: TableOptions, names: list[str], path: str) -> tuple[list[str], TableOptions]:
    """Return the target columns, and the options with the names of columns as text.

    Raises:
        DataError: The table does not have a column.
        ConfigError: A column cannot be what it is.
    """
    check_names(names, path, _named_columns(options, names))
    targets = find_targets(options.target, names, path)
    roles = {key: getattr(options, key) for key in _ROLES}
    roles = {key: str(name) for key, name in roles.items() if name is not None}
    kinds = {str(name): kind for name, kind in (options.kinds or {}).items()}
    drop = list(map(str, options.drop))
    if dropped := [target for target in targets if target in drop]:
        override = f"dataset.drop={quote_names(name for name in drop if name not in dropped)}"
        what = (
            f"dataset.drop={quote_names(drop)}: {join_words(dropped)} is {'the' if len(targets) == 1 else 'a'} target"
        )
        raise ConfigError(what, shlex.quote(override), key="dataset.drop", override=override)
    for key in ("weight", "group"):
        if (target := roles.get(key)) in targets:
            raise ConfigError(
                f"dataset.{key}={target}: this column is {'the' if len(targets) == 1 else 'a'} target",
                f"another column as dataset.{key}",
            )
    return targets, replace(options, kinds=kinds, drop=drop, **roles)


def _describe_groups(group: str | None, frame: Frame) -> list[str]:
    """Return a note on the rows whose cell in the column `group` is empty."""
    if group is None or not (empty := int(frame[group].isna().sum())):
        return []
    return [f"dataset.group={group} is empty in {empty:,} of {pluralize(len(frame), 'row')}: these are one group"]


def _encode_groups(cells: Cells) -> NDArray[np.int64]:
    """Return a number [N] for each group, in the order of their values, on which scikit-learn's splitters depend.

    Rows with an empty cell are one group, -1: they may belong together.
    """
    return import_pandas().factorize(cells, sort=True)[0].astype(np.int64)
