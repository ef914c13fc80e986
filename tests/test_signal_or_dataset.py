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


def test_a_stored_signal_equals_the_one_it_was_built_from_and_of_several_one_has_to_be_chosen(tmp_path: Path) -> None:
    one = Signal("one", OTHER.values[::-1], 84, harmonics=(Harmonic(12.0, 0.5),), reduced_of="other")
    save_safetensors(MODEL, tmp_path / "small.safetensors")
    model = vc.load_model(tmp_path / "small.safetensors", "cpu")
    vc.build([one, OTHER], tmp_path / "s.zarr", model)
    ds = vc.open_store(tmp_path / "s.zarr")
    same(vc.ablate_heads(model, ds, HEAD, period=PERIOD), vc.ablate_heads(model, [one, OTHER], HEAD, period=PERIOD))
    same(vc.capture(model, ds.sel(signal="one")), vc.capture(model, one))
    with pytest.raises(VitimeError, match="the Dataset has 2 signals, expected one"):
        vc.capture(model, ds)
    with pytest.raises(VitimeError, match="is not from capture or open_store"):
        vc.capture(MODEL, xr.Dataset({"a": ("x", [1.0])}))
