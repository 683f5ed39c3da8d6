"""Write the small graphs of PyTorch's two ONNX exporters that the tests read, with answers to compare with.

They are committed, because PyTorch is no dependency of the project. Run it where torch, onnx and onnxscript are
installed: each network is written as the exporter leaves it, for windows [batch, channels, window] as PyTorch has them,
and `answers.npz` holds windows and PyTorch's answers.
"""

from pathlib import Path

import numpy as np
import onnx
import torch
from torch import nn

FOLDER = Path(__file__).resolve().parents[1] / "tests" / "export" / "graph" / "torch_models"
CHANNELS, WINDOW, CLASSES = 3, 40, 4


class Residual(nn.Module):
    """A sum of two branches that have lost their edges."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.branch = nn.Conv1d(CHANNELS, 8, 3), nn.Conv1d(8, 8, 3, dilation=2)
        self.head = nn.Linear(8, CLASSES)

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        """Return probabilities [batch, classes] of windows [batch, channels, window]."""
        value = torch.relu(self.first(windows))
        value = self.branch(value) + value[:, :, 2:-2]
        return torch.softmax(self.head(torch.cat([value.mean(dim=2)], dim=1)), dim=1)


class Permuted(nn.Module):
    """Takes [batch, window, channels], as Keras does."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv1d(CHANNELS, 8, 5), nn.ELU(), nn.MaxPool1d(2), nn.Flatten(), nn.Linear(8 * 18, CLASSES),
            nn.Softmax(dim=-1),
        )  # fmt: skip

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        """Return probabilities [batch, classes] of windows [batch, window, channels]."""
        return self.layers(windows.permute(0, 2, 1))


def networks() -> dict[str, nn.Module]:
    """Return networks of the kinds that people train on sensor windows."""
    return {
        "flatten": nn.Sequential(
            nn.Conv1d(CHANNELS, 8, 3), nn.BatchNorm1d(8), nn.ReLU(), nn.Conv1d(8, 6, 3), nn.ReLU(), nn.MaxPool1d(2),
            nn.Flatten(), nn.Linear(6 * 18, 10), nn.ReLU(), nn.Linear(10, CLASSES), nn.Softmax(dim=1),
        ),
        "separable": nn.Sequential(
            nn.Conv1d(CHANNELS, CHANNELS * 2, 5, stride=2, groups=CHANNELS), nn.Conv1d(CHANNELS * 2, 8, 1),
            nn.BatchNorm1d(8), nn.Hardswish(), nn.AvgPool1d(3, 2), nn.AdaptiveAvgPool1d(1), nn.Flatten(),
            nn.Dropout(0.2), nn.Linear(8, CLASSES), nn.Softmax(dim=1),
        ),
        "padded": nn.Sequential(
            nn.Conv1d(CHANNELS, 8, 3, padding="same"), nn.ReLU(), nn.AvgPool1d(4, 3, padding=2),
            nn.AdaptiveMaxPool1d(1), nn.Flatten(),
            nn.Linear(8, CLASSES), nn.Softmax(dim=1),
        ),
        "residual": Residual(),
        "permuted": Permuted(),
    }  # fmt: skip


def strip(path: Path) -> None:
    """Leave out what the exporter notes of where the code stood: it is long, and names the paths of this machine."""
    model = onnx.load(path)
    for noted in (
        model,
        model.graph,
        *model.graph.node,
        *model.graph.value_info,
        *model.graph.input,
        *model.graph.output,
    ):
        noted.ClearField("metadata_props")
        noted.ClearField("doc_string")
    onnx.save(model, path)


def main() -> None:
    torch.manual_seed(0)
    FOLDER.mkdir(parents=True, exist_ok=True)
    windows = np.random.default_rng(0).normal(size=(7, CHANNELS, WINDOW)).astype(np.float32)
    answers = {"windows": windows}
    for name, network in networks().items():
        for module in network.modules():
            if isinstance(module, nn.BatchNorm1d):
                module.running_mean.uniform_(-0.5, 0.5)
                module.running_var.uniform_(0.5, 1.5)
        network.eval()
        given = torch.from_numpy(windows.transpose(0, 2, 1).copy() if name == "permuted" else windows)
        with torch.no_grad():
            answers[name] = network(given).numpy()
        for exporter, options in (
            ("dynamo", {"dynamo": True, "external_data": False, "dynamic_shapes": ({0: torch.export.Dim("batch")},)}),
            (
                "torchscript",
                {"dynamo": False, "dynamic_axes": {"windows": {0: "batch"}, "probabilities": {0: "batch"}}},
            ),
        ):
            path = FOLDER / f"{name}_{exporter}.onnx"
            torch.onnx.export(
                network, (given,), path, input_names=["windows"], output_names=["probabilities"], opset_version=18,
                **options,
            )  # fmt: skip
            strip(path)
    np.savez_compressed(FOLDER / "answers.npz", **answers)


if __name__ == "__main__":
    main()
