from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from edgeconv.data import UciHar, load_data
from edgeconv.data.fetch import UCI_HAR_URL
from edgeconv.data.synthetic import synthetic_har
from edgeconv.runtime.errors import InputError, MissingFileError

SIGNAL = "train/Inertial Signals/body_acc_y_train.txt"


def message_of(path, error=InputError):
    with pytest.raises(error) as caught:
        UciHar(path).load(use_cache=False)
    return str(caught.value)


def test_the_official_form_gives_windows_ids_subjects_and_names(tiny):
    dataset = UciHar(tiny.as_folder()).load()
    assert dataset.name == "UCI HAR"
    assert not dataset.synthetic
    assert dataset.labels == ("WALKING", "WALKING_UPSTAIRS", "WALKING_DOWNSTAIRS", "SITTING", "STANDING", "LAYING")
    assert [c.name for c in dataset.channels] == [
        f"{sensor}_{axis}" for sensor in ("total_acc", "body_acc", "body_gyro") for axis in "xyz"
    ]
    assert [c.unit for c in dataset.channels] == ["g"] * 6 + ["rad/s"] * 3
    assert (dataset.sampling_rate_hz, dataset.window, dataset.hop) == (50.0, 128, 64)
    assert dataset.train.windows.dtype == np.float32
    np.testing.assert_array_equal(dataset.train.windows, tiny.windows["train"])
    np.testing.assert_array_equal(dataset.test.windows, tiny.windows["test"])
    np.testing.assert_array_equal(dataset.train.class_ids, [4, 4, 0, 5, 1])
    np.testing.assert_array_equal(dataset.test.class_ids, [2, 3, 0])
    np.testing.assert_array_equal(dataset.train.subjects, [1, 1, 3, 3, 3])
    np.testing.assert_array_equal(dataset.test.subjects, [2, 2, 4])


def test_the_licence_gives_both_statements_and_the_citation(tiny):
    licence = UciHar(tiny.as_zip()).load().licence
    assert "CC BY 4.0" in licence
    assert "commercial use is prohibited" in licence
    assert "ESANN 2013" in licence


