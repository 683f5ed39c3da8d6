from __future__ import annotations

import hashlib
import socket
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from edgeconv.data import UCI_HAR_SHA256, UCI_HAR_URL, fetch
from edgeconv.runtime.errors import CheckError, InputError, UsageError

BODY = bytes(range(256)) * 4000
SHA256 = hashlib.sha256(BODY).hexdigest()


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.asked.append(self.path)
        kind = self.path.split("/")[-1]
        if kind == "missing.zip":
            self.send_error(404)
            return
        if kind in ("moved.zip", "to_file.zip", "to_ftp.zip"):
            places = {
                "moved.zip": "/set+one.zip",
                "to_file.zip": "file:///etc/hostname",
                "to_ftp.zip": "ftp://127.0.0.1/x",
            }
            self.send_response(302)
            self.send_header("Location", places[kind])
            self.end_headers()
            return
        self.send_response(200)
        if kind != "no_length.zip":
            self.send_header("Content-Length", str(len(BODY)))
        self.end_headers()
        self.wfile.write(BODY[: len(BODY) // 2] if kind == "short.zip" else BODY)

    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def running_server():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.asked = []
    thread = Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def server(running_server, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    running_server.asked.clear()
    return running_server


@pytest.fixture
def address(server):
    return f"http://127.0.0.1:{server.server_address[1]}"


def test_a_file_is_downloaded_checked_and_put_in_place(address, tmp_path):
    target = tmp_path / "new" / "set.zip"
    assert fetch(f"{address}/set+one.zip", SHA256, target) == target
    assert target.read_bytes() == BODY
    assert [path.name for path in target.parent.iterdir()] == ["set.zip"]


def test_a_file_that_is_there_is_not_downloaded_again(server, address, tmp_path):
    for _ in range(2):
        fetch(f"{address}/set.zip", SHA256.upper(), tmp_path / "set.zip")
    assert server.asked == ["/set.zip"]


def test_a_file_with_another_content_is_downloaded_anew(address, tmp_path):
    (tmp_path / "set.zip").write_bytes(BODY[:-1])
    fetch(f"{address}/set.zip", SHA256, tmp_path / "set.zip")
    assert (tmp_path / "set.zip").read_bytes() == BODY


def test_without_a_target_it_goes_to_the_cache(address, tmp_path, monkeypatch):
    monkeypatch.setenv("EDGECONV_CACHE", str(tmp_path))
    assert fetch(f"{address}/a/set%20one.zip?x=1", SHA256) == tmp_path / "downloads" / "set one.zip"


def test_a_redirection_is_followed(server, address, tmp_path):
    fetch(f"{address}/moved.zip", SHA256, tmp_path / "set.zip")
    assert server.asked == ["/moved.zip", "/set+one.zip"]


def test_progress_is_told_bytes_received_and_expected(address, tmp_path):
    told = []
    fetch(f"{address}/set.zip", SHA256, tmp_path / "a", lambda done, total: told.append((done, total)))
    assert told[-1] == (len(BODY), len(BODY))
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    fetch(f"{address}/no_length.zip", SHA256, tmp_path / "b", lambda done, total: told.append((done, total)))
    assert told[-1] == (len(BODY), None)


def test_another_hash_is_an_error_with_both_and_nothing_stays(address, tmp_path):
    with pytest.raises(CheckError) as caught:
        fetch(f"{address}/set.zip", UCI_HAR_SHA256, tmp_path / "set.zip")
    assert caught.value.exit_code == 4
    assert UCI_HAR_SHA256 in str(caught.value)
    assert SHA256 in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_failure_leaves_the_file_that_was_there(address, tmp_path):
    (tmp_path / "set.zip").write_bytes(b"old")
    with pytest.raises(CheckError):
        fetch(f"{address}/set.zip", "0" * 64, tmp_path / "set.zip")
    assert (tmp_path / "set.zip").read_bytes() == b"old"


def test_a_download_that_breaks_off_is_named_and_nothing_stays(address, tmp_path):
    with pytest.raises(InputError, match="broke off") as caught:
        fetch(f"{address}/short.zip", SHA256, tmp_path / "set.zip")
    assert f"{address}/short.zip" in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_an_answer_that_is_an_error_is_named(address, tmp_path):
    with pytest.raises(InputError, match="404") as caught:
        fetch(f"{address}/missing.zip", SHA256, tmp_path / "set.zip")
    assert f"{address}/missing.zip" in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_cannot_be_reached_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/set.zip"
        with pytest.raises(InputError, match="cannot be reached") as caught:
            fetch(url, SHA256, tmp_path / "set.zip")
    assert url in str(caught.value)


@pytest.mark.parametrize(
    "url", ["file:///etc/hostname", "ftp://127.0.0.1/x", "data:,x", "/etc/hostname", "set.zip", ""]
)
def test_an_address_that_is_not_http_is_refused(url, tmp_path):
    with pytest.raises(UsageError, match="http"):
        fetch(url, SHA256, tmp_path / "set.zip")


@pytest.mark.parametrize("name", ["to_file.zip", "to_ftp.zip"])
def test_a_redirection_to_something_else_is_not_followed(address, tmp_path, name):
    with pytest.raises(InputError, match=name):
        fetch(f"{address}/{name}", SHA256, tmp_path / "set.zip")
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_leaves_nothing(address, tmp_path):
    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(f"{address}/set.zip", SHA256, tmp_path / "set.zip", stop)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_as_target_is_refused(address, tmp_path):
    with pytest.raises(UsageError, match="folder"):
        fetch(f"{address}/set.zip", SHA256, tmp_path)


def test_a_target_that_cannot_be_written_is_named(address, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match="cannot be written"):
        fetch(f"{address}/set.zip", SHA256, tmp_path / "file" / "set.zip")


def test_an_address_without_a_file_name_needs_a_target(address):
    with pytest.raises(UsageError, match="no file name"):
        fetch(f"{address}/", SHA256)


def test_the_official_address_is_the_repository_s():
    assert UCI_HAR_URL == (
        "https://archive.ics.uci.edu/static/public/240/human+activity+recognition+using+smartphones.zip"
    )
    assert len(UCI_HAR_SHA256) == 64
