"""The known name that a misspelt word means."""

import re
from collections.abc import Iterable
from difflib import SequenceMatcher

# Other names for keys and options, where the spelling differs too much.
_SYNONYMS = {
    "learning_rate": "lr",
    "learningrate": "lr",
    "lrate": "lr",
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
    "normalize": "scaler",
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
    "gpu": "cuda",
    "measure": "metric",
    "ignore": "drop",
    "exclude": "drop",
    "remove": "drop",
    "drop_columns": "drop",
}


_NUMBER = re.compile(r"[-+]?[0-9]+(\.[0-9]+)?")

# A shorter word is the beginning of too many names.
_MIN_PREFIX = 3


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the known name that is most similar to `word`, or None if none is. One that begins with it comes first.

    Names may be dotted: `batch_size` matches batching.batch_size, `optimiser.lr` matches optimizer.lr. The part after
    the last dot must match by itself. Case and separators do not count. Numbers are similar only if they are equal.
    """
    best = max(known, key=lambda name: _similarity(word, name), default=None)
    return best if best is not None and _similarity(word, best) > 0.61 else None


def same_key_elsewhere(key: str, known: Iterable[str]) -> str | None:
    """Return the known key with the last part of the dotted `key`, below another group or none; None if several do.

    `optimizer.clip_grad_norm` is clip_grad_norm, `dataset.batch_size` is batching.batch_size.
    """
    inside, _, last = key.rpartition(".")
    same = {name for name in known if name.rpartition(".")[2] == last}
    return same.pop() if inside and len(same) == 1 else None


def _similarity(word: str, name: str) -> float:
    if _NUMBER.fullmatch(word) and _NUMBER.fullmatch(name):
        return float(float(word) == float(name))  # 007 is 7; 100 is not nearly 10
    word, whole = re.sub(r"[-:/ ]", "_", word.lower()), name.lower()
    if re.sub(r"[._]", "", word) == re.sub(r"[._]", "", whole):
        return 0.99 if word != whole else 1.0
    word_inside, _, word_last = word.rpartition(".")
    name_inside, _, name_last = whole.rpartition(".")
    last = _ratio(_SYNONYMS.get(word_last, word_last), name_last)
    if len(word_last) >= _MIN_PREFIX and name_last.startswith(word_last):  # acc is accuracy rather than auc
        last = max(last, 0.9 + 0.09 * len(word_last) / len(name_last))
    if word_inside == name_inside:
        return last
    if not word_inside:
        return 0.95 * last
    return 0.5 * last + 0.45 * _ratio(_SYNONYMS.get(word_inside, word_inside), name_inside) if last >= 0.6 else 0.0


def _ratio(a: str, b: str) -> float:
    return SequenceMatcher(None, a, b).ratio()
