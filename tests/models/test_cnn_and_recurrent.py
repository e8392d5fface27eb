"""Models of images and sequences, as arrays [N, C, H, W] and [N, T, C]. The references are plain PyTorch loops."""

import csv
import runpy
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn

from exp.evaluate import evaluate
from exp.export import export
from exp.models.cnn import CNN
from exp.models.recurrent import GRU, LSTM

Exp = Callable[..., subprocess.CompletedProcess[str]]
LINE = ("dataset=arrays", "dataset.path=rows.npz", "threads=1", "epochs=2", "batching.batch_size=16", "figures=false")


def test_the_layers_of_square_grey_images_are_as_ever():
    model = CNN(64, 10)
    names = "Unflatten Conv2d ReLU MaxPool2d Conv2d ReLU MaxPool2d Flatten Linear"
    assert [type(layer).__name__ for layer in model] == names.split()
    assert model(torch.zeros(3, 64)).shape == (3, 10)
    assert CNN(64, 10, shape=(64,))[0].unflattened_size == (1, 8, 8)


@pytest.mark.parametrize("norm", [None, "batch", "layer"])
@pytest.mark.parametrize("average", [False, True])
@pytest.mark.parametrize("shape", [(3, 8, 12), (8, 12)])
def test_blocks_have_convolutions_a_norm_and_pooling(norm: str | None, average: bool, shape: Sequence[int]):
    size = int(np.prod(shape))
    model = CNN(size, 5, [4, 6], 2, norm, "mean", average, shape)
    of_norm = {None: "", "batch": "BatchNorm2d", "layer": "GroupNorm"}[norm]
    block = f"Conv2d {of_norm} ReLU " * 2 + "AvgPool2d "
    names = f"Unflatten {block * 2}{'AdaptiveAvgPool2d' if average else ''} Flatten Linear"
    assert [type(layer).__name__ for layer in model] == names.split()
    assert model[-1].in_features == (6 if average else 6 * 2 * 3)
    assert model(torch.zeros(3, size)).shape == (3, 5)


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("pooling", ["last", "mean"])
@pytest.mark.parametrize(("kind", "reference"), [(GRU, nn.GRU), (LSTM, nn.LSTM)])
def test_a_recurrent_model_is_torchs_layer_and_a_linear_one(
    kind: type[GRU | LSTM], reference: type[nn.GRU | nn.LSTM], pooling: str, bidirectional: bool
):
    torch.manual_seed(1)
    model = kind(12, 2, hidden=5, layers=2, bidirectional=bidirectional, pooling=pooling, shape=(4, 3))
    torch.manual_seed(1)
    layer = reference(3, 5, 2, batch_first=True, bidirectional=bidirectional)
    last = nn.Linear(10 if bidirectional else 5, 2)
    x = torch.randn(6, 4, 3)
    states, after = layer(x)
    final: Tensor = after[0] if isinstance(after, tuple) else after
    state = torch.cat([final[-2], final[-1]], dim=1) if bidirectional else final[-1]
    expected = last(states.mean(1) if pooling == "mean" else state)
    torch.testing.assert_close(model(x.reshape(6, 12)), expected, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: CNN(60, 2), "in_features=60 is not a square number"),
        (lambda: CNN(2 * 8 * 2, 2, shape=(2, 8, 2)), "too many for an image of 8 x 2"),
        (lambda: CNN(64, 2, pooling="min"), "pooling must be one of max, mean, not 'min'"),
        (lambda: CNN(64, 2, norm="group"), "norm must be one of batch, layer, not 'group'"),
        (
            lambda: GRU(64, 2, shape=(1, 8, 8)),
            r"the rows must be sequences \[T, C\], got images of shape \[1, 8, 8\]",
        ),
        (lambda: LSTM(64, 2, pooling="max"), "pooling must be one of last, mean, not 'max'"),
    ],
)
def test_what_does_not_fit_is_refused(make: Callable[[], nn.Module], message: str):
    with pytest.raises(ValueError, match=message):
        make()


