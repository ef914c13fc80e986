"""The format: what plain xarray sees of a store, and the bytes underneath."""

from __future__ import annotations

import json
import pickle
import shutil
import sys
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from zarr.codecs import BloscCodec, Crc32cCodec
from zarr.core.buffer import Buffer
from zarr.storage import MemoryStore

from tests.store import standin
from tests.store.standin import CONFIG, Model, assert_holds, build, make_signal, make_signals
from vitime_cache.attention import schema
from vitime_cache.model.config import ViTimeConfig
from vitime_cache.store import format as store_format
from vitime_cache.store.chunks import ShardIndex, damaged_chunks, encode_chunk
from vitime_cache.store.commit import open_writer
from vitime_cache.store.evidence_groups import check_keeping
from vitime_cache.store.format import encode_map, query_rows
from vitime_cache.store.locations import open_objects
from vitime_cache.store.manifest import Entry, Identity, Manifest
from vitime_cache.store.objects import StoreError
from vitime_cache.store.pipeline import Pipeline
from vitime_cache.store.reader import open_store
from vitime_cache.store.root import render_root


def test_a_plain_xarray_open_shows_every_signal_without_a_warning(tmp_path):
    signals = make_signals(3, harmonics=2)
    build(signals, tmp_path / "a.zarr", Model())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for options in ({}, {"chunks": None}, {"chunks": {}}, {"chunks": "auto"}, {"consolidated": False}):
            ds = xr.open_zarr(tmp_path / "a.zarr", **options)
            assert_holds(ds.load(), signals)


@pytest.mark.parametrize("tokens", ["all", "none"])
def test_open_store_gives_what_plain_xarray_gives(tmp_path, tokens):
    """It indexes the dimensions without reading their coordinates."""
    build(make_signals(3, harmonics=2), tmp_path / "a.zarr", Model(), tokens=tokens)
    ours, plain = open_store(tmp_path / "a.zarr"), xr.open_zarr(tmp_path / "a.zarr", chunks=None)
    assert ours.identical(plain)
    assert set(ours.indexes) == set(plain.indexes)
    selected = {"signal": "s1", "layer": "decoder.0", "head": 1, "query_patch": 2, "key_patch": 1}
    assert ours.time_attention.sel(selected) == plain.time_attention.sel(selected)


def test_a_full_size_store_opens_with_dask_chunks_without_a_warning(tmp_path):
    config = ViTimeConfig()
    manifest = manifest_of(config, 40)
    template = store_format.render_template(manifest)
    for key, data in (
        template | {"zarr.json": render_root(manifest, store_format.array_metadata(template), 40)}
    ).items():
        (tmp_path / key).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / key).write_bytes(data)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ds = xr.open_zarr(tmp_path)
    assert ds.token_attention.shape == (40, 18, 16, 2464, 2464)


def manifest_of(config: ViTimeConfig, count: int) -> Manifest:
    identity = Identity(standin.WEIGHTS, config, "float32")
    names = [make_signal(f"s{i}") for i in range(count)]
    entries = []
    for signal in names:
        values = schema.signal_coordinates(signal, config)
        values.pop("complete")
        entries.append(Entry(values.pop("signal"), signal.fingerprint, values, 0, config.layers))
    return Manifest(identity, schema.attributes(config, standin.WEIGHTS, "float32")).with_entries(entries)


