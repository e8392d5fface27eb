"""Make the loops of a traced step."""

from collections.abc import Callable
from typing import TypeAlias

from torch import Tensor

from exp.engine.cuda_graph import CudaGraphs
from exp.engine.program import write_program
from exp.engine.python_loop import PythonLoop
from exp.engine.recorded_step import RecordedStep
from exp.engine.script_loop import NotScriptableError, ScriptLoops
from exp.engine.step import Gradients
from exp.engine.step_tensors import StepTensors
from exp.engine.tensor_state import unchanged
from exp.engine.trace import Trace, storage_id

# Makes loops that are equal up to rounding, or returns why it cannot: (trace, tensors, x, y, gradients) -> loops.
Compile: TypeAlias = Callable[[Trace, StepTensors, Tensor, Tensor, Gradients], object]


def make_loops(
    trace: Trace, tensors: StepTensors, x: Tensor, y: Tensor, gradients: Gradients, compile_trace: Compile | None
) -> RecordedStep:
    """Make loops of the trace of a step on x and y; on a GPU, capture the step in a CUDA graph.

    What the step writes into besides the model's own tensors is added to `tensors.written`.

    Raises:
        NotImplementedError: It writes into its batch.
    """
    written = trace.written_outside()
    if {storage_id(x), storage_id(y)} & written.keys():
        raise NotImplementedError("it writes into its batch")
    for tensor in tensors.changed:
        if tensor.nbytes == tensor.untyped_storage().nbytes():  # otherwise others may share its memory
            written.pop(storage_id(tensor), None)
    tensors.written.extend(written.values())
    program = write_program(trace.calls, x, y, tensors.fixed, gradients)
    loop = PythonLoop(program)
    if not x.is_cuda:
        compiled = None if compile_trace is None else compile_trace(trace, tensors, x, y, gradients)
        try:
            return RecordedStep(loop, ScriptLoops(program), compiled)
        except NotScriptableError:
            return RecordedStep(loop, None, compiled)
    with unchanged(tensors.changed, x.device):
        graphs = CudaGraphs(loop, x, y)
    return RecordedStep(graphs.step, graphs)
