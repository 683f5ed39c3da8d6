"""What can be said of a source, in options and in TOML, and how it is wired to a model."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeconv.runtime.conditioning.signal import Signal, TimeColumn, group_of, split_pairs
from edgeconv.runtime.conditioning.wiring import Wiring, wires_of
from edgeconv.runtime.errors import InputError, MissingFileError, UsageError
from edgeconv.runtime.spec import Channel, ModelSpec

SPEC = ModelSpec(
    name="imu", version="1", sampling_rate_hz=50.0, window=8, hop=4, labels=("a", "b"),
    channels=(Channel("acc_x", "g"), Channel("acc_y", "g"), Channel("gyro_x", "rad/s"), Channel("heart", "1")),
)  # fmt: skip

texts = st.text(min_size=1, max_size=8)
tables = st.dictionaries(texts, texts, max_size=4)
signals = st.builds(
    Signal, columns=tables, units=tables,
    time=st.none() | st.builds(TimeColumn, texts, st.sampled_from(["s", "ms", "us", "ns", "iso8601"])),
    rate_hz=st.none() | st.floats(1e-3, 1e6), max_gap_s=st.none() | st.floats(1e-3, 1e6),
    missing=st.sampled_from(["reject", "hold", "gap"]),
    join=st.sampled_from([(), ("acc_*.txt", "gyro_*.txt"), ("a.csv", "b.csv", 'quote".csv')]),
)  # fmt: skip


@settings(derandomize=True, deadline=None)
@given(signal=signals)
def test_what_is_written_as_toml_is_read_back(tmp_path_factory, signal):
    path = tmp_path_factory.getbasetemp() / "signal.toml"
    path.write_text(signal.to_toml(), encoding="utf-8", newline="")
    assert Signal.load(path) == signal


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rate = 50", "there is no key 'rate'; known are columns, units, time, rate_hz"),
        ("rate_hz = '50'", "rate_hz is '50'; expected a number"),
        ("rate_hz = true", "rate_hz is True; expected a number"),
        ("rate_hz = -1", "rate is -1 Hz; give a positive number"),
        ("max_gap_s = 0", "max_gap is 0 s; give a positive number"),
        ("time = 't'", "the time column is ':t'; give NAME:UNIT, such as timestamp:ns"),
        ("time = 't:hours'", "the time column is 't:hours'.*with a unit of s, ms, us, ns, iso8601"),
        ("time = 3", "time is 3; expected a text"),
        ("missing = 'zero'", "missing is 'zero'; give one of reject, hold, gap"),
        ("columns = ['ax']", "columns is \\['ax'\\]; expected a table"),
        ("[columns]\nacc_x = true", "columns.acc_x is True; expected a text or a number"),
        ("join = 'a,b'", "join is 'a,b'; expected a list of names"),
        ("join = ['acc_*.txt']", "give two or more names, each with one \\* or none"),
        ("join = ['acc_*.txt', 'gyro.txt']", "give two or more names"),
        ("rate_hz = ", "cannot be read as TOML"),
    ],
)
def test_a_file_that_says_something_else_is_refused_with_its_name_and_the_key(tmp_path, text, message):
    (tmp_path / "phone.toml").write_text(text)
    with pytest.raises(UsageError, match=r"phone\.toml.*" + message):
        Signal.load(tmp_path / "phone.toml")


def test_a_file_that_is_not_there_is_a_missing_file(tmp_path):
    with pytest.raises(MissingFileError, match="expected a TOML file that describes a signal"):
        Signal.load(tmp_path / "phone.toml")


def test_a_name_may_hold_colons_and_a_column_may_be_a_number():
    assert TimeColumn.parse("a:b:ns") == TimeColumn("a:b", "ns")
    assert Signal.from_table({"columns": {"acc_x": 3}, "units": {"acc": 0.001}}) == Signal(
        {"acc_x": "3"}, {"acc": "0.001"}
    )
    assert (group_of("total_acc_x"), group_of("heart")) == ("total_acc", "")


def test_pairs_are_given_once_each():
    assert split_pairs(["acc_x = ax", "b=-c=d"], "--map", "acc_x=ax") == {"acc_x": "ax", "b": "-c=d"}
    for given_, problem in ((["acc_x"], "another form"), (["=x"], "another form"), (["a=b", "a=c"], "second time")):
        with pytest.raises(UsageError, match=f"--map .*{problem}.*as in --map acc_x=ax"):
            split_pairs(given_, "--map", "acc_x=ax")


def test_a_channel_s_own_unit_wins_over_its_group_s_and_unsaid_is_the_model_s():
    wires = wires_of(SPEC, Signal(columns={"acc_y": "-side"}, units={"acc": "m/s^2", "acc_y": "mg", "gyro": "deg/s"}))
    assert [(wire.column, wire.unit, wire.target) for wire in wires] == [
        ("acc_x", "m/s^2", "g"), ("side", "mg", "g"), ("gyro_x", "deg/s", "rad/s"), ("heart", "1", "1"),
    ]  # fmt: skip
    assert [wire.factor for wire in wires] == pytest.approx([1 / 9.80665, -0.001, 0.017453292519943295, 1.0])


@pytest.mark.parametrize("signal", [Signal(columns={"acc_z": "z"}), Signal(units={"mag": "uT"})])
def test_a_channel_that_the_model_does_not_have_is_refused(signal):
    with pytest.raises(
        UsageError, match=r"the model has no channel '\w+'; it has acc_x, acc_y, gyro_x, heart, and the gr"
    ):
        wires_of(SPEC, signal)


def test_columns_are_found_by_name_by_number_and_without_names_in_order():
    time = TimeColumn("t", "ms")
    names = ("t", "heart", "acc_y", "gyro_x", "acc_x")
    found = Wiring.of(SPEC, Signal(time=time), names)
    assert (found.indices, found.time_index, found.used) == ((4, 2, 3, 1), 0, (0, 1, 2, 3, 4))
    assert Wiring.of(SPEC, Signal(), 4).indices == (0, 1, 2, 3)
    assert Wiring.of(SPEC, Signal(time=TimeColumn("1", "s")), 5).indices == (0, 2, 3, 4)
    said = {"acc_x": "9", "acc_y": "-8", "gyro_x": "2", "heart": "9"}
    found = Wiring.of(SPEC, Signal(columns=said), 10)
    assert (found.indices, found.used, found.narrowed().indices) == ((9, 8, 2, 9), (2, 8, 9), (2, 1, 0, 2))


def test_a_column_whose_name_occurs_twice_is_given_by_its_number():
    names = ("x", "y", "x", "heart")
    said = {"acc_x": "0", "acc_y": "y", "gyro_x": "2"}
    assert Wiring.of(SPEC, Signal(columns=said), names).indices == (0, 1, 2, 3)
    with pytest.raises(InputError, match="channel 'gyro_x' is column 'x', of which there are 2; give its number"):
        Wiring.of(SPEC, Signal(columns={**said, "gyro_x": "x"}), names)


@pytest.mark.parametrize(
    ("signal", "columns", "message"),
    [
        (
            Signal(),
            ("acc_x", "acc_y", "gyro_x"),
            "no column 'heart' for channel 'heart'; the columns are 'acc_x'.*--map",
        ),
        (Signal(), 3, "no column 'acc_x' for channel 'acc_x'; the columns have no names, they are 0 to 2"),
        (Signal(time=TimeColumn("when", "s")), SPEC.channel_names, "no column 'when' for the time;.*--time-column"),
    ],
)
def test_a_column_that_is_not_there_is_named_with_those_that_are(signal, columns, message):
    with pytest.raises(InputError, match=message):
        Wiring.of(SPEC, signal, columns)
