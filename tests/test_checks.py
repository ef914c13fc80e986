"""What a person gives to a public call is taken, or refused in one sentence; never a traceback, never a warning."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr

import vitime_cache as vc
from tests.conftest import random_model, small_config
from tests.store import standin
from vitime_cache.attention import pooling
from vitime_cache.cli.main import main

MODEL = random_model(small_config())
WIDE = random_model(small_config(context_columns=160, horizon_columns=80))
X = np.sin(2 * np.pi * np.arange(40) / 8)
DAY = vc.Signal("day", X, 16)
HEADS = [("decoder.0", 1)]
SQUARE = np.eye(12) / 12


@pytest.fixture(scope="module")
def ds() -> xr.Dataset:
    return vc.capture(WIDE, DAY)


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.longdouble, np.int8])
def test_a_number_of_a_narrow_type_is_taken_without_a_warning(kind: type[np.number]) -> None:
    """Bounds such as the largest float are beyond what it can hold."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert vc.Harmonic(kind(8), kind(2)) == vc.Harmonic(8.0, 2.0)
        vc.mask_lags(WIDE, DAY, HEADS, kind(8))
    with pytest.raises(vc.VitimeError, match="positive number of samples"):
        vc.mask_lags(WIDE, DAY, HEADS, 10**400)


@pytest.mark.parametrize(
    "given",
    [
        [0.0, 1.0, 2.0, 1.0],
        range(9),
        torch.arange(9.0, requires_grad=True),
        torch.arange(9).bfloat16(),
        xr.DataArray(X),
    ],
    ids=["list", "range", "gradient", "bfloat16", "labelled"],
)
def test_a_series_is_taken_from_lists_arrays_and_tensors(given: object) -> None:
    assert vc.capture(MODEL, given, 16).history.dtype == np.float64


