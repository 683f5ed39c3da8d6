"""The store and a bucket: a server on loopback that speaks the S3 protocol, reached as users reach theirs."""

from __future__ import annotations

from urllib.request import Request, urlopen

import pytest

from edgeconv.data.store import Store
from edgeconv.data.store_add import Said, add_path
from edgeconv.data.store_check import problems
from edgeconv.data.store_place import open_place
from edgeconv.data.store_share import export_version, fetch_exported
from edgeconv.data.store_split import get_split, make_split
from edgeconv.runtime.errors import CheckError, InputError

PLACE = "s3://lab-data/sets/gait"


@pytest.fixture
def bucket(monkeypatch, tmp_path):
    """The file system of an empty bucket `lab-data`, which the environment leads to."""
    import fsspec.config
    import s3fs
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in {
        "FSSPEC_S3_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "nobody",
        "AWS_SECRET_ACCESS_KEY": "nothing",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CONFIG_FILE": str(tmp_path / "none"),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "none"),
        "no_proxy": "127.0.0.1",
    }.items():
        monkeypatch.setenv(name, value)
    conf = {}
    fsspec.config.set_conf_env(conf)  # fsspec reads the environment once, when it is imported
    monkeypatch.setattr(fsspec.config, "conf", conf)
    s3fs.S3FileSystem.clear_instance_cache()
    files = s3fs.S3FileSystem()
    files.mkdir("lab-data")
    yield files
    # Buckets are the process's, not the server's.
    urlopen(Request(f"http://{host}:{port}/moto-api/reset", method="POST")).close()
    s3fs.S3FileSystem.clear_instance_cache()
    server.stop()


@pytest.fixture
def version(tiny, tmp_path):
    store = Store(tmp_path / "store")
    version = add_path(store, "gait", tiny.as_folder(), Said(licence="CC0")).version
    make_split(store, version, "mine", [2, 4])
    return version


def test_a_set_goes_to_another_store_through_a_bucket_and_a_changed_byte_in_it_is_named(bucket, version, tmp_path):
    written = export_version(version, open_place(PLACE))
    assert written[-1] == "manifest.json"
    assert sorted(bucket.find("lab-data")) == sorted(f"{PLACE.removeprefix('s3://')}/{name}" for name in written)
    assert export_version(version, open_place(PLACE)) == []

    added = fetch_exported(Store(tmp_path / "other"), open_place(PLACE))
    assert (added.new, added.version.manifest) == (True, version.manifest)
    assert problems(added.version) == []
    assert get_split(added.version, "mine") == get_split(version, "mine")

    changed = f"{PLACE}/files/test/y_test.txt"
    data = bytearray(bucket.cat_file(changed))
    data[0] ^= 1
    bucket.pipe_file(changed, bytes(data))
    third = Store(tmp_path / "third")
    with pytest.raises(CheckError, match=f"{changed} has another content than expected"):
        fetch_exported(third, open_place(PLACE))
    assert third.versions() == []
    # Written over, it is whole again, and the transfer goes on with what is missing.
    export_version(version, open_place(PLACE), overwrite=True)
    assert problems(fetch_exported(third, open_place(PLACE)).version) == []


def test_a_bucket_that_is_not_there_is_not_made(bucket, version):
    with pytest.raises(InputError, match=r"s3://lab-dta/gait/files/activity_labels\.txt cannot be written"):
        export_version(version, open_place("s3://lab-dta/gait"))
    assert bucket.ls("") == ["lab-data"]
