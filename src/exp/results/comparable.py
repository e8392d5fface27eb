"""Whether a metric compares runs: they need the same rows to be measured on. Imports no torch."""

from collections.abc import Sequence

from exp.results.listed import Listed


def rows_warnings(runs: Sequence[Listed], metric: str) -> list[str]:
    """Return a warning if the runs that have the metric were not all measured on the same rows.

    Of a sweep, the rows are those of the first job of its best choice. Those of an older version do not say them.
    """
    measured = [run for run in runs if metric in run.metrics]
    datasets = list(dict.fromkeys(str(run.choices.get("dataset")) for run in measured))
    if len(datasets) > 1:
        return [f"{metric} is of different datasets: {', '.join(datasets)}; dataset={datasets[0]} lists those of one"]
    if len({run.fingerprint for run in measured} - {None}) > 1:
        return ["the rows of the datasets are not all the same"]
    splits = len({run.split for run in measured} - {None})
    if splits < 2:
        return []
    fix = "dataset.seed=0" if all("dataset.seed" in run.config for run in measured) else "+dataset.seed=0"
    return [
        f"{metric} is of {splits} different splits of the rows, which may be the difference; "
        f"{fix} gives each run the same split"
    ]