def test_a_stored_signal_is_the_live_dataset(tmp_path, golden_model):
    from vitime_cache import capture
    from vitime_cache.series.sources import Harmonic, compose

    signals = [compose("one", [Harmonic(50.0), Harmonic(20.0)], n=200, horizon=300, description="two tones"),
               compose("two", [Harmonic(31.0)], n=300, horizon=200, reduced_of="one")]  # fmt: skip
    build(signals, tmp_path / "a.zarr", golden_model, capture=None)
    stored = open_store(tmp_path / "a.zarr")
    for signal in signals:
        live = capture(golden_model, signal, tokens="all")
        one = stored.sel(signal=signal.name).isel(component=slice(len(signal.harmonics)))
        assert set(one.variables) == set(live.variables)
        assert set(one.coords) == set(live.coords)
        for name in live.variables:
            assert one[name].dims == live[name].dims
            kinds = {"text" if ds[name].dtype.kind in "OUT" else ds[name].dtype for ds in (one, live)}
            assert len(kinds) == 1, f"{name}: {kinds}"
            assert one[name].attrs.items() >= live[name].attrs.items()
            np.testing.assert_array_equal(one[name].values, live[name].values, err_msg=name)
        assert {k: v for k, v in stored.attrs.items() if k != "created"} == {
            k: v for k, v in live.attrs.items() if k != "created"
        }


def test_layers_that_were_not_asked_for_have_no_token_maps(tmp_path):
    signals = make_signals(2)
    build(signals, tmp_path / "some.zarr", Model(), tokens=["decoder.0"])
    ds = open_store(tmp_path / "some.zarr")
    assert_holds(ds, signals, tokens=["decoder.0"])
    assert np.isnan(ds.token_attention.sel(layer="encoder.0")).all()
    build(signals, tmp_path / "none.zarr", Model(), tokens="none")
    ds = open_store(tmp_path / "none.zarr")
    assert "token_attention" not in ds
    assert_holds(ds, signals, tokens=[])


def test_arrays_lie_on_disk_in_the_chunks_and_codecs_that_the_format_documents(tmp_path):
    """Numbers of docs/store.md, not of the code: another reader counts on them, and so does a store that grows."""
    build(make_signals(2, harmonics=1), tmp_path / "a.zarr", Model())
    arrays = {file.parent.name: json.loads(file.read_bytes()) for file in (tmp_path / "a.zarr").glob("*/zarr.json")}
    del arrays["journal"]
    of_a_signal = {  # 2 layers of 2 heads, 2 × 6 tokens
        "time_attention": [1, 2, 2, 6, 6], "token_attention": [1, 2, 2, 12, 12], "lag_attention": [1, 2, 2, 11],
        "cls_attention": [1, 2, 2, 12], "history": [1, 4096], "forecast": [1, 4096], "forecast_quantile": [1, 7, 4096],
        "component_period": [1, 16], "component_amplitude": [1, 16],
    }  # fmt: skip
    inner = {"time_attention": [1, 1, 2, 6, 6], "token_attention": [1, 1, 1, 1, 12]}
    axes = {"signal": 1024, "time": 4096, "component": 16, "layer": 2, "head": 2, "lag": 11, "quantile": 7}
    axes |= {f"{each}_{of}": size for each in ("query", "key") for of, size in (("patch", 6), ("token", 12))}
    for name, array in arrays.items():
        chunks, codecs = array["chunk_grid"]["configuration"]["chunk_shape"], array["codecs"]
        assert chunks == (of_a_signal.get(name) or [axes[array["dimension_names"][0]]]), name
        assert array["chunk_key_encoding"] == {"name": "default", "configuration": {"separator": "."}}, name
        if name in inner:
            (shard,) = codecs
            assert shard["configuration"]["chunk_shape"] == inner[name], name
            assert shard["configuration"]["index_location"] == "end"
            codecs = shard["configuration"]["codecs"]
        assert codecs[-1]["name"] == "crc32c", name
        if name in of_a_signal:
            blosc = codecs[-2]["configuration"]
            assert (blosc["cname"], blosc["clevel"], blosc["shuffle"]) == ("lz4", 5, "bitshuffle"), name
    assert arrays.keys() >= of_a_signal.keys() | axes.keys()


