from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeconv.runtime import UsageError
from edgeconv.runtime.shards import Shard, owner

DEVICES = [f"device-{number}" for number in range(20_000)]


@pytest.mark.parametrize("shards", [1, 2, 5, 9])
def test_one_process_more_moves_about_one_of_n_devices_and_none_between_the_others(shards):
    before = [owner(device, shards) for device in DEVICES]
    after = [owner(device, shards + 1) for device in DEVICES]
    moved = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
    assert {new for _, new in moved} == {shards}
    share = 1 / (shards + 1)
    # A draw for each device: four standard deviations of a binomial.
    assert abs(len(moved) / len(DEVICES) - share) < 4 * (share * (1 - share) / len(DEVICES)) ** 0.5


def test_the_shards_are_about_as_large():
    counts = Counter(owner(device, 8) for device in DEVICES)
    assert sorted(counts) == list(range(8))
    deviation = (len(DEVICES) * 1 / 8 * 7 / 8) ** 0.5
    assert all(abs(count - len(DEVICES) / 8) < 4 * deviation for count in counts.values())


def test_the_owner_is_the_same_on_every_machine_and_in_every_version():
    # Written down once; another answer would move the devices of everybody who updates.
    assert [owner(f"d{number}", 5) for number in range(10)] == [3, 0, 3, 4, 1, 2, 1, 0, 3, 2]


@settings(max_examples=200, deadline=None, derandomize=True)
@given(device=st.text(), shards=st.integers(1, 12))
def test_every_device_has_exactly_one_owner(device, shards):
    assert [Shard(index, shards).takes(device) for index in range(shards)].count(True) == 1


def test_a_shard_is_written_from_one():
    assert Shard.parse("2/5") == Shard(1, 5)
    assert str(Shard.parse("5/5")) == "5/5"


@pytest.mark.parametrize("text", ["0/5", "6/5", "2", "2/5/7", "a/b", "-1/5", "1/0", "", "1/99999999"])
def test_a_shard_that_is_none_is_refused(text):
    with pytest.raises(UsageError, match="such as 2/5"):
        Shard.parse(text)


def test_no_shards_are_refused():
    with pytest.raises(UsageError, match="there are 0 shards"):
        owner("d", 0)
