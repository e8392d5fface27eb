"""Which of the known names a wrong one was most likely meant to be."""

import re
from collections.abc import Iterable
from difflib import SequenceMatcher

# What the field calls these elsewhere, where spelling alone would not lead there.
_ALSO_CALLED = {
    "learning_rate": "lr",
    "learningrate": "lr",
    "wd": "weight_decay",
    "l2": "weight_decay",
    "hidden_sizes": "hidden",
    "layers": "hidden",
    "units": "hidden",
    "max_epochs": "epochs",
    "num_epochs": "epochs",
    "data": "dataset",
    "optim": "optimizer",
    "criterion": "loss",
    "net": "model",
    "batch": "batch_size",
    "bs": "batch_size",
    "size": "batch_size",
    "normalize": "standardize",
    "random_seed": "seed",
    "beta1": "betas",
    "beta2": "betas",
    "clip": "clip_grad_norm",
    "grad_clip": "clip_grad_norm",
    "gradient_clip": "clip_grad_norm",
    "ce": "cross_entropy",
    "xent": "cross_entropy",
    "nll": "cross_entropy",
    "bcelogits": "bce_with_logits",
    "mae": "l1",
    "rms": "rmsprop",
    "lr_scheduler": "scheduler",
    "cuda": "device",
}


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known name most like `word`, or None if none is like it.

    Names may be dotted: `batch_size` is near batching.batch_size, `optimiser.lr` is near optimizer.lr, and what stands
    before the last dot never makes up for another last word. Upper case, and other signs between words, are no
    difference.
    """
    best = max(known, key=lambda name: _likeness(word, name), default=None)
    return best if best is not None and _likeness(word, best) > 0.61 else None


def _likeness(word: str, name: str) -> float:
    word, whole = re.sub(r"[-:/ ]", "_", word.lower()), name.lower()
    if re.sub(r"[._]", "", word) == re.sub(r"[._]", "", whole):
        return 0.99 if word != whole else 1.0
    word_inside, _, word_last = word.rpartition(".")
    name_inside, _, name_last = whole.rpartition(".")
    last = _ratio(_ALSO_CALLED.get(word_last, word_last), name_last)
    if word_inside == name_inside:
        return last
    if not word_inside:
        return 0.95 * last
    return 0.5 * last + 0.45 * _ratio(_ALSO_CALLED.get(word_inside, word_inside), name_inside) if last >= 0.6 else 0.0


def _ratio(a: str, b: str) -> float:
    return SequenceMatcher(None, a, b).ratio()
