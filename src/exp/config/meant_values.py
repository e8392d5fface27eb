"""The values that are meant by those that a constraint does not accept."""

import re
from collections.abc import Mapping
from contextlib import suppress
from typing import cast

from exp.config.flow_values import UnclearError, read_flow
from exp.config.limits import OneOf, OneOfEach
from exp.config.metric_names import nearest_metric
from exp.config.nearest_names import nearest


def read_text(value: object) -> object:
    """Return the list or the mapping in a text, as where it is typed in quotes; None for another value."""
    if not isinstance(value, str) or value[:1] not in ("[", "{"):
        return None
    with suppress(UnclearError):
        return read_flow(value)
    return None


def accepted_items(limit: OneOfEach, items: Mapping[str, object]) -> dict[str, object]:
    """Return a mapping with the same names, and for each item that is not accepted the nearest one that is."""
    neutral: object = 1 if limit.number is not None else limit.options[1]
    words = [option for option in limit.options if isinstance(option, str)] if limit.number is None else []
    return {
        name: value if limit.accepts({name: value}) else nearest(str(value), words) or neutral
        for name, value in items.items()
    }


def closest_metric(key: str, value: object) -> str | None:
    """Return the value of metric=, metrics= or sweep.metric= that is meant by `value`; None if none is similar."""
    if isinstance(value, list):
        near = [nearest_metric(str(one)) for one in cast("list[object]", value)]
        return f"[{','.join(one for one in dict.fromkeys(near) if one is not None)}]" if any(near) else None
    name, slash, split = str(value).rpartition("/") if str(value).endswith(("/val", "/test")) else (str(value), "", "")
    near = nearest_metric(name.partition("/")[0])
    if near is None or key != "sweep.metric":
        return near
    return f"{near}/{split if slash else 'val'}"


def other_number(value: str, limit: OneOf) -> str | None:
    """Return the first option that differs from `value` in its number only: fp64 is no misspelt fp16."""
    words = [option for option in limit.options if isinstance(option, str)]
    letters, digits = re.sub(r"\d", "", value), re.sub(r"\D", "", value)
    return next((word for word in words if digits and re.sub(r"\d", "", word) == letters), None)
