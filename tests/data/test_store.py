"""The store of data sets: added, found, checked, exported, fetched and divided."""

from __future__ import annotations

import hashlib
import os
import subprocess
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import pytest

from edgeconv.data import UciHar
from edgeconv.data.store import Store
from edgeconv.data.store_add import Said, add_path
from edgeconv.data.store_check import problems
from edgeconv.data.store_manifest import MANIFEST
from edgeconv.data.store_place import FolderPlace, open_place
from edgeconv.data.store_resolve import resolve
from edgeconv.data.store_share import export_version, fetch_exported
from edgeconv.data.store_split import get_split, make_split, remove_split
from edgeconv.runtime.errors import CheckError, InputError, MissingFileError, UsageError


class Handler(SimpleHTTPRequestHandler):
    """Serves a folder without ranges; of one file, if asked to, only the first half of what it announces."""

    def do_GET(self):
        self.server.asked.append(self.path)
        if self.path == self.server.broken:
            body = Path(self.translate_path(self.path)).read_bytes()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: len(body) // 2])
            self.close_connection = True
            return
        super().do_GET()

    def log_message(self, *args):
        pass


@pytest.fixture
def server(tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    (tmp_path / "served").mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=tmp_path / "served"))
    server.asked, server.broken, server.folder = [], None, tmp_path / "served"
    server.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


@pytest.fixture
def folder(tiny):
    return tiny.as_folder()


def add(store, path, **said):
    return add_path(store, "gait", path, Said(**said), parse=lambda path: UciHar(path).load())


def flip(path):
    path.chmod(0o644)
    data = bytearray(path.read_bytes())
    data[-2] ^= 1
    path.write_bytes(data)


def test_a_set_is_kept_as_it_came_and_cannot_be_written_to(store, folder):
    added = add(store, folder, licence="CC0", provenance="ours")
    manifest = added.version.manifest
    assert added.new
    assert manifest.version == manifest.sha256[:12]
    assert (manifest.licence, manifest.provenance, manifest.source) == ("CC0", "ours", str(folder))
    assert manifest.content["subjects"] == {"train": [1, 3], "test": [2, 4]}
    kept = {path.relative_to(added.version.files): path for path in added.version.files.rglob("*") if path.is_file()}
    came = {path.relative_to(folder): path for path in folder.rglob("*") if path.is_file()}
    assert {name: path.read_bytes() for name, path in kept.items()} == {n: p.read_bytes() for n, p in came.items()}
    assert not any(path.stat().st_mode & 0o222 for path in kept.values())
    assert list((store.root / ".arriving").iterdir()) == []


@pytest.mark.skipif(os.name != "posix", reason="sha256sum")
def test_the_hash_is_the_one_that_sha256sum_gives_of_its_own_lines(store, folder):
    version = add(store, folder).version
    command = "find * -type f | LC_ALL=C sort | tr '\\n' '\\0' | xargs -0 sha256sum"
    lines = subprocess.run(command, shell=True, cwd=version.files, capture_output=True, check=True).stdout
    assert hashlib.sha256(lines).hexdigest() == version.manifest.sha256


def test_the_same_bytes_again_change_nothing_and_other_bytes_are_refused(store, folder):
    first = add(store, folder, version="1")
    again = add(store, folder)
    assert (again.new, again.version) == (False, first.version)
    flip(folder / "activity_labels.txt")
    with pytest.raises(UsageError, match="a version never changes"):
        add(store, folder, version="1")
    assert problems(first.version) == []


def test_a_changed_byte_is_named_when_it_is_loaded_and_adding_it_again_repairs_it(store, folder):
    version = add(store, folder).version
    make_split(store, version, "mine", [2])
    assert resolve(version.reference, store=store).version.manifest == version.manifest
    flip(version.files / "test" / "y_test.txt")
    with pytest.raises(InputError, match=r"files/test/y_test\.txt was changed"):
        resolve(version.reference, store=store)
    assert add(store, folder).new
    assert problems(version) == []
    assert get_split(version, "mine").test == (2,)


def test_a_name_is_the_newest_version_and_a_path_that_exists_comes_first(store, folder, monkeypatch, tmp_path):
    add(store, folder, version="1")
    flip(folder / "activity_labels.txt")
    add(store, folder, version="0")
    assert resolve("gait", store=store).version.manifest.version == "0"
    assert resolve("gait@1", store=store).version.manifest.version == "1"
    assert resolve("walk", store=store) is None
    with pytest.raises(MissingFileError, match="gait@1, gait@0"):
        resolve("gait@7", store=store)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "gait").mkdir()
    assert resolve("gait", store=store) is None


def test_a_name_alone_is_refused_where_a_version_that_may_be_the_newest_cannot_be_read(store, folder):
    add(store, folder, version="1")
    flip(folder / "activity_labels.txt")
    newest = add(store, folder, version="2").version
    flip(newest.folder / MANIFEST)
    with pytest.raises(InputError, match="gait/2/manifest"):
        resolve("gait", store=store)
    assert resolve("gait@1", store=store).version.manifest.version == "1"


