"""batching.accumulate=N: the pieces of a batch, and what cannot be cut."""

from functools import partial

from torch import nn

from exp.config.allowlist import origin
from exp.config.schema import Config
from exp.data.batches import Batches
from exp.engine.pieces import Pieces
from exp.errors import ConfigError
from exp.training.weights import loss_weights, without_weights

_BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


def passes_per_epoch(config: Config, batches: Batches) -> int:
    """Return the number of forward passes in an epoch of training: one for each piece of each batch."""
    rows = _piece_rows(config, batches)
    whole, rest = divmod(batches.samples_per_epoch, batches.size)
    return whole * -(-batches.size // rows) + -(-rest // rows)


def make_pieces(config: Config, batches: Batches, model: nn.Module, criterion: nn.Module) -> Pieces | None:
    """Return how each batch is cut into batching.accumulate pieces; None if it is not cut.

    Raises:
        ConfigError: The loss or the gradients of the pieces would not add up to those of the batch.
    """
    count = config.batching.accumulate
    if count == 1:
        return None
    typed = f"batching.accumulate={count}"
    if count > batches.size:
        corrected = f"batching.accumulate={batches.size}"
        raise ConfigError(
            f"batching.accumulate must be <= the rows of a batch, {batches.size}, got {count}",
            corrected,
            key="batching.accumulate",
            override=corrected,
        )
    if any(isinstance(module, _BATCH_NORMS) for module in model.modules()):
        raise ConfigError(
            f"{typed}: batch norm would use the mean and the deviation of each piece, not those of the batch",
            f"{'model.norm=layer' if 'norm' in config.model else 'a model without batch norm'}, or "
            "batching.accumulate=1",
            key="batching.accumulate",
        )
    name = type(without_weights(criterion)).__name__
    if origin(config.loss.get("_target_")) == "user":
        raise ConfigError(
            f"{typed}: {name} is not known to be a mean over rows, so its pieces may not add up to the loss of a batch",
            "batching.accumulate=1",
            key="batching.accumulate",
        )
    if getattr(without_weights(criterion), "ignore_index", -1) >= 0:
        raise ConfigError(
            f"{typed}: with loss.ignore_index, the rows of a piece do not say how much it weighs",
            "batching.accumulate=1, or no loss.ignore_index",
            key="batching.accumulate",
        )
    return Pieces(_piece_rows(config, batches), partial(loss_weights, criterion))


def _piece_rows(config: Config, batches: Batches) -> int:
    return -(-batches.size // config.batching.accumulate)
