"""The generated sounds: what they are, and that they are the same each time."""

from dataclasses import replace

import numpy as np
import pytest

from edgeconv.data import load_data, recordings, stitch, write_recordings
from edgeconv.data.synthetic_tones import HOP, LABELS, SAMPLING_RATE_HZ, WINDOW, synthetic_tones
from edgeconv.data.write import usual_format
from edgeconv.runtime.errors import UsageError
from edgeconv.runtime.sources import read_recording


@pytest.fixture(scope="module")
def tones():
    return synthetic_tones(train_subjects=3, test_subjects=2)


def test_it_is_called_synthetic_and_fits_its_contract(tones):
    assert tones.synthetic
    assert "synthetic" in tones.name
    assert (tones.window, tones.hop, tones.sampling_rate_hz) == (WINDOW, HOP, SAMPLING_RATE_HZ)
    assert [(channel.name, channel.unit) for channel in tones.channels] == [("sound", "full scale")]
    for split in (tones.train, tones.test):
        assert split.windows.dtype == np.float32
        assert np.abs(split.windows).max() <= 1
        assert set(split.class_ids) == set(range(len(LABELS)))
    assert not set(tones.train.subjects) & set(tones.test.subjects)


def test_the_same_arguments_give_the_same_data_and_a_room_depends_on_itself_alone(tones):
    again = synthetic_tones(train_subjects=1, test_subjects=2)
    assert again.content_hash() == synthetic_tones(train_subjects=1, test_subjects=2).content_hash()
    np.testing.assert_array_equal(again.test.windows, tones.test.windows)
    first = tones.train.subjects == again.train.subjects[0]
    np.testing.assert_array_equal(again.train.windows, tones.train.windows[first])
    assert synthetic_tones(1, 1, 1).content_hash() != synthetic_tones(0, 1, 1).content_hash()


def test_windows_are_those_of_the_recordings_at_the_hop(tones):
    own = recordings(tones, "test")
    assert len(own) == 2
    # What overlaps can be stitched again: each segment is one recording, and gives its windows back.
    stitched = stitch(tones.test, "test", tones.hop)
    assert len(stitched) == sum(len(recording.segments) for recording in own)
    first, segment = tones.test.windows[0], own[0].segments[0]
    np.testing.assert_array_equal(first, own[0].samples[segment.start : segment.start + WINDOW])


def test_classes_sound_as_they_are_called(tones):
    """Silence is quiet; a tone keeps its frequency, a chirp does not, and noise has no peak in its spectrum."""
    windows, class_ids = tones.train.windows[:, :, 0], tones.train.class_ids
    parts = np.abs(np.fft.rfft(windows.reshape(len(windows), 20, 800) * np.hanning(800), axis=2)) ** 2
    wander = np.std(np.log2(1 + parts.argmax(axis=2)), axis=1)
    peak = parts.max(axis=2) / parts.sum(axis=2)
    level_db = 10 * np.log10((windows**2).mean(axis=1))
    silence, tone, chirp, noise = (class_ids == i for i in range(4))
    assert level_db[silence].max() < level_db[~silence].min()
    assert np.median(wander[tone]) < 0.05 < 0.2 < np.median(wander[chirp])
    assert np.median(peak[noise]) < 0.5 * np.median(peak[tone])


def test_a_wav_file_of_16_bits_holds_the_very_values(tones, tmp_path):
    recording = recordings(tones, "test")[0]
    recording = replace(recording, samples=recording.samples[:5000], segments=())
    assert usual_format(tones) == "wav"
    (path,) = write_recordings(tones, [recording], tmp_path / "out", file_format="wav")
    assert path.stat().st_size == 44 + 2 * 5000
    (samples,) = read_recording(path, ["sound"], 5000, SAMPLING_RATE_HZ)
    np.testing.assert_array_equal(samples, recording.samples)


def test_generated_sets_are_loaded_by_their_names(monkeypatch, tones):
    monkeypatch.setattr("edgeconv.data.load.GENERATED", {"synthetic-tones": lambda: tones})
    assert load_data("synthetic-tones") is tones


@pytest.mark.parametrize("arguments", [(-1, 1, 1), (0, 0, 1), (0, 1, 0), (0, 101, 1)])
def test_arguments_without_sense_are_refused(arguments):
    with pytest.raises(UsageError, match="rooms"):
        synthetic_tones(*arguments)
