"""`edgeconv data add`, `show`, `split`, `export`, `remove`, and what is stored as `--data`."""

from __future__ import annotations

import hashlib
import json
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import pytest

from edgeconv.cli.console import load_data_of
from edgeconv.data import load_data
from edgeconv.runtime.errors import UsageError


@pytest.fixture(autouse=True)
def own_store(tmp_path, monkeypatch):
    """An empty store, and an empty cache, for this test alone."""
    monkeypatch.setenv("EDGECONV_DATASETS", str(tmp_path / "store"))
    monkeypatch.setenv("EDGECONV_CACHE", str(tmp_path / "cache"))
    return tmp_path / "store"


@pytest.fixture
def windows(tmp_path):
    """A file of windows that describes itself: subjects 1 and 2 are train, 3 and 4 are test."""
    rng = np.random.default_rng(0)
    sides = {}
    for side, subjects in (("train", (1, 2)), ("test", (3, 4))):
        class_ids = np.arange(16) % 2
        sides |= {
            f"{side}_windows": rng.normal(size=(16, 32, 2)) * (1 + class_ids)[:, None, None],
            f"{side}_class_ids": class_ids,
            f"{side}_subjects": np.repeat(subjects, 8),
        }
    path = tmp_path / "own.npz"
    about = {"labels": ["rest", "walk"], "channel_names": ["x", "y"], "units": ["g", "g"]}
    np.savez(path, **sides, **{k: np.array(v) for k, v in about.items()}, sampling_rate_hz=50.0, hop=16, synthetic=True)
    return path


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@pytest.fixture
def address(tmp_path, monkeypatch):
    """A web server of what is in this test's folder."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=tmp_path))
    thread = Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


def add(run, windows, *options):
    outcome = run("data", "add", windows, "--name", "gait", *options)
    assert outcome.code == 0, outcome.err
    return outcome.out.strip()


def flip_a_byte(path):
    path.chmod(0o644)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def test_a_set_is_added_shown_divided_and_trained_on_by_its_name(run, windows, tmp_path, monkeypatch):
    monkeypatch.setenv("EDGECONV_RUNS", str(tmp_path / "runs"))
    name = add(run, windows, "--licence", "CC0", "--provenance", "two people in a lab")
    shown = run("data", "show", "gait")
    assert shown.code == 0
    for words in (name, "CC0", "two people in a lab", "rest, walk", "16 train, 16 test", "own.npz"):
        assert words in shown.out
    made = run("data", "split", name, "--name", "mine", "--test-subjects", "1,4", "--train-subjects", "2")
    assert made.code == 0, made.err
    assert "mine" in run("data", "show", name).out
    small = ("--network", "tiny", "--filters", "8,8", "--epochs", "1", "--repeats", "1", "--out", tmp_path / "net")
    trained = run("train", "--data", name, "--data-option", "split=mine", *small)
    assert trained.code == 0, trained.err
    (record,) = (tmp_path / "runs").glob("*/run.json")
    said = json.loads(record.read_text())["data"]
    assert said["source"].startswith(f"{name} (sha256 ")
    assert ", split mine (sha256 " in said["source"]
    assert said["options"] == {"split": "mine"}
    # The model's record leads to the same data, without --data.
    again = load_data_of(tmp_path / "net", None)
    assert again.content_hash() == said["content_hash"]
    assert (sorted(set(again.train.subjects)), sorted(set(again.test.subjects))) == ([2], [1, 4])


def test_the_list_names_what_is_stored_after_the_cache(run, windows, own_store):
    assert f"Data sets in {own_store}: none" in run("data", "list").out
    name = add(run, windows, "--version", "1", "--licence", "CC0")
    lines = run("data", "list").out.splitlines()
    assert name == "gait@1"
    row = next(line for line in lines if line.startswith(name))
    assert row.endswith("CC0")
    assert lines.index(f"Data sets in {own_store}: 1") == lines.index(row) - 2 > 0


def test_a_changed_byte_is_named_and_adding_it_again_repairs_it(run, windows, own_store):
    name = add(run, windows, "--version", "1")
    assert run("data", "verify").code == 0
    flip_a_byte(own_store / "gait" / "1" / "files" / "own.npz")
    verified = run("data", "verify")
    assert verified.code == 4
    assert "gait@1: files/own.npz was changed" in verified.error
    assert verified.out.startswith("DAMAGED gait@1")
    loaded = run("data", "verify", "--data", name)
    assert loaded.code == 3
    assert "files/own.npz was changed" in loaded.error
    assert run("data", "export", name, own_store.parent / "out").code == 3
    assert not (own_store.parent / "out").exists()
    add(run, windows)
    assert run("data", "verify", "--data", name).code == 0


def test_a_damaged_manifest_is_named_and_removed_before_the_set_is_added_again(run, windows, own_store):
    add(run, windows, "--version", "1")
    flip_a_byte(own_store / "gait" / "1" / "manifest.json")
    verified = run("data", "verify")
    assert verified.code == 4
    assert "manifest.json" in verified.error
    assert "`edgeconv data remove gait@1`" in verified.error
    assert run("data", "add", windows, "--name", "gait", "--version", "1").code == 3
    assert run("data", "remove", "gait@1").code == 0
    add(run, windows, "--version", "1")
    assert run("data", "verify").code == 0


def test_an_exported_set_is_one_for_data_and_for_another_store(run, windows, tmp_path, monkeypatch):
    name = add(run, windows)
    run("data", "split", name, "--name", "mine", "--test-subjects", "2")
    exported = run("data", "export", name, tmp_path / "usb")
    assert (exported.code, exported.out) == (0, f"{tmp_path / 'usb'}\n")
    assert "all of it was there" in run("data", "export", name, tmp_path / "usb").err
    monkeypatch.setenv("EDGECONV_DATASETS", str(tmp_path / "other"))
    whole = load_data(tmp_path / "usb")
    assert whole.source.startswith(name)
    assert whole.content_hash() == load_data(windows).content_hash()
    added = run("data", "add", tmp_path / "usb")
    assert (added.code, added.out) == (0, f"{name}\n")
    assert load_data(Path(name), options={"split": "mine"}).test.subjects.tolist() == [2] * 8


def test_the_file_at_a_url_is_kept_only_with_the_hash_that_was_given(run, windows, address, own_store):
    url = f"{address}/own.npz?token=secret"
    refused = run("data", "add", url, "--name", "gait", "--sha256", "0" * 64)
    assert refused.code == 4
    assert f"{address}/own.npz has another content" in refused.error
    assert not (own_store / "gait").exists()
    sha256 = hashlib.sha256(windows.read_bytes()).hexdigest()
    added = run("data", "add", url, "--name", "gait", "--sha256", sha256)
    assert added.code == 0, added.err
    name = added.out.strip()
    assert load_data(name).content_hash() == load_data(windows).content_hash()
    assert f"{address}/own.npz\n" in run("data", "show", name).out
    assert not any(b"secret" in path.read_bytes() for path in own_store.rglob("*") if path.is_file())
    assert run("data", "add", f"{address}/none.npz", "--name", "gait").code == 3
    unnamed = run("data", "add", f"{address}/own.npz")
    assert unnamed.code == 2
    assert "give the --name" in unnamed.error


def test_data_takes_the_url_of_an_exported_set_and_fetches_it_once(run, windows, address, tmp_path, monkeypatch):
    name = add(run, windows)
    assert run("data", "export", name, tmp_path / "usb").code == 0
    monkeypatch.setenv("EDGECONV_DATASETS", str(tmp_path / "other"))
    read = run("data", "verify", "--data", f"{address}/usb")
    assert read.code == 0, read.err
    assert f"read from {name} (sha256 " in read.out
    assert f"intact  {name}" in read.out
    (tmp_path / "usb" / "files" / "own.npz").unlink()
    assert run("data", "verify", "--data", f"{address}/usb").code == 0
    # A file that nobody exported has no name and no version.
    refused = run("data", "verify", "--data", f"{address}/own.npz")
    assert refused.code == 2
    assert "`edgeconv data add URL --name NAME` comes first" in refused.error


def test_one_split_or_the_version_is_removed(run, windows, own_store):
    name = add(run, windows)
    run("data", "split", name, "--name", "mine", "--test-subjects", "2")
    assert run("data", "remove", name, "--split", "mine").code == 0
    with pytest.raises(UsageError, match="no split 'mine'"):
        load_data(name, options={"split": "mine"})
    assert run("data", "remove", name).code == 0
    assert not (own_store / "gait").exists()
    assert run("data", "remove", name).code == 3
    assert run("data", "show", name).code == 3


def test_what_cannot_be_parsed_is_kept_and_said(run, tmp_path):
    (tmp_path / "notes.txt").write_text("no data set\n")
    outcome = run("data", "add", tmp_path / "notes.txt", "--name", "notes", "--version", "1")
    assert (outcome.code, outcome.out) == (0, "notes@1\n")
    assert "cannot be used for --data yet" in outcome.err
    assert "could not be parsed" in run("data", "show", "notes").out


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("add", "own.npz"), 2, "give the --name"),
        (("add", "own.npz", "--name", "synthetic-har"), 2, "is a generated data set"),
        (("add", "own.npz", "--name", "two words"), 2, "cannot be the name"),
        (("add", "own.npz", "--name", "gait", "--sha256", "0" * 64), 2, "is for the file at a URL"),
        (("add", "none.npz", "--name", "gait"), 3, "none.npz is not there"),
        (("add", "none.npz"), 3, "none.npz is not there"),
        (("add", "usb", "--name", "gait"), 2, "leave out --name"),
        (("add", "usb", "--licence", "CC0"), 2, "leave these options out"),
        (("remove", "gait"), 2, "NAME@VERSION is expected"),
        (("show", "walk"), 3, "has no walk"),
        (("split", "gait", "--name", "a", "--test-subjects", "9"), 2, "no subjects 9"),
        (("split", "gait", "--name", "a", "--test-subjects", "ann"), 2, "whole numbers"),
        (("verify", "--data", "gait@7"), 3, "gait@1"),
        (("verify", "--data", "gait", "--data-option", "split=b"), 2, "it has none"),
        (("export", "gait", "own.npz"), 2, "is a file"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(run, windows, tmp_path, monkeypatch, arguments, code, words):
    add(run, windows, "--version", "1")
    monkeypatch.chdir(tmp_path)
    assert run("data", "export", "gait", "usb").code == 0
    outcome = run("data", *arguments)
    assert outcome.code == code, outcome.err
    assert words in outcome.error
    assert outcome.out == ""
