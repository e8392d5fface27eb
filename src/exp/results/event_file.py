"""TensorBoard's event files: what stands in them, and how it is framed."""

# pyright: reportAttributeAccessIssue=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
import os
import socket
import struct
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import google_crc32c as crc32c
import numpy as np
from tensorboard.compat.proto.event_pb2 import Event as Record
from tensorboard.compat.proto.summary_pb2 import Summary
from torch import Tensor
from torch.utils.tensorboard.summary import custom_scalars, histogram

# As many as TensorBoard shows of a histogram.
_BINS = 30


def new_name() -> str:
    return f"events.out.tfevents.{int(time.time()):010}.{socket.gethostname()}.{os.getpid()}.0"


def file_header() -> bytes:
    """What every file begins with."""
    return frame_record(Record(wall_time=time.time(), file_version="brain.Event:2"))


def frame_record(record: Any) -> bytes:
    """A record as TensorFlow's files hold it: its length, the length's checksum, the record, the record's checksum."""
    content: bytes = record.SerializeToString()
    length = struct.pack("<Q", len(content))
    return b"".join((length, _checksum(length), content, _checksum(content)))


def summary_event(summary: Any, step: int = 0) -> Any:
    return Record(wall_time=time.time(), step=step, summary=summary)


def scalars(values: Mapping[str, float], step: int) -> Any:
    """All of them in one record: a record each, as add_scalar writes them, costs as much for every one."""
    return summary_event(Summary(value=[Summary.Value(tag=tag, simple_value=v) for tag, v in values.items()]), step)


def histograms(values: Mapping[str, Tensor], step: int) -> Any:
    """How each tensor's numbers are distributed; those that are not finite are left out, and what has no bins."""
    numbers = {tag: tensor.detach().double().cpu().numpy().ravel() for tag, tensor in values.items()}
    finite = {tag: found[np.isfinite(found)] for tag, found in numbers.items()}
    made: list[Any] = []
    for tag, found in finite.items():
        with suppress(ValueError):  # none, or so large that numbers beside each other are farther apart than bins
            made.append(histogram(tag, found, _BINS).value[0])
    return summary_event(Summary(value=made), step)


def picture(name: str, path: Path, width: int = 0, height: int = 0, step: int = 0) -> Any:
    """The PNG at `path`; it is of `width` x `height` pixels, as far as anybody asks."""
    image = Summary.Image(encoded_image_string=path.read_bytes(), width=width, height=height, colorspace=4)
    return summary_event(Summary(value=[Summary.Value(tag=f"figures/{name}", image=image)]), step)


def charts(category: str, lines: Mapping[str, list[str]]) -> Any:
    """Charts of several curves each, on the Custom Scalars page."""
    return summary_event(custom_scalars({category: {name: ["Multiline", tags] for name, tags in lines.items()}}))


def margins(category: str, lines: Mapping[str, tuple[str, str, str]]) -> Any:
    """Charts of a curve between two others there, by the tags of all three."""
    return summary_event(custom_scalars({category: {name: ["Margin", list(tags)] for name, tags in lines.items()}}))


def write(folder: Path, records: Iterable[Any]) -> None:
    """A new file in `folder` with these records, which TensorBoard shows as a run."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / new_name()).write_bytes(b"".join([file_header(), *map(frame_record, records)]))


def _checksum(data: bytes) -> bytes:
    """CRC32C, masked as TensorFlow's RecordWriter masks it; tensorboard's own function goes byte by byte."""
    crc: int = crc32c.value(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)
