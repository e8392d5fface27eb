"""Find a loss that can be computed after a window of steps, for all of them at once.

The gradients need no value of the loss, only the operators of its derivative. torch computes one in some 7 us, as long
as the forward pass of a small network takes, and those of a whole window in little more. Outputs and targets must be
contiguous: then the mean over each batch adds the same numbers in the same order, and has the same bits.
"""

import torch
from torch import Tensor

from exp.engine.program import Program, Statement
from exp.engine.trace import OpCall

_ATEN = torch.ops.aten

# Operators of an output and a target of equal shape, which can return the loss of each value.
_ELEMENTWISE = {
    _ATEN.mse_loss.default,
    _ATEN.huber_loss.default,
    _ATEN.smooth_l1_loss.default,
    _ATEN.binary_cross_entropy.default,
    _ATEN.binary_cross_entropy_with_logits.default,
}
_MEAN = 1  # the reduction

# Outputs of a step up to which it pays: those of the window are computed side by side in memory.
_MAX_OUTPUTS = 4096


def find_deferred_loss(program: Program) -> Statement | None:
    """Return the statement that computes the loss, the mean over the batch, if no other one depends on it."""
    users = [number for number, one in enumerate(program.statements) if program.loss in one.uses | one.defines]
    if len(users) != 1 or program.loss in program.gradients:
        return None
    statement = program.statements[users[0]]
    later = program.statements[users[0] + 1 :]
    is_final = all(statement.uses.isdisjoint(one.defines) for one in later)  # what the loss is computed from
    is_alone = statement.targets == [program.loss] and not statement.has_side_effect
    return statement if is_alone and is_final and _is_mean_of_output(statement.call, program) else None


def _is_mean_of_output(call: OpCall, program: Program) -> bool:
    if call.operator not in _ELEMENTWISE:
        return False
    arguments = call.arguments
    output, target, *others = arguments.values()
    return (
        [program.symbols.name(output), program.symbols.name(target)] == [program.output, "y"]
        and output.shape == target.shape
        and output.is_contiguous()
        and target.is_contiguous()
        and output.dtype == target.dtype == torch.float32
        and output.numel() <= _MAX_OUTPUTS
        and arguments.get("reduction", _MEAN) == _MEAN
        and not any(isinstance(other, Tensor) for other in others)
    )
