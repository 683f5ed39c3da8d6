"""tools/disturbances.py: what it does to recordings, how it judges answers, and the program on a short recording."""

import csv
import gzip
import importlib.util
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]
TOOL = ROOT / "tools" / "disturbances.py"
LABELS = ("WALKING", "WALKING_UPSTAIRS", "WALKING_DOWNSTAIRS", "SITTING", "STANDING", "LAYING", *"GHIJKL")


@pytest.fixture(scope="module")
def worn():
    """A made-up recording that is plausible: float32 [n, 6], by a seed and its seconds."""
    found = importlib.util.spec_from_file_location("worn", ROOT / "tests" / "runtime" / "worn.py")
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module.worn


@pytest.fixture
def disturb(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    import disturb.made
    import disturb.page
    import disturb.tally
    import disturb.ways

    return disturb


@pytest.fixture
def samples(worn):
    return worn(3, 24.0).astype(np.float64)


def test_a_tone_between_its_samples_is_known_to_a_hundred_thousandth(disturb):
    """A hundredth of what the runtime's resampler may be off by, which is judged by this."""
    times = np.arange(2000) / 50
    between = np.sort(np.random.default_rng(5).uniform(8, 32, 3000))
    for hz in (0.7, 5.0, 12.0, 20.0):
        found = disturb.made.at_times(np.sin(2 * np.pi * hz * times + 0.4)[:, None], between)
        # the mirrored recording has a kink where it is mirrored, which is felt some seconds away
        np.testing.assert_allclose(found[:, 0], np.sin(2 * np.pi * hz * between + 0.4), rtol=0, atol=3e-5)


def test_a_sensor_of_a_lower_rate_has_nothing_above_half_of_it(disturb):
    times = np.arange(2000) / 50
    tones = np.sin(2 * np.pi * np.array([3.0, 15.0]) * times[:, None])
    found = disturb.made.at_times(tones, np.arange(200, 800) / 25, 12.5)
    np.testing.assert_allclose(np.abs(found).max(axis=0), [1.0, 0.0], atol=0.01)


def test_every_way_has_a_name_of_its_own_and_writes_what_it_says(disturb, samples, tmp_path):
    ways = disturb.ways.WAYS
    assert len({way.name for way in ways}) == len(ways) >= 18
    for number, way in enumerate(ways):
        folder = tmp_path / str(number)
        folder.mkdir()
        first, stretches = way.write(samples, "walk", folder, (1, 0))
        assert sorted(path.name for path in folder.iterdir()) == sorted(n.replace("*", "walk") for n, _ in way.files)
        assert 0 < sum(stretches) <= len(samples), way.name
        for path in folder.glob("*.csv*"):
            text = gzip.decompress(path.read_bytes()).decode() if path.suffix == ".gz" else path.read_text()
            rows = list(csv.reader(text.splitlines()))
            assert len({len(row) for row in rows}) == 1, way.name
        assert first.exists()


@pytest.mark.parametrize("source_hz", [50.0, 100.0])
def test_parts_between_gaps_are_as_long_as_they_are_said_to_be(disturb, samples, source_hz):
    made = disturb.made
    table = made.with_gaps(made.sampled(source_hz, "time_ms"))(samples, np.random.default_rng(2))
    times = table.times[1] / 1e3
    ends = np.flatnonzero(np.diff(times) > 1.0)
    parts = np.split(times, ends + 1)
    grid = np.arange(len(samples)) / 50
    inside = [((grid >= part[0] - 1e-9) & (grid <= part[-1] + 1e-9)).sum() for part in parts]
    assert (len(parts), tuple(inside)) == (4, table.stretches)
    np.testing.assert_allclose(np.diff(times)[ends], 3.0 + 1 / source_hz, atol=0.51 / source_hz)
    np.testing.assert_allclose(table.values, made.at_times(samples, times))


def test_rows_that_come_twice_or_late_are_one_in_a_hundred(disturb, worn):
    samples = worn(4, 90.0).astype(np.float64)
    table = disturb.made.repeated_and_late(samples, np.random.default_rng(2))
    steps = np.diff(table.times[1])
    assert 0.005 < (steps == 0).mean() < 0.015
    assert 0.005 < (steps < 0).mean() < 0.015
    np.testing.assert_array_equal(table.values, samples[np.rint(table.times[1] * 50).astype(int)])


def answers(disturb, starts, probabilities):
    return disturb.command.Answers(0, (), {"walk": np.array(starts)}, {"walk": np.array(probabilities)}, 0)


def test_a_window_that_is_missing_wrong_or_one_too_many_does_not_agree(disturb):
    reference = np.array([[0.9, 0.1], [0.2, 0.8], [0.3, 0.7]])
    for starts, own, same, windows in (
        ([0, 1, 2], reference, 3, 3),
        ([0, 1], reference[:2], 2, 3),
        ([0, 1, 2], reference[:, ::-1], 0, 3),
        ([0, 1, 2, 3], [*reference, [1.0, 0.0]], 3, 4),
    ):
        tally = disturb.tally.Tally()
        tally.add(answers(disturb, starts, own), "walk", reference, 3)
        assert (tally.same, tally.windows) == (same, windows)


def row(same, windows, *, largest=0.0, code=0, bound=None, note=0):
    silent = {"recordings": 1 - note, "same": (1 - note) * same, "windows": (1 - note) * windows}
    return {
        "name": "a way", "bound": bound, "plain": {"silent": silent},
        "right": {"code": code, "same": same, "windows": windows, "largest": largest},
    }  # fmt: skip


def test_wrong_answers_without_a_note_and_missed_bounds_are_found(disturb):
    page = disturb.page
    assert page.silently_wrong(row(997, 1000))
    assert not page.silently_wrong(row(998, 1000))
    assert not page.silently_wrong(row(0, 1000, note=1))
    exact, loose = {"agree": 1.0, "largest": 1e-4}, {"agree": 0.998, "largest": None}
    assert [page.missed(row(999, 1000, bound=bound)) for bound in (exact, loose, None)] == [True, False, False]
    assert page.missed(row(1000, 1000, bound=exact, largest=2e-4))
    assert page.missed(row(1000, 1000, code=3))
    tone = {"source": "100 Hz", "hz": 35.0, "delay_ms": None, "gain": 1e-3, "late_s": 0.9}
    found = {"rows": [row(900, 1000, bound=loose)], "tones": [tone]}
    assert page.faults(found) == ["silently wrong: a way", "bound missed: a way", "bound missed: 35 Hz from 100 Hz"]


def tiny_hapt(folder, worn):
    """Write a set in HAPT's layout: a minute of a training person, and of one of the test people."""
    with zipfile.ZipFile(folder / "tiny.zip", "w") as archive:
        archive.writestr("RawData/labels.txt", "1 1 5 1 1000\n2 2 5 1 1000\n")
        archive.writestr("activity_labels.txt", "".join(f"{i} {name}\n" for i, name in enumerate(LABELS, 1)))
        for user in (1, 2):
            samples = worn(user, 60.0)
            for sensor, part in (("acc", samples[:, :3]), ("gyro", samples[:, 3:])):
                text = "\n".join(" ".join(map(repr, row)) for row in part.tolist()) + "\n"
                archive.writestr(f"RawData/{sensor}_exp{user:02d}_user{user:02d}.txt", text)
    return folder / "tiny.zip"


def test_the_program_disturbs_streams_and_prints(worn, tmp_path):
    command = [sys.executable, str(TOOL), "--data", str(tiny_hapt(tmp_path, worn)), "--recordings", "1"]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([*command, "--only", "acc in m/s²"], env=env, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 4), done.stderr
    rows = {cells[0]: cells for cells in (line.strip("| ").split(" | ") for line in done.stdout.splitlines())}
    # of two tables the second is kept: disturbance, told, windows, agree, |Δp|, bound
    assert rows["acc in m/s²"][1:4] == ["`--unit acc=m/s^2`", "45 of 45", "100 %"]
    assert "1 refused | after 5.1 s: the median norm of acc is" in done.stdout
    assert "bound missed" not in done.stderr


def test_the_page_has_a_row_for_every_way_and_every_bound_holds(disturb):
    found = json.loads((ROOT / "docs" / "disturbances.json").read_text(encoding="utf-8"))
    assert [row["name"] for row in found["rows"]] == [way.name for way in disturb.ways.WAYS]
    assert found["recordings"] == 19
    # Of one recording, whose owner walks nearly all the time: docs/plausibility.md. Nothing else may join it.
    assert disturb.page.faults(found) == ["silently wrong: acc_y with the other sign"]
