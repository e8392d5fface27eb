"""One run, from top to bottom. Read this first."""

from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from exp.build import Experiment, build
from exp.config import Config
from exp.description import described
from exp.errors import ConfigError, Diverged
from exp.events import Drawn, Ending, Evaluated, Event, Noted, Position
from exp.loop import train
from exp.sinks import summary, table
from exp.sinks.checkpoints import Checkpoints
from exp.sinks.console import Terminal
from exp.sinks.sink import Sink
from exp.sinks.summary import Summary
from exp.sinks.tensorboard import TensorBoard


def run(config: Config, folder: Path, text: str, choices: Mapping[str, str], overrides: list[str]) -> float:
    """The final validation loss of the run that `config` describes; everything else it leaves in `folder`.

    For the record: `text` is the config as YAML, `choices` the option taken of each group, `overrides` what was typed.
    """
    val_loss, at = float("nan"), Position(0, 0, 0)
    sinks: list[Sink] = []
    if (folder / summary.NAME).exists():
        raise ConfigError(f"{folder} holds a run already, and two would mix", "hydra.run.dir=ANOTHER_FOLDER")
    with closing(sinks):
        sinks.append(Summary(folder, {"choices": dict(choices), "overrides": overrides}))
        sinks.append(Terminal(folder))
        experiment = build(config)
        sinks.append(table.Table(folder))
        sinks.append(TensorBoard(folder, text))
        sinks.append(Checkpoints(folder))
        tell(sinks, described(config, experiment, choices, overrides))
        for event in train(experiment.learner, experiment.batches, experiment.data, experiment.plan):
            tell(sinks, event)
            if isinstance(event, Evaluated) and event.split == "val":
                val_loss, at = event.measures.loss, event.at
        if config.figures:
            for picture in drawn(experiment, folder, at):
                tell(sinks, picture)
    return val_loss


def tell(sinks: list[Sink], event: Event) -> None:
    for sink in sinks:
        sink.handle(event)


def drawn(experiment: Experiment, folder: Path, at: Position) -> Iterator[Drawn | Noted]:
    """Draw the run's pictures into `folder`/figures. One that cannot be drawn does not undo a run that was trained."""
    from exp import figures  # late: matplotlib takes half a second to import

    for name, draw in figures.pictures(
        folder / table.NAME, experiment.data, experiment.objective, experiment.learner.predict
    ):
        path = folder / "figures" / f"{name}.png"
        try:
            yield Drawn(at, name, path, *figures.save(draw(), path))
        except Exception as error:
            yield Noted(at, f"figures/{name}.png could not be drawn: {error}")


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
        failure: BaseException | None = None
        for sink in reversed(sinks):
            try:
                sink.close(ending)
            except BaseException as error:  # a second Ctrl-C, too, leaves no file open
                failure = failure or error
                if ending.status == "finished" and not isinstance(error, KeyboardInterrupt):
                    ending = Ending("failed", str(error))
        if failure is not None and ending.status in ("finished", "failed"):
            raise failure
