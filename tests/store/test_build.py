"""Building: what is refused before anything is written, what is kept, and what a second build does."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from dataclasses import replace
from importlib import reload
from multiprocessing import get_context
from pathlib import Path
from typing import get_type_hints

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.store import standin
from tests.store.standin import CONFIG, Model, assert_holds, build, files, make_signal, make_signals
from vitime_cache import atomic
from vitime_cache.attention.schema import COMPLETE, SIGNAL_COORDINATES
from vitime_cache.model.config import ConfigError, ViTimeConfig, WeightsInfo
from vitime_cache.series.sources import SignalError
from vitime_cache.store import build as building
from vitime_cache.store import local_objects
from vitime_cache.store.build import add_dataset
from vitime_cache.store.journal import Journal, assign_places
from vitime_cache.store.manifest import Coordinates, Identity, Manifest, Marker, seal, unseal
from vitime_cache.store.objects import StoreError
from vitime_cache.store.plan import Plan, identity_of
from vitime_cache.store.reader import open_store


@pytest.fixture(autouse=True)
def _same_second(monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "0")


def test_building_again_does_nothing_and_touches_nothing(tmp_path):
    signals, path = make_signals(3), tmp_path / "a.zarr"
    first = build(signals, path, Model())
    assert first.written == ("s0", "s1", "s2")
    stamps = {file: file.stat().st_mtime_ns for file in path.rglob("*")}
    again = build(signals, path, Model())
    assert (again.written, again.complete, again.bytes) == ((), 3, 0)
    assert {file: file.stat().st_mtime_ns for file in path.rglob("*")} == stamps


def test_signals_are_added_to_a_store_and_the_old_ones_are_not_captured_again(tmp_path):
    path = tmp_path / "a.zarr"
    build(make_signals(2), path, Model())
    captured = []

    def noted(model, signals, *rest):
        captured.extend(signals)
        return standin.capture_batch(model, signals, *rest)

    signals = [make_signal("new"), *make_signals(3)]
    report = build(signals, path, Model(), capture=noted)
    assert [signal.name for signal in captured] == ["new", "s2"]
    assert (report.written, report.complete) == (("new", "s2"), 2)
    assert_holds(open_store(path), [*make_signals(2), make_signal("new"), make_signal("s2")])


def test_a_store_grown_signal_by_signal_equals_one_built_at_once(tmp_path):
    signals = make_signals(4)
    for count in range(1, 5):
        build(signals[:count], tmp_path / "grown.zarr", Model())
    build(signals, tmp_path / "once.zarr", Model())
    assert files(tmp_path / "grown.zarr") == files(tmp_path / "once.zarr")


@pytest.mark.parametrize("batch_size", [2, 3, 7])
def test_batches_write_the_same_bytes(tmp_path, batch_size):
    signals = make_signals(5)
    build(signals, tmp_path / "one.zarr", Model())
    build(signals, tmp_path / "many.zarr", Model(), batch_size=batch_size)
    assert files(tmp_path / "one.zarr") == files(tmp_path / "many.zarr")


def interrupted_build(path, after: int) -> None:
    """A build of four signals that ends with Ctrl-C once so many are committed."""

    def interrupt(progress):
        if progress.done == after:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build(make_signals(4), path, Model(), progress=interrupt)


def test_an_interrupted_build_keeps_finished_signals_and_continues_from_there(tmp_path):
    path = tmp_path / "a.zarr"
    interrupted_build(path, after=2)
    assert build(make_signals(4), path, Model()).written == ("s2", "s3")


def test_a_signal_of_which_an_object_is_missing_or_cut_short_is_written_again(tmp_path):
    path = tmp_path / "a.zarr"
    build(make_signals(4), path, Model())
    before = files(path)
    (path / "token_attention" / "c.1.0.0.0.0").unlink()
    (path / "history" / "c.3.0").write_bytes(before["history/c.3.0"][:-1])
    assert build(make_signals(4), path, Model()).written == ("s1", "s3")
    assert files(path) == before


def test_an_interrupted_build_can_be_followed_by_one_of_other_signals(tmp_path):
    path = tmp_path / "a.zarr"
    interrupted_build(path, after=1)
    build([make_signal("other", n=20)], path, Model())
    assert_holds(open_store(path), [make_signal("s0"), make_signal("other", n=20)])
    build(make_signals(4), path, Model())
    assert open_store(path).signal.values.tolist() == ["s0", "other", "s1", "s2", "s3"]


@pytest.mark.parametrize(
    ("change", "named"),
    [({"model": Model(weights=WeightsInfo("other", "6" * 64))}, "weights sha256 is '555.*' there and '666.*' here"),
     ({"model": Model(replace(CONFIG, value_range=4.0))}, "config.value_range is 3.5 there and 4.0 here"),
     ({"model": Model(dtype="bfloat16")}, "dtype is 'float32' there and 'bfloat16' here")],
)  # fmt: skip
def test_a_store_that_was_built_differently_is_refused_naming_the_field_and_both_values(tmp_path, change, named):
    path = tmp_path / "a.zarr"
    build(make_signals(1), path, Model())
    before = files(path)
    options = {"model": Model()} | change
    for signals in (make_signals(1), make_signals(2)):
        with pytest.raises(StoreError, match=named):
            build(signals, path, **options)
    assert files(path) == before


def test_another_signal_of_the_same_name_is_refused_naming_it(tmp_path):
    path = tmp_path / "a.zarr"
    build(make_signals(2), path, Model())
    before = files(path)
    with pytest.raises(StoreError, match=r"already holds another signal named 's1' .*rename it"):
        build([make_signal("s1", seed=9)], path, Model())
    assert files(path) == before


@pytest.mark.parametrize(
    ("signals", "options", "error"),
    [([], {}, SignalError), ([make_signal("a"), make_signal("a", seed=1)], {}, SignalError),
     ([replace(make_signal("a"), reduced_of="b")], {}, SignalError),
     (make_signals(1), {"tokens": "layer7"}, ConfigError),
     (make_signals(1), {"batch_size": 0}, StoreError), (make_signals(1), {"max_size": 10}, StoreError),
     (make_signals(1), {"workers": 2}, StoreError)],
)  # fmt: skip
def test_a_build_that_is_refused_writes_nothing(tmp_path, signals, options, error):
    with pytest.raises(error):
        build(signals, tmp_path / "a.zarr", Model(), **options)
    assert list(tmp_path.iterdir()) == []


def test_a_signal_that_the_model_cannot_take_is_refused_before_any_writing(tmp_path, golden_model):
    short = make_signal("short", n=2, horizon=5000)
    with pytest.raises(ValueError, match="2 samples of history"):
        build([make_signal("fine"), short], tmp_path / "a.zarr", golden_model, capture=None)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("broken", ["time_attention", "cls_attention", "lag_attention"])
def test_attention_that_is_not_finite_is_never_committed(tmp_path, broken):
    def overflow(*args):
        results = standin.capture_batch(*args)
        results[0][broken].flat[3] = np.nan
        return results

    with pytest.raises(StoreError, match=f"{broken} of signal 's0' is not finite"):
        build(make_signals(1), tmp_path / "a.zarr", capture=overflow)
    assert open_store(tmp_path / "a.zarr").sizes["signal"] == 0


def test_a_token_map_that_was_not_handed_out_is_never_committed(tmp_path):
    def half(model, signals, _, on_tokens):
        return standin.capture_batch(model, signals, ["encoder.0"], on_tokens)

    with pytest.raises(StoreError, match=r"2 token maps were not captured, the first of decoder\.0, head 0"):
        build(make_signals(1), tmp_path / "a.zarr", capture=half)


def test_a_disk_that_fills_up_ends_the_build_and_loses_no_complete_signal(tmp_path, monkeypatch):
    path = tmp_path / "a.zarr"
    build(make_signals(1), path, Model())
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(OSError, match="No space left"):
        build(make_signals(3), path, Model())
    monkeypatch.setattr(os, "fsync", lambda _: None)
    assert_holds(open_store(path), make_signals(1))
    assert build(make_signals(3), path, Model()).written == ("s1", "s2")


def plan(total: float, tokens=("encoder.0", "encoder.1", "decoder.0"), free: float | None = None) -> Plan:
    """A plan of `total` GB, 90 % of it token maps of `tokens`."""
    sizes = {"token_attention": int(0.9e9 * total), "time_attention": int(0.1e9 * total)}
    identity = Identity(standin.WEIGHTS, CONFIG, "float32")
    return Plan("a.zarr", identity, ("a", "b"), tuple(tokens), 0, sizes, None if free is None else int(free * 1e9))


@pytest.mark.parametrize(
    ("args", "message"),
    [({"total": 30}, r"2 signals may take up to 30 GB in a.zarr, more than --max-size 20 GB: "
                     r"--tokens decoder.0 \(12 GB\) fits, --tokens none \(3 GB\) fits, or raise it with --max-size 30"),
     ({"total": 21}, r"--tokens encoder.1,decoder.0 \(14.7 GB\) fits, --tokens none"),
     ({"total": 100}, r": --tokens none \(10 GB\) fits, or raise"),
     ({"total": 300}, r": give fewer signals, or raise it with --max-size 300"),
     ({"total": 10, "free": 5}, r"more than the 5 GB that are free there: --tokens decoder.0 \(4 GB\) fits, "
                                r"--tokens none \(1 GB\) fits$"),
     ({"total": 10, "free": 0.5}, "free there: give fewer signals$")],
)  # fmt: skip
def test_a_plan_that_is_too_large_names_the_flag_that_makes_it_fit(args, message):
    with pytest.raises(StoreError, match=message):
        plan(**args).check(20e9)


def test_a_plan_that_fits_passes():
    plan(19).check(20e9)
    plan(19, free=19.1).check(20e9)


def test_a_plan_counts_what_the_arrays_hold(tmp_path):
    seen = []
    build(make_signals(3, harmonics=2), tmp_path / "a.zarr", Model(), tokens=["decoder.0"], announce=seen.append)
    ds = open_store(tmp_path / "a.zarr")
    expected = {name: variable.nbytes for name, variable in ds.data_vars.items()}
    expected["token_attention"] //= 2  # one of two layers
    assert seen[0].bytes == expected


def test_progress_tells_every_commit_after_it_is_visible(tmp_path):
    told = []

    def progress(progress):
        told.append((progress.name, progress.done, progress.total))
        assert open_store(tmp_path / "a.zarr").sizes["signal"] == progress.done

    build(make_signals(3), tmp_path / "a.zarr", Model(), progress=progress)
    assert told == [("", 0, 3), ("s0", 1, 3), ("s1", 2, 3), ("s2", 3, 3)]


def test_a_live_run_is_saved_as_a_build_would_have_written_it(tmp_path, golden_model):
    from vitime_cache import capture

    signals = [make_signal("a", n=200, horizon=300, harmonics=2), make_signal("b", n=300, horizon=200)]
    build(signals, tmp_path / "built.zarr", golden_model, capture=None)
    for signal in signals:
        add_dataset(tmp_path / "saved.zarr", capture(golden_model, signal, tokens="all"), signal)
    xr_built, xr_saved = open_store(tmp_path / "built.zarr"), open_store(tmp_path / "saved.zarr")
    assert xr_saved.identical(xr_built)
    add_dataset(tmp_path / "saved.zarr", capture(golden_model, signals[0], tokens="all"), signals[0])
    assert open_store(tmp_path / "saved.zarr").identical(xr_built)


def test_live_runs_with_and_without_token_maps_share_a_store_that_a_build_then_grows(tmp_path, golden_model):
    """Saving one without maps once kept the default build, which has them all, out of the store."""
    from vitime_cache import capture

    path, signals = tmp_path / "a.zarr", [make_signal(name, n=200, horizon=300) for name in "abc"]
    assert add_dataset(path, capture(golden_model, signals[0]), signals[0])
    assert "token_attention" not in open_store(path)
    assert add_dataset(path, capture(golden_model, signals[1], tokens=["encoder.0"]), signals[1])
    report = build(signals, path, golden_model, capture=None)
    assert (report.written, report.complete, report.without_maps) == (("c",), 2, ("a", "b"))
    ds = open_store(path)
    there = np.isfinite(ds.token_attention).all(["head", "query_token", "key_token"])
    kept = ((), ("encoder.0",), tuple(ds.layer.values))
    assert there.values.tolist() == [[layer in layers for layer in ds.layer.values] for layers in kept]
    assert not add_dataset(path, capture(golden_model, signals[2]), signals[2])
    with pytest.raises(StoreError, match="already holds another signal named 'c'"):
        add_dataset(path, capture(golden_model, signals[0]), replace(signals[0], name="c"))


def test_random_weights_are_told_apart_by_their_values():
    from tests.conftest import random_model, small_config

    one, same, other = (identity_of(random_model(small_config(), seed), "float32") for seed in (0, 0, 1))
    assert one == same
    assert one.weights.sha256 != other.weights.sha256


def test_building_a_finished_store_again_imports_neither_torch_nor_xarray(tmp_path):
    """A resume with nothing to do reads the series, and looks into the journal."""
    path, weights = tmp_path / "a.zarr", tmp_path / "small.safetensors"
    script = """
        import sys
        from pathlib import Path
        from vitime_cache.cli.main import main
        code = main("build data.csv --store a.zarr --weights small.safetensors --quiet --horizon 28".split())
        print(code, sorted({"torch", "xarray", "zarr", "scipy"} & sys.modules.keys()))
    """
    from tests.conftest import random_model, small_config
    from vitime_cache.model.checkpoint import load_model, save_safetensors

    save_safetensors(random_model(small_config()), weights)
    (tmp_path / "data.csv").write_text("x,y\n" + "\n".join(f"{i % 7},{i % 5}" for i in range(20)))
    from vitime_cache.series.sources import read_signals

    build(read_signals(tmp_path / "data.csv", horizon=28), path, load_model(weights, "cpu"))
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], cwd=tmp_path, capture_output=True, text=True, check=True,
        env=os.environ | {"PYTHONPATH": str(Path(building.__file__).parents[2])},
    )  # fmt: skip
    assert done.stdout.strip() == "0 []"


def test_weights_that_are_replaced_before_they_are_loaded_write_nothing_under_the_name_of_the_old_ones(tmp_path):
    from tests.conftest import random_model, small_config
    from vitime_cache.model.checkpoint import load_model, peek, save_safetensors
    from vitime_cache.store.workers import Job

    place, weights = tmp_path / "a.zarr", tmp_path / "a.safetensors"
    save_safetensors(random_model(small_config()), weights)

    def replaced(_):
        save_safetensors(random_model(small_config(), seed=1), weights)

    with pytest.raises(StoreError, match="the weights a were replaced since the build began; build again"):
        building.build(make_signals(2), place, weights, announce=replaced)
    assert not place.exists()
    building.build(make_signals(1), place, weights)
    assert open_store(place).attrs["weights_sha256"] == peek(weights)[1].sha256

    def markers():  # of a scheduler's worker, which outlives builds
        manifest = Manifest(Identity(load_model(weights, "cpu").weights, small_config(), "float32"), {})
        return Job(standin.capture_batch, str(place), manifest, weights, "cpu", "float32").write({})

    assert markers() == []
    replaced(None)
    assert markers() == []


@settings(max_examples=40, deadline=None)
@given(
    committed=st.sets(st.integers(0, 8)), wanted=st.lists(st.integers(0, 12), unique=True)
)  # fmt: skip
def test_places_are_kept_filled_from_the_first_on_and_never_shared(committed, wanted):
    markers = {place: Marker(place, f"s{place}", make_signal(f"s{place}").fingerprint, {}) for place in committed}
    journal = Journal(Manifest(Identity(standin.WEIGHTS, ViTimeConfig(), "float32"), {}), markers)
    places = assign_places(journal, [make_signal(f"s{i}") for i in wanted], "a.zarr")
    assert [signal.name for signal in places.values()] == [f"s{i}" for i in wanted if i not in committed]
    assert list(places) == sorted(places)
    assert not places.keys() & committed
    free = [place for place in range(100) if place not in committed]
    assert list(places) == free[: len(places)]


@settings(max_examples=40)
@given(record=st.dictionaries(st.text(), st.text() | st.integers() | st.lists(st.integers())), data=st.data())
def test_a_sealed_record_is_read_back_and_any_flipped_bit_breaks_the_seal(record, data):
    record.pop("xxh3", None)
    sealed = seal(record)
    assert unseal(sealed) == record
    broken = bytearray(sealed)
    bit = data.draw(st.integers(0, 8 * len(sealed) - 1))
    broken[bit // 8] ^= 1 << bit % 8
    assert unseal(bytes(broken)) is None


def test_the_manifest_knows_the_coordinates_of_the_schema_and_their_types():
    kinds = {"int64": int, "float64": float, "string": str}
    known = {name: getattr(kind, "__origin__", kind) for name, kind in get_type_hints(Coordinates).items()}
    assert known == {name: kinds[dtype] for name, (dtype, _) in SIGNAL_COORDINATES.items() if name != COMPLETE}


def build_elsewhere(folder: Path) -> None:
    """As on macOS, and then as on Windows, which opens no folder."""
    atomic.can_sync_all = lambda: False
    reload(local_objects).SYNC_BYTES = 10
    build(make_signals(1), folder / "macos.zarr")
    del os.O_DIRECTORY, os.writev
    atomic.fcntl, opened = None, os.open

    def open_file(path, *how):
        if how == (os.O_RDONLY,) and Path(path).is_dir():
            raise PermissionError(path)
        return opened(path, *how)

    os.open = open_file
    build(make_signals(1), folder / "windows.zarr")
    build(make_signals(2), folder / "windows.zarr")


@pytest.mark.usefixtures("fork_server")
def test_systems_without_the_calls_of_linux_build_too(tmp_path):
    process = get_context("forkserver").Process(target=build_elsewhere, args=(tmp_path,))
    process.start()
    process.join()
    assert process.exitcode == 0
    assert_holds(open_store(tmp_path / "macos.zarr"), make_signals(1))
    assert_holds(open_store(tmp_path / "windows.zarr"), make_signals(2))
