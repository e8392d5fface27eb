"""The run's one event file: curves, learning rate, pictures, the config, and its row on the HPARAMS page."""

# Protobuf makes its classes at run time, and torch's writer is not typed.
# pyright: reportAttributeAccessIssue=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportOptionalMemberAccess=false

from pathlib import Path
from typing import Any

from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams import metadata, plugin_data_pb2
from torch.utils.tensorboard.summary import hparams
from torch.utils.tensorboard.writer import SummaryWriter

from exp.events import Built, Drawn, Ending, Evaluated, Event, Trained

_COLUMNS = ("val", "test")  # train has only its last few batches to show
_SECONDS_BETWEEN_FLUSHES = 5


class TensorBoard:
    """Writes loss/train, loss/val, loss/test and each measure likewise; the step is the number of updates."""

    def __init__(self, folder: Path, config: str) -> None:
        self._writer = SummaryWriter(str(folder), flush_secs=_SECONDS_BETWEEN_FLUSHES)
        self._writer.add_text("config", "```yaml\n" + config + "```")
        self._session_end: Any = None

    def handle(self, event: Event) -> None:
        if isinstance(event, Built):
            names = ("loss", *event.measures)
            self._writer.add_custom_scalars(
                {"train and val": {n: ["Multiline", [f"{n}/train", f"{n}/val"]] for n in names}}
            )
            # Into this very file: add_hparams would make a second run of it.
            columns = {f"{name}/{split}": 0 for name in names for split in _COLUMNS}
            experiment, start, self._session_end = hparams(event.hyperparameters, columns)
            self._summary(experiment)
            self._summary(start)
        elif isinstance(event, Trained):
            self._scalars(event, "train", learning_rate=event.lr)
        elif isinstance(event, Evaluated) and event.split != "train":
            self._scalars(event, event.split)
        elif isinstance(event, Drawn):
            picture = Summary.Image(
                encoded_image_string=event.path.read_bytes(), width=event.width, height=event.height, colorspace=4
            )
            self._summary(Summary(value=[Summary.Value(tag=f"figures/{event.name}", image=picture)]), event.at.step)

    def close(self, ending: Ending) -> None:
        if self._session_end is not None:
            self._summary(self._session_end if ending.status == "finished" else _FAILURE)
        self._writer.close()

    def _scalars(self, event: Trained | Evaluated, split: str, **more: float) -> None:
        values = {f"{name}/{split}": value for name, value in event.measures.values().items()} | more
        # In one record: a record each, as add_scalar writes them, costs as much for every one.
        self._summary(Summary(value=[Summary.Value(tag=t, simple_value=v) for t, v in values.items()]), event.at.step)

    def _summary(self, summary: Any, step: int | None = None) -> None:
        self._writer.file_writer.add_summary(summary, step)


_FAILURE = Summary(
    value=[
        Summary.Value(
            tag=metadata.SESSION_END_INFO_TAG,
            metadata=metadata.create_summary_metadata(
                plugin_data_pb2.HParamsPluginData(
                    session_end_info=plugin_data_pb2.SessionEndInfo(status="STATUS_FAILURE")
                )
            ),
        )
    ]
)
