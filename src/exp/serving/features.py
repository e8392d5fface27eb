"""The preprocessing of a run as a module, so that an exported graph has it: values of columns become features."""

import numpy as np
import torch
from torch import Tensor, nn

from exp.data.columns.category import EMPTY, UNKNOWN, CategoryColumn
from exp.data.columns.column import Column
from exp.data.columns.date import DateColumn
from exp.data.columns.number import NumberColumn
from exp.data.preprocessing import Preprocessing
from exp.errors import ConfigError
from exp.serving.scaling import make_scaling


class Features(nn.Module):
    """Return the features, float32 [N, F], of values float64 [N, C]: what `Preprocessing.to_tensor` does in NumPy.

    The values are those that `Column.encode` returns: numbers, days since 1970 and numbers of categories.
    """

    order: Tensor
    scaled: Tensor
    others: Tensor
    unsorted: Tensor

    def __init__(self, preprocessing: Preprocessing) -> None:
        """Raise ConfigError for a kind of column or scaler that no module knows."""
        super().__init__()
        columns, self._width = preprocessing.columns, 0
        self._pieces = nn.ModuleList()
        # The places of each column's features in what the pieces return together. The columns of numbers are one piece,
        # and so are the indicators of gaps: a graph with a node for each of a thousand columns would be slow.
        places: list[list[int]] = [[] for _ in columns]
        numbers = [index for index, column in enumerate(columns) if isinstance(column, NumberColumn)]
        if numbers:
            self._add(_Filled(numbers, [_fill(columns[index]) for index in numbers]), [places[i] for i in numbers], 1)
        for index, column in enumerate(columns):
            if isinstance(column, DateColumn):
                self._add(_DateParts(index, column), [places[index]], len(column.parts))
            elif isinstance(column, CategoryColumn):
                piece = _CategoryNumber(index, column) if column.is_code else _OneHot(index, column)
                self._add(piece, [places[index]], len(column.features))
            elif not isinstance(column, NumberColumn):
                raise ConfigError(f"no graph for columns of the kind {column.kind}", "format=script")
        if gaps := [index for index, column in enumerate(columns) if getattr(column, "has_indicator", False)]:
            self._add(_Gaps(gaps), [places[index] for index in gaps], 1)
        self._register("order", np.concatenate(places).astype(np.int64))
        self._scaling = make_scaling(preprocessing)
        scaled, others = np.flatnonzero(preprocessing.is_scaled), np.flatnonzero(~preprocessing.is_scaled)
        self._has_others = len(others) > 0
        if self._scaling is not None and self._has_others:  # torch cannot write a buffer without elements
            self._register("scaled", scaled)
            self._register("others", others)
            self._register("unsorted", np.argsort(np.concatenate([scaled, others])))

    def forward(self, values: Tensor) -> Tensor:
        parts = [piece(values) for piece in self._pieces]
        x = torch.cat(parts, 1)[:, self.order]
        if self._scaling is None:
            return x.float()
        if not self._has_others:
            return self._scaling(x).float()
        parts = [self._scaling(x[:, self.scaled]), x[:, self.others]]
        return torch.cat(parts, 1)[:, self.unsorted].float()

    def _add(self, piece: nn.Module, places: list[list[int]], features: int) -> None:
        """Add a piece that returns so many features for each of the columns to which `places` belong."""
        self._pieces.append(piece)
        for of_column in places:
            of_column += range(self._width, self._width + features)
            self._width += features

    def _register(self, name: str, places: np.ndarray) -> None:
        self.register_buffer(name, torch.from_numpy(places))


def _fill(column: Column) -> float:
    fill = getattr(column, "fill", None)
    return float("nan") if fill is None else float(fill)


class _Filled(nn.Module):
    """Numbers, with the training median for those that are missing."""

    places: Tensor
    fill: Tensor

    def __init__(self, places: list[int], fill: list[float]) -> None:
        super().__init__()
        self.register_buffer("places", torch.tensor(places))
        self.register_buffer("fill", torch.tensor(fill, dtype=torch.float64))

    def forward(self, values: Tensor) -> Tensor:
        x = values[:, self.places]
        return torch.where(x.isnan(), self.fill, x)


class _Gaps(nn.Module):
    """1 where a number or a date is missing."""

    places: Tensor

    def __init__(self, places: list[int]) -> None:
        super().__init__()
        self.register_buffer("places", torch.tensor(places))

    def forward(self, values: Tensor) -> Tensor:
        return values[:, self.places].isnan().double()


class _OneHot(nn.Module):
    codes: Tensor

    def __init__(self, place: int, column: CategoryColumn) -> None:
        super().__init__()
        self._place = place
        codes = [*range(len(column.categories)), *[UNKNOWN] * bool(column.rare), *[EMPTY] * column.has_missing]
        self.register_buffer("codes", torch.tensor(codes, dtype=torch.float64))

    def forward(self, values: Tensor) -> Tensor:
        return (values[:, self._place, None] == self.codes).double()


class _CategoryNumber(nn.Module):
    """The number of a category, for an embedding."""

    def __init__(self, place: int, column: CategoryColumn) -> None:
        super().__init__()
        self._place, self._unknown = place, float(column.cardinalities[0] - 1)
        self._empty = self._unknown - column.has_missing

    def forward(self, values: Tensor) -> Tensor:
        x = values[:, self._place, None]
        return torch.where(x == EMPTY, self._empty, torch.where(x == UNKNOWN, self._unknown, x))


class _DateParts(nn.Module):
    first: Tensor
    fill: Tensor

    def __init__(self, place: int, column: DateColumn) -> None:
        super().__init__()
        self._place, self._parts = place, column.parts
        # Buffers: ONNX files would have Python's numbers in float32, in which 19,000.52 days are not exact.
        self.register_buffer("first", torch.tensor(column.first, dtype=torch.float64))
        self.register_buffer("fill", torch.tensor(_fill(column), dtype=torch.float64))

    def forward(self, values: Tensor) -> Tensor:
        days = values[:, self._place]
        days = torch.where(days.isnan(), self.fill, days)
        return torch.stack([self._part(part, days) for part in self._parts], 1)

    def _part(self, part: str, days: Tensor) -> Tensor:
        if part == "days":
            return days - self.first
        whole = days.floor()
        if part == "hour":
            return (((days - whole) * 86_400.0).round() / 3600.0).floor()
        if part == "day of week":
            return _modulo(whole + 3.0, 7.0)  # 1970-01-01 was a Thursday, 3
        year, month = _year_and_month(whole)
        return year if part == "year" else month


def _modulo(x: Tensor, by: float) -> Tensor:
    return x - (x / by).floor() * by


def _year_and_month(days: Tensor) -> tuple[Tensor, Tensor]:
    """Return the year, and the month from 1 to 12, of whole days since 1970-01-01 in the Gregorian calendar.

    Years begin in March here, so that a leap day is the last day; 400 of them have 146,097 days.
    """
    since = days + 719_468.0  # since 1 March of year 0
    era = (since / 146_097.0).floor()
    day = since - era * 146_097.0
    year = ((day - (day / 1460.0).floor() + (day / 36_524.0).floor() - (day / 146_096.0).floor()) / 365.0).floor()
    day_of_year = day - (365.0 * year + (year / 4.0).floor() - (year / 100.0).floor())
    from_march = ((5.0 * day_of_year + 2.0) / 153.0).floor()
    month = torch.where(from_march < 10.0, from_march + 3.0, from_march - 9.0)
    return year + era * 400.0 + (month <= 2.0), month
