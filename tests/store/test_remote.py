"""The same promises where the store is a URL: memory://, and s3:// against a moto server on loopback."""

from __future__ import annotations

import os
import signal
import threading
import warnings
from multiprocessing import get_context
from pathlib import Path

import fsspec
import pytest
import xarray as xr
from fsspec.implementations.memory import MemoryFileSystem

from tests.store.standin import Model, assert_holds, build, files, make_signals, verify
from vitime_cache.store.evidence_groups import check_keeping
from vitime_cache.store.info import info
from vitime_cache.store.locations import open_objects
from vitime_cache.store.manifest import LOCK, ROOT_LOCK
from vitime_cache.store.objects import StoreError
from vitime_cache.store.reader import open_store

pytestmark = pytest.mark.slow

SIGNALS = make_signals(3, harmonics=1)


@pytest.fixture(autouse=True)
def _same_second(monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "0")


@pytest.fixture(scope="module")
def s3_server():
    """An S3 server on loopback, and an environment that leads to it."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        patch.setenv("AWS_ACCESS_KEY_ID", "key")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        fsspec.filesystem("s3").mkdir("bucket")
        yield
        fsspec.filesystem("s3").clear_instance_cache()
    server.stop()


@pytest.fixture
def url(request) -> str:
    return f"memory://{request.node.name}.zarr"


def contents(url: str) -> dict[str, bytes]:
    objects = open_objects(url)
    return {key: objects.get(key) for key in sorted(objects.sizes())}


def without_locks(path: Path) -> dict[str, bytes]:
    """The files of a store, as an object store has them."""
    return {key: data for key, data in files(path).items() if key not in (LOCK, ROOT_LOCK)}


def test_a_store_behind_a_url_holds_what_a_folder_holds(url, tmp_path):
    build(SIGNALS[:2], url, Model())
    build(SIGNALS, url, Model())
    build(SIGNALS, tmp_path / "a.zarr", Model())
    assert contents(url) == without_locks(tmp_path / "a.zarr")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert_holds(open_store(url), SIGNALS)
        assert_holds(xr.open_zarr(url).load(), SIGNALS)
    assert build(SIGNALS, url, Model()).written == ()
    assert info(url)["visible"] == 3


def test_an_interrupted_build_behind_a_url_shows_what_is_committed_and_goes_on(url):
    def interrupt(progress):
        if progress.done == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build(SIGNALS, url, Model(), progress=interrupt)
    assert_holds(open_store(url), SIGNALS[:1])
    assert build(SIGNALS, url, Model()).written == ("s1", "s2")
    assert_holds(open_store(url), SIGNALS)


def test_verify_finds_a_flipped_bit_behind_a_url(url):
    build(SIGNALS, url, Model())
    assert verify(url, Model(), SIGNALS).problems == ()
    objects, key = open_objects(url), "token_attention/c.2.0.0.0.0"
    damaged = bytearray(objects.get(key))
    damaged[1200] ^= 4
    objects.put(key, [bytes(damaged)])
    (problem,) = verify(url).problems
    assert problem.what == f"signal 's2', layer decoder.0, head 0: {key} is not what was written"


def test_a_store_is_sound_behind_a_server_that_answers_with_whole_objects(url, monkeypatch):
    """Asked for a part of an object, Python's `http.server` sends all of it."""
    build(SIGNALS, url, Model())
    whole = MemoryFileSystem.cat_file
    monkeypatch.setattr(MemoryFileSystem, "cat_file", lambda files, path, **_: whole(files, path))
    assert verify(url, Model(), SIGNALS).problems == ()
    assert_holds(open_store(url), SIGNALS)


def test_a_url_with_nothing_behind_it_is_not_a_store(url):
    with pytest.raises(StoreError, match="no store at"):
        open_store(url)


def child(environment: dict[str, str], url: str, kill_at: int) -> None:
    """Build, and die by SIGKILL right before the `kill_at`-th PUT."""
    os.environ.update(environment)  # the fork server is older than the S3 server
    from vitime_cache.store.remote_objects import RemoteObjects

    counting, real, puts = threading.Lock(), RemoteObjects.put, 0

    def put(self, key, parts):
        nonlocal puts
        with counting:
            puts += 1
            if puts == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)
        return real(self, key, parts)

    RemoteObjects.put = put
    build(SIGNALS[:2], url, Model(), tokens=["decoder.0"])