def test_a_dataset_opened_before_a_store_grew_stays_right(tmp_path, monkeypatch):
    monkeypatch.setattr(store_format, "CHUNK", {"signal": 1, "time": 64, "component": 2})
    monkeypatch.setattr(store_format, "SIGNALS_PER_CHUNK", 2)
    path = tmp_path / "a.zarr"
    first = [make_signal("a"), make_signal("b", n=40, horizon=50, harmonics=1), make_signal("c")]
    later = [make_signal("d", n=100, horizon=200, harmonics=5), make_signal("e")]
    build(first, path, Model())
    before = open_store(path)
    sent = pickle.dumps(before)  # to another process
    build(later, path, Model())
    assert_holds(before, first)  # lazily: the arrays are read only now
    assert_holds(pickle.loads(sent), first)
    assert before.sizes["time"] == 90
    after = open_store(path)
    assert_holds(after, first + later)
    assert after.sizes["time"] == 300
    assert after.sizes["component"] == 5
    np.testing.assert_array_equal(after.time, np.arange(300))


def test_a_signal_that_is_not_committed_does_not_exist_for_readers(tmp_path):
    signals = make_signals(4)
    path = tmp_path / "a.zarr"

    def stop_after_two(progress):
        if progress.done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build(signals, path, Model(), progress=stop_after_two)
    assert_holds(open_store(path), signals[:2])
    assert_holds(xr.open_zarr(path), signals[:2])
    everything = xr.open_zarr(path, consolidated=False)  # past the commit object, `complete` still tells them apart
    assert everything.complete.values.tolist() == [True, True, False, False]


def test_signals_committed_out_of_order_show_once_all_before_them_are_there(tmp_path):
    path, signals = tmp_path / "a.zarr", make_signals(3)
    objects, manifest = open_objects(path), manifest_of(CONFIG, 3)
    shown = []
    with open_writer(objects, manifest.identity, manifest.entries) as writer:
        pipeline = Pipeline(objects, writer.manifest, Model(), standin.capture_batch)
        for markers in pipeline.write({place: signals[place] for place in (2, 0, 1)}, 1):
            writer.commit(markers)
            shown.append(open_store(path).signal.values.tolist())
    assert shown == [[], ["s0"], ["s0", "s1", "s2"]]
    assert_holds(open_store(path), signals)