@pytest.mark.parametrize("given", ["1 2 3", {"a": 1.0}, (x for x in X), X + 1j, [True, False], xr.Dataset(), None])
@pytest.mark.parametrize("call", [vc.capture, vc.ask, vc.null_curves])
def test_what_is_no_series_is_refused_without_a_warning(call: object, given: object) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(vc.VitimeError, match=r"Dataset|numbers|a dict of series"):
            call(MODEL, given, 16)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: vc.capture(MODEL, X, 16, tokens=3), "layers are .* got 3"),
        (lambda: vc.capture(MODEL, X, 16, tokens=None), "layers are .* got None"),
        (lambda: vc.capture("model.pth", X), "load_model returns, got 'model.pth'"),
        (lambda: vc.load_model(3), "name of a file.* got 3"),
        (lambda: vc.load_model(device=None), "None is not a device"),
        (lambda: vc.load_model(device="mps"), "no MPS device"),
        (lambda: vc.load_model(device="xpu:3"), "no XPU device"),
        (lambda: vc.load_model(device="mps:1"), "'mps:1' is not a device"),
        (lambda: vc.load_model(device="meta"), "'meta' is not a device"),
        (lambda: vc.load_model(device="cpu:7"), "'cpu:7' is not a device"),
        (lambda: vc.ask(MODEL, DAY, "x"), "'x' is not a span such as 24, 24h, 1d"),
        (lambda: vc.ask(MODEL, DAY, "1d"), "the spacing of the samples is not known: give '1d' in samples"),
        (lambda: vc.ask(MODEL, DAY, 8, nulls=19.5), "nulls must be a whole number"),
        (lambda: vc.ask(MODEL, DAY, 8, window=3), r"pair \(history, horizon\)"),
        (lambda: vc.ask(MODEL, DAY, 8, window=(100.5, 50)), "a window's history must be a whole number"),
        (lambda: vc.ask(MODEL, DAY, 8, seed=-1), "seed must be a whole number from 0"),
        (lambda: vc.ask(MODEL, DAY, 8, level=float("nan")), "level must lie between 0 and 1, got nan"),
        (lambda: vc.ask(MODEL, DAY, 8, budget=-1), "budget must be a positive number of minutes, got -1"),
        (lambda: vc.ask(WIDE, DAY, 8, heads=3), "heads are .* got 3"),
        (lambda: vc.mask_lags(MODEL, DAY, HEADS, "x"), "positive number of samples, got 'x'"),
        (lambda: vc.mask_lags(MODEL, DAY, HEADS, 0), "positive number of samples, got 0"),
        (lambda: vc.mask_lags(MODEL, DAY, HEADS, float("nan")), "positive number of samples, got nan"),
        (lambda: vc.ablate_heads(MODEL, DAY, HEADS, period=0), "positive number of samples, got 0"),
        (lambda: vc.ablate_heads(MODEL, 3, HEADS), "signals are a Signal or several, got a int"),
        (lambda: vc.ablate_heads(MODEL, [DAY, DAY], HEADS), "2 signals are named '[^']+'; rename all but one"),
        (lambda: vc.ask_all(MODEL, [DAY, DAY]), "2 signals are named '[^']+'; rename all but one"),
        (lambda: vc.ask(MODEL, {"day": X}), "a dict of series by name: make a list of them, each a Signal"),
        (lambda: vc.ablate_heads(MODEL, xr.Dataset(), HEADS), "is not from capture or open_store"),
        (lambda: vc.ablate_heads(MODEL, DAY, HEADS, reference="x"), "signals are a Signal or several, got a str"),
        (lambda: vc.null_curves(MODEL, X, 16, n=1.5), "n must be a whole number"),
        (lambda: vc.AttentionRollout("model.pth"), "load_model returns, got 'model.pth'"),
        (lambda: vc.AttentionRollout(MODEL).mean_attention_vs_time_lag(SQUARE, "x"), "max_lag must be a whole number"),
        (lambda: vc.ViTimePrediction("cpu", tempature="x"), "temperature must be a positive number, got 'x'"),
        (lambda: pooling.tokens_to_time(SQUARE, (2, 6), drop_cls="x"), "drop_cls must be .* got 'x'"),
        (lambda: pooling.tokens_to_time("text", (2, 6)), "attention must be an array of real numbers, got a str"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_named_with_what_can(call: object, message: str) -> None:
    with pytest.raises(vc.VitimeError, match=message):
        call()


FRAME = pd.DataFrame({"v": X})
ARGUMENTS = {
    "output": lambda x: vc.ViTimeConfig(output=x),
    "dtype": lambda x: vc.load_model(dtype=x),
    "config": lambda x: vc.load_model(config=x),
    "harmonics": lambda x: vc.Signal("s", X, harmonics=x),
    "fill": lambda x: vc.read_signals(FRAME, fill=x),
    "decimal": lambda x: vc.read_signals(FRAME, decimal=x),
    "last": lambda x: vc.read_signals(FRAME, last=x),
    "time": lambda x: vc.read_signals(FRAME, time=x),
    "rows": lambda x: vc.read_signals(FRAME, rows=x),
    "day_first": lambda x: vc.read_signals(FRAME, day_first=x),
    "columns": lambda x: vc.read_signals(FRAME, columns=x),
    "missing": lambda x: vc.read_signals(FRAME, missing=x),
    "tell": lambda x: vc.read_signals(FRAME, tell=x),
    "name": lambda x: vc.read_signals("f.csv", name=x),
    "layer": lambda x: vc.capture(MODEL, X, 16, tokens=x),
    "value": lambda x: vc.ablate_heads(MODEL, DAY, HEADS, value=x),
    "renormalise": lambda x: vc.mask_lags(MODEL, DAY, HEADS, 8, renormalise=x),
    "lags": lambda x: vc.patch_values(MODEL, DAY, HEADS, x),
}


@pytest.mark.parametrize("given", [np.zeros((3, 4)), object(), 1j, [None]], ids=lambda x: type(x).__name__)
@pytest.mark.parametrize("name", ARGUMENTS)
def test_rubbish_for_any_argument_is_refused_in_one_line_that_names_it(name: str, given: object) -> None:
    if name == "missing" and isinstance(given, np.ndarray):
        pytest.skip("numbers may mark missing values")
    with pytest.raises(vc.VitimeError, match=rf"\b{name}") as refused:
        ARGUMENTS[name](given)
    assert "\n" not in str(refused.value)


def test_a_table_without_rows_is_refused() -> None:
    for empty in (xr.Dataset(), FRAME.iloc[:0]):
        with pytest.raises(vc.VitimeError, match="holds no series"):
            vc.read_signals(empty)


@pytest.mark.parametrize(("nulls", "message"), [(None, "null_curves returns"), ({}, "null_curves returns"),
                                                ({"ar1": np.ones((19, 3, 2, 5))}, "have shape")])  # fmt: skip
def test_what_are_no_null_curves_is_refused(ds: xr.Dataset, nulls: object, message: str) -> None:
    with pytest.raises(vc.VitimeError, match=message):
        vc.against_nulls(ds, nulls)


def test_pooling_takes_tensors_in_half_precision_and_with_a_gradient() -> None:
    plain = pooling.tokens_to_time(SQUARE, (2, 6))
    for given in (torch.tensor(SQUARE, requires_grad=True), torch.tensor(SQUARE).bfloat16()):
        np.testing.assert_allclose(pooling.tokens_to_time(given, (2, 6)), plain, rtol=1e-2)


def test_a_build_takes_one_signal_and_signals_from_a_generator(tmp_path: Path) -> None:
    signals = standin.make_signals(3)
    assert standin.build(signals[0], tmp_path / "a.zarr", standin.Model()).written == ("s0",)
    assert standin.build((s for s in signals), tmp_path / "a.zarr", standin.Model()).written == ("s1", "s2")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"signals": [X, X]}, "signals are a Signal or several, got a ndarray"),
        ({"signals": {"x": X}}, r"a dict of series by name: make .* or a table, pandas.DataFrame\(series\)"),
        ({"signals": 3}, "signals are a Signal or several, got a int"),
        ({"tokens": 5}, "layers are .* got 5"),
        ({"model": 3}, "load_model returns, got 3"),
        ({"store": None}, "a folder or a URL, got None"),
        ({"batch_size": "x"}, "batch_size must be a whole number"),
        ({"workers": "banana"}, "workers.* must be a whole number"),
        ({"max_size": float("nan")}, "max_size must be a positive number of bytes"),
        ({"dtype": "half"}, "dtype must be"),
        ({"model": None, "device": "banana"}, "'banana' is not a device"),
    ],
)  # fmt: skip
def test_a_build_is_refused_before_its_plan_is_told(tmp_path: Path, change: dict, message: str) -> None:
    told: list[object] = []
    given = {"signals": [DAY], "store": tmp_path / "a.zarr", "model": MODEL, "announce": told.append} | change
    with pytest.raises(vc.VitimeError, match=message):
        vc.build(**given)
    assert not told
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("command", ["build {0} --store {0}", "info {0}"])
def test_a_file_in_the_place_of_a_store_is_named_with_a_place_that_would_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    file = tmp_path / "day.csv"
    file.write_text("a\n" + "\n".join(map(str, X)))
    assert main(command.format(file).split()) == 1
    printed = capsys.readouterr()
    assert "is a file, but a store is a folder or a URL" in printed.err
    assert "day.zarr" in printed.err
    assert not printed.out


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("file/a.zarr", "/file is a file, but a.zarr belongs in a folder: move it away, or name another place"),
        ("link/a.zarr", "/link is a link that leads to nothing, but a.zarr belongs in a folder: make the folder that"),
        ("link", "a store is a folder or a URL: make the folder that it leads to (nowhere), or name another place\n"),
        ("itself", "make the folder that it leads to"),
        ("b.zarr", "/b.zarr is a file, but a store is a folder or a URL: move it away, or name another place\n"),
        (
            "a.zarr.zip",
            "/a.zarr.zip is a file, but a store is a folder or a URL: unpack a zipped store first, or name another",
        ),
    ],
)
def test_what_is_no_folder_in_the_way_of_a_store_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], place: str, words: str
) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to("nowhere")
    (tmp_path / "itself").symlink_to("itself")
    (tmp_path / "a.zarr.zip").write_bytes(b"")
    (tmp_path / "b.zarr").write_bytes(b"")
    assert main(["info", str(tmp_path / place)]) == 1
    assert words in capsys.readouterr().err


def test_what_a_mask_hides_is_missing_and_not_taken_for_a_measurement() -> None:
    hidden = np.ma.masked_array(np.arange(100), mask=np.arange(100) == 5)
    for call in (lambda: vc.capture(MODEL, hidden), lambda: vc.ask(MODEL, hidden, 8), lambda: vc.Signal("a", hidden)):
        with pytest.raises(vc.VitimeError, match="sample 5: nan is not a finite number"):
            call()
    assert vc.Signal("a", np.ma.masked_array(np.arange(100.0))).values[5] == 5
