"""Hooks: functions that torch calls in a step, in which code of the user's may do anything."""

# pyright: reportPrivateUsage=false, reportPrivateImportUsage=false
from collections.abc import Iterable, Mapping
from typing import Any, cast

import torch.nn.modules.module as all_modules
import torch.optim.optimizer as all_optimizers
from torch import nn
from torch.optim import Optimizer

_AFTER_ACCUMULATION = "_post_accumulate_grad_hooks"
_OF_PARAMETERS = ("_backward_hooks", _AFTER_ACCUMULATION)
_OF_MODULES = ("_forward_pre_hooks", "_forward_hooks", "_backward_pre_hooks", "_backward_hooks")


def has_accumulation_hook(parameters: Iterable[nn.Parameter]) -> bool:
    """Return whether a parameter has a hook that torch calls after `backward` has set its gradient."""
    return any(getattr(parameter, _AFTER_ACCUMULATION, None) for parameter in parameters)


def find_hook(modules: Iterable[nn.Module]) -> str | None:
    """Return what has a hook of the user's, in contrast to torch's own such as weight_norm's; None: nothing has."""
    roots = list(modules)
    for root in roots:
        for name, parameter in root.named_parameters():
            if any(_of_user(getattr(parameter, kind, None)) for kind in _OF_PARAMETERS):
                return f"parameter {name}"
        for name, module in cast("Iterable[tuple[str, nn.Module]]", root.named_modules()):
            if any(_of_user(getattr(module, kind, None)) for kind in _OF_MODULES):
                return f"module {name or type(module).__name__}"
    everywhere = (getattr(all_modules, f"_global{kind}", None) for kind in _OF_MODULES)
    return "every module" if any(map(_of_user, everywhere)) else None


class HookCount:
    """Finds hooks that are registered after a capture. Their number takes as long to count as one operator."""

    def __init__(self, modules: Iterable[nn.Module]) -> None:
        roots = list(modules)
        parts = [part for root in roots for part in root.modules()]
        self._hooks = [getattr(part, kind, {}) for part in parts for kind in _OF_MODULES]
        self._hooks += [getattr(all_modules, f"_global{kind}", {}) for kind in _OF_MODULES]
        self._parameters = [parameter for root in roots for parameter in root.parameters()]
        self._count = self._count_now()

    def is_changed(self) -> bool:
        return self._count_now() != self._count

    def _count_now(self) -> int:
        of_parameters = (getattr(one, kind, None) or () for one in self._parameters for kind in _OF_PARAMETERS)
        return sum(map(len, self._hooks)) + sum(map(len, of_parameters))


def has_step_hook(optimizer: Optimizer) -> bool:
    """Return whether `step` calls hooks: the optimizer's own, or those of all optimizers."""
    return any(
        getattr(optimizer, f"_optimizer_step_{when}_hooks")
        or getattr(all_optimizers, f"_global_optimizer_{when}_hooks", None)
        for when in ("pre", "post")
    )


def _of_user(hooks: Any) -> bool:
    """Return whether one of the hooks is defined neither in torch nor here."""
    found = cast("Mapping[int, Any]", hooks or {}).values()
    modules = [str(getattr(hook, "__module__", None) or type(hook).__module__) for hook in found]
    return any(name.partition(".")[0] not in ("torch", "exp") for name in modules)
