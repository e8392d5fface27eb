"""Statements of C that compute elements of values from elements of stored ones."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from exp.compiled.arrays import FIRST, Array, Buffer, Index, broadcast_index, is_squeeze, viewed_index
from exp.compiled.values import BOOL, ELEMENTWISE, FLOAT, LONG, VIEWS, Value

C_TYPES = {FLOAT: "float", LONG: "int64_t", BOOL: "uint8_t"}
_VARIABLES = {**C_TYPES, BOOL: "int"}
_SLOTS = {
    "float_slot": "floats[{}]",
    "number_slot": "(float)numbers[{}]",
    "complement_slot": "(float)(1 - numbers[{}])",
}


@dataclass
class Elements:
    """Computes each element once, in a constant.

    Args:
        stored: Returns where a value is, if it is stored.
        store: Stores a value that has a kernel of its own, and returns where.

    Attributes:
        lines: The statements.
        places: The places in buffers that they read or write, and positions.
    """

    stored: Callable[[Value], Array | None]
    store: Callable[[Value], Array]
    lines: list[str] = field(default_factory=list[str])
    places: set[Index] = field(default_factory=set[Index])
    reads: set[Buffer] = field(default_factory=set[Buffer])
    _names: dict[tuple[Value, tuple[Index, ...]], str] = field(
        default_factory=dict[tuple[Value, tuple[Index, ...]], str]
    )

    def load(self, array: Array, index: Sequence[Index]) -> str:
        self.reads.add(array.buffer)
        return self.place(array, index)

    def place(self, array: Array, index: Sequence[Index]) -> str:
        return f"{array.buffer.name}[{self._index(array.place(index))}]"

    def of(self, value: Value, index: Sequence[Index]) -> str:
        """Return the name of an element, after the statements that compute it."""
        array, operator = self.stored(value), value.operator
        if array is not None:
            return self.load(array, index)
        if operator == "number":
            return _print_number(value.numbers[0])
        if operator in _SLOTS:
            return _SLOTS[operator].format(value.numbers[0])
        if operator == "position":
            return f"({self._index(index[int(value.numbers[0])])})"
        if operator in VIEWS and (operator != "reshape" or is_squeeze(value)):
            return self.of(value.operands[0], viewed_index(value, index))
        if operator not in ELEMENTWISE and operator != "gather":
            return self.load(self.store(value), index)
        key = value, tuple(index)
        if key not in self._names:
            text = self._gather(value, index) if operator == "gather" else self._apply(value, index)
            self._names[key] = f"v{len(self._names)}"
            self.lines.append(f"const {_VARIABLES[value.type]} {self._names[key]} = {text};")
        return self._names[key]

    def _apply(self, value: Value, index: Sequence[Index]) -> str:
        operands = [self.of(one, broadcast_index(one.shape, index)) for one in value.operands]
        return ELEMENTWISE[value.operator].format(*operands)

    def _gather(self, value: Value, index: Sequence[Index]) -> str:
        """An index out of range gives NaN, or 0 for integers."""
        (table, chosen), dim = value.operands, int(value.numbers[0])
        array, at = self.store(table), self.of(chosen, broadcast_index(chosen.shape, index))
        others = [FIRST if one == dim else other for one, other in enumerate(index)]
        first, size = self.load(array, broadcast_index(table.shape, others)), table.shape[dim]
        element = f"{first[:-1]} + {array.strides[dim]} * nearest_index({at}, {size})]"
        return f"is_index({at}, {size}) ? {element} : {'NAN' if value.type == FLOAT else '0'}"

    def _index(self, index: Index) -> str:
        self.places.add(index)
        factors = [(f"i{loop}", one) for loop, one in enumerate(index[1:]) if one]
        terms = [name if one == 1 else f"{name} * {one}" for name, one in factors]
        return " + ".join([*terms, *([str(index[0])] if index[0] or not terms else [])])


def _print_number(value: float) -> str:
    if isinstance(value, int):
        return f"({int(value)})" if value < 0 else str(int(value))
    if math.isfinite(value):
        return f"({value!r}f)" if math.copysign(1, value) < 0 else f"{value!r}f"
    return "NAN" if math.isnan(value) else "INFINITY" if value > 0 else "(-INFINITY)"
