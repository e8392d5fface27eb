"""The run's event file for TensorBoard: curves, learning rate, figures, the config, and its row on the HPARAMS page."""

# pyright: reportAttributeAccessIssue=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportOptionalMemberAccess=false
import time
from collections.abc import Iterator
from operator import itemgetter
from pathlib import Path
from typing import Any

from tensorboard.compat.proto.event_pb2 import Event as Record
from tensorboard.compat.proto.event_pb2 import SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams import metadata, plugin_data_pb2
from torch.utils.tensorboard.summary import hparams, text

from exp.results import event_file
from exp.results.flush_timer import FlushTimer
from exp.training.curves import curves_of
from exp.training.events import Built, Drawn, Ending, Evaluated, Event, Histograms, Logged, Trained

_COLUMNS = ("val", "test")  # train has only its last batches


class TensorBoardSink:
    """Writes loss/train, loss/val, loss/test, and other metrics likewise; the step is the number of updates.

    It writes records itself: SummaryWriter's thread competes with training for the interpreter.

    Args:
        config: The config as YAML.
        resume_step: Of a resumed run, the step after which TensorBoard discards what the file has; None for a new run.
    """

    def __init__(self, folder: Path, config: str, resume_step: int | None = None) -> None:
        self._resume_step = resume_step
        paths = sorted(folder.glob("events.out.tfevents.*"))
        path = paths[0] if paths else folder / event_file.new_name()
        self.file = path.open("wb" if resume_step is None else "ab", buffering=0)
        self.file.truncate(_end_of_last_record(path))
        self._pending: list[bytes] = []
        self._scalars = event_file.ScalarRecords()
        self._timer = FlushTimer()
        self._session_end: Any = None
        if resume_step is None:
            self._pending.append(event_file.file_header())
            self._write(event_file.summary_event(text("config", "```yaml\n" + config + "```")))
        else:
            self._write(
                Record(wall_time=time.time(), step=resume_step + 1, session_log=SessionLog(status=SessionLog.START))
            )

    def handle(self, event: Event) -> None:
        if isinstance(event, Built):
            names = ("loss", *event.metrics)
            columns = {f"{name}/{split}": 0 for name in names for split in _COLUMNS}
            experiment, start, self._session_end = hparams(event.hyperparameters, columns)
            if self._resume_step is not None:
                return
            self._write(event_file.charts("train and val", {name: [f"{name}/train", f"{name}/val"] for name in names}))
            # In this file: SummaryWriter.add_hparams would create a second run.
            self._write(event_file.summary_event(experiment))
            self._write(event_file.summary_event(start))
        elif isinstance(event, Trained | Evaluated):
            records = sorted(self._records(event), key=itemgetter(0))  # the training values of a step stay first
            self._pending += [event_file.frame(record) for _, record in records]
        elif isinstance(event, Histograms):
            if self._resume_step is None or event.at.step > self._resume_step:
                tensors = {f"weights/{name}": weight for name, weight in event.weights.items()}
                tensors |= {f"gradients/{name}": gradient for name, gradient in event.gradients.items()}
                self._write(event_file.histograms(tensors, event.at.step))
        elif isinstance(event, Logged):
            self._write(event_file.scalars(event.values, event.at.step))
        elif isinstance(event, Drawn):
            self._write(event_file.picture(event.name, event.path, event.width, event.height, event.at.step))
        if self._timer.is_due(event):
            self._flush()

    def close(self, ending: Ending) -> None:
        if self._session_end is not None and ending.status != "interrupted":
            end = self._session_end if ending.status == "finished" else _FAILURE
            self._write(event_file.summary_event(end))
        self._flush()
        self.file.close()

    def _records(self, event: Trained | Evaluated) -> Iterator[tuple[int, bytes]]:
        """Yield step and record of each point of the curves."""
        for split, at, metrics in curves_of(event, self._resume_step):
            curves = {f"{name}/{split}": values for name, values in metrics.items()}
            if isinstance(event, Trained) and split == "train":
                curves["learning_rate"] = [event.lr] * len(at.step)
            rows = zip(at.step, zip(*curves.values(), strict=True), strict=True)
            yield from zip(at.step, self._scalars.serialize([*curves], rows), strict=True)

    def _write(self, record: Any) -> None:
        self._pending.append(event_file.frame_record(record))

    def _flush(self) -> None:
        """Write the pending records at once, so that a reader or a crash rarely finds part of a record."""
        if self._pending:
            self.file.write(b"".join(self._pending))
            self._pending.clear()


def _end_of_last_record(path: Path) -> int:
    """Return the size of the file up to the end of its last complete record."""
    size, end = path.stat().st_size, 0
    with path.open("rb") as file:
        while len(header := file.read(8)) == 8:
            # Length, its checksum, the record, its checksum.
            after = end + 8 + 4 + int.from_bytes(header, "little") + 4
            if after > size:
                break
            end = after
            file.seek(end)
    return end


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
