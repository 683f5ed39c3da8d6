import numpy as np
import pytest

from edgeconv.evaluate.adversarial import HUGE, WINDOWS, adversarial_recordings
from edgeconv.runtime import Channel, ModelSpec


def spec_of(channels=3, window=32, hop=8):
    return ModelSpec(
        "net", "1", tuple(Channel(f"c{i}", "g", minimum=-1.0 - i, maximum=2.0 + i) for i in range(channels)), 50.0,
        window, hop, ("a", "b"),
    )  # fmt: skip


@pytest.mark.parametrize("hop", [1, 8, 32, 50])
def test_recordings_are_the_same_every_time_finite_and_a_few_windows_long(hop):
    spec = spec_of(hop=hop)
    first, second = adversarial_recordings(spec, hop), adversarial_recordings(spec, hop)
    for name, samples in first.items():
        np.testing.assert_array_equal(samples, second[name])
        assert samples.dtype == np.float32
        assert samples.shape[1] == 3
        assert np.isfinite(samples).all(), name
        windows = (len(samples) - spec.window) // hop + 1
        assert 2 <= windows <= WINDOWS


def test_extremes_are_those_of_training_and_spikes_stand_alone():
    found = adversarial_recordings(spec_of(), 8)
    assert found["highest"][0].tolist() == [2.0, 3.0, 4.0]
    assert found["lowest"][0].tolist() == [-1.0, -2.0, -3.0]
    assert np.abs(found["very large"]).max() == 4.0 * HUGE
    assert ((found["spikes"] != 0).sum(axis=1) <= 1).all()
    assert (found["spikes"] != 0).any(axis=0).all(), "every channel has a spike"
    assert np.count_nonzero(found["single spike"]) == 1
    assert 0 < np.abs(found["denormal"]).max() < np.finfo(np.float32).tiny


def test_without_ranges_mean_and_deviation_decide():
    spec = ModelSpec("net", "1", (Channel("c", "g", mean=10.0, std=2.0),), 50.0, 32, 8, ("a", "b"))
    found = adversarial_recordings(spec, 8)
    assert (found["lowest"][0, 0], found["highest"][0, 0]) == (2.0, 18.0)