@pytest.mark.usefixtures("fork_server")
def test_a_build_to_s3_killed_again_and_again_ends_in_the_same_objects(s3_server, tmp_path):  # noqa: ARG001
    url, visible = "s3://bucket/killed.zarr", 0
    with pytest.raises(StoreError, match="no store at"):
        open_store(url)
    for kill_at in (40, 44):  # while the store is laid out, and within the second signal
        process = get_context("forkserver").Process(target=child, args=(dict(os.environ), url, kill_at))
        process.start()
        process.join()
        assert process.exitcode == -signal.SIGKILL
        try:
            ds = open_store(url)
        except StoreError:
            continue
        assert ds.sizes["signal"] >= visible
        visible = ds.sizes["signal"]
        assert_holds(ds, SIGNALS[:visible], tokens=["decoder.0"])
    assert visible == 1
    for target in (url, tmp_path / "a.zarr"):
        build(SIGNALS[:2], target, Model(), tokens=["decoder.0"])
    assert contents(url) == without_locks(tmp_path / "a.zarr")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert_holds(xr.open_zarr(url), SIGNALS[:2], tokens=["decoder.0"])


def test_what_another_process_put_is_seen_at_once(s3_server):  # noqa: ARG001
    objects = open_objects("s3://bucket/shared.zarr")
    assert objects.names() == []
    another = fsspec.filesystem("s3", skip_instance_cache=True)  # it knows nothing of this process's listings
    another.pipe_file("bucket/shared.zarr/one", b"1")
    assert (objects.names(), objects.sizes()) == (["one"], {"one": 1})
    another.pipe_file("bucket/shared.zarr/folder/two", b"22")
    assert (sorted(objects.names()), objects.sizes()) == (["folder", "one"], {"one": 1, "folder/two": 2})
    another.rm("bucket/shared.zarr/one")
    assert (objects.names(), objects.get("one")) == (["folder"], None)


@pytest.mark.parametrize("url", ["s3://", "memory:///"])
def test_a_url_without_a_place_is_refused(url):
    with pytest.raises(StoreError, match="names no place"):
        open_objects(url)


@pytest.mark.parametrize(
    ("url", "message"),
    [("http://127.0.0.1:9/a.zarr", r"^cannot reach http://127\.0\.0\.1:9/a\.zarr: .*is the address right"),
     ("zip://a.zarr", r"^cannot open zip://a\.zarr: .*use a folder")],
)  # fmt: skip
def test_a_url_that_cannot_be_reached_is_told_in_one_line(url, message):
    for look in (open_store, info, lambda url: build(SIGNALS, url, Model())):
        with pytest.raises(StoreError, match=message) as raised:
            look(url)
        assert "\n" not in str(raised.value)


def test_a_connection_that_breaks_is_one_line_wherever_it_breaks(url, monkeypatch):
    build(SIGNALS, url, Model())
    objects = open_objects(url)

    def broken(*_: object, **__: object) -> None:
        raise ConnectionResetError("the other side\nhung up")

    for name in ("cat_file", "pipe_file", "info", "ls", "find", "rm", "open"):
        monkeypatch.setattr(objects._files, name, broken)

    def stream() -> None:
        with objects.stream("key"):
            pass

    for use in (
        lambda: objects.get("key"), lambda: objects.put("key", [b""]), lambda: objects.read("key", 0, 1),
        lambda: objects.sizes_of(["key"]), lambda: objects.names(), lambda: objects.sizes(),
        lambda: objects.delete(["key"]), lambda: objects.delete_below("folder/"), stream,
    ):  # fmt: skip
        with pytest.raises(StoreError, match=r"cannot reach memory://.*the other side hung up; is the address right"):
            use()


def test_a_url_that_cannot_be_written_is_refused_before_work_on_a_question_begins(url, monkeypatch):
    build(SIGNALS, url, Model())
    check_keeping(url)
    assert_holds(open_store(url), SIGNALS)

    def refuse(*_: object) -> None:
        raise PermissionError("Access Denied")

    monkeypatch.setattr(MemoryFileSystem, "pipe_file", refuse)
    with pytest.raises(StoreError, match="Access Denied"):
        check_keeping(url)
