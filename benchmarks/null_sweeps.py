"""Sweeps in which nothing differs: how often is a choice called the best, and does an interval hold the true mean?

`python benchmarks/null_sweeps.py` simulates 1,000 sweeps for each line of a table, in three minutes. The choices of a
sweep are equally good: each is a ridge regression on its own features of the same rows, all features being equally
informative. They are trained and tested as `folds=` and `seed=` divide the rows: 60 % train, 20 % val, 20 % test; of
the rows outside a fold 75 % train. Normal results follow the assumptions of the test exactly.

    named      a single choice is called the best (promise: at most 5 %); in brackets, without the correction
    left out   a given choice, which is as good as any, is marked as worse than the best (promise: at most 5 %)
    held       the 95 % interval of a choice holds the true mean; in brackets, without the correction
    better     the first choice, made better by three standard deviations of its results, is called the best
"""

import sys
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from exp.results.job_rows import JobRows
from exp.results.repeats import mean_rows
from exp.results.sweep_csv import Row
from exp.results.t_tests import mean_interval
from exp.results.ties import find_ties

ROWS, FEATURES = 100, 3
METRIC = "loss/test"


def divide(kind: str, repeats: int, random: np.random.Generator) -> Iterator[tuple[NDArray[np.int64], ...]]:
    """Yield the training and the test rows of each repeat."""
    folds = min(repeats, 5) if kind == "folds" else repeats
    for number in range(repeats):
        if kind == "seeds" or number % folds == 0:
            order = random.permutation(ROWS)
        if kind == "seeds":
            yield order[: 6 * ROWS // 10], order[8 * ROWS // 10 :]
        else:
            test = np.array_split(order, folds)[number % folds]
            others = np.setdiff1d(order, test)
            yield random.permutation(others)[: 3 * len(others) // 4], test


def ridge_losses(
    choices: int, kind: str, repeats: int, random: np.random.Generator
) -> tuple[NDArray[np.float64], float]:
    """Return the squared errors [choices, repeats] of equally good ridge regressions, and the ratio of the rows."""
    x = random.normal(size=(choices, ROWS, FEATURES))
    y = x.sum((0, 2)) + np.sqrt(choices * FEATURES) * random.normal(size=ROWS)
    losses, ratio = np.empty((choices, repeats)), 0.0
    for number, (train, test) in enumerate(divide(kind, repeats, random)):
        across = x[:, train].transpose(0, 2, 1)
        weights = np.linalg.solve(across @ x[:, train] + np.eye(FEATURES), (across @ y[train])[..., None])
        losses[:, number] = np.square((x[:, test] @ weights)[..., 0] - y[test]).mean(1)
        ratio = len(test) / len(train)
    return losses, ratio


def gaussian_losses(
    choices: int, kind: str, repeats: int, random: np.random.Generator, ratio: float = 1 / 3
) -> tuple[NDArray[np.float64], float]:
    """Return normal losses [choices, repeats] whose repeats have the correlation that the test assumes.

    Of the kind `one split`, the repeats are independent, and the ratio is 0.
    """
    ratio = 0.0 if kind == "one split" else ratio
    shared = np.sqrt(ratio / (1 + ratio)) * random.normal(size=(choices, 1))
    return 10 + shared + np.sqrt(1 / (1 + ratio)) * random.normal(size=(choices, repeats)), ratio


def sweep_rows(losses: NDArray[np.float64], ratio: float) -> tuple[list[Row], dict[str, JobRows]]:
    """Return the jobs of a sweep with these losses [choices, repeats], and their rows."""
    rows: list[Row] = []
    known: dict[str, JobRows] = {}
    for (choice, repeat), loss in np.ndenumerate(losses):
        job = str(len(rows))
        rows.append({"job": job, "status": "finished", "lr": choice, "seed": repeat, METRIC: float(loss)})
        split = str(repeat) if ratio else "the same"
        known[job] = JobRows(split, {"train": 1000, "test": round(1000 * ratio)})
    return rows, known


def simulate(what: str, kind: str, choices: int, repeats: int, sweeps: int) -> str:
    """Return a line of the table."""
    random = np.random.default_rng([choices, repeats])
    draw = {"ridge": ridge_losses, "normal": gaussian_losses}[what]
    drawn = [draw(choices, kind, repeats, random) for _ in range(sweeps)]
    truth = float(np.mean([losses[0].mean() for losses, _ in drawn]))
    deviation = float(np.mean([losses[0].std(ddof=1) for losses, _ in drawn]))
    named = plain = left_out = held = plainly_held = better = 0
    for losses, ratio in drawn:
        rows, known = sweep_rows(losses, ratio)
        ties = find_ties(rows, METRIC, known)
        assert ties is not None
        named += len(ties.tied) == 1
        left_out += ties.mark(("0",)) == "no"
        first = mean_rows(rows, known)[0]
        held += first[f"{METRIC} low"] <= truth <= first[f"{METRIC} high"]
        uncorrected = find_ties(rows, METRIC, {job: JobRows("the same", one.counts) for job, one in known.items()})
        plain += uncorrected is not None and len(uncorrected.tied) == 1
        low, high = mean_interval(losses[0].tolist(), 0.0) or (0.0, 0.0)
        plainly_held += low <= truth <= high
        shifted = find_ties(
            sweep_rows(losses - 3 * deviation * (np.arange(choices) == 0)[:, None], ratio)[0], METRIC, known
        )
        better += shifted is not None and shifted.mark(("0",)) == "yes"
    share = [f"{100 * count / sweeps:5.1f}" for count in (named, plain, left_out, held, plainly_held, better)]
    return (
        f"{what:<7} {kind:<10} {choices:>7} {repeats:>7}   {share[0]} % ({share[1]} %)   {share[2]} %   "
        f"{share[3]} % ({share[4]} %)   {share[5]} %"
    )


def main() -> None:
    sweeps = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    print(f"{'results':<7} {'repeats':<10} choices       n   named             left out   held             better")
    for what, kind in (
        *(("ridge", "folds"), ("ridge", "seeds")),
        *(("normal", "seeds"), ("normal", "one split")),
    ):
        for choices in (2, 5, 20):
            for repeats in (3, 5, 15):
                print(simulate(what, kind, choices, repeats, sweeps), flush=True)


if __name__ == "__main__":
    main()
