"""Which of the known names a wrong one was most likely meant to be."""

from collections.abc import Iterable
from difflib import SequenceMatcher

# What the field calls these elsewhere, where spelling alone would not lead there.
_ALSO_CALLED = {
    "learning_rate": "lr",
    "wd": "weight_decay",
    "hidden_sizes": "hidden",
    "max_epochs": "epochs",
    "data": "dataset",
    "optim": "optimizer",
    "criterion": "loss",
    "net": "model",
    "batch": "batching",
    "size": "batch_size",
    "normalize": "standardize",
    "cuda": "device",
}


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known name most like `word`, or None if none is like it.

    Names may be dotted: `batch_size` is near batching.batch_size, `optimiser.lr` is near optimizer.lr, and what stands
    before the last dot never makes up for another last word.
    """
    best = max(known, key=lambda name: _likeness(word, name), default=None)
    return best if best is not None and _likeness(word, best) >= 0.6 else None


def _likeness(word: str, name: str) -> float:
    word_inside, _, word_last = word.rpartition(".")
    name_inside, _, name_last = name.rpartition(".")
    last = _ratio(_ALSO_CALLED.get(word_last, word_last), name_last)
    if word_inside == name_inside:
        return last
    if not word_inside:
        return 0.95 * last
    return 0.5 * last + 0.45 * _ratio(_ALSO_CALLED.get(word_inside, word_inside), name_inside) if last >= 0.6 else 0.0


def _ratio(a: str, b: str) -> float:
    return SequenceMatcher(None, a, b).ratio()
