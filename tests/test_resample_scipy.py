"""The runtime's resampler against scipy's, which the runtime itself does without."""

import numpy as np
import pytest
from scipy.signal import resample_poly

from edgeconv.runtime.conditioning.resample import Resampler


@pytest.mark.parametrize(("up", "down", "source_hz"), [(1, 2, 100.0), (5, 6, 60.0), (2, 1, 25.0)])
def test_scipy_s_polyphase_filter_gives_the_same_of_noise_in_the_band(up, down, source_hz):
    rng = np.random.default_rng(1)
    target_hz = source_hz * up / down
    band_hz = 0.7 * min(source_hz, target_hz) / 2
    spectrum = np.fft.rfft(rng.normal(size=(4000, 2)), axis=0)
    spectrum[np.fft.rfftfreq(4000, 1 / source_hz) > band_hz] = 0
    samples = np.fft.irfft(spectrum, axis=0)
    resampler = Resampler(2, source_hz, target_hz, jitter=False)
    found = np.concatenate([resampler.push(np.arange(4000) / source_hz, samples)[1], resampler.finish()[1]])
    expected = resample_poly(samples, up, down, axis=0, window=("kaiser", 10.0))
    away = int(3 * target_hz)
    count = min(len(found), len(expected)) - away
    # scipy's own filter, 20 zero crossings long, has a ripple of some 1e-3 that ours does not share
    np.testing.assert_allclose(found[away:count], expected[away:count], rtol=0, atol=5e-3 * np.abs(samples).max())
