"""The rows with the largest errors, and their unusual features."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from exp.data.splits import Split, Splits
from exp.reports.classification import truth_of
from exp.training.objectives import Objective

# A feature is unusual from this many standard deviations from the mean of the training rows,
_UNUSUAL = 2.0


# and a category or boolean also only if a smaller share of the training rows has it.
_RARE = 0.05


_MAX_FEATURES = 4


@dataclass(frozen=True)
class HardRow:
    """A row by its number in the table, its prediction, its error as text, and its unusual features."""

    number: int
    true: str
    predicted: str
    how: str
    unusual: str


def hardest_rows(
    split: Split, data: Splits, objective: Objective, output: Tensor, count: int = 10
) -> tuple[str, list[HardRow]]:
    """Return what `how` measures, and the rows of `split` with the least probability of their class or largest error.

    The error of several targets is measured in standard deviations of the training rows.

    Args:
        output: The model's outputs [N, K] for the rows.
    """
    true: list[str]
    predicted: list[str]
    if data.preprocessing.has_labels:
        names, odds = data.preprocessing.target_names, objective.log_odds(output)
        true, predicted = (_list_labels(names, one) for one in (split.y, objective.prediction(output)))
        assert odds is not None
        against = torch.where(split.y.cpu() > 0.5, -odds.cpu(), odds.cpu())  # of a wrong label
        wrong, what = nn.functional.softplus(against.double()).sum(1).numpy(), "probability of the true labels"
    elif data.classes is None:
        prediction, values = objective.prediction(output).cpu(), split.values
        true, predicted = _format_values(values), _format_values(prediction)
        units = data.train.values.double().std(0, correction=0) if split.y.shape[1] > 1 else torch.ones(1)
        distance = (prediction - values).double() / torch.where(units > 0, units, 1.0)
        wrong, what = distance.square().sum(1).sqrt().numpy(), "error"
    else:
        truth = truth_of(split)
        true = [data.classes[number] for number in truth]
        predicted = [data.classes[number] for number in objective.prediction(output).cpu().numpy()]
        odds = objective.log_odds(output)
        if odds is None:
            wrong, what = np.abs(objective.scalar_output(output).double().cpu().numpy() - truth), "error"
        else:
            wrong, what = -odds.cpu().numpy()[np.arange(len(truth)), truth], "probability of the true class"
    hardest: list[int] = np.argsort(-wrong, kind="stable")[:count].tolist()
    how = wrong if what == "error" else np.exp(-wrong if data.classes is None else -np.logaddexp(0.0, wrong))
    remarks = unusual_features(data, split.x[hardest])
    return what, [
        HardRow(int(split.row_numbers[row]), true[row], predicted[row], f"{how[row]:.3g}", remark)
        for row, remark in zip(hardest, remarks, strict=True)
    ]


def unusual_features(data: Splits, x: Tensor) -> list[str]:
    """Return for each row [N, F] the features farthest from the training rows' mean: 'age=93 (+3.1 sd)'.

    Any other value of a number that is constant in the training rows is farther than all of these.
    """
    mean, spread = (moment.cpu().numpy() for moment in data.train.feature_moments())
    preprocessing = data.preprocessing
    kinds = [column.kind for column in preprocessing.columns for _ in column.features]
    remarks: list[str] = []
    features_of_rows = x.double().cpu().numpy()
    restored = preprocessing.restore(features_of_rows)
    for values, original in zip(features_of_rows, restored, strict=True):
        differs = np.abs(values - mean) > 1e-6 * np.maximum(np.abs(mean), 1)  # by more than float32 rounds
        far = np.divide(values - mean, spread, out=np.where(differs, np.inf, 0.0), where=spread > 0)
        features: list[str] = []
        farthest: list[int] = np.argsort(-np.abs(far), kind="stable").tolist()
        for feature in farthest:
            if abs(far[feature]) < _UNUSUAL or len(features) == _MAX_FEATURES:
                break
            if kinds[feature] == "number":
                how = "constant in the training rows" if np.isinf(far[feature]) else f"{far[feature]:+.1f} sd"
                features.append(f"{data.features[feature]}={original[feature]:.4g} ({how})")
            elif kinds[feature] == "boolean" and not _RARE < mean[feature] < 1 - _RARE:
                features.append(f"{data.features[feature]}={'true' if original[feature] > 0.5 else 'false'}")
            elif kinds[feature] == "category" and original[feature] > 0.5 and mean[feature] < _RARE:
                features.append(data.features[feature])  # a category that a row does not have is not unusual
        remarks.append(", ".join(features))
    return remarks


def _list_labels(names: Sequence[str], labels: Tensor) -> list[str]:
    """Return the names of the labels [N, K] that are 1, for each row."""
    rows = labels.long().cpu().numpy()
    return [", ".join(name for name, one in zip(names, row, strict=True) if one) or "none" for row in rows]


def _format_values(values: Tensor) -> list[str]:
    return [", ".join(f"{value:.6g}" for value in row) for row in values.cpu().numpy()]
