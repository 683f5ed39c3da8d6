"""A generated data set in the layout of UCI HAR: the default where a user gives no data.

Nothing in it was recorded. A phone at the waist (x up, y to the side, z forward) is carried by generated people through
six activities; 50 Hz, windows of 128 samples, hop 64, accelerations in g, angular velocity in rad/s.

The model, for one person; t is time, and every random number comes from the seed and the person's number:

* **Gravity.** Pitch α and roll β of the phone give its direction u = (cos α cos β, cos α sin β, sin α). Each angle is
  posture (per activity) + mounting tilt (per person) + placement (per segment) + sway (a sum of slow sinusoids) +
  fidgets (Gaussian bumps, begun at rest) + gait swing. Sitting and lying vary further, per person and per segment.
* **Gait.** The stride phase is φ(t) = 2π ∫ f · (1 + slow modulation) dt; a stride is two steps. Body acceleration, yaw
  rate and the rates of α and β are each m(t) · Re Σ C[h] exp(i h φ) over the harmonics h = 1 … 6. |C[h]| is a table per
  activity and axis, times a vigour and a factor of its own; its phase has a common part, one per activity and its own
  deviation. Cadence, vigour, factors and deviations have a part per person and a part per segment. m(t) is a slow
  amplitude modulation. The swing of α and β is their rate integrated, C[h] / (2π i h f). Shaking adds noise.
* **Angular velocity.** ω = u̇ × u + r u: the smallest rotation that moves gravity so, and the rate r about the
  vertical, which gravity does not show: gait yaw, and turns (a sum of slow sinusoids, largest on stairs).
* **Transitions** between segments are unlabelled; every parameter goes smoothly from one segment's to the next one's.
* **Sensors.** Total acceleration is gain · u + body acceleration, with a gain per person and axis; white noise is
  added, and both sensors round to the steps of the phone behind UCI HAR (1/720 g and 0.000305 rad/s).
* **body_acc** is total_acc minus a causal low-pass of it with its corner at 0.3 Hz: three moving averages in a row
  (UCI HAR has a Butterworth filter there). So it leaks for a while after a change of posture, as the original does. The
  averages sum whole steps and are exact, so that machines that differ in the last bit of a cosine agree on the data.

The numbers were chosen for ranges, spectra and spread between persons roughly as in UCI HAR, with sitting and standing
hard to tell apart and stairs that overlap with walking. Accuracy on this set says nothing about accuracy on people.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from edgeconv.data.dataset import Dataset, Recording, Segment, Split, SplitName
from edgeconv.runtime.errors import UsageError
from edgeconv.runtime.spec import Channel

Floats = NDArray[np.float64]
_Number = TypeVar("_Number", np.float64, np.complex128)

LABELS = ("WALKING", "WALKING_UPSTAIRS", "WALKING_DOWNSTAIRS", "SITTING", "STANDING", "LAYING")
CHANNELS = tuple(
    Channel(f"{sensor}_{axis}", unit)
    for sensor, unit in (("total_acc", "g"), ("body_acc", "g"), ("body_gyro", "rad/s"))
    for axis in "xyz"
)
SAMPLING_RATE_HZ = 50.0
WINDOW = 128
HOP = 64
FIRST_TEST_SUBJECT = 101
"""Test subjects are numbered from here, so that the size of one split does not change the other."""

_ROUNDS = 2  # segments of each activity in a recording
_SITTING, _LAYING = 3, 5
_HARMONICS = np.arange(1, 7)
_AVERAGE = 43  # samples; three such averages have their -3 dB point at 0.3 Hz
_ACC_STEPS_PER_G = 720
_GYRO_STEP_RAD_S = 0.000305

# Per activity, in the order of LABELS.
_PITCH_ROLL_RAD = np.array([(-0.06, -0.17), (-0.13, -0.24), (-0.05, -0.15), (0.14, 0.14), (-0.04, -0.15), (0.55, 1.45)])
_SWAY_RAD = np.array([0.030, 0.035, 0.030, 0.0045, 0.0060, 0.0040])
_TURN_RAD_S = np.array([0.10, 0.25, 0.25, 0.010, 0.016, 0.012])
_ROUGHNESS_G = np.array([0.04, 0.04, 0.06, 0.0, 0.0, 0.0])
_FIDGETS = np.array([0.0, 0.0, 0.0, 1.5, 1.5, 1.2])
_STRIDE_HZ = np.array([0.91, 0.86, 0.92, 0.91, 0.91, 0.91])
# Stairs change the shape of a step: this phase is added to all harmonics alike.
_GAIT_PHASE_RAD = np.array([0.0, 0.65, -0.65, 0.0, 0.0, 0.0])
# Amplitudes [activity, (acceleration x, y, z in g; rate of yaw, pitch, roll in rad/s), harmonic], here in thousandths.
_GAIT_TABLE = np.array(
    [
        [50, 260, 50, 100, 60, 80, 80, 120, 70, 80, 70, 50, 60, 100, 30, 60, 40, 40],
        [500, 200, 220, 150, 80, 80, 380, 250, 380, 200, 120, 100, 220, 200, 300, 120, 80, 60],
        [60, 300, 50, 80, 40, 50, 90, 130, 60, 70, 50, 40, 70, 100, 30, 50, 30, 20],
        [480, 200, 180, 120, 80, 60, 420, 280, 300, 180, 110, 90, 300, 230, 220, 110, 70, 50],
        [60, 350, 110, 160, 110, 100, 80, 130, 90, 100, 90, 90, 60, 100, 50, 70, 60, 50],
        [450, 220, 280, 220, 100, 100, 320, 250, 300, 240, 180, 170, 240, 230, 250, 160, 100, 80],
    ]
)
_GAIT = np.concatenate([0.001 * _GAIT_TABLE.reshape(3, 6, 6), np.zeros((3, 6, 6))])


def synthetic_har(seed: int = 0, train_subjects: int = 18, test_subjects: int = 8) -> Dataset:
    """Generate the data set: about 144 windows for each subject, and one recording of four to five minutes.

    The same arguments give the same data, and a subject's data depend on `seed` and the subject's number alone.
    Raises UsageError for a negative seed or a split without subjects.
    """
    if seed < 0 or train_subjects < 1 or test_subjects < 1:
        raise UsageError(
            f"seed must be at least 0 and each split needs a subject: got seed {seed}, "
            f"{train_subjects} train and {test_subjects} test subjects"
        )
    if train_subjects >= FIRST_TEST_SUBJECT:
        raise UsageError(f"{train_subjects} train subjects asked for; there can be {FIRST_TEST_SUBJECT - 1}")
    train = tuple(_record(seed, 1 + k) for k in range(train_subjects))
    test = tuple(_record(seed, FIRST_TEST_SUBJECT + k) for k in range(test_subjects))
    continuous: dict[SplitName, tuple[Recording, ...]] = {"train": train, "test": test}
    arguments = f"seed={seed}, train_subjects={train_subjects}, test_subjects={test_subjects}"
    return Dataset(
        name="synthetic HAR-like data",
        synthetic=True,
        licence="generated by edgeconv; no restriction",
        labels=LABELS,
        channels=CHANNELS,
        sampling_rate_hz=SAMPLING_RATE_HZ,
        hop=HOP,
        train=_cut_windows(train),
        test=_cut_windows(test),
        source=f"edgeconv.data.synthetic.synthetic_har({arguments}); a signal model, no recordings of people",
        continuous=continuous,
    )


def _cut_windows(recordings: tuple[Recording, ...]) -> Split:
    """Cut every window that lies inside a segment, hop by hop, in the order of recordings and segments."""
    windows, class_ids, subjects = [], [], []
    for recording in recordings:
        views = np.lib.stride_tricks.sliding_window_view(recording.samples, WINDOW, axis=0).transpose(0, 2, 1)
        for segment in recording.segments:
            cut = views[segment.start : segment.end - WINDOW + 1 : HOP]
            windows.append(cut)
            class_ids.append(np.full(len(cut), segment.class_id, np.int64))
            subjects.append(np.full(len(cut), recording.subject, np.int64))
    return Split(np.concatenate(windows), np.concatenate(class_ids), np.concatenate(subjects))


def _record(seed: int, subject: int) -> Recording:
    """Generate the recording of one subject: samples float32 [timesteps, 9], g and rad/s."""
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(subject,)))
    segments, timesteps = _schedule(rng)
    class_ids = np.array([segment.class_id for segment in segments])
    blend = _Blend.over(segments, timesteps)
    gait = _walk(rng, class_ids, blend)
    pitch, roll = (gait[:, 4:] + _hold(rng, class_ids, blend) + _fidget(rng, segments, timesteps)).T
    yaw_rate = gait[:, 3] + blend(_TURN_RAD_S[class_ids]) * _wander(rng, timesteps, 1, 0.03, 0.4)[:, 0]
    up = np.stack([np.cos(pitch) * np.cos(roll), np.cos(pitch) * np.sin(roll), np.sin(pitch)], axis=1)
    gyro = np.cross(np.gradient(up, axis=0) * SAMPLING_RATE_HZ, up) + yaw_rate[:, None] * up
    noise = rng.normal(0, 1, (timesteps + 2, 6))
    # Shaking of the phone is no faster than about 12 Hz; three taps are enough of a low-pass.
    shaking = blend(_ROUGHNESS_G[class_ids])[:, None] * (noise[:-2] + 2 * noise[1:-1] + noise[2:]) / np.sqrt(6)
    gain = rng.normal(1.022, 0.006, 3)
    total = gain * up + gait[:, :3] + shaking[:, :3] + rng.normal(0, 0.002, (timesteps, 3))
    gyro = gyro + 2.0 * shaking[:, 3:] + rng.normal(0, 0.003, (timesteps, 3))
    return Recording(f"synthetic-{subject:03d}", _measure(total, gyro), subject, segments)


def _schedule(rng: Generator) -> tuple[tuple[Segment, ...], int]:
    """Draw the segments of a recording and its length in samples, the activities in random order round by round."""
    class_ids = np.concatenate([rng.permutation(len(LABELS)) for _ in range(_ROUNDS)])
    # 11 to 13 windows a segment, and a rest too short for one more.
    lengths = WINDOW + HOP * rng.integers(10, 13, len(class_ids)) + rng.integers(0, HOP, len(class_ids))
    gaps = rng.integers(int(2.5 * SAMPLING_RATE_HZ), int(5.5 * SAMPLING_RATE_HZ), len(class_ids) + 1)
    ends = np.cumsum(gaps[:-1] + lengths)
    segments = tuple(
        Segment(int(end - length), int(end), int(class_id))
        for end, length, class_id in zip(ends, lengths, class_ids, strict=True)
    )
    return segments, int(ends[-1] + gaps[-1])


@dataclass(frozen=True)
class _Blend:
    """Turns one value per segment into one per sample, with smooth transitions between segments."""

    before: NDArray[np.int64]
    after: NDArray[np.int64]
    weight: Floats
    """float64 [timesteps], 0 in a segment, rising to 1 where the next one starts."""

    @classmethod
    def over(cls, segments: tuple[Segment, ...], timesteps: int) -> _Blend:
        """Lay the segments out over a recording; before the first and after the last one nothing changes."""
        time = np.arange(timesteps)
        starts = np.array([segment.start for segment in segments])
        ends = np.array([segment.end for segment in segments])
        before = np.maximum(np.searchsorted(starts, time, side="right") - 1, 0)
        after = np.minimum(before + 1, len(segments) - 1)
        rise = np.clip((time - ends[before]) / np.maximum(starts[after] - ends[before], 1), 0.0, 1.0)
        return cls(before, after, rise * rise * (3 - 2 * rise))

    def __call__(self, values: NDArray[_Number]) -> NDArray[_Number]:
        """Return values [segments, ...] as [timesteps, ...]."""
        weight = self.weight.reshape(-1, *[1] * (values.ndim - 1))
        blended: NDArray[_Number] = values[self.before] + weight * (values[self.after] - values[self.before])
        return blended


def _hold(rng: Generator, class_ids: NDArray[np.int64], blend: _Blend) -> Floats:
    """Return how the phone is held: pitch and roll float64 [timesteps, 2], rad, from posture, mounting and sway."""
    count = len(class_ids)
    mounting = _vary(rng, count, (2,), 0.11, 0.03)
    # A person's way of sitting and of lying, which are not the same each time.
    sitting = _vary(rng, count, (2,), 0.10, 0.08) * (class_ids == _SITTING)[:, None]
    lying = _vary(rng, count, (2,), 0.25, 0.15) * (class_ids == _LAYING)[:, None]
    angles = blend(_PITCH_ROLL_RAD[class_ids] + mounting + sitting + lying)
    restlessness = np.exp(rng.normal(0, 0.5, count))
    return angles + blend(_SWAY_RAD[class_ids] * restlessness)[:, None] * _wander(rng, len(angles), 2, 0.05, 0.8)


def _walk(rng: Generator, class_ids: NDArray[np.int64], blend: _Blend) -> Floats:
    """Return what gait adds, float64 [timesteps, 6]: acceleration x, y, z, g; yaw rate, rad/s; pitch and roll, rad."""
    count, shape = len(class_ids), _GAIT.shape[1:]
    stride_hz = _STRIDE_HZ[class_ids] * np.exp(_vary(rng, count, (), 0.06, 0.03))
    vigour = np.exp(_vary(rng, count, (1, 1), 0.12, 0.06) + _vary(rng, count, shape, 0.2, 0.12))
    # The golden angle spreads the phases of people in general; the same heel strike is behind all of them.
    common = 2.4 * np.arange(36).reshape(shape) + _GAIT_PHASE_RAD[class_ids, None, None]
    phasors = _GAIT[class_ids] * vigour * np.exp(1j * (common + _vary(rng, count, shape, 0.28, 0.2)))
    phasors[:, 4:] /= 2j * np.pi * _HARMONICS * stride_hz[:, None, None]
    slow = _wander(rng, len(blend.weight), 2, 0.03, 0.3)
    cycles = rng.uniform() + np.cumsum(blend(stride_hz) * (1 + 0.03 * slow[:, 0])) / SAMPLING_RATE_HZ
    strides = np.exp(2j * np.pi * cycles[:, None] * _HARMONICS)
    gait: Floats = np.einsum("tch,th->tc", blend(phasors), strides).real
    return (1 + 0.12 * slow[:, 1:]) * gait


def _vary(rng: Generator, count: int, shape: tuple[int, ...], person: float, segment: float) -> Floats:
    """Draw deviations float64 [segments, *shape]: one of the person, and one of each segment; standard deviations."""
    return rng.normal(0, person, shape) + rng.normal(0, segment, (count, *shape))


def _wander(rng: Generator, timesteps: int, tracks: int, low_hz: float, high_hz: float) -> Floats:
    """Return slow random curves float64 [timesteps, tracks] of unit variance: sums of sinusoids from a band."""
    count = 8
    hz = np.exp(rng.uniform(np.log(low_hz), np.log(high_hz), (count, tracks)))
    phases = rng.uniform(0, 2 * np.pi, (count, tracks))
    time_s = np.arange(timesteps)[:, None, None] / SAMPLING_RATE_HZ
    curves: Floats = np.sqrt(2 / count) * np.cos(2 * np.pi * hz * time_s + phases).sum(axis=1)
    return curves


def _fidget(rng: Generator, segments: tuple[Segment, ...], timesteps: int) -> Floats:
    """Return pitch and roll float64 [timesteps, 2], rad, of small movements at rest."""
    angles = np.zeros((timesteps, 2))
    for segment in segments:
        for _ in range(rng.poisson(_FIDGETS[segment.class_id])):
            width = rng.uniform(0.2, 0.7) * SAMPLING_RATE_HZ
            shift = np.arange(timesteps) - rng.uniform(segment.start, segment.end)
            angles += np.exp(-0.5 * (shift / width) ** 2)[:, None] * rng.normal(0, 0.09, 2)
    return angles


def _measure(total: Floats, gyro: Floats) -> NDArray[np.float32]:
    """Return what the sensors say, float32 [timesteps, 9]: total_acc and body_acc in g, body_gyro in rad/s."""
    steps = np.rint(total * _ACC_STEPS_PER_G).astype(np.int64)
    body = steps - _low_pass(steps)
    turning = np.rint(gyro / _GYRO_STEP_RAD_S) * _GYRO_STEP_RAD_S
    return np.concatenate([steps / _ACC_STEPS_PER_G, body / _ACC_STEPS_PER_G, turning], axis=1).astype(np.float32)


def _low_pass(steps: NDArray[np.int64]) -> Floats:
    """Return the causal mean float64 [timesteps, 3] of integer steps; as if the first sample had lasted for ever."""
    sums = steps
    for _ in range(3):
        padded = np.concatenate([np.zeros_like(sums[:1]), np.repeat(sums[:1], _AVERAGE - 1, axis=0), sums])
        running = np.cumsum(padded, axis=0)
        sums = running[_AVERAGE:] - running[:-_AVERAGE]
    return sums / _AVERAGE**3