def images(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(0)
    y = draw.integers(0, 2, size=60)
    x = draw.normal(size=(60, 3, 4, 6)) * [[[[1]], [[5]], [[9]]]] + y[:, None, None, None]
    np.savez(folder / "rows.npz", x=x, y=y)
    return x.astype(np.float64), y


def sequences(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(0)
    x = draw.normal(size=(60, 5, 2)) * [1, 7]
    y = (x[:, :, 0].sum(1) > 0).astype(int)
    np.savez(folder / "rows.npz", x=x, y=y)
    return x, y


class Net(nn.Module):
    """A GRU as one writes it."""

    def __init__(self) -> None:
        super().__init__()
        self.gru = nn.GRU(2, 8, batch_first=True)
        self.out = nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.gru(x)[0][:, -1])


def plain_cnn() -> nn.Module:
    layers = [nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(4 * 2 * 3, 2))


@pytest.mark.parametrize(
    ("make", "words", "net", "channel"),
    [
        (images, ("model=cnn", "model.channels=4", "model.norm=batch"), plain_cnn, 1),
        (sequences, ("model=gru", "model.hidden=8"), Net, 2),
    ],
    ids=["cnn", "gru"],
)
def test_a_run_is_the_plain_loop_and_its_script(
    make: Callable[[Path], tuple[np.ndarray, np.ndarray]],
    words: Sequence[str],
    net: Callable[[], nn.Module],
    channel: int,
    exp: Exp,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    monkeypatch.chdir(tmp_path)
    x, y = make(tmp_path)
    for engine in ("eager", "replay"):
        done = exp(*LINE, *words, f"engine={engine}", "early_stopping.patience=null", f"hydra.run.dir={engine}")
        assert done.returncode == 0, done.stderr
        assert "engine=eager is in use" not in done.stdout
    assert f"60 x {' x '.join(map(str, x.shape[1:]))}, 2 classes" in done.stdout
    tables = [list(csv.DictReader(Path(f"{run}/metrics.csv").read_text().splitlines())) for run in ("eager", "replay")]
    eager, replay = ([{**row, "seconds": ""} for row in table] for table in tables)
    assert eager == replay

    torch.manual_seed(0)
    rows = [part.numpy() for part in torch.randperm(60).split([36, 12, 12])]
    by_channel = np.moveaxis(x, channel, -1)
    scaler = StandardScaler().fit(by_channel[rows[0]].reshape(-1, x.shape[channel]))
    scaled = scaler.transform(by_channel.reshape(-1, x.shape[channel])).reshape(by_channel.shape)
    inputs = torch.tensor(np.ascontiguousarray(np.moveaxis(scaled, -1, channel)), dtype=torch.float32)
    targets = torch.from_numpy(y)
    torch.manual_seed(0)
    model, loss = net(), nn.CrossEntropyLoss()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.001)
    train = torch.utils.data.TensorDataset(inputs[rows[0]], targets[rows[0]])

    def validation_loss() -> float:
        model.eval()
        with torch.no_grad():
            value = float(loss(model(inputs[rows[1]]), targets[rows[1]]))
        model.train()
        return value

    losses = [validation_loss()]
    for _ in range(2):
        for one, other in torch.utils.data.DataLoader(train, batch_size=16, shuffle=True):
            optimizer.zero_grad()
            loss(model(one), other).backward()
            optimizer.step()
        losses.append(validation_loss())
    assert [float(row["loss"]) for row in eager if row["split"] == "val"][:3] == losses

    export("eager", format="script", out="script.py")
    capsys.readouterr()
    runpy.run_path("script.py")
    printed = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [float(row[2]) for row in printed if row[0] == "val"][:3] == losses
    assert evaluate("eager").metrics["loss"] == float(next(row[2] for row in printed if row[0] == "test"))


def test_a_layer_that_cannot_be_captured_is_trained_eagerly_and_says_why(exp: Exp, tmp_path: Path):
    sequences(tmp_path)
    done = exp(*LINE, "model=lstm", "model.hidden=4", "engine=replay")
    assert done.returncode == 0, done.stderr
    assert "note      engine=eager is in use: the step cannot be captured" in done.stdout


def test_a_model_that_does_not_fit_the_rows_is_refused(exp: Exp, tmp_path: Path):
    images(tmp_path)
    done = exp(*LINE, "model=gru")
    assert done.returncode == 1
    assert "the rows must be sequences [T, C], got images of shape [3, 4, 6]" in done.stderr
    assert "  try: model=cnn\n" in done.stderr
