"""A stranger's recording on the command line: units, names, order, signs, times, files that belong together."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path

import numpy as np
import pytest

from edgeconv.runtime import Classifier

HAR = Path(__file__).resolve().parents[2] / "models" / "har_raw"
CHANNELS = ("acc_x", "acc_y", "acc_z", "gyro_x", "gyro_y", "gyro_z")
G = 9.80665


@pytest.fixture(scope="module")
def motion() -> np.ndarray:
    """float64 [3000, 6], g and rad/s: a minute of rest, steps and turns that obey the laws of motion, at 50 Hz."""
    place = Path(__file__).resolve().parents[1] / "runtime" / "worn.py"
    made = importlib.util.module_from_spec(found := importlib.util.spec_from_file_location("worn", place))
    found.loader.exec_module(made)
    return made.worn(11, 60).astype(np.float64)


@pytest.fixture
def save(tmp_path):
    def save(name, columns, names=CHANNELS, separator=",", form="%.9g"):
        header = separator.join(names) if names else ""
        np.savetxt(tmp_path / name, columns, fmt=form, delimiter=separator, header=header, comments="")
        return tmp_path / name

    return save


def maps(**columns):
    return [item for channel, column in columns.items() for item in ("--map", f"{channel}={column}")]


def said(predictions):
    return [(line["start_s"], line["label"]) for line in predictions]


@pytest.fixture
def expected(run, save, motion):
    """What the plain recording gives, by today's way."""
    outcome = run("stream", HAR, save("plain.csv", motion))
    assert len(outcome.notes) == 2
    assert len({label for _, label in said(outcome.predictions)}) > 2
    return outcome


SHUFFLED = (4, 2, 0, 5, 1, 3)
TURNED = np.array([1, -1, 1, 1, -1, 1])
WORN = {
    "m/s²": (lambda x: x * [G, G, G, 1, 1, 1], CHANNELS, ["--unit", "acc=m/s^2"]),
    "mg, of each channel": (
        lambda x: x * [1e3, 1e3, 1e3, 1, 1, 1], CHANNELS,
        ["--unit", "acc_x=mg", "--unit", "acc_y=mg", "--unit", "acc_z=mg"],
    ),
    "a factor": (lambda x: x * [8192, 8192, 8192, 1, 1, 1], CHANNELS, ["--unit", f"acc={1 / 8192}"]),
    "deg/s": (lambda x: np.hstack([x[:, :3], np.degrees(x[:, 3:])]), CHANNELS, ["--unit", "gyro=deg/s"]),
    "shuffled columns": (lambda x: x[:, SHUFFLED], tuple(CHANNELS[i] for i in SHUFFLED), ["--rate", 50]),
    "other names": (
        lambda x: x[:, SHUFFLED], tuple("uvwxyz"), maps(**{CHANNELS[i]: "uvwxyz"[at] for at, i in enumerate(SHUFFLED)}),
    ),
    "no names, other order": (
        lambda x: x[:, SHUFFLED], None, maps(**{CHANNELS[i]: at for at, i in enumerate(SHUFFLED)}),
    ),
    "turned, with the sign back": (lambda x: x * TURNED, CHANNELS, maps(acc_y="-acc_y", gyro_y="-gyro_y")),
}  # fmt: skip


@pytest.mark.parametrize("name", WORN)
def test_however_the_sensor_was_worn_and_written_the_predictions_are_the_same(run, save, motion, expected, name):
    change, names, options = WORN[name]
    outcome = run("stream", HAR, save("worn.csv", change(motion), names), *options)
    assert outcome.code == 0, outcome.err
    assert said(outcome.predictions) == said(expected.predictions)
    assert "worn: at the model's 50 Hz; 3000 samples in, 3000 out" in outcome.notes


def test_without_an_option_not_even_a_note_is_new_and_with_one_the_bytes_are_the_same(run, save, motion, expected):
    again = run("stream", HAR, save("plain.csv", motion), "--rate", 50)
    assert again.out == expected.out


def test_another_rate_with_jitter_and_dates_is_resampled(run, save, motion, expected, tmp_path):
    rng = np.random.default_rng(3)
    slow = np.apply_along_axis(np.convolve, 0, motion, np.hanning(7) / 3, "same")  # what 102.4 Hz can show, and more
    plain = run("stream", HAR, save("slow.csv", slow))
    from scipy.interpolate import CubicSpline

    curve = CubicSpline(np.arange(3000) / 50, slow)
    times = np.sort((np.arange(6141) + np.append(0, rng.uniform(-0.3, 0.3, 6140))) / 102.4)
    samples = save("fast.csv", np.column_stack([times, curve(times)]), ("time", *CHANNELS), form="%.7f")
    outcome = run("stream", HAR, samples, "--time-column", "time:s")
    assert outcome.code == 0, outcome.err
    assert re.search(r"fast: resampled from 102\.\d+ Hz to 50 Hz, 1 s late; 6141 samples in, \d+ out", outcome.err)
    agree = [a == b for a, b in zip(said(outcome.predictions), said(plain.predictions), strict=False)]
    assert len(agree) > 40
    assert np.mean(agree) > 0.97  # one window of 45 may be a tie


