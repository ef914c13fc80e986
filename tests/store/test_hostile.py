"""Stores made to do harm: each is read or refused in one line, within a limit of memory and of time.

Nothing outside of them is touched. They are sound stores of which something is replaced by what no build writes, with
all seals made anew.
"""

from __future__ import annotations

import json
import os
import random
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch  # noqa: F401 - a build has it, so that it is no part of what a hostile store takes
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.isolated import Isolated, Verdict, many
from tests.store.standin import WEIGHTS, build, files, make_signals, verify
from vitime_cache.errors import VitimeError
from vitime_cache.evidence.verdict import schema
from vitime_cache.evidence.verdict.mock import mock_verdict
from vitime_cache.store.chunks import ShardIndex, checksum
from vitime_cache.store.info import info
from vitime_cache.store.manifest import MANIFEST, ROOT, TEMPLATE, seal
from vitime_cache.store.objects import StoreError, stamp
from vitime_cache.store.reader import open_store
from vitime_cache.store.repair import repair
from vitime_cache.store.verdicts import keep_verdict, open_verdict, stored_verdicts

pytestmark = pytest.mark.slow

SOME = int(os.environ.get("VITIME_HOSTILE", "4"))  # kinds of objects tried, of some 60; all before a release
SIGNALS = make_signals(2, harmonics=1)
TEXTS = ["", "x" * 100_000, "\ud800", "\x1b[31m", "a\nb", "../../outside", "/dev/zero", "nan", "days since 2000-01-01"]
NUMBERS = [-1, 0, 1, 2, 10**6, 2**31, 2**53, 2**63, 2**70, -(2**70), 0.5, 1e308, float("nan"), float("inf")]
ODD: list[Any] = [None, True, [], {}, [[]], [None], {"name": "zlib"}, {"": {}}, *NUMBERS, *TEXTS]


def make_verdict() -> Any:
    ds = mock_verdict(None, "s0", 64.0)
    return schema.with_facts(
        ds, question=schema.facts(ds, "question") | {"weights": WEIGHTS.name, "weights_sha256": WEIGHTS.sha256}
    )


def look(path: str) -> None:
    """Do everything that can be done with a store; return the first error message, if any."""
    told: list[VitimeError] = []

    def attempt(use: Callable[[], object]) -> None:
        try:
            use()
        except VitimeError as error:
            told.append(error)

    def check() -> None:
        repair(path, verify(path))

    attempt(lambda: json.dumps(info(path)).encode())
    attempt(lambda: open_store(path).load())
    attempt(lambda: [open_verdict(path, kept.group) for kept in stored_verdicts(path)])
    attempt(check)
    attempt(lambda: build(make_signals(3, harmonics=1), path))
    if told:  # the harness checks that it is one line for a person
        raise max(told, key=lambda error: ("\n" in str(error), len(str(error))))


