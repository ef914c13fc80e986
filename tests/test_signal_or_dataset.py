"""A signal and the Dataset that `capture` or a store makes of it are the same to every public call."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import vitime_cache as vc
from tests.conftest import random_model, small_config
from vitime_cache.errors import VitimeError
from vitime_cache.evidence.question import identity, prepare
from vitime_cache.model.checkpoint import save_safetensors
from vitime_cache.series.signal import Harmonic, Signal

MODEL = random_model(small_config(context_columns=40, horizon_columns=56, encoder_width=32, decoder_width=16))
WIDE = random_model(small_config(context_columns=160, horizon_columns=160))  # enough patches for a question
HEAD = [("encoder.0", 1), ("decoder.0", 0)]
PERIOD = 36.0
OTHER = Signal("other", np.random.default_rng(9).standard_normal(60).cumsum(), 84)

signals = st.builds(
    lambda seed, scale, level, harmonics, seconds, reduced_of, filled: Signal(
        "s",
        level + scale * np.random.default_rng(seed).standard_normal(60).cumsum(),
        horizon=84,
        description="drawn",
        harmonics=tuple(Harmonic(float(period), 0.5) for period in harmonics),
        reduced_of=reduced_of,
        filled=filled,
        sample_seconds=seconds,
    ),
    seed=st.integers(0, 99),
    scale=st.sampled_from([1e-12, 1.0, 1e6]),
    level=st.sampled_from([0.0, 1.2e7]),
    harmonics=st.lists(st.sampled_from([7.5, 12.0, 24.1]), max_size=2, unique=True),
    seconds=st.sampled_from([0.0, 3600.0]),
    reduced_of=st.sampled_from(["", "full"]),
    filled=st.sampled_from([0, 3]),
).filter(lambda signal: np.ptp(signal.values) > 1e-6 * abs(signal.values).max())

CALLS = {
    "capture": lambda it, _: vc.capture(MODEL, it),
    "capture of another horizon": lambda it, _: vc.capture(MODEL, it, horizon=70),
    "ablate_heads": lambda it, _: vc.ablate_heads(MODEL, it, HEAD, period=PERIOD),
    "ablate_heads by reference": lambda it, _: vc.ablate_heads(MODEL, OTHER, HEAD, reference=it),
    "mask_lags": lambda it, _: vc.mask_lags(MODEL, it, HEAD, PERIOD),
    "patch_values": lambda it, _: vc.patch_values(MODEL, it, HEAD, [3, 6], period=PERIOD),
    "patch_values by stand-in": lambda it, _: vc.patch_values(MODEL, OTHER, HEAD, [3, 6], it),
    "null_curves": lambda it, _: vc.null_curves(MODEL, it, 84, n=1),
    "build": lambda it, place: [vc.build(it, place, MODEL), vc.open_store(place).load()][1],
}


def same(a: object, b: object) -> None:
    if isinstance(a, xr.Dataset) and isinstance(b, xr.Dataset):
        a, b = (ds.drop_attrs(deep=False).assign_attrs(ds.attrs | {"created": ""}) for ds in (a, b))
        xr.testing.assert_identical(a, b)
    else:
        assert isinstance(a, dict)
        assert isinstance(b, dict)
        assert list(a) == list(b)
        for name, array in a.items():
            np.testing.assert_array_equal(array, b[name])


@pytest.mark.parametrize("call", CALLS)
@settings(max_examples=4, deadline=None)
@given(signal=signals)
def test_a_call_of_a_signal_equals_that_of_its_dataset(
    call: str, signal: Signal, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("stores")
    ds = vc.capture(MODEL, signal)
    if call == "build":  # the fuller signal would have to be there
        signal, ds = replace(signal, reduced_of=""), ds.assign_coords(reduced_of="")
    expected = CALLS[call](signal, folder / "a.zarr")
    same(CALLS[call](ds, folder / "b.zarr"), expected)


@settings(max_examples=10, deadline=None)
@given(signal=signals)
def test_a_question_about_a_signal_equals_that_about_its_dataset(signal: Signal) -> None:
    ds = vc.capture(WIDE, signal)
    one, other = (prepare(WIDE, it, 8.0, nulls=19, window=(40, 20)) for it in (signal, ds))
    assert identity(WIDE, one) == identity(WIDE, other)
    assert one.window == other.window
    for mine, its in zip(one.windows, other.windows, strict=True):
        assert (mine.name, mine.horizon, mine.sample_seconds) == (its.name, its.horizon, its.sample_seconds)
        np.testing.assert_array_equal(mine.values, its.values)


@pytest.mark.filterwarnings("ignore:.*Zarr (V|format )3 specification")
def test_a_stored_signal_equals_the_one_it_was_built_from_and_of_several_one_has_to_be_chosen(tmp_path: Path) -> None:
    one = Signal("one", OTHER.values[::-1], 84, harmonics=(Harmonic(12.0, 0.5),), reduced_of="other")
    save_safetensors(MODEL, tmp_path / "small.safetensors")
    model = vc.load_model(tmp_path / "small.safetensors", "cpu")
    vc.build([one, OTHER], tmp_path / "s.zarr", model)
    ds = vc.open_store(tmp_path / "s.zarr")
    same(vc.ablate_heads(model, ds, HEAD, period=PERIOD), vc.ablate_heads(model, [one, OTHER], HEAD, period=PERIOD))
    same(vc.capture(model, ds.sel(signal="one")), vc.capture(model, one))
    ds.sel(signal="one").to_zarr(tmp_path / "saved.zarr")
    same(vc.capture(model, xr.open_zarr(tmp_path / "saved.zarr", chunks=None)), vc.capture(model, one))
    with pytest.raises(VitimeError, match="the Dataset has 2 signals, expected one"):
        vc.capture(model, ds)
    with pytest.raises(VitimeError, match="the Dataset has no signals"):
        vc.ask_all(model, ds.isel(signal=[]), PERIOD)
    with pytest.raises(VitimeError, match=r"the list holds 2 series, one, other: give one, such as its first, \[0\]"):
        vc.capture(model, [one, OTHER])
    same(vc.capture(model, [one]), vc.capture(model, one))
    with pytest.raises(VitimeError, match="is not from capture or open_store"):
        vc.capture(MODEL, xr.Dataset({"a": ("x", [1.0])}))
    with pytest.raises(
        VitimeError, match="lacks component_period, component_amplitude; give it as capture or open_store"
    ):
        vc.ablate_heads(model, ds[["history"]], HEAD)
    with pytest.raises(VitimeError, match="lacks history"):
        vc.capture(model, ds.drop_vars("history"))


CHECKED = {name: CALLS[name] for name in ("ablate_heads", "mask_lags", "patch_values")}


@pytest.mark.parametrize("call", CHECKED)
def test_a_dataset_of_other_weights_that_are_in_no_file_is_refused_by_its_hash(call: str, tmp_path: Path) -> None:
    config = small_config(context_columns=40, horizon_columns=56, encoder_width=32, decoder_width=16)
    other = vc.capture(random_model(config, seed=5), OTHER)
    assert len(other.attrs["weights_sha256"]) == 64
    words = rf"weights 'random' \({other.attrs['weights_sha256'][:12]}\), the model has 'random' \([0-9a-f]{{12}}\)"
    with pytest.raises(VitimeError, match=words):
        CHECKED[call](other, tmp_path)
    with pytest.raises(VitimeError, match=r"weights 'random' \(of no file\)"):
        CHECKED[call](other.assign_attrs(weights_sha256=""), tmp_path)


def test_a_dataset_of_a_model_that_has_changed_since_is_refused() -> None:
    model = random_model(MODEL.config, seed=6)
    ds = vc.capture(model, OTHER)
    vc.ablate_heads(model, ds, HEAD)
    model.blocks_by_layer()["decoder.0"].attn.qkv.weight.mul_(1.5)
    with pytest.raises(VitimeError, match="load the weights that the Dataset names"):
        vc.ablate_heads(model, ds, HEAD)


def test_a_store_of_a_model_in_memory_serves_that_model_and_takes_no_signal_of_another(tmp_path: Path) -> None:
    vc.build(OTHER, tmp_path / "s.zarr", MODEL)
    ds = vc.open_store(tmp_path / "s.zarr")
    same(vc.mask_lags(MODEL, ds, HEAD, PERIOD), vc.mask_lags(MODEL, OTHER, HEAD, PERIOD))
    again = random_model(MODEL.config)  # drawn alike: the same weights
    vc.ablate_heads(again, ds, HEAD)
    other = random_model(MODEL.config, seed=7)
    with pytest.raises(VitimeError, match="weights sha256"):
        vc.build(replace(OTHER, name="second"), tmp_path / "s.zarr", other)
    with pytest.raises(VitimeError, match="load the weights that the Dataset names"):
        vc.ask(other, ds)


def test_a_store_of_a_file_is_refused_by_a_model_in_memory_that_names_both(tmp_path: Path) -> None:
    save_safetensors(MODEL, tmp_path / "small.safetensors")
    vc.build(OTHER, tmp_path / "s.zarr", vc.load_model(tmp_path / "small.safetensors", "cpu"))
    with pytest.raises(VitimeError, match=r"the weights 'small' \([0-9a-f]{12}\), the model has 'random' \("):
        vc.ablate_heads(MODEL, vc.open_store(tmp_path / "s.zarr"), HEAD)
