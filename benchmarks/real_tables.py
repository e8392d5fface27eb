"""Train on real tables with the shortest command, and compare with four models of scikit-learn on the same rows.

`python benchmarks/real_tables.py FOLDER` reads FOLDER/tasks.json, a list of {path, target, kind, rows, cols}: `kind`
is classes or number. For each task it runs what `python -m exp dataset=table dataset.path= dataset.target=` runs, and
fits scikit-learn's models at their defaults to the same training and validation rows and the same features. It prints
how many tasks train, why the others do not, where the test score is far below the worst of the four models, and the
mean ranks. Scores are accuracy for classes and R^2 for numbers, of the test rows; log losses of classes and seconds are
printed too. `--recipes realmlp=experiment=realmlp` also trains with these overrides, under that name; LightGBM,
CatBoost and pytabkit's RealMLP are compared where they are installed. `--rows` leaves out larger tables, `--sample N`
takes N tasks at random, `--largest N` the N largest tables, `--seed` is that of the runs, `--set KEY=VALUE` adds
overrides, and --out gets the results, a line of JSON each. `--read RESULTS` prints the report of such a file without a
run, and `--beside NAME=RESULTS` adds the runs of another version of exp to the ranks; a task that did not train there
is last.
"""

import argparse
import contextlib
import io
import json
import logging
import multiprocessing
import random
import resource
import tempfile
import time
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

# How far below the worst of the other models a test score is a disaster.
FAR_BELOW = {"classes": 0.03, "number": 0.05}
OTHERS = ("linear", "mlp", "forest", "boosting")
METRIC = {"classes": "accuracy", "number": "r2"}


def measure(
    task: dict[str, Any], overrides: list[str], recipes: dict[str, list[str]], with_others: bool
) -> dict[str, Any]:
    """Train on a task; return its scores, log losses and seconds by model, or the error."""
    from exp import train
    from exp.errors import ExpError

    warnings.simplefilter("ignore")
    line = [f'dataset.path="{task["path"]}"', f'dataset.target="{task["target"]}"', *overrides, "figures=false"]
    line += ["metrics=[log_loss]"] if task["kind"] == "classes" else []
    scores, log_losses, seconds = dict[str, float](), dict[str, float](), dict[str, float]()
    try:
        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
            for name, recipe in {"exp": [], **recipes}.items():
                began = time.perf_counter()
                result = train("dataset=table", *line, *recipe, f"hydra.run.dir={folder}/{name}")
                seconds[name] = time.perf_counter() - began
                scores[name] = result.final["test"][METRIC[task["kind"]]]
                log_losses |= {name: result.final["test"].get("log_loss", np.nan)}
            if with_others:
                for name, (score, log_loss, needed) in others(f"{folder}/exp").items():
                    scores[name], log_losses[name], seconds[name] = score, log_loss, needed
    except ExpError as error:
        return {**task, "error": getattr(error, "problem", str(error)), "fix": getattr(error, "fix", "")}
    except Exception as error:  # a traceback, which is what this looks for
        return {**task, "error": f"TRACEBACK {type(error).__name__}: {error}", "fix": ""}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {**task, "scores": scores, "log_losses": log_losses, "seconds": seconds, "peak_mib": peak}


