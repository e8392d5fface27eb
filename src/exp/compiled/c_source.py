"""Pass 3: print the library: a function for each kernel, and the one that plays a window of steps."""

from collections.abc import Sequence
from pathlib import Path

from exp.compiled.arrays import Buffer
from exp.compiled.elements import C_TYPES
from exp.compiled.kernels import Kernel
from exp.compiled.values import BOOL, FLOAT, LONG

_GIVEN = "const float *restrict floats, const double *restrict numbers, sgemm_function *sgemm"
_ALIGNMENT = 64
_BYTES = {FLOAT: 4, LONG: 8, BOOL: 1}


def print_library(
    forward: Sequence[Kernel],
    backward: Sequence[Kernel],
    batch_size: int,
    arguments: Sequence[Buffer],
    per_step: Sequence[Buffer],
    numbers: int,
) -> str:
    """Return the source of the library.

    Args:
        forward: The kernels that a step begins with.
        backward: Those after them, of gradients, buffers and updates. Their results below 1.2e-38 are 0: there such
            numbers are frequent (a confident model, a momentum without gradients), slow, and too small to matter.
        arguments: The tensors, in the order in which their addresses are passed: first x and y, last losses and
            outputs.
        per_step: Those that have other elements for each step, besides x and y.
        numbers: How many numbers each update takes.
    """
    kernels = [*forward, *backward]
    offsets, size = _plan_memory(kernels)
    batch, others, loss = arguments[:2], arguments[2:], arguments[-2]
    copies: list[str] = []
    for one in batch:
        if any(one in kernel.reads for kernel in kernels):
            row, kind = one.size // batch_size * _BYTES[one.type], C_TYPES[one.type]
            call = f"take_rows({one.name}_rows, order, {batch_size}, {row}, work + {size})"
            copies.append(f"        const {kind} *{one.name} = {call};")
            size += _padded_bytes(one)
    functions: list[str] = []
    calls: list[str] = []
    for number, kernel in enumerate(kernels):
        buffers = sorted({*kernel.reads, *kernel.writes}, key=lambda one: one.name)
        types = [f"{'' if one in kernel.writes else 'const '}{C_TYPES[one.type]}" for one in buffers]
        given = ", ".join([f"{kind} *restrict {one.name}" for kind, one in zip(types, buffers, strict=True)])
        head = f"static inline void kernel_{number}({_GIVEN}, {given}) {{"
        functions += [f"/* {kernel.title} */", head, *(f"    {line}" for line in kernel.lines), "}", ""]
        passed = [f"({C_TYPES[one.type]} *)(work + {offsets[one]})" if one.is_work else one.name for one in buffers]
        if number == len(forward):
            calls.append("        set_float_mode(flushing);")
        calls.append(f"        kernel_{number}(floats, numbers, sgemm, {', '.join(passed)});")
    return "\n".join(
        [
            Path(__file__).with_name("functions.h").read_text(encoding="utf-8"),
            *functions,
            f"const int64_t work_bytes = {size};",
            "",
            "/* Make the steps, and return whether a loss is NaN. x and y are rows, whose numbers are in `order`;",
            "   without an order they are batches, and the next ones are so many elements further. */",
            "int64_t play(int64_t steps, const int64_t *order, int64_t x_step, int64_t y_step, void *const *tensors,",
            "             const float *floats, const double *numbers, char *work, sgemm_function *sgemm) {",
            *(f"    const {C_TYPES[one.type]} *{one.name}_rows = tensors[{at}];" for at, one in enumerate(batch)),
            *(f"    {C_TYPES[one.type]} *{one.name} = tensors[{at}];" for at, one in enumerate(others, 2)),
            "    const uint32_t mode = get_float_mode(), flushing = mode | FLUSH_SUBNORMALS;",
            "    int64_t has_nan = 0;",
            "    for (int64_t step = 0; step < steps; step++) {",
            *copies,
            *calls,
            "        set_float_mode(mode);",
            f"        has_nan |= isnan(*{loss.name});",
            *(f"        {one.name}_rows += {one.name}_step;" for one in batch),
            f"        order += order ? {batch_size} : 0;",
            *(f"        {one.name} += {one.size};" for one in per_step),
            f"        numbers += {numbers};",
            "    }",
            "    return has_nan;",
            "}",
            "",
        ]
    )


def _plan_memory(kernels: Sequence[Kernel]) -> tuple[dict[Buffer, int], int]:
    """Return the offset of each buffer of the work space, and its bytes. Buffers share memory that is free again."""
    uses: dict[Buffer, list[int]] = {}
    for number, kernel in enumerate(kernels):
        for buffer in sorted({*kernel.reads, *kernel.writes}, key=lambda one: one.name):
            if buffer.is_work:
                uses.setdefault(buffer, []).append(number)
    offsets: dict[Buffer, int] = {}
    ends: dict[Buffer, int] = {}
    for buffer, (first, *_) in uses.items():
        start, size = 0, _padded_bytes(buffer)
        for other in sorted((one for one in offsets if uses[one][-1] >= first), key=lambda one: offsets[one]):
            if start + size <= offsets[other]:
                break
            start = max(start, ends[other])
        offsets[buffer], ends[buffer] = start, start + size
    return offsets, max(ends.values(), default=0)


def _padded_bytes(buffer: Buffer) -> int:
    return -(-buffer.size * _BYTES[buffer.type] // _ALIGNMENT) * _ALIGNMENT