@pytest.fixture(scope="module")
def child() -> Iterator[Isolated]:
    with Isolated(look, room=2**30) as isolated:
        yield isolated


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pristine") / "a.zarr"
    build(SIGNALS, path)
    keep_verdict(path, make_verdict())
    return path


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A user's folder, with names like those in a store."""
    folder = tmp_path / "outside"
    for name in ("zarr.json", "c.0", "manifest.json", "lock", "a/c.0.0"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("of a person")
    return folder


@pytest.fixture
def path(tmp_path: Path, pristine: Path) -> Path:
    return Path(shutil.copytree(pristine, tmp_path / "hostile.zarr"))


def harmless(child: Isolated, path: Path, outside: Path) -> Verdict:
    before = files(outside)
    verdict = child.ask(str(path))
    assert verdict.outcome in ("read", "refused"), verdict
    assert files(outside) == before
    assert {place.name for place in path.parent.iterdir()} <= {path.name, outside.name}
    return verdict


def kinds(path: Path) -> list[str]:
    """One key of each kind of object and folder of a store."""
    seen: dict[str, str] = {}
    for file in sorted(path.rglob("*")):
        key = str(file.relative_to(path))
        seen.setdefault(re.sub(r"[0-9]+|(?<=-1/)[a-z_]+", "0", key), key)
    return list(seen.values())


def put(place: Path, make: Callable[[Path], object]) -> None:
    """Something in the place of a file or of a folder."""
    if place.is_dir() and not place.is_symlink():
        shutil.rmtree(place)
    else:
        place.unlink()
    make(place)


STRANGE: dict[str, Callable[[Path, Path], object]] = {
    "a link out of it": lambda place, outside: place.symlink_to(
        outside if place.suffix != ".json" else outside / "zarr.json"
    ),
    "a link to zeros without end": lambda place, _: place.symlink_to("/dev/zero"),
    "a link to itself": lambda place, _: place.symlink_to(place),
    "a link to nothing": lambda place, outside: place.symlink_to(outside / "new" / "file"),
    "a pipe": lambda place, _: os.mkfifo(place),
    "a folder": lambda place, _: place.mkdir(),
    "an empty file": lambda place, _: place.touch(),
    "eight gigabytes": lambda place, _: [place.touch(), os.truncate(place, 8 * 2**30)],
    "JSON of a great depth": lambda place, _: place.write_text("[" * 2_000_000),
    "objects of a great depth": lambda place, _: place.write_text('{"a":' * 200_000),
}


@pytest.mark.parametrize("strange", STRANGE)
def test_anything_in_the_place_of_a_file_or_a_folder_does_no_harm(
    child: Isolated, tmp_path: Path, pristine: Path, outside: Path, strange: str
) -> None:
    for key in random.Random(strange).sample(kinds(pristine), SOME):
        path = Path(shutil.copytree(pristine, tmp_path / "hostile.zarr"))
        put(path / key, lambda place: STRANGE[strange](place, outside))
        assert harmless(child, path, outside).seconds < 30, key
        shutil.rmtree(path)


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to every value within a JSON value."""
    yield at
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from places(inner, (*at, key))


def replaced(value: Any, at: tuple[Any, ...], new: Any) -> Any:
    if not at:
        return new
    copy: Any = list(value) if isinstance(value, list) else dict(value)
    if new is ... and len(at) == 1:
        del copy[at[0]]
    else:
        copy[at[0]] = replaced(value[at[0]], at[1:], new)
    return copy


def sealed(record: Any) -> bytes:
    """Any record with a new hash."""
    body = json.dumps(record).encode()
    return b'{"xxh3": "%s", ' % stamp([body])[1].encode() + body[1:]


def write(path: Path, key: str, data: bytes) -> None:
    """Replace an object, and update the record that lists it: the template of objects that follow from a manifest."""
    (path / key).write_bytes(data)
    if key == TEMPLATE:
        return
    template = json.loads((path / TEMPLATE).read_bytes())
    del template["xxh3"]
    if key == MANIFEST:
        template["manifest"] = stamp([data])
    elif key in template["objects"]:
        template["objects"][key] = stamp([data])
    (path / TEMPLATE).write_bytes(seal(template))


@settings(many, max_examples=4 * SOME)
@given(data=st.data())
def test_records_of_any_types_under_new_seals_do_no_harm(
    child: Isolated, pristine: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("records")
    path, outside = Path(shutil.copytree(pristine, folder / "hostile.zarr")), folder / "outside"
    outside.mkdir()
    records = [str(file.relative_to(path)) for file in path.rglob("*.json*")]
    key = data.draw(st.sampled_from(sorted(records, key=lambda key: (key.count("/"), key))))
    text = (path / key).read_bytes()
    first, newline, rest = text.partition(b"\n") if key.endswith(".jsonl") else (text, b"", b"")
    record = json.loads(first)
    had_seal = record.pop("xxh3", None)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.sampled_from(list(places(record))))
        record = replaced(record, at, data.draw(st.sampled_from([*ODD, ...] if at else ODD)))
    whole = sealed(record) if had_seal else json.dumps(record).encode()
    write(path, key, whole + newline + rest)
    harmless(child, path, outside)
    shutil.rmtree(folder)


def with_checksum(data: bytes) -> bytes:
    return data + checksum(data)


def bomb(decoded: int) -> bytes:
    """A chunk that says it becomes that many bytes, its checksum right."""
    header = bytes([2, 1, 0x21, 4]) + b"".join(int(n).to_bytes(4, "little") for n in (decoded, 65536, 64))
    return with_checksum(header + bytes(48))


def far_index(chunks: int, offset: int, size: int) -> bytes:
    index = ShardIndex(chunks)
    index._entries[:] = offset, size
    return index.to_bytes()


CHUNKS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "numbers that become gigabytes": ("history/c.0.0", lambda _: bomb(2**31 - 1)),
    "numbers that become nothing": ("lag_attention/c.0.0.0.0", lambda _: bomb(0)),
    "a map that becomes gigabytes": (
        "time_attention/c.0.0.0.0.0",
        lambda _: bomb(2**31 - 1) + far_index(2, 0, len(bomb(0))),
    ),
    "chunks beyond the end": ("token_attention/c.0.0.0.0.0", lambda old: old[:-772] + far_index(48, 2**40, 100)),
    "chunks that are endless": ("token_attention/c.0.0.0.0.0", lambda old: old[:-772] + far_index(48, 0, 2**63)),
    "chunks at the end of all numbers": ("token_attention/c.0.0.0.0.0", lambda _: far_index(48, 2**64 - 2, 2**64 - 1)),
    "billions of texts": ("signal/c.0", lambda _: with_checksum((2**32 - 1).to_bytes(4, "little") + bytes(100))),
    "a text of gigabytes": ("signal/c.0", lambda _: with_checksum((1024).to_bytes(4, "little") + b"\xff" * 8000)),
    "coordinates of other lengths": ("n_history/c.0", lambda _: with_checksum(bytes(64))),
}


@pytest.mark.parametrize("kind", CHUNKS)
@pytest.mark.parametrize("known", [True, False], ids=["under a new seal", "under the old seal"])
def test_chunks_with_a_right_checksum_and_wrong_content_do_no_harm(
    child: Isolated, path: Path, outside: Path, kind: str, known: bool
) -> None:
    key, change = CHUNKS[kind]
    data = change((path / key).read_bytes())
    write(path, key, data) if known else (path / key).write_bytes(data)
    if known and key.split("/")[0] not in ("signal", "n_history"):
        page = path / "journal" / "markers-00000.jsonl"
        first, rest = page.read_bytes().split(b"\n", 1)
        marker = json.loads(first)
        del marker["xxh3"]
        marker["objects"][key] = stamp([data])
        page.write_bytes(seal(marker) + b"\n" + rest)
    assert harmless(child, path, outside).outcome == "refused"
    assert verify(path).problems == ()  # it was repaired and built again on the way


@pytest.mark.parametrize(
    "key",
    [
        "../outside/zarr.json",
        "/dev/zero",
        "history/../../outside/c.0",
        "evidence/../../outside/zarr.json",
        "history/c.1.0",
    ],
)
def test_a_marker_that_names_objects_of_others_is_ignored(child: Isolated, path: Path, outside: Path, key: str) -> None:
    page = path / "journal" / "markers-00000.jsonl"
    first, rest = page.read_bytes().split(b"\n", 1)
    marker = json.loads(first)
    del marker["xxh3"]
    marker["objects"][key] = [5, "0" * 16]
    page.write_bytes(seal(marker) + b"\n" + rest)
    assert any("its marker in" in problem.what for problem in verify(path).problems)
    harmless(child, path, outside)


def test_a_folder_of_verdicts_that_links_out_is_named_and_left_alone(path: Path, outside: Path) -> None:
    (path / "evidence" / "x-1").symlink_to(outside)
    before = files(outside)
    for use in (verify, stored_verdicts, lambda path: build(make_signals(3, harmonics=1), path)):
        with pytest.raises(StoreError, match=r"evidence/x-1 is a link, and links in a store are not followed") as told:
            use(path)
        assert "\n" not in str(told.value)
    assert files(outside) == before


def test_a_build_does_not_write_through_a_link(path: Path, outside: Path) -> None:
    shutil.rmtree(path / "time_attention")
    (path / "time_attention").symlink_to(outside)
    before = files(outside)
    with pytest.raises(StoreError, match=r"time_attention is a link"):
        build(make_signals(4, harmonics=1), path)
    assert files(outside) == before


def test_a_store_may_itself_be_a_link(path: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.zarr").symlink_to(path)
    assert verify(tmp_path / "mine.zarr").problems == ()
    assert open_store(tmp_path / "mine.zarr").identical(open_store(path))


@pytest.mark.parametrize(
    ("field", "value"),
    [("encoder_depth", 10**9), ("image_height", 2**40), ("heads", 10**6), ("context_columns", 2**40)],
)
def test_a_model_of_impossible_size_is_refused_at_once(
    child: Isolated, path: Path, outside: Path, field: str, value: int
) -> None:
    root = json.loads((path / ROOT).read_bytes())
    config = json.loads(root["attributes"]["config"]) | {field: value}
    if field == "heads":
        config |= {"encoder_width": 4 * value, "decoder_width": 4 * value}
    root["attributes"]["config"] = json.dumps(config)
    (path / ROOT).write_text(json.dumps(root))
    assert harmless(child, path, outside).seconds < 10


def test_a_hundred_thousand_attributes_are_refused(path: Path) -> None:
    root = json.loads((path / ROOT).read_bytes())
    root["attributes"] |= {f"a{number}": "x" for number in range(100_000)}
    (path / ROOT).write_text(json.dumps(root))
    with pytest.raises(StoreError, match=r"100,0\d+ attributes are beyond the 10,000"):
        open_store(str(path))


def test_a_missing_or_damaged_chunk_is_named_when_it_is_read(path: Path) -> None:
    ds = open_store(path)
    (path / "lag_attention" / "c.1.0.0.0").unlink()
    with pytest.raises(StoreError, match=r"signal 's1': lag_attention/c\.1\.0\.0\.0 is missing; .*verify"):
        ds.lag_attention.load()
    shard = path / "token_attention" / "c.0.0.0.0.0"
    data = bytearray(shard.read_bytes())
    data[len(data) // 2] ^= 1
    shard.write_bytes(data)
    maps = open_store(path).token_attention.isel(signal=0)
    told = []
    for layer, head in ((layer, head) for layer in range(2) for head in range(2)):
        try:
            maps.isel(layer=layer, head=head).load()
        except StoreError as error:
            told.append((f"signal 's0', layer {maps.layer.values[layer]}, head {head}: token_attention", str(error)))
    ((named, message),) = told
    assert named in message


def test_objects_that_were_never_written_are_missing_values_and_not_faults(tmp_path: Path) -> None:
    long, short = make_signals(1, n=3000, horizon=2000), make_signals(2)[1:]
    build(long, tmp_path / "a.zarr")
    build(short, tmp_path / "a.zarr", tokens="none")
    ds = open_store(tmp_path / "a.zarr").load()
    assert np.isnan(ds.history.isel(signal=1)[30:]).all()
    assert np.isnan(ds.token_attention.isel(signal=1)).all()
