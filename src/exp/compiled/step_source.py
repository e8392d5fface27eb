"""The source of a step: its kernels in order, then those of its updates."""

from collections.abc import Sequence

from exp.compiled.c_source import print_library
from exp.compiled.core_operators import CoreStep
from exp.compiled.indices import element, identity
from exp.compiled.kernels import Kernels
from exp.compiled.operator_rules import TYPES
from exp.compiled.recording import Recording
from exp.compiled.scalars import Buffer, loads
from exp.compiled.update_loops import UpdateLoop
from exp.compiled.values import FLOAT, Value


def make_source(step: CoreStep, recording: Recording, updates: Sequence[UpdateLoop]) -> str:
    """Return the library of a recorded step in C."""
    inputs = [
        Buffer({0: "x", 1: "y"}.get(number, f"t{number}"), tensor.numel(), TYPES.get(tensor.dtype, FLOAT))
        for number, tensor in enumerate(recording.tensors)
    ]
    draws = [Buffer(f"random{number}", shape.numel()) for number, (_, shape) in enumerate(recording.draws)]
    states = _describe_states(updates, recording)
    loss, outputs = Buffer("losses", 1), Buffer("outputs", step.output.size)
    arguments = [*inputs, *draws, *states, loss, outputs]
    draw_numbers = {-1 - number: buffer for number, buffer in enumerate(draws)}
    kernels = Kernels({**dict(enumerate([*inputs, *states])), **draw_numbers})
    kernels.add([step.loss, step.output, *step.gradients, *step.written.values()])
    kernels.copy(step.loss, loss, "loss")
    kernels.copy(step.output, outputs, "outputs")
    changed = {inputs[number] for number in step.written} | set(inputs[2 : 2 + len(step.gradients)])
    for gradient in step.gradients:  # before anything changes
        if {load.buffer for load in loads(kernels.scalar(gradient))} & changed:
            kernels.array(gradient)
    new_values = {number: kernels.array(value, copies=changed) for number, value in step.written.items()}
    for number, array in new_values.items():
        index = identity(len(array.shape))
        target = kernels.array(Value("input", (), array.shape, array.buffer.type, (number,)))
        kernels.assign("new buffer", array.shape, [(element(target, index), element(array, index))])
    _add_updates(kernels, step.gradients, updates, len(inputs))
    per_step = [*draws, loss, outputs]
    return print_library(kernels.kernels, arguments, per_step, sum(2 * update.numbers for update in updates))


def _describe_states(updates: Sequence[UpdateLoop], recording: Recording) -> list[Buffer]:
    """Return the buffers of the optimizer's tensors, those of the first parameter first."""
    of_parameters = [update for update in updates for _ in range(update.parameters)]
    return [
        Buffer(f"state{number}_{parameter}", recording.tensors[2 + parameter].numel())
        for parameter, update in enumerate(of_parameters)
        for number in range(update.states)
    ]


def _add_updates(kernels: Kernels, gradients: Sequence[Value], updates: Sequence[UpdateLoop], state: int) -> None:
    """Add a kernel for each parameter.

    Args:
        state: The number of the optimizer's first tensor among the arguments.
    """
    parameter, number = 0, 0
    for update in updates:
        for gradient in gradients[parameter : parameter + update.parameters]:
            places = [2 + parameter, *range(state, state + update.states)]
            targets = [Value("input", (), gradient.shape, FLOAT, (place,)) for place in places]
            results = update.results(targets[0], gradient, targets[1:], number)
            index = identity(len(gradient.shape))
            pairs = [
                (element(kernels.array(target), index), kernels.scalar(result))
                for target, result in zip(targets, results, strict=True)
            ]
            kernels.assign(f"update of parameter {parameter}", gradient.shape, pairs)
            parameter, state = parameter + 1, state + update.states
        number += 2 * update.numbers
