"""A scaler: how the features of numbers are scaled, as fitted on the training rows (dataset.scaler)."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Self

from exp.data.columns.column import Floats


@dataclass(frozen=True)
class Scaler(ABC):
    """Scales features [N, S]; each of the S features on its own. It computes in float64.

    Its fields are numbers and tuples of numbers, which a checkpoint keeps.
    """

    kind: ClassVar[str]
    described: ClassVar[str]  # for the first lines of a run: "standardised by the training rows"

    @classmethod
    @abstractmethod
    def fit(cls, x: Floats) -> Self:
        """Return the scaler for the features [N, S] of the training rows."""

    @classmethod
    def join(cls, parts: Sequence[Self]) -> Self:
        """Return the scaler of the features of all `parts`, one part after the other."""
        joined: dict[str, tuple[Any, ...]] = {
            field.name: tuple(value for part in parts for value in getattr(part, field.name)) for field in fields(cls)
        }
        return cls(**joined)

    @classmethod
    @abstractmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Self:
        """Return the scaler that `asdict` and JSON made `fields` of."""

    @abstractmethod
    def transform(self, x: Floats) -> Floats:
        """Return the scaled features [N, S]."""

    @abstractmethod
    def restore(self, z: Floats) -> Floats:
        """Return the features [N, S] in their own units, up to rounding."""

    @abstractmethod
    def distance(self, x: Floats) -> Floats:
        """Return |x - middle| / width, float64 [N, S], not clipped, of features [N, S], by the training rows."""
