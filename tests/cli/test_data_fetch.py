"""`edgeconv data fetch`, from a server in this process."""

from __future__ import annotations

import functools
import hashlib
import socket
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

BODY = b"PK and many more bytes" * 20_000
SHA256 = hashlib.sha256(BODY).hexdigest()


class Silent(SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("served")
    (folder / "set.zip").write_bytes(BODY)
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Silent, directory=folder))
    thread = Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(autouse=True)
def _at_home(monkeypatch, tmp_path):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("EDGECONV_CACHE", str(tmp_path / "cache"))


def files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_a_download_with_the_right_hash_is_kept_and_its_path_printed(run, server, tmp_path):
    target = tmp_path / "new" / "har.zip"
    outcome = run("data", "fetch", "--url", f"{server}/set.zip", "--sha256", SHA256, "--out", target)
    assert outcome.code == 0
    assert outcome.out == f"{target}\n"
    assert target.read_bytes() == BODY
    assert files(tmp_path) == ["new/har.zip"]
    assert outcome.notes == [f"download {server}/set.zip"]


def test_without_a_target_the_file_goes_to_the_cache(run, server, tmp_path):
    outcome = run("data", "fetch", "--url", f"{server}/set.zip", "--sha256", SHA256.upper())
    assert outcome.code == 0
    assert outcome.out == f"{tmp_path / 'cache' / 'downloads' / 'set.zip'}\n"
    assert files(tmp_path) == ["cache/downloads/set.zip"]


def test_a_file_that_is_there_already_is_not_downloaded_again(run, tmp_path):
    target = tmp_path / "har.zip"
    target.write_bytes(BODY)
    outcome = run("data", "fetch", "--url", "http://127.0.0.1:9/set.zip", "--sha256", SHA256, "--out", target)
    assert (outcome.code, outcome.out, outcome.err) == (0, f"{target}\n", "")


def test_a_download_with_another_hash_is_not_kept(run, server, tmp_path):
    wrong = "0" * 64
    outcome = run("data", "fetch", "--url", f"{server}/set.zip", "--sha256", wrong, "--out", tmp_path / "har.zip")
    assert outcome.code == 4
    assert f"SHA-256 {wrong} expected, {SHA256} seen" in outcome.error
    assert outcome.out == ""
    assert files(tmp_path) == []


def test_a_file_of_the_user_survives_a_download_with_another_hash(run, server, tmp_path):
    target = tmp_path / "har.zip"
    target.write_bytes(b"older")
    outcome = run("data", "fetch", "--url", f"{server}/set.zip", "--sha256", "0" * 64, "--out", target)
    assert outcome.code == 4
    assert target.read_bytes() == b"older"
    assert files(tmp_path) == ["har.zip"]


def test_a_page_that_is_not_there_is_bad_input(run, server, tmp_path):
    outcome = run("data", "fetch", "--url", f"{server}/gone.zip", "--sha256", SHA256)
    assert outcome.code == 3
    assert f"{server}/gone.zip cannot be downloaded: the server answers 404" in outcome.error
    assert outcome.out == ""
    assert files(tmp_path) == []


def test_a_server_that_refuses_is_bad_input(run, tmp_path):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound and not listening: nobody else takes the port, and nobody answers
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/set.zip"
        outcome = run("data", "fetch", "--url", url, "--sha256", SHA256)
    assert outcome.code == 3
    assert f"{url} cannot be reached" in outcome.error
    assert "check the address and the network" in outcome.error
    assert files(tmp_path) == []


@pytest.mark.parametrize("options", [("--url", "http://127.0.0.1:9/set.zip"), ("--sha256", SHA256)])
def test_an_address_and_its_hash_belong_together(run, tmp_path, options):
    outcome = run("data", "fetch", *options)
    assert outcome.code == 2
    assert "--url and --sha256 belong together" in outcome.error
    assert files(tmp_path) == []


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/set.zip", "file:///etc/hostname", "set.zip"])
def test_only_http_is_downloaded(run, tmp_path, url):
    outcome = run("data", "fetch", "--url", url, "--sha256", SHA256)
    assert outcome.code == 2
    assert f"{url} cannot be downloaded" in outcome.error
    assert "http:// or https://" in outcome.error
    assert files(tmp_path) == []


def test_a_folder_is_no_target(run, server, tmp_path):
    (tmp_path / "here").mkdir()
    outcome = run("data", "fetch", "--url", f"{server}/set.zip", "--sha256", SHA256, "--out", tmp_path / "here")
    assert outcome.code == 2
    assert f"{tmp_path / 'here'} is a folder" in outcome.error
    assert files(tmp_path) == []
