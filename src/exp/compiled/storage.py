"""Choose which values are stored: those that several kernels would compute again."""

from collections.abc import Iterable, Sequence

from exp.compiled.values import COMPARISONS, ELEMENTWISE, LEAVES, VIEWS, Value

# Operators with kernels of their own.
KERNELS = frozenset(["sum", "amax", "product", "cat", "scatter_add"])

# Operators that are cheaper to repeat than to store.
_CHEAP = COMPARISONS | {"add", "sub", "mul", "neg", "maximum", "minimum", "not", "float", "where"}


def sort_values(results: Iterable[Value]) -> list[Value]:
    """Return the results and everything they are computed from, operands first."""
    order: dict[Value, None] = {}
    stack = [(value, False) for value in reversed(list(results))]
    while stack:
        value, is_ready = stack.pop()
        if value in order:
            continue
        if is_ready:
            order[value] = None
        else:
            stack += [(value, True), *((operand, False) for operand in reversed(value.operands))]
    return list(order)


def choose_stored(order: Sequence[Value], results: Sequence[Value]) -> set[Value]:
    """Return the values to store, of all values in order.

    The values that are not stored become part of the kernels that use them.
    """
    users: dict[Value, set[Value]] = {value: set() for value in order}  # kernels that would compute the value
    stored: set[Value] = set()
    for value in results:
        users[value].add(value)
    for value in reversed(order):
        if value.operator in LEAVES or value.operator in VIEWS:
            kernels = users[value]
        elif value.operator in KERNELS or (len(users[value]) > 1 and not _is_cheap(value)):
            stored.add(value)
            kernels = {value}
        else:
            kernels = users[value]
        for operand in value.operands:
            users[operand] |= kernels
            if value not in stored and _is_repeated(operand, value):
                users[operand].add(operand)  # as if two kernels used it
    return stored


def _is_cheap(value: Value) -> bool:
    if value.operator not in _CHEAP or value.size == 1:
        return False
    return all(_is_stored_anyway(operand) for operand in value.operands)


def _is_stored_anyway(value: Value) -> bool:
    while value.operator in VIEWS:
        (value,) = value.operands
    return value.operator in LEAVES or value.operator in KERNELS


def _is_repeated(operand: Value, value: Value) -> bool:
    """Return whether an elementwise operator would compute its operand several times because it broadcasts it."""
    return operand.operator in ELEMENTWISE and operand.size < value.size and not _is_constant(operand)


def _is_constant(value: Value) -> bool:
    return value.operator in ("float_slot", "number_slot", "number") or (
        value.operator in ELEMENTWISE and all(_is_constant(operand) for operand in value.operands)
    )