def test_an_empty_store_opens(tmp_path):
    def stop(_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build(make_signals(2), tmp_path / "a.zarr", Model(), progress=stop)
    assert open_store(tmp_path / "a.zarr").sizes["signal"] == 0


def zarr_bytes(values: np.ndarray, chunk: tuple[int, ...]) -> dict[str, bytes]:
    """What zarr itself writes of an array."""
    written: dict = {}
    array = zarr.create_array(
        MemoryStore(written),
        shape=values.shape,
        chunks=chunk,
        dtype=values.dtype,
        compressors=(BloscCodec(cname="lz4", clevel=5, shuffle="bitshuffle"), Crc32cCodec()),
        fill_value=np.nan,
        config={"write_empty_chunks": True},
    )
    array[:] = values
    return {key: data.to_bytes() for key, data in written.items() if not key.endswith("zarr.json")}


@settings(max_examples=30, deadline=None)
@given(
    rows=st.integers(1, 6), columns=st.integers(2, 13), peaky=st.booleans(), seed=st.integers(0, 2**32)
)  # fmt: skip
def test_a_token_map_is_encoded_to_the_chunks_that_zarr_writes(rows, columns, peaky, seed):
    config = replace(CONFIG, image_height=16 * rows, patch_height=16, context_columns=8, horizon_columns=8 * columns)
    n, block = config.tokens, query_rows(config)
    weights = np.random.default_rng(seed).exponential(size=(n, n)).astype(np.float16)
    if peaky:
        weights[weights < 1] = 0
    chunks = encode_map(weights, block)
    assert {f"c/{number}/0": chunk for number, chunk in enumerate(chunks)} == zarr_bytes(weights, (block, n))


@settings(max_examples=30, deadline=None)
@given(samples=st.integers(1, 9000), components=st.integers(1, 40), seed=st.integers(0, 2**32))
def test_series_of_any_length_are_encoded_to_the_chunks_that_zarr_writes(samples, components, seed):
    rng = np.random.default_rng(seed)
    longest = replace(manifest_of(CONFIG, 2), n_time=9000, n_components=40)
    for name, shape, chunk in (("history", (samples,), (4096,)), ("forecast_quantile", (7, samples), (7, 4096)),
                               ("component_period", (components,), (16,))):  # fmt: skip
        values = rng.standard_normal(shape, np.float32)
        ours = {key: b"".join(parts) for key, parts in store_format.encode_arrays(longest, 1, {name: values})}
        whole = np.full([-(-length // size) * size for length, size in zip(shape, chunk, strict=True)], np.nan, "f4")
        whole[tuple(map(slice, shape))] = values
        theirs = zarr_bytes(whole, chunk)
        assert ours == {f"{name}/c.1.{'.'.join(key.split('/')[1:])}": data for key, data in theirs.items()}


@pytest.mark.filterwarnings("ignore::zarr.errors.UnstableSpecificationWarning")
def test_texts_of_fixed_width_are_encoded_to_the_chunks_that_zarr_writes() -> None:
    texts = np.array(["", "two tones", "höher", *[""] * 2500, "last"], object)
    staged: dict[str, Buffer] = {}
    array = zarr.create_group(MemoryStore(staged)).create_array(
        "description", shape=texts.shape, dtype="<U2000", chunks=(store_format.SIGNALS_PER_CHUNK,),
        compressors=store_format.CODECS, chunk_key_encoding={"name": "default", "separator": "."},
        config={"write_empty_chunks": True},
    )  # fmt: skip
    array[:] = texts.astype("<U2000")
    written = {key: data.to_bytes() for key, data in staged.items() if key.startswith("description/c")}
    assert store_format._encode_texts("description", texts) == written


@settings(max_examples=30, deadline=None)
@given(damage=st.sets(st.integers(0, 11)), missing=st.sets(st.integers(0, 11)), data=st.data())
def test_a_shard_tells_which_of_its_chunks_are_damaged(damage, missing, data):
    there = {number: encode_chunk(np.full(20, number, "f4")) for number in range(12) if number not in missing}
    index = ShardIndex(12)
    for number, chunk in there.items():
        index.append(number, [chunk])
    whole = bytearray(b"".join(there.values()) + index.to_bytes())

    def found() -> list[int] | None:
        return damaged_chunks(lambda start, stop: bytes(whole[start:stop]), len(whole), 12)

    assert found() == []
    starts = dict(zip(there, np.cumsum([0, *map(len, there.values())]).tolist(), strict=False))
    for number in damage & there.keys():
        bit = data.draw(st.integers(0, 8 * len(there[number]) - 1))
        whole[starts[number] + bit // 8] ^= 1 << bit % 8
    assert found() == sorted(damage & there.keys())
    whole[-data.draw(st.integers(1, len(index.to_bytes())))] ^= 1
    assert found() is None


@pytest.mark.parametrize(
    ("path", "message"),
    [("nothing.zarr", "no store at .*nothing.zarr; build one with"), ("foreign.zarr", "not an attention store"),
     ("damaged.zarr", "not an attention store, or a damaged one"), ("wrong://x", "use a folder, or a URL")],
)  # fmt: skip
def test_a_place_without_a_store_is_named_in_one_sentence(tmp_path, path, message):
    xr.Dataset({"x": ("y", [1, 2])}).to_zarr(tmp_path / "foreign.zarr", zarr_format=3, consolidated=False)
    (tmp_path / "damaged.zarr").mkdir()
    (tmp_path / "damaged.zarr" / "zarr.json").write_text('{"zarr_format": 3, "node_type": "gr')
    with pytest.raises(StoreError, match=message):
        open_store(path if "://" in path else tmp_path / path)


def test_a_url_whose_package_is_missing_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "gcsfs", None)
    with pytest.raises(StoreError, match="gcsfs"):
        open_store("gs://bucket/a.zarr")


def test_a_folder_that_holds_something_else_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(StoreError, match=r"not empty \(it holds thesis.tex\)"):
        build(make_signals(1), tmp_path, Model())
    assert standin.files(tmp_path) == {"thesis.tex": b"years of work"}


def test_files_that_a_user_puts_into_a_store_stay(tmp_path):
    path = tmp_path / "a.zarr"
    build(make_signals(1), path, Model())
    (path / "README.txt").write_text("mine")
    (path / "history" / "c.7.0.0123abcd.partial").write_text("of a killed build")
    (path / "journal" / "building").touch()
    build(make_signals(2), path, Model())
    assert (path / "README.txt").read_text() == "mine"
    assert not list(path.rglob("*.partial"))


def test_a_store_built_under_another_format_is_refused(tmp_path):
    path = tmp_path / "a.zarr"
    build(make_signals(1), path, Model())
    from vitime_cache.store.manifest import MANIFEST, seal, unseal

    record = unseal((path / MANIFEST).read_bytes())
    (path / MANIFEST).write_bytes(seal(record | {"format": 99}))
    with pytest.raises(StoreError, match="format 99"):
        build(make_signals(2), path, Model())


def test_a_store_of_the_format_that_kept_series_in_float32_still_opens(tmp_path, monkeypatch):
    path = tmp_path / "a.zarr"
    older = {
        name: replace(variable, dtype=variable.dtype.replace("float64", "float32"))
        for name, variable in schema.VARIABLES.items()
    }
    coordinates = {name: kept for name, kept in schema.SIGNAL_COORDINATES.items() if name != schema.START}
    with monkeypatch.context() as before:
        before.setattr(standin.schema, "VARIABLES", older)
        before.setattr(store_format, "VARIABLES", older)
        before.setattr(store_format, "SIGNAL_COORDINATES", coordinates)
        before.setattr("vitime_cache.store.manifest.FORMAT", 2)
        build(make_signals(2), path, Model())
    ds = open_store(path)
    assert (ds.history.dtype, ds.start.values.tolist()) == (np.dtype("float32"), ["", ""])
    for place, signal in enumerate(make_signals(2)):
        read = schema.signal_of(ds.isel(signal=place))
        np.testing.assert_array_equal(read.values, signal.values.astype("float32"))
        assert (read.name, read.horizon, read.start) == (signal.name, signal.horizon, "")
    for writes in (lambda: build(make_signals(3), tmp_path / "a.zarr", Model()), lambda: check_keeping(path)):
        with pytest.raises(StoreError, match="format 2, this version writes 3: it can still be read"):
            writes()


def test_a_store_of_a_format_that_is_not_read_is_told_as_such_and_not_as_damaged(tmp_path, monkeypatch):
    path = tmp_path / "a.zarr"
    with monkeypatch.context() as before:
        coordinates = {name: kept for name, kept in schema.SIGNAL_COORDINATES.items() if name != "sample_seconds"}
        before.setattr(store_format, "SIGNAL_COORDINATES", coordinates)
        before.setattr("vitime_cache.store.manifest.FORMAT", 1)
        build(make_signals(2), path, Model())
    for asks in (lambda: open_store(path), lambda: build(make_signals(2), path, Model()), lambda: check_keeping(path)):
        with pytest.raises(StoreError, match=r"a\.zarr has store format 1, this version writes 3: it cannot be read"):
            asks()


def test_attributes_say_where_the_numbers_come_from(tmp_path):
    build(make_signals(1), tmp_path / "a.zarr", Model())
    ds = open_store(tmp_path / "a.zarr")
    assert ds.attrs["weights_sha256"] == standin.WEIGHTS.sha256
    assert ViTimeConfig.from_dict(json.loads(ds.attrs["config"])) == CONFIG
    for name, variable in schema.VARIABLES.items():
        assert ds[name].attrs == variable.attributes


def test_a_store_can_be_moved(tmp_path):
    build(make_signals(2), tmp_path / "a.zarr", Model())
    shutil.move(tmp_path / "a.zarr", tmp_path / "b.zarr")
    build(make_signals(3), Path(tmp_path / "b.zarr"), Model())
    assert_holds(open_store(tmp_path / "b.zarr"), make_signals(3))
