"""TensorBoard's event files: records and their framing."""

# pyright: reportAttributeAccessIssue=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
import os
import socket
import struct
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

import google_crc32c as crc32c
import numpy as np
from tensorboard.compat.proto.event_pb2 import Event as Record
from tensorboard.compat.proto.summary_pb2 import Summary
from torch import Tensor
from torch.utils.tensorboard.summary import custom_scalars, histogram

# As many as TensorBoard shows.
_BINS = 30


def new_name() -> str:
    return f"events.out.tfevents.{int(time.time()):010}.{socket.gethostname()}.{os.getpid()}.0"


def file_header() -> bytes:
    """Return the first record of every file."""
    return frame_record(Record(wall_time=time.time(), file_version="brain.Event:2"))


def frame_record(record: Any) -> bytes:
    return frame(record.SerializeToString())


def frame(content: bytes) -> bytes:
    """Frame a serialized record as TFRecord: its length, the length's checksum, the record, the record's checksum."""
    return b"".join((_frame_length(len(content)), content, _checksum(content)))


@lru_cache
def _frame_length(size: int) -> bytes:
    """Return the length of a record, and its checksum. Records of one kind have few lengths."""
    length = struct.pack("<Q", size)
    return length + _checksum(length)


def summary_event(summary: Any, step: int = 0) -> Any:
    return Record(wall_time=time.time(), step=step, summary=summary)


def scalars(values: Mapping[str, float], step: int) -> Any:
    """Return one record of all `values`, where SummaryWriter.add_scalar would write one for each, at the same cost."""
    return summary_event(Summary(value=[Summary.Value(tag=tag, simple_value=v) for tag, v in values.items()]), step)


class ScalarRecords:
    """Serializes rows of scalars, in records that are filled in again and again."""

    def __init__(self) -> None:
        self._records: dict[tuple[str, ...], Any] = {}

    def serialize(self, tags: Sequence[str], rows: Iterable[tuple[int, Sequence[float]]]) -> Iterator[bytes]:
        """Yield a record for each row, which is a step and the values of all `tags`."""
        key = tuple(tags)
        if key not in self._records:
            self._records[key] = summary_event(Summary(value=[Summary.Value(tag=tag) for tag in tags]))
        record = self._records[key]
        record.wall_time = time.time()
        fields = list(record.summary.value)
        for step, values in rows:
            record.step = step
            for field, value in zip(fields, values, strict=True):
                field.simple_value = value
            yield record.SerializeToString()


def histograms(tensors: Mapping[str, Tensor], step: int) -> Any:
    """Return a histogram of the finite values of each tensor; tensors that have no bins are left out."""
    numbers = {tag: tensor.detach().double().cpu().numpy().ravel() for tag, tensor in tensors.items()}
    finite = {tag: values[np.isfinite(values)] for tag, values in numbers.items()}
    summaries: list[Any] = []
    for tag, values in finite.items():
        with suppress(ValueError):  # empty, or so large that adjacent floats are farther apart than bins
            summaries.append(histogram(tag, values, _BINS).value[0])
    return summary_event(Summary(value=summaries), step)


def picture(name: str, path: Path, width: int = 0, height: int = 0, step: int = 0) -> Any:
    """Return the PNG at `path`. TensorBoard does not need `width` and `height`, in pixels."""
    image = Summary.Image(encoded_image_string=path.read_bytes(), width=width, height=height, colorspace=4)
    return summary_event(Summary(value=[Summary.Value(tag=f"figures/{name}", image=image)]), step)


def charts(category: str, lines: Mapping[str, list[str]]) -> Any:
    """Return charts on the Custom Scalars page: each shows the curves of a list of tags."""
    return summary_event(custom_scalars({category: {name: ["Multiline", tags] for name, tags in lines.items()}}))


def margins(category: str, lines: Mapping[str, tuple[str, str, str]]) -> Any:
    """Return charts on the Custom Scalars page: each shows a curve and the band between two others, by their tags."""
    return summary_event(custom_scalars({category: {name: ["Margin", list(tags)] for name, tags in lines.items()}}))


def write(folder: Path, records: Iterable[Any]) -> None:
    """Write `records` to a new file in `folder`, which TensorBoard shows as a run."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / new_name()).write_bytes(b"".join([file_header(), *map(frame_record, records)]))


def _checksum(data: bytes) -> bytes:
    """CRC32C, masked as in TensorFlow's RecordWriter. In C: TensorBoard's own function is pure Python."""
    crc: int = crc32c.value(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)
