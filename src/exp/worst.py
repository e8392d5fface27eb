"""The rows that a model is most wrong about, and what is unusual about them."""

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from exp.data.split import Data, Split
from exp.objectives import Objective
from exp.scores import Predict, truth_of

# A feature so many standard deviations from the training rows' mean is worth a word.
_UNUSUAL = 1.0
_WORDS = 4


@dataclass(frozen=True)
class Wrong:
    """A row, by its number in the table, what was made of it, how wrong that is, and what is unusual about the row."""

    number: int
    true: str
    predicted: str
    how: str
    unusual: str


def most_wrong(
    split: Split, data: Data, objective: Objective, predict: Predict, count: int = 10
) -> tuple[str, list[Wrong]]:
    """What `how` tells, and the rows of `split` whose class got the least probability, or that are farthest off."""
    output = predict(split.x)
    probabilities = objective.probabilities(output)
    true: list[str]
    told: list[str]
    if data.classes is None:
        true, told = _figures(split.y), _figures(objective.prediction(output))
        wrong = (output - split.y).square().sum(1).sqrt().cpu().numpy()
    else:
        truth = truth_of(split)
        true = [data.classes[number] for number in truth]
        told = [data.classes[number] for number in objective.prediction(output).cpu().numpy()]
        if probabilities is None:
            wrong = np.abs(objective.surface(output).cpu().numpy() - truth)
        else:
            wrong = 1 - probabilities.double().cpu().numpy()[np.arange(len(truth)), truth]
    worst: list[int] = np.argsort(-wrong, kind="stable")[:count].tolist()
    how = wrong if probabilities is None else 1 - wrong
    return "off by" if probabilities is None else "probability of its class", [
        Wrong(int(split.numbers[row]), true[row], told[row], f"{how[row]:.3g}", unusual(data, split.x[row]))
        for row in worst
    ]


def unusual(data: Data, x: Tensor) -> str:
    """Of one row [F], the features farthest from the training rows' mean, in their own units: 'age=93 (+3.1 sd)'."""
    rows = data.train.x.double().cpu().numpy()
    mean, spread = rows.mean(0), rows.std(0)
    values = x.double().cpu().numpy()
    far = np.divide(values - mean, spread, out=np.zeros_like(mean), where=spread > 0)
    own = values
    if data.preprocessing.mean is not None and data.preprocessing.scale is not None:
        own = values * np.array(data.preprocessing.scale) + np.array(data.preprocessing.mean)
    words = [column.kind == "category" for column in data.preprocessing.columns for _ in column.features]
    told: list[str] = []
    farthest: list[int] = np.argsort(-np.abs(far), kind="stable").tolist()
    for feature in farthest:
        if abs(far[feature]) < _UNUSUAL or len(told) == _WORDS:
            break
        if not words[feature]:
            told.append(f"{data.features[feature]}={own[feature]:.4g} ({far[feature]:+.1f} sd)")
        elif own[feature] > 0.5:  # what a row is not is nothing unusual
            told.append(data.features[feature])
    return ", ".join(told)


def _figures(values: Tensor) -> list[str]:
    return [", ".join(f"{value:.4g}" for value in row) for row in values.cpu().numpy()]
