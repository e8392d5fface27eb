"""A trained model, or several as one, as a module that takes the values of columns and returns what is predicted."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from exp.data.columns.column import Column
from exp.data.preprocessing import Preprocessing
from exp.results.trained_ensemble import TrainedEnsemble
from exp.results.trained_model import TrainedModel
from exp.serving.features import Features
from exp.training.average_outputs import average_values
from exp.training.objectives import Binary, Multiclass, Regression


def members_of(models: TrainedModel | TrainedEnsemble) -> tuple[TrainedModel, ...]:
    """Return the models themselves."""
    return models.members if isinstance(models, TrainedEnsemble) else (models,)


@dataclass(frozen=True)
class Inputs:
    """The columns that a served model takes, each encoded once, and which of them are those of each member.

    Members of a sweep have seen other training rows: a column of words then has other categories in each.
    """

    columns: tuple[Column, ...]
    of_member: tuple[tuple[int, ...], ...]

    @classmethod
    def of(cls, members: Sequence[TrainedModel]) -> "Inputs":
        found = dict[str, int]()
        columns: list[Column] = []
        of_member: list[tuple[int, ...]] = []
        for member in members:
            places: list[int] = []
            for column in member.preprocessing.columns:
                key = _encoding(column)
                if key not in found:
                    found[key] = len(columns)
                    columns.append(column)
                places.append(found[key])
            of_member.append(tuple(places))
        return cls(tuple(columns), tuple(of_member))


def _encoding(column: Column) -> str:
    """Return what `Column.encode` depends on."""
    kept = ("name", "kind", "notation", "format", "categories", "is_spelled")
    fields: dict[str, Any] = asdict(column)
    return json.dumps({key: fields[key] for key in kept if key in fields})


class ServedModel(nn.Module):
    """Return what is predicted of values float64 [N, C]: probabilities of classes or labels, or numbers [N, K].

    Numbers are in the target's own unit. Two classes have two probabilities, whatever the loss is.
    """

    def __init__(self, members: Sequence[TrainedModel]) -> None:
        super().__init__()
        inputs = Inputs.of(members)
        for number, places in enumerate(inputs.of_member):
            self.register_buffer(f"places_{number}", torch.tensor(places))
        self._takes_all = all(places == tuple(range(len(inputs.columns))) for places in inputs.of_member)
        self.features = nn.ModuleList([Features(member.preprocessing) for member in members])
        self.models = nn.ModuleList([member.module() for member in members])
        objectives = [member.objective for member in members]
        # What the modules return is in the target's own unit already.
        self._objectives = [replace(one, scale=None) if isinstance(one, Regression) else one for one in objectives]
        self.eval()

    def forward(self, values: Tensor) -> Tensor:
        outputs = [
            model(features(values if self._takes_all else values[:, self.get_buffer(f"places_{number}")]))
            for number, (features, model) in enumerate(zip(self.features, self.models, strict=True))
        ]
        first = self._objectives[0]
        if len(outputs) > 1:
            mean = average_values(self._objectives, outputs)
            return torch.cat([1 - mean, mean], 1) if isinstance(first, Binary) else mean
        if isinstance(first, Binary):
            second = first.probability(outputs[0])
            return torch.cat([1 - second, second], 1)
        probabilities = first.probabilities(outputs[0])
        return outputs[0] if probabilities is None else probabilities


def threshold_of(objective: Any) -> float | None:
    """Return the probability from which the second of two classes is predicted; None: the most probable class."""
    if isinstance(objective, Binary):
        return 0.5 if objective.threshold is None else objective.threshold
    return objective.threshold if isinstance(objective, Multiclass) else None


def output_names(preprocessing: Preprocessing) -> tuple[list[str], list[str]]:
    """Return the names of what is predicted and of its probabilities, as `exp predict` has them."""
    if preprocessing.classes is not None:
        return ["prediction"], [f"probability {name}" for name in preprocessing.classes]
    names = preprocessing.target_names
    suffixes = [""] if len(names) == 1 else [f" {name}" for name in names]
    probabilities = [f"probability{suffix}" for suffix in suffixes] if preprocessing.has_labels else []
    return [f"prediction{suffix}" for suffix in suffixes], probabilities
