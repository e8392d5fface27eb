"""Compare models of tables with their authors' packages: the same parameters and rows must give the same numbers.

python benchmarks/against_authors.py

Needs `pip install tabm`. For each model it prints the largest differences between the two implementations in float64:
of the outputs, the loss, the parameters after updates with AdamW and clipped gradients, and the predictions then. Exit
code 1 if one is above 1e-6. Bins are float32 here, which makes most of the difference of embedded numbers.
"""

import sys
from collections.abc import Iterator

import rtdl_num_embeddings
import tabm
import torch
from torch import Tensor, nn

from exp.models.members import MemberLoss
from exp.models.number_embeddings import Piecewise
from exp.models.tabm import TabM

TOLERANCE = 1e-6
UPDATES = 3
K, HIDDEN, CLASSES, WORDS = 8, 32, 3, 4


def main() -> None:
    worst = 0.0
    for kind in ("mini", "full"):
        for embedding in ("piecewise", None):
            differences = compare_tabm(kind, embedding)
            print(f"TabM {kind}, embedding {embedding}:", ", ".join(f"{a} {b:.1e}" for a, b in differences.items()))
            worst = max(worst, *differences.values())
    sys.exit(worst > TOLERANCE)


def compare_tabm(kind: str, embedding: str | None) -> dict[str, float]:
    """Return the largest differences between TabM here and in the package `tabm`, by what was compared."""
    torch.manual_seed(0)
    numbers = torch.cat([torch.randn(200, 3), torch.randint(4, (200, 1)).float()], dim=1)
    words, y = torch.randint(WORDS, (200, 1)), torch.randint(CLASSES, (200,))
    x = torch.cat([numbers, nn.functional.one_hot(words[:, 0], WORDS)], dim=1)
    features = numbers.shape[1]
    ours = TabM(
        x.shape[1],
        CLASSES,
        hidden=[HIDDEN, HIDDEN],
        k=K,
        kind=kind,
        embedding=embedding,
        cardinalities=[0] * features + [1] * WORDS,
        columns=[*range(features), *[features] * WORDS],
        output_meaning="classes",
    )
    ours.initialize(x)
    bins = rtdl_num_embeddings.compute_bins(numbers, n_bins=48)
    with torch.no_grad():
        for parameter in ours.parameters():  # also those that are 0 or 1 at first
            parameter.add_(torch.randn_like(parameter) / 10)
    ours.double()
    theirs = tabm.TabM.make(
        n_num_features=features,
        cat_cardinalities=[WORDS],
        d_out=CLASSES,
        num_embeddings=None
        if embedding is None
        else rtdl_num_embeddings.PiecewiseLinearEmbeddings(
            [edges.double() for edges in bins], 16, activation=False, version="B"
        ),
        n_blocks=2,
        d_block=HIDDEN,
        dropout=0.0,
        k=K,
        arch_type="tabm-mini" if kind == "mini" else "tabm",
    ).double()
    pairs = list(pair_parameters(ours, theirs, kind, [len(edges) - 1 for edges in bins]))
    assert len(pairs) >= len(list(theirs.parameters()))
    with torch.no_grad():
        for mine, other in pairs:
            other.copy_(mine)
    x, numbers = x.double(), numbers.double()
    criterion = nn.CrossEntropyLoss()
    losses = (
        lambda: MemberLoss(criterion)(ours(x), y),
        lambda: criterion(theirs(numbers, words).flatten(0, 1), y.repeat_interleave(K)),
    )
    differences = {
        "outputs": distance(ours(x), theirs(numbers, words)),
        "loss": distance(losses[0](), losses[1]()),
    }
    optimizers = [torch.optim.AdamW(model.parameters(), lr=0.002, weight_decay=0.0003) for model in (ours, theirs)]
    for _ in range(UPDATES):
        for model, loss, optimizer in zip((ours, theirs), losses, optimizers, strict=True):
            optimizer.zero_grad()
            loss().backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
    differences["parameters"] = max(distance(mine, other) for mine, other in pairs)
    theirs_mean = theirs.eval()(numbers, words).softmax(-1).mean(1)
    differences["predictions"] = distance(ours.eval()(x).softmax(-1), theirs_mean)
    return differences


def pair_parameters(ours: TabM, theirs: nn.Module, kind: str, bins: list[int]) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield each of our parameters, or a part of it, with the authors' one. `bins` counts those of each number."""
    if ours.features is not None:
        embed = ours.features.embed
        assert isinstance(embed, Piecewise)
        yield embed.weight.data, theirs.num_module.linear0.weight.data
        yield embed.bias.data, theirs.num_module.linear0.bias.data
        for number, count in enumerate(bins):  # the authors keep the last bin at the end
            mine, other = embed.projection.data[number], theirs.num_module.linear.weight.data[number]
            yield mine[: count - 1], other[: count - 1]
            yield mine[count - 1], other[-1]
    linear = [layer for layer in ours.layers if isinstance(layer, nn.Linear)]
    scales = [layer for layer in ours.layers if hasattr(layer, "scale")]
    blocks = [block[0] for block in theirs.backbone.blocks]
    for mine, other in zip(linear, blocks, strict=True):
        yield mine.weight.data, other.weight.data
        if kind == "mini":
            yield mine.bias.data, other.bias.data
    if kind == "mini":
        yield scales[0].scale.data, theirs.backbone.affine.weight.data
    else:
        for before, after, other in zip(scales[::2], scales[1::2], blocks, strict=True):
            yield before.scale.data, other.r.data
            yield after.scale.data, other.s.data
            yield after.bias.data, other.bias.data
    last = ours.layers[-1]
    yield last.weight.data, theirs.output.weight.data
    yield last.bias.data, theirs.output.bias.data


def distance(a: Tensor, b: Tensor) -> float:
    return float((a - b).detach().abs().max())


if __name__ == "__main__":
    main()