def others(run: str) -> dict[str, tuple[float, float, float]]:
    """Return score, log loss and seconds of each other model, fitted to the training and validation rows of the run."""
    from sklearn import ensemble, linear_model, neural_network
    from sklearn.metrics import log_loss, r2_score

    from exp.results.trained_model import load_trained

    data = load_trained(run).experiment.data
    features = {name: split.x.numpy() for name, split in data.splits.items()}
    if data.classes is None:
        targets = {name: split.values[:, 0].numpy() for name, split in data.splits.items()}
        models: dict[str, Any] = {
            "linear": linear_model.Ridge(),
            "mlp": neural_network.MLPRegressor(random_state=0),
            "forest": ensemble.RandomForestRegressor(random_state=0),
            "boosting": ensemble.HistGradientBoostingRegressor(random_state=0),
        }
    else:
        targets = {name: split.y.numpy() for name, split in data.splits.items()}
        models = {
            "linear": linear_model.LogisticRegression(),
            "mlp": neural_network.MLPClassifier(random_state=0),
            "forest": ensemble.RandomForestClassifier(random_state=0),
            "boosting": ensemble.HistGradientBoostingClassifier(random_state=0),
        }
    models |= installed_models(data.classes is None)
    x, y = (np.concatenate([part["train"], part["val"]]) for part in (features, targets))
    found: dict[str, tuple[float, float, float]] = {}
    for name, model in models.items():
        began = time.perf_counter()
        to_fit, to_predict = x, features["test"]
        if name == "pytabkit_realmlp":  # it scales numbers and embeds categories itself
            import pandas as pd
            from presets_of_authors import raw_frames

            frames = raw_frames(data)
            to_fit, to_predict = pd.concat([frames["train"], frames["val"]]), frames["test"]
        predicted = np.ravel(model.fit(to_fit, y).predict(to_predict))
        if data.classes is None:
            score, loss = r2_score(targets["test"], predicted), np.nan
        else:
            score = (predicted == targets["test"]).mean()
            probabilities = np.zeros((len(predicted), len(data.classes)))  # 0 for a class that no row of x has
            probabilities[:, model.classes_.astype(int)] = model.predict_proba(to_predict)
            loss = log_loss(targets["test"], probabilities, labels=range(len(data.classes)))
        found[name] = float(score), float(loss), time.perf_counter() - began
    return found


def installed_models(is_number: bool) -> dict[str, Any]:
    """Return LightGBM, CatBoost and pytabkit's RealMLP at their defaults, if they are installed."""
    models: dict[str, Any] = {}
    with contextlib.suppress(ImportError):
        import lightgbm

        model = lightgbm.LGBMRegressor if is_number else lightgbm.LGBMClassifier
        models["lightgbm"] = model(random_state=0, n_jobs=1, verbose=-1)
    with contextlib.suppress(ImportError):
        import catboost

        model = catboost.CatBoostRegressor if is_number else catboost.CatBoostClassifier
        models["catboost"] = model(random_state=0, thread_count=1, verbose=False, allow_writing_files=False)
    with contextlib.suppress(ImportError):
        import pytabkit

        logging.disable(logging.INFO)  # Lightning's lines about every fit
        model = pytabkit.RealMLP_TD_Regressor if is_number else pytabkit.RealMLP_TD_Classifier
        models["pytabkit_realmlp"] = model(random_state=0, device="cpu", n_threads=1, verbosity=0)
    return models


def ranks(results: list[dict[str, Any]], kind: str) -> dict[str, float]:
    """Return the mean rank of each model over the tasks of a kind, or all; 1 is the best, equal scores share ranks."""
    from scipy.stats import rankdata

    of_kind = [result for result in results if kind in ("all", result["kind"])]
    rows = [result["scores"] for result in of_kind if len(result.get("scores", ())) > 1]
    names = list(rows[0]) if rows else []
    table = np.array([[-row[name] for name in names] for row in rows])
    return dict(zip(names, rankdata(table.round(6), axis=1).mean(axis=0).tolist(), strict=True)) if rows else {}