def test_times_that_nobody_mentioned_are_believed_at_the_model_s_rate_and_refused_at_another(
    run, save, motion, expected
):
    begin, names = 1_772_323_200_000, ("Time (ms)", *CHANNELS)
    form = ["%d", *["%.9g"] * 6]
    same = run(
        "stream", HAR, save("plain.csv", np.column_stack([begin + np.arange(3000) * 20, motion]), names, form=form)
    )
    assert same.out == expected.out
    assert "times are those" not in same.err
    later = begin + np.arange(3000) * 20 + np.repeat([0, 3000], 1500)
    gap = run("stream", HAR, save("gap.csv", np.column_stack([later, motion]), names, form=form))
    assert "gap: times are those of its column 'Time (ms)', in ms; --rate leaves them out" in gap.err
    assert "gap: at the model's 50 Hz, 1 gap, the longest 3.02 s; 3000 samples in, 3000 out" in gap.err
    assert max(line["start_s"] for line in gap.predictions if line["end_s"] < 31) < 30 - 2.5
    path = save("fast.csv", np.column_stack([begin + np.arange(3000) * 10, motion]), names, form=form)
    refused = run("stream", HAR, path)
    assert (refused.code, refused.out) == (3, "")
    assert refused.error.endswith(
        "fast.csv: the column 'Time (ms)' shows 100 Hz in ms, and the model wants 50 Hz; "
        "give --time-column 'Time (ms):ms' to resample, or --rate 50 if the column means something else"
    )
    assert said(run("stream", HAR, path, "--rate", 50).predictions) == said(expected.predictions)
    # These times are false, and believed gravity turns too far for them.
    believed = run("stream", HAR, path, "--time-column", "Time (ms):ms")
    assert believed.code == 3
    assert "times as far apart in time as they are said to be" in believed.error
    assert "give --rate HZ or --unit gyro=FACTOR, or --allow-implausible" in believed.error
    marked = run("stream", HAR, path, "--time-column", "Time (ms):ms", "--allow-implausible")
    assert "fast: resampled from 100 Hz" in marked.err
    (path.parent / "labels.csv").write_text("recording,start_s,end_s,label\nfast,0,60,SITTING\n")
    assert "shows 100 Hz in ms" in run("evaluate", HAR, path, "--labels", path.parent / "labels.csv").error


def test_two_files_without_header_are_joined_and_named_by_their_star(run, save, motion, expected):
    for sensor, part in (("acc", motion[:, :3]), ("gyro", motion[:, 3:])):
        save(f"{sensor}_exp1.txt", part, None, " ")
    outcome = run("stream", HAR, save("acc_exp1.txt", motion[:, :3], None, " "), "--join", "acc_*.txt,gyro_*.txt")
    assert outcome.code == 0, outcome.err
    assert said(outcome.predictions) == said(expected.predictions)
    assert {line["recording"] for line in outcome.predictions} == {"exp1"}
    save("gyro_exp1.txt", motion[:-5, 3:], None, " ")
    outcome = run("stream", HAR, save("acc_exp1.txt", motion[:, :3], None, " "), "--join", "acc_*.txt,gyro_*.txt")
    assert outcome.code == 3
    assert re.search(r"acc_exp1\.txt has 3000, .*gyro_exp1\.txt has 2995 samples; expected as many", outcome.error)


def test_files_with_a_time_column_each_are_joined_by_their_times(run, save, motion, expected, tmp_path):
    times = np.arange(3000) / 50
    for late in (0, 7):
        save("w_acc.csv", np.column_stack([times, motion[:, :3]]), ("t", *CHANNELS[:3]))
        save("w_gyro.csv", np.column_stack([times, motion[:, 3:]])[late : 3000 - late], ("t", *CHANNELS[3:]))
        options = ("--join", "*_acc.csv,*_gyro.csv", "--time-column", "t:s")
        outcome = run("stream", HAR, tmp_path / "w_acc.csv", *options)
        assert outcome.code == 0, outcome.err
        assert outcome.predictions[0]["start_s"] == late / 50
        if late == 0:
            assert said(outcome.predictions) == said(expected.predictions)
    (line,) = (note for note in outcome.notes if note.startswith("w: "))
    assert line.startswith("w: joined by time, 2986 samples, 0.28 s that not all of them cover left out; ")
    save("w_gyro.csv", np.column_stack([times + 3600, motion[:, 3:]]), ("t", *CHANNELS[3:]))
    outcome = run("stream", HAR, tmp_path / "w_acc.csv", *options)
    assert outcome.code == 3
    assert re.search(r"no time in common: .*w_acc\.csv has 0 to 60 s, .*w_gyro\.csv has 3600 to 3660 s", outcome.error)