def test_what_is_loaded_names_the_exact_version_and_split(store, folder):
    version = add(store, folder).version
    split = make_split(store, version, "mine", [1, 4])
    resolved = resolve("gait", {"split": "mine", "hop": "32"}, store)
    assert resolved.options == {"hop": "32"}
    whole = UciHar(resolved.path).load()
    found = resolved.finish(whole)
    assert found.source == f"{version.reference} (sha256 {version.manifest.sha256}), split mine (sha256 {split.sha256})"
    assert found.options == {"split": "mine"}
    assert found.train.subjects.tolist() == [3, 3, 3, 2, 2]
    assert found.test.subjects.tolist() == [1, 1, 4]
    np.testing.assert_array_equal(found.test.windows, [*whole.train.windows[:2], whole.test.windows[2]])
    assert resolve("gait", store=store).version.manifest.sha256 == version.manifest.sha256


@pytest.mark.parametrize(
    ("test", "words"),
    [
        ([2, 99], "no subjects 99"),
        ([1, 2, 3, 4], "no subject is left"),
        ([], "a side has no subject"),
        ([2, 2], "more than once"),
    ],
)
def test_a_split_that_cannot_be_is_refused(store, folder, test, words):
    version = add(store, folder).version
    with pytest.raises(UsageError, match=words):
        make_split(store, version, "mine", test)
    assert not (version.folder / "splits.json").exists()


def test_a_split_of_other_data_is_refused(store, folder):
    first = add(store, folder).version
    make_split(store, first, "mine", [2])
    flip(folder / "activity_labels.txt")
    second = add(store, folder).version
    (second.folder / "splits.json").write_bytes((first.folder / "splits.json").read_bytes())
    with pytest.raises(InputError, match="was made for other data"):
        get_split(second, "mine")


def test_a_name_has_one_split_until_it_is_removed(store, folder):
    version = add(store, folder).version
    make_split(store, version, "mine", [2, 1])
    make_split(store, version, "mine", [1, 2])
    with pytest.raises(UsageError, match="another split called mine"):
        make_split(store, version, "mine", [4])
    remove_split(store, version, "mine")
    with pytest.raises(UsageError, match="it has none"):
        get_split(version, "mine")


@pytest.mark.parametrize("file", ["manifest.json", "splits.json"])
def test_a_changed_byte_in_a_record_is_noticed(store, folder, file):
    version = add(store, folder, licence="CC0").version
    make_split(store, version, "mine", [2])
    path = version.folder / file
    old, new = (b"CC0", b"CC1") if file == MANIFEST else (b'"test": [\n        2', b'"test": [\n        4')
    assert old in path.read_bytes()
    path.chmod(0o644)
    path.write_bytes(path.read_bytes().replace(old, new))
    with pytest.raises(InputError, match="was changed or damaged"):
        resolve(version.reference, {"split": "mine"}, store)


def test_a_set_goes_to_another_store_through_a_web_server(store, folder, server, tmp_path):
    version = add(store, folder).version
    make_split(store, version, "mine", [2])
    written = export_version(version, FolderPlace(server.folder / "gait"))
    assert written[-1] == MANIFEST
    assert export_version(version, FolderPlace(server.folder / "gait")) == []
    other = Store(tmp_path / "other")
    added = fetch_exported(other, open_place(f"{server.url}/gait"))
    assert (added.new, added.version.manifest) == (True, version.manifest)
    assert problems(added.version) == []
    assert get_split(added.version, "mine") == get_split(version, "mine")
    server.asked.clear()
    assert resolve(f"{server.url}/gait", store=other).version.manifest == version.manifest
    assert server.asked == ["/gait/manifest.json"]


def test_a_transfer_that_broke_off_shows_nothing_and_goes_on(store, folder, server, tmp_path):
    version = add(store, folder).version
    export_version(version, FolderPlace(server.folder / "gait"))
    other, place = Store(tmp_path / "other"), open_place(f"{server.url}/gait")
    server.broken = "/gait/files/train/y_train.txt"
    with pytest.raises(InputError, match=r"train/y_train\.txt"):
        fetch_exported(other, place)
    assert other.versions() == []
    server.broken = None
    server.asked.clear()
    assert fetch_exported(other, place).new
    assert [path for path in server.asked if "/files/" in path] == ["/gait/files/train/y_train.txt"]


def test_a_changed_byte_on_the_server_is_named_and_not_kept(store, folder, server, tmp_path):
    version = add(store, folder).version
    export_version(version, FolderPlace(server.folder / "gait"))
    flip(server.folder / "gait" / "files" / "test" / "y_test.txt")
    other = Store(tmp_path / "other")
    with pytest.raises(CheckError, match=r"files/test/y_test\.txt has another content"):
        fetch_exported(other, open_place(f"{server.url}/gait"))
    assert other.versions() == []
