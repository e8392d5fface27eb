"""The rows that a model is most wrong about, and what is unusual about them."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from exp.data.splits import Split, Splits
from exp.reports.classification import truth_of
from exp.training.objectives import Objective

# A number so many standard deviations from the training rows' mean is worth a word; a word that so few of them have.
_UNUSUAL = 2.0


_RARE = 0.05


_WORDS = 4


@dataclass(frozen=True)
class HardRow:
    """A row, by its number in the table, what was made of it, how wrong that is, and what is unusual about the row."""

    number: int
    true: str
    predicted: str
    how: str
    unusual: str


def hardest_rows(
    split: Split, data: Splits, objective: Objective, output: Tensor, count: int = 10
) -> tuple[str, list[HardRow]]:
    """What `how` tells, and of the rows of `split` those whose class got the least probability, or that are most off.

    By the outputs [N, K]. Several targets are measured in the standard deviations of the training rows.
    """
    true: list[str]
    told: list[str]
    if data.classes is None:
        true, told = _figures(split.y), _figures(objective.prediction(output))
        units = data.train.y.double().std(0, correction=0) if split.y.shape[1] > 1 else torch.ones(1)
        apart = (output - split.y).double() / torch.where(units > 0, units, 1.0).to(output.device)
        wrong, what = apart.square().sum(1).sqrt().cpu().numpy(), "off by"
    else:
        truth = truth_of(split)
        true = [data.classes[number] for number in truth]
        told = [data.classes[number] for number in objective.prediction(output).cpu().numpy()]
        odds = objective.log_odds(output)
        if odds is None:
            wrong, what = np.abs(objective.scalar_output(output).double().cpu().numpy() - truth), "off by"
        else:
            wrong, what = -odds.cpu().numpy()[np.arange(len(truth)), truth], "probability of its class"
    worst: list[int] = np.argsort(-wrong, kind="stable")[:count].tolist()
    how = wrong if what == "off by" else np.exp(-np.logaddexp(0.0, wrong))
    about = unusual(data, split.x[worst])
    return what, [
        HardRow(int(split.row_numbers[row]), true[row], told[row], f"{how[row]:.3g}", is_so)
        for row, is_so in zip(worst, about, strict=True)
    ]


def unusual(data: Splits, x: Tensor) -> list[str]:
    """Of each row [N, F], the features farthest from the training rows' mean, in own units: 'age=93 (+3.1 sd)'."""
    rows = data.train.x.double()
    mean, spread = rows.mean(0).cpu().numpy(), rows.std(0, correction=0).cpu().numpy()
    preprocessing = data.preprocessing
    kinds = [column.kind for column in preprocessing.columns for _ in column.features]
    told: list[str] = []
    for values in x.double().cpu().numpy():
        own = values
        if preprocessing.mean is not None and preprocessing.scale is not None:
            scale = np.array(preprocessing.scale)
            own = values * scale + np.array(preprocessing.mean)
            own = np.where(np.abs(own) < 1e-6 * scale, 0.0, own)  # what float32 leaves of a zero
        far = np.divide(values - mean, spread, out=np.zeros_like(mean), where=spread > 0)
        of_row: list[str] = []
        farthest: list[int] = np.argsort(-np.abs(far), kind="stable").tolist()
        for feature in farthest:
            if abs(far[feature]) < _UNUSUAL or len(of_row) == _WORDS:
                break
            if kinds[feature] == "number":
                of_row.append(f"{data.features[feature]}={own[feature]:.4g} ({far[feature]:+.1f} sd)")
            elif kinds[feature] == "boolean" and not _RARE < mean[feature] < 1 - _RARE:
                of_row.append(f"{data.features[feature]}={'true' if own[feature] > 0.5 else 'false'}")
            elif kinds[feature] == "category" and own[feature] > 0.5 and mean[feature] < _RARE:
                of_row.append(data.features[feature])  # what a row is not is nothing unusual
        told.append(", ".join(of_row))
    return told


def _figures(values: Tensor) -> list[str]:
    return [", ".join(f"{value:.6g}" for value in row) for row in values.cpu().numpy()]
