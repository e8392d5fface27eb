"""Pass 3: print kernels as C, one function each, and the function that plays a window of steps."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from exp.compiled.loops import Assign, Gemm, Kernel, Loop
from exp.compiled.memory import plan_memory
from exp.compiled.scalars import DOUBLE, Apply, Buffer, Index, Literal, Load, Local, Position, Scalar, Slot
from exp.compiled.values import BOOL, COMPARISONS, FLOAT, LONG

_TYPES = {FLOAT: "float", LONG: "int64_t", BOOL: "uint8_t", DOUBLE: "double"}
_INFIX = {"add": "+", "sub": "-", "mul": "*", "div": "/", "and": "&"}
_COMPARISONS = dict(zip(["eq", "ne", "lt", "le", "gt", "ge"], ["==", "!=", "<", "<=", ">", ">="], strict=True))

# What kernels take besides buffers, if they use it.
_GIVEN = {
    "floats": "const float *restrict floats",
    "numbers": "const float *restrict numbers",
    "sgemm": "sgemm_function *sgemm",
}

# Loops that run less often are left to the compiler.
_MIN_SIMD = 8

_HEADER = Path(__file__).with_name("functions.h")


def print_library(
    kernels: Sequence[Kernel], arguments: Sequence[Buffer], per_step: Sequence[Buffer], numbers: int
) -> str:
    """Return the source of the library.

    Args:
        arguments: The tensors, in the order in which their addresses are passed.
        per_step: Those that have other elements for each step, besides x and y.
        numbers: How many numbers each update takes.
    """
    offsets, size = plan_memory(kernels)
    functions = [_print_kernel(kernel, number) for number, kernel in enumerate(kernels)]
    calls = [
        _print_call(kernel, number, offsets, function)
        for number, (kernel, function) in enumerate(zip(kernels, functions, strict=True))
    ]
    pointers = [
        f"    {_TYPES[one.type]} *{one.name} = ({_TYPES[one.type]} *)tensors[{number}];"
        for number, one in enumerate(arguments)
    ]
    return "\n".join(
        [
            _HEADER.read_text(encoding="utf-8"),
            *functions,
            f"const int64_t work_bytes = {size};",
            "",
            "void play(int64_t steps, int64_t x_step, int64_t y_step, void *const *tensors, const float *floats,",
            "          const float *numbers, char *work, sgemm_function *sgemm) {",
            *pointers,
            "    for (int64_t step = 0; step < steps; step++) {",
            *(f"        {call}" for call in calls),
            "        x += x_step, y += y_step;",
            *(f"        {one.name} += {one.size};" for one in per_step),
            f"        numbers += {numbers};",
            "    }",
            "}",
            "",
        ]
    )


def _buffers(kernel: Kernel) -> list[Buffer]:
    return sorted(kernel.reads | kernel.writes, key=lambda buffer: buffer.name)


def _print_kernel(kernel: Kernel, number: int) -> str:
    parameters = [
        f"{'' if buffer in kernel.writes else 'const '}{_TYPES[buffer.type]} *restrict {buffer.name}"
        for buffer in _buffers(kernel)
    ]
    body = _print_block(kernel.body, 1)
    given = [declaration for name, declaration in _GIVEN.items() if any(name in line for line in body)]
    head = f"static inline void kernel_{number}({', '.join([*parameters, *given])}) {{"
    return "\n".join([f"/* {kernel.title} */", head, *body, "}", ""])


def _print_call(kernel: Kernel, number: int, offsets: dict[Buffer, int], function: str) -> str:
    passed = [f"({_TYPES[one.type]} *)(work + {offsets[one]})" if one.is_work else one.name for one in _buffers(kernel)]
    given = [name for name, declaration in _GIVEN.items() if declaration in function]
    return f"kernel_{number}({', '.join([*passed, *given])});"


def _print_block(body: Sequence[Assign | Loop | Gemm], depth: int) -> list[str]:
    """Return the lines of a block. Elements are set after all of them were computed."""
    pad = "    " * depth
    lines: list[str] = []
    assignments = [one for one in body if isinstance(one, Assign)]
    names = _Names(assignments)
    after: list[str] = []
    is_straight = len(assignments) == len(body) > 1 and all(
        isinstance(one.target, Load) and one.operator is None for one in body if isinstance(one, Assign)
    )
    for statement in body:
        if isinstance(statement, Loop):
            lines += _print_loop(statement, depth)
        elif isinstance(statement, Gemm):
            lines += [pad + line for line in _print_gemm(statement)]
        else:
            if is_straight:
                result = Local(f"result{len(after)}", statement.target.type)
                after.append(f"{pad}{names.text(statement.target)} = {result.name};")
                statement = Assign(result, statement.value, declares=True)
            lines += [pad + line for line in names.print_assignment(statement)]
    return lines + after


def _print_loop(loop: Loop, depth: int) -> list[str]:
    pad, name = "    " * depth, f"i{loop.dim}"
    simd: list[str] = []
    operators = {one.operator for one in loop.body if isinstance(one, Assign) and isinstance(one.target, Local)}
    if loop.sums is not None and loop.count >= _MIN_SIMD and operators <= {"add", None}:
        sums = f" reduction(+:{', '.join(loop.sums)})" if loop.sums else ""
        simd = [f"{pad}#pragma omp simd{sums}"]
    head = f"{pad}for (int {name} = 0; {name} < {loop.count}; {name}++) {{"
    return [*simd, head, *_print_block(loop.body, depth + 1), f"{pad}}}"]


def _print_gemm(gemm: Gemm) -> list[str]:
    batch, *sizes = gemm.shape
    arrays = [
        f"{array.buffer.name} + {array.offset}{f' + batch * {step}' if batch > 1 else ''}{strides}"
        for array, step, strides in zip(
            (gemm.a, gemm.b, gemm.target),
            gemm.steps,
            (*("".join(f", {stride}" for stride in array.strides[-2:]) for array in (gemm.a, gemm.b)), ""),
            strict=True,
        )
    ]
    function = "multiply_by_blas(sgemm, " if gemm.by_blas else "multiply("
    call = f"{function}{', '.join([*map(str, sizes), *arrays])});"
    return [f"for (int batch = 0; batch < {batch}; batch++)", f"    {call}"] if batch > 1 else [call]


class _Names:
    """Prints the scalars of one block; a scalar that occurs several times gets a name."""

    def __init__(self, assignments: Iterable[Assign]) -> None:
        counts: Counter[Apply] = Counter()
        for assignment in assignments:
            for scalar in (assignment.value, assignment.target):
                self._count(scalar, counts)
        self._repeated = {scalar for scalar, count in counts.items() if count > 1}
        self._named: dict[Scalar, str] = {}
        self._new: list[str] = []

    def _count(self, scalar: Scalar, counts: Counter[Apply]) -> None:
        if isinstance(scalar, Load) and scalar.computed is not None:
            self._count(scalar.computed, counts)
        if isinstance(scalar, Apply):
            counts[scalar] += 1
            if counts[scalar] == 1:
                for operand in scalar.operands:
                    self._count(operand, counts)

    def print_assignment(self, one: Assign) -> list[str]:
        """Return declarations of names, then the statement."""
        self._new = []
        target, value = self.text(one.target), self.text(one.value, one.target.type)
        if one.operator is None:
            kind = f"{_TYPES[one.target.type]} " if one.declares else ""
            return [*self._new, f"{kind}{target} = {value};"]
        if one.operator == "add":
            return [*self._new, f"{target} += {value};"]
        prefix = "l_" if one.target.type == LONG else "f_"
        return [*self._new, f"{target} = {prefix}{one.operator}({target}, {value});"]

    def text(self, scalar: Scalar, kind: str | None = None) -> str:
        """Return the scalar in C, converted to a type if one is given."""
        if isinstance(scalar, Literal):
            return _print_number(scalar.value, kind or scalar.type)
        text = self._text(scalar)
        return text if kind in (None, scalar.type) else f"({_TYPES[kind or FLOAT]})({text})"

    def _text(self, scalar: Scalar) -> str:
        if isinstance(scalar, Load):
            computed = "" if scalar.computed is None else f" + {scalar.stride} * {self.text(scalar.computed)}"
            return f"{scalar.buffer.name}[{_print_index(scalar.index)}{computed}]"
        if isinstance(scalar, Position):
            return f"(int64_t)({_print_index(scalar.index)})"
        if isinstance(scalar, Slot):
            return f"{scalar.of}[{scalar.number}]"
        if isinstance(scalar, Apply):
            return self._apply(scalar)
        return scalar.name if isinstance(scalar, Local) else _print_number(scalar.value, scalar.type)

    def _apply(self, scalar: Apply) -> str:
        if scalar not in self._named:
            text = self._expression(scalar)
            if scalar not in self._repeated:
                return text
            self._named[scalar] = f"v{len(self._named)}"
            self._new.append(f"const {_TYPES[scalar.type]} {self._named[scalar]} = {text};")
        return self._named[scalar]

    def _expression(self, scalar: Apply) -> str:
        operator, operands = scalar.operator, scalar.operands
        if operator in COMPARISONS:
            kind = FLOAT if any(one.type == FLOAT for one in operands) else LONG
            a, b = (self.text(one, kind) for one in operands)
            return f"({a} {_COMPARISONS[operator]} {b})"
        if operator == "where":
            condition, a, b = self.text(operands[0]), *(self.text(one, scalar.type) for one in operands[1:])
            return f"{'f' if scalar.type == FLOAT else 'l'}_where({condition}, {a}, {b})"
        if operator == "not":
            return f"(!{self.text(operands[0])})"
        if operator in (FLOAT, LONG):
            return f"({_TYPES[operator]})({self.text(operands[0])})"
        parts = [self.text(one, None if scalar.type == BOOL else scalar.type) for one in operands]
        if operator in _INFIX:
            return f"({parts[0]} {_INFIX[operator]} {parts[1]})"
        if operator == "neg":
            return f"(-{parts[0]})"
        prefix = "l_" if scalar.type == LONG else "f_"
        return f"{'' if operator.endswith('_index') else prefix}{operator}({', '.join(parts)})"


def _print_index(index: Index) -> str:
    factors = [(f"i{dim}", factor) for dim, factor in enumerate(index[0]) if factor]
    terms = [name if factor == 1 else f"{name} * {factor}" for name, factor in factors]
    return " + ".join([*terms, *([str(index[1])] if index[1] or not terms else [])])


def _print_number(value: float, kind: str) -> str:
    if kind in (LONG, BOOL):
        return "INT64_MIN" if value < -(2.0**62) else str(int(value))
    if math.isnan(value):
        return "NAN"
    if math.isinf(value):
        return "INFINITY" if value > 0 else "-INFINITY"
    return f"{float(value)!r}f"