def test_a_toml_file_says_it_all_and_options_win(run, save, motion, expected, tmp_path):
    worn = motion[:, SHUFFLED] * [1, G, G, 1, G, 1]
    (tmp_path / "phone.toml").write_text(
        'rate_hz = 50\n[columns]\nacc_x = "w"\nacc_y = "y"\nacc_z = "v"\ngyro_x = "z"\ngyro_y = "u"\ngyro_z = "u"\n'
        '[units]\nacc = "m/s^2"\n'
    )
    path = save("worn.csv", worn, tuple("uvwxyz"))
    outcome = run("stream", HAR, path, "--signal", tmp_path / "phone.toml", "--map", "gyro_z=x")
    assert said(outcome.predictions) == said(expected.predictions)


def test_no_window_reaches_over_a_gap_and_times_are_those_of_the_recording(run, save, motion):
    times = np.arange(3000) / 50
    kept = (times < 20) | (times >= 31.3)
    path = save("gap.csv", np.column_stack([times, motion])[kept], ("t", *CHANNELS))
    outcome = run("stream", HAR, path, "--time-column", "t:s")
    assert "gap: at the model's 50 Hz, 1 gap, the longest 11.3 s; 2435 samples in, 2435 out" in outcome.notes
    starts = [line["start_s"] for line in outcome.predictions]
    assert starts == pytest.approx([*(1.28 * np.arange(14)), *(31.3 + 1.28 * np.arange(21))], abs=1e-6)
    classifier = Classifier.load(HAR)
    for line, start in zip(outcome.predictions, starts, strict=True):
        (row,) = classifier.predict(motion[None, round(start * 50) : round(start * 50) + 128])
        np.testing.assert_allclose(list(line["probabilities"].values()), row, rtol=0, atol=1e-5)


def test_evaluation_scores_windows_where_they_are_and_keeps_the_report(run, save, motion, tmp_path):
    times = np.arange(3000) / 50
    kept = (times < 20) | (times >= 31.3)
    path = save("gap.csv", np.column_stack([times, motion])[kept], ("t", *CHANNELS))
    (tmp_path / "labels.csv").write_text("recording,start_s,end_s,label\ngap,0,20,LAYING\ngap,31.3,60,SITTING\n")
    options = ("--labels", tmp_path / "labels.csv", "--time-column", "t:s", "--json", tmp_path / "found.json")
    outcome = run("evaluate", HAR, path, *options)
    assert outcome.code == 0, outcome.err
    found = json.loads((tmp_path / "found.json").read_text())
    (recording,) = found["recordings"].values()
    assert recording["timesteps"] == 3000
    assert recording["signal"]["gaps"] == 1
    assert found["raw"]["windows"]["scored"] == recording["windows"] == 35
    ends = [event["end_s"] for event in recording["raw"]]
    assert not any(event["start_s"] < 20 < event["end_s"] for event in recording["raw"]), ends


def test_score_writes_what_stream_says_with_the_same_signal(run, save, motion, tmp_path):
    (tmp_path / "recordings").mkdir()
    save("recordings/worn.csv", motion * [G, G, G, 1, 1, 1])
    (tmp_path / "worn.toml").write_text('[units]\nacc = "m/s^2"\n')
    options = ("--signal", tmp_path / "worn.toml")
    out = tmp_path / "scored"
    scored = run("score", tmp_path / "recordings", "--model", HAR, "--out", out, "--workers", 1, *options)
    assert scored.code == 0, scored.err
    streamed = run("stream", HAR, tmp_path / "recordings" / "worn.csv", "--format", "csv", *options)
    assert (out / "worn.csv.csv").read_text() == streamed.out


