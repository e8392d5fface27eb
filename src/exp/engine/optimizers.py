"""torch.optim without torch.compile, which its optimizers load at their first touch: a second of imports for nothing.

They load it in two ways. Methods that a compiler must leave alone fetch its `disable` when they are first called,
unless they find one; here they find themselves. And `step` is wrapped in a function that tells the compiler where to
pause; here what is inside is called.
"""

import inspect
from collections.abc import Callable
from functools import cache
from typing import Any, TypeAlias, cast

from torch import Tensor
from torch.optim import Optimizer

# Takes a closure that computes the gradients anew and returns the loss, or None where they are there.
Step: TypeAlias = Callable[[Callable[[], Tensor] | None], Any]


for method in (Optimizer.add_param_group, Optimizer.state_dict, Optimizer.load_state_dict):
    inside: Any = getattr(method, "__wrapped__", None)
    if inside is not None and not hasattr(inside, "__dynamo_disable"):
        inside.__dynamo_disable = inside


@cache
def _needs_closure(kind: type[Optimizer]) -> bool:
    closure = inspect.signature(kind.step).parameters.get("closure")
    return closure is not None and closure.default is inspect.Parameter.empty


def step_of(optimizer: Optimizer) -> Step:
    """`optimizer.step`, to be called with gradients off and a closure or None."""
    # Only torch's own are known to be wrapped in nothing that matters, if no hook is.
    if not is_torchs_own(optimizer) or optimizer.defaults.get("differentiable"):
        return cast(Step, optimizer.step)
    bare = inspect.unwrap(type(optimizer).step)

    def step(closure: Callable[[], Tensor] | None) -> Any:
        vars(optimizer)["_opt_called"] = True  # schedules look for it, to warn of steps in the wrong order
        return bare(optimizer, closure)

    return step


def needs_closure(optimizer: Optimizer) -> bool:
    """Whether its step must be given one, and may call it as often as it likes, as that of L-BFGS."""
    return _needs_closure(type(optimizer))


def is_torchs_own(optimizer: Optimizer) -> bool:
    """Whether its steps are those of torch.optim, and nobody listens to them."""
    hooks = ("_optimizer_step_pre_hooks", "_optimizer_step_post_hooks")
    return type(optimizer).__module__.startswith("torch.optim.") and not any(getattr(optimizer, name) for name in hooks)
