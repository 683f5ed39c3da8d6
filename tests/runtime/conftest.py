"""What the runtime's tests share: a tiny committed model whose answer is worked out here by hand."""

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
