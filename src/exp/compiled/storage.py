"""Choose which values are stored: those that several kernels would compute again."""

from collections.abc import Iterable, Sequence

from exp.compiled.values import COMPARISONS, ELEMENTWISE, LEAVES, VIEWS, Value

# Operators with kernels of their own.
KERNELS = frozenset(("sum", "amax", "product", "cat", "scatter_add"))

# Operators that are cheaper to repeat than to store.
_CHEAP = frozenset((*COMPARISONS, "add", "sub", "mul", "neg", "maximum", "minimum", "not", "float", "where"))


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
        kernels = users[value]
        is_shared = len(kernels) > 1 and value.operator not in LEAVES | VIEWS and not _is_cheap(value)
        if value.operator in KERNELS or is_shared:
            stored.add(value)
            kernels = {value}
        for operand in value.operands:
            users[operand] |= kernels
            if value not in stored and _is_repeated(operand, value):
                users[operand].add(operand)  # as if two kernels used it
    return stored


def _is_cheap(value: Value) -> bool:
    """Return whether it is a cheap operator of values that are stored anyway."""
    if value.operator not in _CHEAP or value.size == 1:
        return False
    operands = list(value.operands)
    while any(operand.operator in VIEWS for operand in operands):
        operands = [operand.operands[0] if operand.operator in VIEWS else operand for operand in operands]
    return all(operand.operator in LEAVES | KERNELS for operand in operands)


def _is_repeated(operand: Value, value: Value) -> bool:
    """Return whether an elementwise operator would compute its operand several times because it broadcasts it."""
    return operand.operator in ELEMENTWISE and operand.size < value.size and not _is_constant(operand)


def _is_constant(value: Value) -> bool:
    return value.operator in ("float_slot", "number_slot", "complement_slot", "number") or (
        value.operator in ELEMENTWISE and all(map(_is_constant, value.operands))
    )
