"""Models of several members, each trained by its own loss, and used as one by their average prediction."""

import math
from collections.abc import Callable

from torch import Tensor, nn


class MemberModel(nn.Module):
    """Outputs [B, members, K] in training, and the outputs [B, K] of the average prediction in evaluation.

    A subclass implements `compute_members`.

    Args:
        members: The number of members.
        output_meaning: What an output means to the loss: classes, logit, probability or value (loss.output).
    """

    def __init__(self, members: int, output_meaning: str) -> None:
        super().__init__()
        self.members, self.output_meaning = members, output_meaning

    def compute_members(self, x: Tensor) -> Tensor:
        """Return the outputs of the members, [B, members, K], for inputs x."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        outputs = self.compute_members(x)
        return outputs if self.training else self.average(outputs)

    def average(self, outputs: Tensor) -> Tensor:
        """Return the outputs [B, K] of the mean of the probabilities, or of the values, of outputs [B, members, K]."""
        if self.output_meaning == "classes":
            return outputs.log_softmax(2).logsumexp(1) - math.log(self.members)
        if self.output_meaning == "logit":  # log(p / (1 - p)), exact also where p rounds to 1
            log_p, log_q = nn.functional.logsigmoid(outputs), nn.functional.logsigmoid(-outputs)
            return log_p.logsumexp(1) - log_q.logsumexp(1)
        return outputs.mean(1)


class MemberLoss(nn.Module):
    """The mean of the losses of the members, for outputs [B, members, K] and the targets [B, ...] of the criterion."""

    def __init__(self, criterion: Callable[..., Tensor]) -> None:
        super().__init__()
        self.criterion = criterion

    def forward(self, outputs: Tensor, *targets: Tensor) -> Tensor:
        members = outputs.shape[1]
        return self.criterion(outputs.flatten(0, 1), *(target.repeat_interleave(members, 0) for target in targets))
