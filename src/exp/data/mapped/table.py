"""A dataset from a table that is too large for memory: some columns at a time, with the rules of a table in memory."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from exp.data.columns.column import Column
from exp.data.dataset import Dataset
from exp.data.empty_cells import missing_policies
from exp.data.from_frame import TableOptions, columns_from_frame, find_columns, no_features
from exp.data.mapped.maps import release_pages
from exp.data.mapped.scratch import Scratch
from exp.data.reading.streamed import StreamedTable
from exp.data.select_columns import LeftOut
from exp.errors import ConfigError

# Bytes of the columns that are read at a time, if there are several; parsing takes a few times as much.
_AT_A_TIME = 2**27


def dataset_from_table(table: StreamedTable, path: str, options: TableOptions, scratch: Scratch) -> Dataset:
    """Return the dataset in `table`, with x in a file of `scratch`. `dataset_from_frame` describes the others.

    Raises:
        ConfigError: The rows to use depend on all columns.
        DataError: The table cannot be trained on.
    """
    names = [*table.places]
    targets, options = find_columns(options, names, path)
    options = replace(options, target=targets)
    roles = list(dict.fromkeys([*targets, *_roles(options)]))
    _refuse_dropped_rows(options)
    not_features = {*targets, options.group, options.split_column, options.weight, *options.drop}
    features = [name for name in names if name not in not_features]
    first = features[0] if features else None
    dataset: Dataset | None = None
    columns: list[Column] = []
    left_out: list[LeftOut] = []
    notes = dict.fromkeys(table.notes)
    x = np.zeros((0, 0))
    for group in _group(table, features) if features else [[]]:
        frame, read_notes = table.read({*roles, *group})
        part, left = columns_from_frame(frame, path, _narrow(options, group, roles), read_notes, first=first)
        del frame
        if dataset is None:
            x = scratch.empty((max(1, len(features)), len(part.x)), np.float64)
        for column, values in zip(part.columns, part.x.T, strict=True):
            x[len(columns)] = values
            columns.append(column)
        release_pages(x)
        scratch.report("read", len(columns) + len(left_out), len(features))
        left_out += left
        notes |= dict.fromkeys(part.notes)
        dataset = part
    assert dataset is not None
    if not columns:
        raise no_features(path, left_out, bool(len(options.drop)))
    return replace(dataset, x=x[: len(columns)].T, columns=tuple(columns), notes=tuple(notes))


def _roles(options: TableOptions) -> list[str]:
    """Return the columns that say something of the rows."""
    found = (options.group, options.order, options.split_column, options.weight)
    return [name for name in found if name is not None]


def _group(table: StreamedTable, features: Sequence[str]) -> Iterator[list[str]]:
    """Yield the features in groups to be read together."""
    group, size = list[str](), 0
    for name in features:
        own = table.count_bytes(name) * table.rows
        if group and size + own > _AT_A_TIME:
            yield group
            group, size = [], 0
        group.append(name)
        size += own
    yield group


def _narrow(options: TableOptions, group: Sequence[str], roles: Sequence[str]) -> TableOptions:
    """Return the options for a table that has only the features of `group`, and the columns of `roles`."""
    there = {*group, *roles}
    drop = [name for name in options.drop if name in there]
    if options.order is not None and options.order not in group:
        drop.append(options.order)  # it is a feature of its own group
    missing = options.missing
    if isinstance(missing, Mapping):
        missing = {name: policy for name, policy in missing.items() if name in there}
    kinds = {name: kind for name, kind in (options.kinds or {}).items() if name in there}
    return replace(options, drop=drop, missing=missing, kinds=kinds)


def _refuse_dropped_rows(options: TableOptions) -> None:
    """Raise ConfigError if empty cells of features leave out rows: the columns are read one after the other."""
    by_column, default = missing_policies(options.missing)
    if default == "drop" or "drop" in [policy for name, policy in by_column.items() if name != options.weight]:
        raise ConfigError(
            "dataset.missing=drop: with dataset.storage=mapped, the columns are read one after the other, and rows "
            "cannot be left out by the cells of all",
            "dataset.missing=auto, or dataset.storage=memory",
            key="dataset.missing",
            override="dataset.missing=auto",
        )