def report(results: list[dict[str, Any]]) -> None:
    trained = [result for result in results if "scores" in result]
    print(f"{len(trained)} of {len(results)} tasks train ({100 * len(trained) / max(1, len(results)):.1f} %)")
    for problem, count in Counter(result["error"][:110] for result in results if "error" in result).most_common():
        print(f"  {count:3}  {problem}")
    far = [
        result
        for result in trained
        if len(result["scores"]) > 1
        and result["scores"]["exp"] < min(result["scores"][name] for name in OTHERS) - FAR_BELOW[result["kind"]]
    ]
    print(f"{len(far)} are far below the worst of the other models:")
    for result in far:
        scores = " ".join(f"{name} {score:.3f}" for name, score in result["scores"].items())
        print(f"  {Path(result['path']).stem} {result['target']} ({result['rows']} rows): {scores}")
    for kind in (*FAR_BELOW, "all"):
        mean = ranks(results, kind)
        print(
            f"mean rank, {kind}: "
            + ", ".join(f"{name} {rank:.2f}" for name, rank in sorted(mean.items(), key=lambda item: item[1]))
        )
        of_kind = [result for result in trained if kind in ("all", result["kind"])]
        for what in ("scores", "seconds", "log_losses") if kind == "classes" else ("scores", "seconds"):
            names = {name: [result[what][name] for result in of_kind if name in result[what]] for name in mean}
            print(f"  median {what}: " + ", ".join(f"{name} {np.median(v):.3g}" for name, v in names.items() if v))
    names = [name for name in dict.fromkeys(name for result in trained for name in result["scores"]) if name != "exp"]
    for name in names:
        pairs = [result["scores"] for result in trained if name in result["scores"]]
        gains = np.array([scores["exp"] - scores[name] for scores in pairs]).round(6)
        print(f"exp has the higher score in {np.mean(gains > 0):.0%} of the tasks, {name} in {np.mean(gains < 0):.0%}")
    for result in sorted(trained, key=lambda result: -result["rows"])[:20]:
        size = (
            f"{result['rows']:6} x {result['cols']:2} {result['seconds']['exp']:6.1f} s {result['peak_mib']:6.0f} MiB"
        )
        print(f"  {size}  {Path(result['path']).stem}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("--rows", type=int, default=3000)
    parser.add_argument("--sample", type=int)
    parser.add_argument("--largest", type=int)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--alone", action="store_true", help="without scikit-learn's models")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--recipes", nargs="*", default=[], metavar="NAME=OVERRIDES")
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE")
    parser.add_argument("--out", default="outputs/real_tables.jsonl")
    parser.add_argument("--read", type=Path, metavar="RESULTS")
    parser.add_argument("--beside", metavar="NAME=RESULTS")
    given = parser.parse_args()
    results = read_results(given.read) if given.read else run_all(given)
    if given.beside:
        name, _, path = given.beside.partition("=")
        add_version(results, name, read_results(Path(path)))
    report(results)


def run_all(given: argparse.Namespace) -> list[dict[str, Any]]:
    """Return the results of the chosen tasks, which are written to a file one by one."""
    tasks = json.loads(Path(given.folder, "tasks.json").read_text(encoding="utf-8"))
    if given.largest:
        tasks = sorted(tasks, key=lambda task: task["rows"] * task["cols"])[-given.largest :]
    else:
        tasks = [task for task in tasks if task["rows"] < given.rows]
    if given.sample:
        tasks = random.Random(0).sample(tasks, min(given.sample, len(tasks)))
    Path(given.out).parent.mkdir(parents=True, exist_ok=True)
    recipes = {name: line.split() for name, _, line in (recipe.partition("=") for recipe in given.recipes)}
    overrides = [*given.set, f"seed={given.seed}"]
    arguments = [(task, overrides, recipes, not given.alone) for task in tasks]
    # A new process for every few tasks: the peak of memory is that of a process.
    with (
        multiprocessing.get_context("spawn").Pool(given.workers, maxtasksperchild=20) as pool,
        open(given.out, "w") as out,
    ):
        results: list[dict[str, Any]] = []
        for job in [pool.apply_async(measure, job) for job in arguments]:
            results.append(job.get())
            print(json.dumps(results[-1]), file=out, flush=True)
    return results


def read_results(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def add_version(results: list[dict[str, Any]], name: str, others: list[dict[str, Any]]) -> None:
    """Add the scores of another version of exp, -inf where a task did not train."""
    by_task = {(other["path"], other["target"]): other.get("scores", {}).get("exp") for other in others}
    for result in results:
        score = by_task[result["path"], result["target"]]
        if "scores" in result:
            result["scores"][name] = -np.inf if score is None else score


if __name__ == "__main__":
    main()
