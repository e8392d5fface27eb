import torch

from exp.engine.memory_plan import MemoryPlan
from exp.engine.trace import OpCall


def test_memory_is_reused_on_its_device_only():
    results = [torch.zeros(8), torch.zeros(8, device="meta"), torch.zeros(8)]
    calls = [OpCall(torch.ops.aten.ones.default, ((8,),), {}, result) for result in results]
    plan = MemoryPlan(calls, kept=[])
    memory: list[torch.Tensor] = []
    for result in results:
        memory.append(plan.allocate(result))
        plan.advance()
    assert [tensor.device.type for tensor in memory] == ["cpu", "meta", "cpu"]
    assert memory[2].data_ptr() == memory[0].data_ptr()
