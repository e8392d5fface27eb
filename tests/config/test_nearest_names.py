import pytest

from exp.config.nearest_names import nearest


def test_a_name_that_begins_with_the_word_is_meant():
    assert nearest("acc", ["loss", "auc", "accuracy", "mcc"]) == "accuracy"
    assert nearest("prec", ["recall", "weighted_precision", "precision"]) == "precision"
    assert nearest("optimizer.mom", ["optimizer.mode", "optimizer.momentum"]) == "optimizer.momentum"
    assert nearest("adam", ["adamw", "adam", "adamax"]) == "adam"
    assert nearest("007", ["100", "7", "70"]) == "7"  # a code that was read as a number
    assert nearest("12", ["112", "120"]) is None
    assert nearest("ada", ["adamw", "adam", "adagrad"]) == "adam"


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("optimiser.lr", "optimizer.lr"),
        ("lr", "optimizer.lr"),
        ("optimizer.learning_rate", "optimizer.lr"),
        ("optimizer.lrate", "optimizer.lr"),
        ("batch_size", "batching.batch_size"),
        ("batching.size", "batching.batch_size"),
        ("epoch", "epochs"),
        ("model.hiden", "model.hidden"),
        ("zebra", None),
        ("model.zebra", None),
    ],
)
def test_nearest_returns_the_most_similar_name(word: str, expected: str | None):
    known = [
        "optimizer.lr",
        "optimizer.momentum",
        "batching.batch_size",
        "epochs",
        "seed",
        "model.hidden",
        "model.bias",
    ]
    assert nearest(word, known) == expected
