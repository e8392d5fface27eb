"""One run, from top to bottom. Read this first."""

from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from exp.build import Experiment, build
from exp.config import Config
from exp.description import described
from exp.errors import Diverged
from exp.events import Drawn, Ending, Evaluated, Event
from exp.loop import train
from exp.sinks import table
from exp.sinks.checkpoints import Checkpoints
from exp.sinks.console import Terminal
from exp.sinks.sink import Sink
from exp.sinks.summary import Summary
from exp.sinks.tensorboard import TensorBoard


def run(config: Config, folder: Path, text: str, choices: Mapping[str, str], overrides: list[str]) -> float:
    """The final validation loss of the run that `config` describes; everything else it leaves in `folder`.

    For the record: `text` is the config as YAML, `choices` the option taken of each group, `overrides` what was typed.
    """
    val_loss = float("nan")
    sinks: list[Sink] = []
    with closing(sinks):
        sinks.append(Summary(folder, {"choices": dict(choices), "overrides": overrides}))
        sinks.append(Terminal(folder))
        experiment = build(config)
        sinks += [table.Table(folder), TensorBoard(folder, text), Checkpoints(folder)]
        tell(sinks, described(config, experiment, choices, overrides))
        for event in train(experiment.learner, experiment.batches, experiment.data, experiment.plan):
            tell(sinks, event)
            if isinstance(event, Evaluated) and event.split == "val":
                val_loss = event.measures.loss
        if config.figures:
            for picture in drawn(experiment, folder):
                tell(sinks, picture)
    return val_loss


def tell(sinks: list[Sink], event: Event) -> None:
    for sink in sinks:
        sink.handle(event)


def drawn(experiment: Experiment, folder: Path) -> Iterator[Drawn]:
    """Draw the run's pictures into `folder`/figures."""
    from exp import figures  # late: matplotlib takes half a second to import

    at = experiment.batches.position(experiment.plan.steps)
    metrics = folder / table.NAME
    pictures = figures.pictures(metrics, experiment.data, experiment.objective, experiment.learner.predict)
    for name, figure in pictures:
        path = folder / "figures" / f"{name}.png"
        yield Drawn(at, name, path, *figures.save(figure, path))


@contextmanager
def closing(sinks: list[Sink]) -> Generator[None]:
    """Close every sink, the last opened first, however the run ends; one that cannot close makes it a failed run."""
    ending = Ending("finished")
    try:
        yield
    except KeyboardInterrupt:
        ending = Ending("interrupted")
        raise
    except Diverged as error:
        ending = Ending("diverged", str(error))
        raise
    except BaseException as error:
        ending = Ending("failed", str(error) or type(error).__name__)
        raise
    finally:
        failure: Exception | None = None
        for sink in reversed(sinks):
            try:
                sink.close(ending)
            except Exception as error:
                ending, failure = Ending("failed", str(error)), error
        if failure is not None:
            raise failure
