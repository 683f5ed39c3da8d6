"""What the runtime's tests share: a tiny committed model whose answer is worked out here by hand."""

import struct
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from edgeconv.runtime import Classifier

WEIGHTS = np.array(
    [[1, 0, -1], [0, 1, 0], [-1, 0, 2], [0, -2, 1], [2, 0, 0], [0, 1, -1], [0, 0, 1], [1, -1, 0]], np.float64
)


@pytest.fixture(scope="session")
def models() -> Path:
    """The folder of the models that tools/make_tiny_models.py wrote."""
    return Path(__file__).parent / "models"


@pytest.fixture(scope="session")
def by_hand():
    """softmax(flatten(window) · weights) in float64: windows [n, 4, 2] → probabilities [n, 3]."""

    def answer(windows: np.ndarray) -> np.ndarray:
        logits = np.asarray(windows, np.float64).reshape(-1, len(WEIGHTS)) @ WEIGHTS
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        return powers / powers.sum(axis=1, keepdims=True)

    return answer


@pytest.fixture(scope="session")
def tiny(models: Path) -> Classifier:
    return Classifier.load(models / "tiny.onnx")


@pytest.fixture(scope="session")
def build_elf() -> Callable[..., bytes]:
    """Return a maker of the smallest shared library that needs these names: a header, two segments, their content."""

    def build(names: Sequence[str], base: int = 0x4000, padding: int = 0) -> bytes:
        strings = b"\0" + b"".join(name.encode() + b"\0" for name in names)
        starts = [strings.index(b"\0" + name.encode() + b"\0") + 1 for name in names]
        dynamic_at = 64 + 2 * 56 + padding
        strings_at = dynamic_at + 16 * (len(names) + 4)
        end = strings_at + len(strings)
        tags = [*((1, start) for start in starts), (14, 0), (5, base + strings_at), (10, len(strings)), (0, 0)]
        header = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
        header += struct.pack("<HHIQQQIHHHHHH", 3, 62, 1, 0, 64, 0, 0, 64, 56, 2, 0, 0, 0)
        header += struct.pack("<IIQQQQQQ", 1, 5, 0, base, base, end, end, 0x1000)
        header += struct.pack("<IIQQQQQQ", 2, 6, dynamic_at, base, base, 16 * len(tags), 16 * len(tags), 8)
        return header + bytes(padding) + b"".join(struct.pack("<QQ", *tag) for tag in tags) + strings

    return build
