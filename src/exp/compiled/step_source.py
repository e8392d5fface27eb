"""The source of a step: its kernels in order, then those of its updates."""

from collections.abc import Sequence

from exp.compiled.arrays import Array, Buffer
from exp.compiled.c_source import print_library
from exp.compiled.core_operators import CoreStep
from exp.compiled.kernels import Kernels
from exp.compiled.pointwise_rules import TYPES
from exp.compiled.recording import Recording
from exp.compiled.update_loops import count_numbers, new_values
from exp.compiled.values import FLOAT, Value
from exp.engine.updates import GroupUpdate


def make_source(step: CoreStep, recording: Recording, groups: Sequence[GroupUpdate]) -> str:
    """Return the library of a recorded step in C."""
    inputs = [
        Buffer({0: "x", 1: "y"}.get(number, f"t{number}"), tensor.numel(), TYPES.get(tensor.dtype, FLOAT))
        for number, tensor in enumerate(recording.tensors)
    ]
    draws = [Buffer(f"random{number}", shape.numel()) for number, (_, shape) in enumerate(recording.draws)]
    states = [
        Buffer(f"state{number}_{parameter}", inputs[2 + parameter].size)
        for parameter, group in enumerate(group for group in groups for _ in group.parameters)
        for number, _ in enumerate(group.states)
    ]
    loss, outputs = Buffer("losses", 1), Buffer("outputs", step.output.size)
    kernels = Kernels(dict(enumerate([*inputs, *states])) | {-1 - at: buffer for at, buffer in enumerate(draws)})
    # The last layers' gradients first: then what they are computed from is in the cache, and its memory is soon free.
    forward, gradients = [step.loss, step.output, *step.written.values()], [*reversed(step.gradients)]
    kernels.plan([*forward, *gradients])
    kernels.add(forward)
    kernels.assign("loss", [(Array.whole(loss, step.loss.shape), step.loss)])
    kernels.assign("outputs", [(Array.whole(outputs, step.output.shape), step.output)])
    count = len(kernels.kernels)
    kernels.add(gradients)
    changed = {inputs[number] for number in step.written} | set(inputs[2 : 2 + len(step.gradients)])
    for gradient in step.gradients:  # before anything changes
        if kernels.reads(gradient) & changed:
            kernels.array(gradient)
    for value in step.written.values():
        kernels.keep(value, changed)
    for number, value in step.written.items():
        kernels.assign("new buffer", [(Array.whole(inputs[number], value.shape), value)])
    _add_updates(kernels, step.gradients, groups, len(inputs))
    arguments, per_step = [*inputs, *draws, *states, loss, outputs], [*draws, loss, outputs]
    numbers = sum(count_numbers(group) for group in groups)
    before, after = kernels.kernels[:count], kernels.kernels[count:]
    return print_library(before, after, recording.batch_size, arguments, per_step, numbers)


def _add_updates(kernels: Kernels, gradients: Sequence[Value], groups: Sequence[GroupUpdate], state: int) -> None:
    """Add a kernel for each parameter.

    Args:
        state: The number of the optimizer's first tensor among the arguments.
    """
    parameter, number = 0, 0
    for group in groups:
        for gradient in gradients[parameter : parameter + len(group.parameters)]:
            places = [2 + parameter, *range(state, state + len(group.states))]
            targets = [Value("input", (), gradient.shape, FLOAT, (place,)) for place in places]
            results = new_values(group, targets[0], gradient, targets[1:], number)
            pairs = list(zip(map(kernels.array, targets), results, strict=True))
            kernels.assign(f"update of parameter {parameter}", pairs)
            parameter, state = parameter + 1, state + len(group.states)
        number += count_numbers(group)
