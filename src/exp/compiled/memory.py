"""Plan the work space: buffers that are not needed at the same time share memory."""

from collections.abc import Sequence

from exp.compiled.loops import Kernel
from exp.compiled.scalars import Buffer
from exp.compiled.values import BOOL, FLOAT

_ALIGNMENT = 64
_BYTES = {FLOAT: 4, BOOL: 1}


def plan_memory(kernels: Sequence[Kernel]) -> tuple[dict[Buffer, int], int]:
    """Return the offset of each buffer in the work space, and the bytes of the work space."""
    first: dict[Buffer, int] = {}
    last: dict[Buffer, int] = {}
    for number, kernel in enumerate(kernels):
        for buffer in kernel.reads | kernel.writes:
            if buffer.is_work:
                first.setdefault(buffer, number)
                last[buffer] = number
    offsets: dict[Buffer, int] = {}
    total = 0
    for buffer in sorted(first, key=lambda one: (first[one], one.name)):
        size = -(-buffer.size * _BYTES.get(buffer.type, 8) // _ALIGNMENT) * _ALIGNMENT
        taken = sorted(
            (offset, offset + _size(other))
            for other, offset in offsets.items()
            if first[other] <= last[buffer] and first[buffer] <= last[other]
        )
        start = 0
        for begin, end in taken:
            if start + size <= begin:
                break
            start = max(start, end)
        offsets[buffer] = start
        total = max(total, start + size)
    return offsets, total


def _size(buffer: Buffer) -> int:
    return -(-buffer.size * _BYTES.get(buffer.type, 8) // _ALIGNMENT) * _ALIGNMENT
