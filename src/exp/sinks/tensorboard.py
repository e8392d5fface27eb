"""The run's one event file: curves, learning rate, pictures, the config, and its row on the HPARAMS page."""

# Protobuf makes its classes at run time, and torch's writer is not typed.
# pyright: reportAttributeAccessIssue=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportOptionalMemberAccess=false

import os
import socket
import time
from pathlib import Path
from typing import Any

from tensorboard.compat.proto.event_pb2 import Event as Record
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams import metadata, plugin_data_pb2
from tensorboard.summary.writer.record_writer import RecordWriter
from torch.utils.tensorboard.summary import custom_scalars, hparams, text

from exp.events import Built, Drawn, Ending, Evaluated, Event, Trained

_COLUMNS = ("val", "test")  # train has only its last few batches to show
_SECONDS_BETWEEN_FLUSHES = 5


class TensorBoard:
    """Writes loss/train, loss/val, loss/test and each measure likewise; the step is the number of updates.

    Record by record into a file, where SummaryWriter has a thread that competes with training for the interpreter.
    """

    def __init__(self, folder: Path, config: str) -> None:
        name = f"events.out.tfevents.{int(time.time()):010}.{socket.gethostname()}.{os.getpid()}.0"
        self._records = RecordWriter((folder / name).open("xb"))
        self._flushed = time.monotonic()
        self._session_end: Any = None
        self._write(Record(wall_time=time.time(), file_version="brain.Event:2"))
        self._summary(text("config", "```yaml\n" + config + "```"), 0)

    def handle(self, event: Event) -> None:
        if isinstance(event, Built):
            names = ("loss", *event.measures)
            charts = {name: ["Multiline", [f"{name}/train", f"{name}/val"]] for name in names}
            self._summary(custom_scalars({"train and val": charts}), 0)
            # Into this very file: add_hparams would make a second run of it.
            columns = {f"{name}/{split}": 0 for name in names for split in _COLUMNS}
            experiment, start, self._session_end = hparams(event.hyperparameters, columns)
            self._summary(experiment, 0)
            self._summary(start, 0)
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
            self._summary(self._session_end if ending.status == "finished" else _FAILURE, 0)
        self._records.close()

    def _scalars(self, event: Trained | Evaluated, split: str, **more: float) -> None:
        values = {f"{name}/{split}": value for name, value in event.measures.values().items()} | more
        # In one record: a record each, as add_scalar writes them, costs as much for every one.
        self._summary(Summary(value=[Summary.Value(tag=t, simple_value=v) for t, v in values.items()]), event.at.step)

    def _summary(self, summary: Any, step: int) -> None:
        self._write(Record(wall_time=time.time(), step=step, summary=summary))

    def _write(self, record: Any) -> None:
        self._records.write(record.SerializeToString())
        now = time.monotonic()
        if now - self._flushed > _SECONDS_BETWEEN_FLUSHES:
            self._records.flush()
            self._flushed = now


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