@pytest.mark.parametrize("form", ["official", "plain"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"], ids=["lf", "crlf"])
@pytest.mark.parametrize("how", ["as_folder", "as_zip", "as_nested_zip"])
def test_all_forms_give_the_same_data_set(make_tiny, form, line_end, how):
    reference = UciHar(make_tiny(where="reference").as_folder()).load(use_cache=False)
    dataset = UciHar(getattr(make_tiny(form, line_end), how)()).load(use_cache=False)
    assert dataset.content_hash() == reference.content_hash()
    for split in ("train", "test"):
        assert dataset.split(split).windows.tobytes() == reference.split(split).windows.tobytes()


def test_the_parent_of_the_folder_will_do(tiny):
    folder = tiny.as_folder()
    assert UciHar(folder.parent).load().content_hash() == UciHar(folder).load().content_hash()


def test_a_zip_without_the_top_folder_will_do(tiny):
    data = tiny.zip_bytes().replace(b"UCI HAR Dataset/", b"UCI_HAR_Dataset/")
    assert len(UciHar(tiny.as_zip(data)).load().train) == 5


def test_the_source_names_the_file_and_its_hash_and_no_folder_of_the_machine(tiny, tmp_path):
    source = UciHar(tiny.as_zip()).load().source
    assert source.startswith("UCI HAR Dataset.zip (sha256 ")
    assert str(tmp_path) not in source


def test_a_renamed_copy_is_named_as_it_is_called_now(tiny):
    path = tiny.as_zip()
    UciHar(path).load()
    renamed = path.rename(path.with_name("copy.zip"))
    assert UciHar(renamed).load().source.startswith("copy.zip")


def test_a_missing_path_says_where_to_get_the_data(tmp_path):
    message = message_of(tmp_path / "nothing.zip", MissingFileError)
    assert UCI_HAR_URL in message
    assert "edgeconv data fetch" in message
    assert "nothing.zip" in message


def test_a_folder_of_something_else_is_named(tmp_path):
    assert "activity_labels.txt" in message_of(tmp_path, MissingFileError)


def test_a_folder_with_two_data_sets_is_refused(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "activity_labels.txt").write_text("1 WALKING\n")
    assert "one, two" in message_of(tmp_path)


@pytest.mark.parametrize("how", ["as_folder", "as_zip", "as_nested_zip"])
@pytest.mark.parametrize("name", [SIGNAL, "test/y_test.txt", "train/subject_train.txt"])
def test_a_lacking_file_is_named(tiny, how, name):
    del tiny.files[name]
    message = message_of(getattr(tiny, how)(), MissingFileError)
    assert f"lacks {name}" in message.replace("lacks UCI HAR Dataset/", "lacks ")
    assert str(tiny.folder) in message


@pytest.mark.parametrize("how", ["as_zip", "as_nested_zip"])
def test_a_zip_without_the_labels_names_them(tiny, how):
    del tiny.files["activity_labels.txt"]
    assert "activity_labels.txt" in message_of(getattr(tiny, how)(), MissingFileError)


@pytest.mark.parametrize("label", [b"0", b"7", b"-1", b"1.5", b"sitting", b"", b"99999999999999999999"])
def test_a_label_outside_1_to_6_is_named_with_its_line(tiny, label):
    tiny.files["train/y_train.txt"] = b"5\n" + label + b"\n1\n6\n2\n"
    message = message_of(tiny.as_zip())
    assert "UCI HAR Dataset.zip: UCI HAR Dataset/train/y_train.txt, line 2" in message
    assert "from 1 to 6" in message
    assert repr(label.decode()) in message


def test_a_subject_that_is_no_number_is_named_with_its_line(tiny):
    tiny.files["test/subject_test.txt"] = b"2\nx\n4\n"
    message = message_of(tiny.as_folder())
    assert "subject_test.txt, line 2" in message
    assert "'x'" in message


@pytest.mark.parametrize(
    "labels",
    [b"1 A\n2 B\n3 C\n4 D\n5 E\n", b"1 A\n1 B\n3 C\n4 D\n5 E\n6 F\n", b"1 A\n2 A\n3 C\n4 D\n5 E\n6 F\n", b"A 1\n", b""],
    ids=["five", "an id twice", "a name twice", "wrong order", "empty"],
)
def test_activity_labels_that_are_not_six_are_refused(tiny, labels):
    tiny.files["activity_labels.txt"] = labels
    assert "activity_labels.txt" in message_of(tiny.as_zip())


@pytest.mark.parametrize("name", [SIGNAL, "train/subject_train.txt"])
def test_row_counts_that_differ_are_named(tiny, name):
    tiny.files[name] = b"\n".join(tiny.files[name].splitlines()[:-1]) + b"\n"
    message = message_of(tiny.as_zip())
    assert name in message
    assert "4 rows, 5 expected, as many as train/y_train.txt" in message


def test_a_label_too_few_is_named(tiny):
    tiny.files["train/y_train.txt"] = b"5\n5\n1\n6\n"
    message = message_of(tiny.as_zip())
    assert "5 rows, 4 expected" in message


@pytest.mark.parametrize(
    ("change", "count"),
    [(lambda v: v[:-1], 127), (lambda v: [*v, b"1.0"], 129), (lambda v: [], 0)],
    ids=["too few", "too many", "empty"],
)
def test_a_row_without_128_values_is_named_with_its_line(tiny, change, count):
    tiny.edit_line(SIGNAL, 3, change)
    message = message_of(tiny.as_folder())
    assert "body_acc_y_train.txt, line 3: 128 values expected" in message
    assert f"{count} seen" in message


def test_a_file_whose_every_row_is_too_short_names_the_first_line(tiny):
    for line in range(1, 6):
        tiny.edit_line(SIGNAL, line, lambda v: v[:64])
    assert "line 1: 128 values expected, 64 seen" in message_of(tiny.as_zip())


@pytest.mark.parametrize("text", ["walking", "1,5", "1_0", "0x10", "1.0e", "#", "½"])
def test_text_instead_of_a_number_is_named_with_line_and_value(tiny, text):
    tiny.edit_line(SIGNAL, 2, lambda v: [*v[:9], text.encode(), *v[10:]])
    message = message_of(tiny.as_zip())
    assert "body_acc_y_train.txt, line 2, value 10: a number expected" in message
    assert text.isascii() is (repr(text) in message)


@pytest.mark.parametrize("text", ["nan", "-inf", "1e300"])
def test_a_number_that_is_not_finite_is_named_with_line_and_value(tiny, text):
    tiny.edit_line(SIGNAL, 4, lambda v: [*v[:-1], text.encode()])
    message = message_of(tiny.as_folder())
    assert "body_acc_y_train.txt, line 4, value 128: a finite number expected" in message
    assert repr(text) in message


@pytest.mark.parametrize("name", [SIGNAL, "test/y_test.txt"])
def test_an_empty_file_is_named(tiny, name):
    tiny.files[name] = b"\n\n"
    message = message_of(tiny.as_zip())
    assert name in message
    assert "is empty" in message


@pytest.mark.parametrize(
    "name", ["../evil.txt", "a/../../evil.txt", "/etc/evil", "C:/evil", "..\\evil", "\\evil", "c:evil"]
)
@pytest.mark.parametrize("how", ["as_zip", "as_nested_zip"])
def test_a_zip_with_a_member_that_leads_out_of_it_is_refused(tiny, name, how):
    message = message_of(getattr(tiny, how)(tiny.zip_bytes(**{name: b"x"})))
    assert repr(name) in message
    assert "leads out" in message


@pytest.mark.parametrize("how", ["as_zip", "as_nested_zip"])
@pytest.mark.parametrize("part", [0.1, 0.5, 0.99])
def test_a_truncated_zip_is_named(tiny, how, part):
    data = tiny.zip_bytes()
    message = message_of(getattr(tiny, how)(data[: int(len(data) * part)]))
    assert "UCI HAR Dataset.zip is a truncated or damaged zip" in message


def test_every_damaged_byte_of_a_member_is_noticed(tiny):
    data = tiny.zip_bytes()
    at = data.index(b"body_acc_y_train.txt") + 100
    for offset in range(0, 400, 40):
        broken = data[: at + offset] + bytes([data[at + offset] ^ 0x55]) + data[at + offset + 1 :]
        message = message_of(tiny.as_zip(broken))
        assert f"UCI HAR Dataset/{SIGNAL} is truncated or damaged" in message


@pytest.mark.parametrize(("offset", "value"), [(20, 100), (24, 100), (24, 10**6), (10, 99)])
def test_a_member_that_is_not_what_the_directory_says_is_named(tiny, damage, offset, value):
    form = "<H" if offset == 10 else "<I"  # 10: method, 20: compressed size, 24: size
    data = damage(tiny.zip_bytes(), f"UCI HAR Dataset/{SIGNAL}", offset, form, value)
    message = message_of(tiny.as_zip(data))
    assert f"UCI HAR Dataset/{SIGNAL} is truncated" in message


@pytest.mark.parametrize("how", ["as_zip", "as_nested_zip"])
def test_a_member_that_claims_an_absurd_size_is_refused(tiny, damage, how):
    data = damage(tiny.zip_bytes(), f"UCI HAR Dataset/{SIGNAL}", 24, "<I", 3_000_000_000)
    message = message_of(getattr(tiny, how)(data))
    assert SIGNAL in message
    assert "claims 3000000000 bytes" in message


def test_an_encrypted_member_is_named(tiny, damage):
    data = damage(tiny.zip_bytes(), f"UCI HAR Dataset/{SIGNAL}", 8, "<H", 1)
    message = message_of(tiny.as_zip(data))
    assert SIGNAL in message
    assert "encrypted" in message


@pytest.mark.parametrize("data", [b"", b"1 2 3\n", b"\x89PNG"], ids=["empty", "text", "picture"])
def test_a_file_that_is_no_zip_is_named(tiny, data):
    assert "UCI HAR Dataset.zip is not a zip file" in message_of(tiny.as_zip(data))


def test_a_zip_in_the_zip_that_is_none_is_named(tiny):
    message = message_of(tiny.as_nested_zip(b"no zip"))
    assert "smartphones.zip: UCI HAR Dataset.zip is not a zip file" in message


def test_a_zip_that_holds_the_set_twice_is_refused(tiny):
    assert "2 times" in message_of(tiny.as_zip(tiny.zip_bytes(**{"copy/activity_labels.txt": b""})))


def test_a_bad_set_leaves_nothing_in_the_cache(tiny, tmp_path, monkeypatch):
    monkeypatch.setenv("EDGECONV_CACHE", str(tmp_path / "cache"))
    tiny.files["test/y_test.txt"] = b"9\n"
    with pytest.raises(InputError):
        UciHar(tiny.as_zip()).load()
    assert not (tmp_path / "cache").exists()


def test_load_data_takes_a_path_or_makes_a_set(tiny):
    assert load_data(str(tiny.as_zip())).name == "UCI HAR"
    made = load_data(None)
    assert made.synthetic
    assert made.content_hash() == synthetic_har().content_hash()


def test_importing_the_package_loads_neither_tensorflow_nor_onnxruntime():
    code = "import sys, edgeconv.data; print([m for m in ('tensorflow', 'keras', 'onnxruntime') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