@pytest.mark.parametrize("timed", [False, True], ids=["row by row", "by time"])
def test_score_joins_files_as_stream_does(run, save, motion, tmp_path, timed):
    times = np.arange(3000) / 50
    for number, late in ((1, 0), (2, 40)):
        for sensor, part in (("acc", motion[:, :3]), ("gyro", motion[:, 3:])):
            names = CHANNELS[:3] if sensor == "acc" else CHANNELS[3:]
            path = f"recordings/day{number}/{sensor}_walk.txt"
            (tmp_path / path).parent.mkdir(exist_ok=True, parents=True)
            if timed:
                save(path, np.column_stack([times + late / 50, part])[late if sensor == "acc" else 0 :], ("t", *names))
            else:
                save(path, part[late:], None, " ")
    options = ["--join", "acc_*.txt,gyro_*.txt"]
    if timed:
        (tmp_path / "phone.toml").write_text('time = "t:s"\n')
        options += ["--signal", tmp_path / "phone.toml"]
    out = tmp_path / "scored"
    arguments = ("score", tmp_path / "recordings", "--model", HAR, "--out", out, "--workers", 1, *options)
    assert run(*arguments).code == 0
    for number in (1, 2):
        path = tmp_path / f"recordings/day{number}/acc_walk.txt"
        streamed = run("stream", HAR, path, "--format", "csv", *options)
        assert streamed.code == 0, streamed.err
        found = (out / f"day{number}/walk.txt.csv").read_text()
        assert found.replace(f"day{number}/walk,", "walk,") == streamed.out
    (tmp_path / "recordings/day2/gyro_walk.txt").unlink()
    with (tmp_path / "recordings/day1/gyro_walk.txt").open("a") as file:
        file.write("60,0,0,0\n" if timed else "")
    outcome = run(*arguments)
    assert outcome.code == 3
    summary = json.loads(outcome.out)
    assert (summary["scored"], summary["done_before"], summary["failed"]) == ((1, 0, 1) if timed else (0, 1, 1))
    assert any("day2/walk.txt: " in note and "gyro_walk.txt: there is no such file" in note for note in outcome.notes)


def test_inspect_shows_what_becomes_of_a_signal(run, tmp_path):
    (tmp_path / "phone.toml").write_text('time = "t:ns"\n[columns]\nacc_y = "-ay"\n[units]\nacc = "m/s^2"\n')
    outcome = run("inspect", HAR, "--signal", tmp_path / "phone.toml")
    assert outcome.code == 0, outcome.err
    lines = outcome.out.splitlines()
    at = next(at for at, line in enumerate(lines) if line.endswith("phone.toml says:"))
    assert lines[at + 3].split() == ["acc_y", "ay", "m/s^2", "g", "-0.101971621"]
    assert "times: in column 't', ns" in lines
    found = json.loads(run("inspect", HAR, "--signal", tmp_path / "phone.toml", "--json").out)
    assert found["signal"][1]["factor"] == pytest.approx(-1 / G)


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--unit", "acc=furlong"], 2, "the unit of channel 'acc_x' is 'furlong', which is not known here"),
        (["--unit", "acc=deg/s"], 2, "an angular velocity; the model wants 'g', an acceleration"),
        (["--unit", "acc"], 2, "--unit 'acc' has another form; give each once, as in --unit acc=m/s^2"),
        (["--map", "mag_x=x"], 2, "the model has no channel 'mag_x'; it has acc_x"),
        (["--map", "acc_x=up"], 3, "there is no column 'up' for channel 'acc_x'; the columns are 'acc_x', 'acc_y'"),
        (["--time-column", "t"], 2, "the time column is ':t'; give NAME:UNIT, such as timestamp:ns"),
        (["--time-column", "t:s"], 3, "there is no column 't' for the time"),
        (["--rate", "-5"], 2, "rate is -5 Hz; give a positive number"),
        (["--join", "acc_*.txt"], 2, "give two or more names"),
        (["--signal", "nowhere.toml"], 3, "nowhere.toml is not there"),
    ],
)
def test_what_does_not_fit_is_one_line_that_says_why(run, save, motion, options, code, message):
    outcome = run("stream", HAR, save("walk.csv", motion[:300]), *options)
    assert outcome.code == code
    assert message in outcome.error
    assert outcome.out == ""


@pytest.mark.parametrize(
    ("spoil", "option"),
    [
        (lambda x: x * [G, G, G, 1, 1, 1], "--unit acc=m/s^2"),
        (lambda x: np.hstack([x[:, :3], np.degrees(x[:, 3:])]), "--unit gyro=deg/s"),
        (lambda x: x[:, (3, 4, 5, 0, 1, 2)], "acc and gyro are probably exchanged"),
        (lambda x: x * [1, 1, 1, 1, 0, 1], "--map gyro_y=COLUMN"),
    ],
    ids=["m/s²", "deg/s", "exchanged", "stuck"],
)
def test_a_signal_that_cannot_be_the_model_s_is_refused_with_the_cause_and_answered_only_when_asked(
    run, save, motion, spoil, option
):
    path = save("strange.csv", spoil(motion))
    refused = run("stream", HAR, path)
    assert (refused.code, refused.out) == (3, "")
    assert option in refused.error
    assert "--allow-implausible" in refused.error
    allowed = run("stream", HAR, path, "--allow-implausible")
    assert allowed.code == 0
    assert len(allowed.predictions) == (3000 - 128) // 64 + 1
    assert all(line["implausible"] for line in allowed.predictions[:50])
    table = run("stream", HAR, path, "--allow-implausible", "--format", "csv").out.splitlines()
    assert table[0].endswith(",implausible")
    assert not table[1].endswith(",")
