from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
import xarray as xr

import vitime_cache as vc
from tests.conftest import random_model, small_config
from vitime_cache.attention.capture import capture
from vitime_cache.attention.forward import Replace, forecast
from vitime_cache.interventions.lag_masks import LagMaskError
from vitime_cache.interventions.named_heads import ablate_heads, mask_lags
from vitime_cache.interventions.outcomes import OUTCOMES, ForecastScorer
from vitime_cache.interventions.references import InterventionError, mean_outputs, unrelated_signals
from vitime_cache.interventions.runs import draw, run_signal
from vitime_cache.model.config import ViTimeConfig
from vitime_cache.model.network import ViTime
from vitime_cache.series.signal import Harmonic, Signal, compose

CONFIG = small_config(context_columns=40, horizon_columns=56, encoder_width=32, decoder_width=16)  # 2 × 12 tokens


def walk(seed: int = 0, n: int = 60, horizon: int = 84, name: str = "") -> Signal:
    series = np.random.default_rng(seed).standard_normal(n + horizon).cumsum()
    return Signal(name or f"walk {seed}", series[:n], horizon=horizon, future=series[n:])


@pytest.fixture(scope="module")
def model() -> ViTime:
    return random_model(CONFIG)


def test_a_mean_ablation_puts_the_reference_mean_of_every_token_before_the_output_projection(model: ViTime) -> None:
    reference = [walk(seed) for seed in range(1, 6)]
    ds = ablate_heads(model, walk(), [("encoder.1", 1), ("decoder.0", 0)], reference=reference, period=24)
    each = [run_signal(model, other) for other in reference]
    edits = [
        Replace(layer, head, torch.stack([run.outputs[n][0, head] for run in each]).mean(0))
        for layer, n, head in (("encoder.1", 1, 1), ("decoder.0", 2, 0))
    ]
    image = draw(model, [walk()])
    scorer = ForecastScorer.of(walk(), CONFIG, forecast(model, image)[0].numpy(), 24)
    probability = forecast(model, image, edits).numpy()
    np.testing.assert_allclose(ds.effect[0], scorer.measure(probability)[:, 0], rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(ds.forecast.dropna("time")[0], scorer.forecast(probability)[0], rtol=1e-4)
    np.testing.assert_allclose(ds.intact_forecast.dropna("time")[0], scorer.intact, rtol=1e-5)
    assert ds.effect.sel(outcome="distance").item() > 1e-4
    assert int(ds.changed.sum()) == 2
    assert ds.changed.sel(layer="encoder.1", head=1)


def test_the_mean_does_not_depend_on_how_many_run_at_once(model: ViTime) -> None:
    signals = [walk(seed) for seed in range(200)]
    together = mean_outputs(model, signals)
    parts = [mean_outputs(model, signals[start : start + 100]) for start in (0, 100)]
    for whole, first, second in zip(together, *parts, strict=True):
        torch.testing.assert_close(whole, (first + second) / 2)


def test_resampling_from_the_signal_itself_changes_nothing(model: ViTime) -> None:
    ds = ablate_heads(model, walk(), [("encoder.0", 0)], "resample", [walk(), walk(1)])
    np.testing.assert_array_equal(ds.forecast, ds.intact_forecast)
    np.testing.assert_array_equal(ds.effect, np.where(np.isnan(ds.effect), np.nan, 0))


def test_the_intervention_is_kept_with_the_result(model: ViTime) -> None:
    ds = vc.ablate_heads(model, walk(), [("decoder.0", 1)], "zero")
    kept = json.loads(ds.attrs["intervention"])
    assert kept["heads"] == [["decoder.0", 1]]
    assert "off what the network was trained on" in kept["value_note"]
    assert kept["where"] == "a head's output before the output projection"
    assert ds.attrs["dtype"] == "float32"
    assert ds.attrs["weights"] == "random"
    ds = vc.mask_lags(model, walk(), [("decoder.0", 1)], 36, harmonics=False, renormalise=False)
    kept = json.loads(ds.attrs["intervention"])
    assert (kept["period"], kept["renormalise"], kept["where"]) == (36, False, "weights after the softmax")
    assert kept["lags"] == "within half a patch of the period"
    assert list(json.loads(ds.attrs["outcomes"])) == list(OUTCOMES) == ds.outcome.values.tolist()


def test_signals_of_different_geometry_stand_side_by_side_each_in_its_own(model: ViTime) -> None:
    signals = [walk(0), walk(1, n=100, horizon=44), walk(2, n=30, horizon=20)]
    for run in (
        lambda s: ablate_heads(model, s, [("encoder.0", 1)]),
        lambda s: mask_lags(model, s, [("encoder.0", 1)], 36),
    ):
        together = run(signals)
        assert together.sizes["time"] == 144
        for i, signal in enumerate(signals):
            np.testing.assert_array_equal(together.effect[i], run(signal).effect[0])
            assert together.forecast[i].count() == signal.horizon
            assert together.n_history[i] == len(signal.values)
    assert together.samples_per_patch.values.tolist() == [12, 12, 50 / 12]


def test_a_lag_mask_without_any_attention_there_changes_nothing_and_says_so() -> None:
    model = random_model(CONFIG)
    width = CONFIG.encoder_width
    for head in range(2):  # all attention goes to CLS, whose key alone has a large constant
        rows = slice(head * 16, head * 16 + 16)
        model.blocks[0].attn.qkv.weight[:width][rows] = 0
        model.blocks[0].attn.qkv.bias[:width][rows] = 0
    even = mask_lags(model, walk(), [("encoder.0", 0)], 36, renormalise=False)
    lags = even.removed_mass.sel(layer="encoder.0", head=0).item()
    pairs = sum(12 - lag for lag in (3, 6, 9))  # teeth at 3, 6 and 9 patches
    assert lags == pytest.approx(pairs * 2 / (12 * 25))  # two rows of keys; even weights of 1 / 25, CLS included
    assert even.removed_mass.isnull().sum() == 5


def test_masking_moves_the_mass_or_removes_it(model: ViTime) -> None:
    moved, removed = (mask_lags(model, walk(), [("encoder.0", 0)], 36, renormalise=r) for r in (True, False))
    assert moved.effect.sel(outcome="distance").item() > 0
    assert not np.allclose(moved.forecast, removed.forecast, equal_nan=True)
    np.testing.assert_array_equal(moved.removed_mass, removed.removed_mass)


def test_a_dataset_of_this_model_gives_its_signals_and_one_of_another_is_refused(model: ViTime) -> None:
    ds = capture(model, walk())
    mine = ablate_heads(model, ds, [("encoder.0", 0)])
    theirs = ablate_heads(model, walk(), [("encoder.0", 0)])
    np.testing.assert_allclose(mine.forecast, theirs.forecast, rtol=1e-4)
    assert np.isnan(mine.effect.sel(outcome="error")).all()  # a Dataset does not know the future
    other = random_model(replace(CONFIG, encoder_depth=1))
    with pytest.raises(InterventionError, match="the Dataset is of the weights 'random'"):
        ablate_heads(other, ds, [("encoder.0", 0)])
    with pytest.raises(InterventionError, match="computed in bfloat16, the model computes in float32"):
        ablate_heads(model, ds.assign_attrs(dtype="bfloat16"), [("encoder.0", 0)])


@pytest.mark.parametrize(("heads", "words"), [
    ([("decoder.9", 0)], r"no head 0 in layer 'decoder\.9'; this model has layers encoder\.0"),
    ([("decoder.0", 2)], r"no head 2 in layer 'decoder\.0'; .* heads 0 … 1"),
    ([("decoder.0", 0.5)], r"no head 0\.5"),
    (["decoder.0"], "a head is a pair such as"),
    ([("encoder.0", 0), ("encoder.0", 0)], "named twice"),
    ([], "no head was named"),
    ("some", 'heads are "all" or pairs'),
])  # fmt: skip
def test_heads_that_are_not_there_are_errors_that_say_what_is(model: ViTime, heads: list, words: str) -> None:
    with pytest.raises(InterventionError, match=words):
        ablate_heads(model, walk(), heads)
    with pytest.raises(InterventionError, match=words):
        mask_lags(model, walk(), heads, 36)


def test_a_forecast_of_one_sample_has_references_too() -> None:
    wide = ViTime(small_config(context_columns=400, horizon_columns=560, encoder_width=32, decoder_width=16)).eval()
    found = ablate_heads(wide, walk(n=800, horizon=1), [("encoder.0", 0)])
    assert np.isfinite(found["effect"].sel(outcome="distance")).all()


def test_bad_references_values_periods_and_signals_are_errors_that_say_what_to_do(model: ViTime) -> None:
    head = [("encoder.0", 0)]
    with pytest.raises(InterventionError, match="needs reference signals and got none; leave reference out"):
        ablate_heads(model, walk(), head, reference=[])
    with pytest.raises(InterventionError, match="Give references with the same ratio"):
        ablate_heads(model, walk(), head, reference=[walk(1), walk(2, n=120, horizon=24)])
    with pytest.raises(InterventionError, match="value must be 'mean', 'resample' or 'zero'"):
        ablate_heads(model, walk(), head, "median")
    with pytest.raises(LagMaskError, match=r"a period of 20 samples spans 1\.7 patches"):
        mask_lags(model, walk(), head, 20)
    with pytest.raises(InterventionError, match="give a Signal"):
        ablate_heads(model, [], head)


@pytest.mark.parametrize(("n", "horizon"), [(512, 720), (80, 20), (2000, 10), (4, 400)])
def test_the_unrelated_signals_of_the_catalogue_have_the_signals_geometry(n: int, horizon: int) -> None:
    config = ViTimeConfig()
    signal = Signal("mine", np.arange(float(n)), horizon=horizon)
    borders = []
    for other in unrelated_signals(signal):
        share = len(other.values) / (len(other.values) + other.horizon)
        borders.append(abs(int(share * config.columns) - int(n / (n + horizon) * config.columns)))
    assert len(borders) > 20
    assert np.median(borders) <= 2


def test_a_signals_relatives_are_no_reference_for_it() -> None:
    full = next(signal for signal in vc.catalogue() if signal.name == "full")
    names = {signal.name for signal in unrelated_signals(full)}
    assert not names & {"full", "reduced_harmonic", "harmonic_63", "harmonic_31", "harmonic_6"}
    assert {"white_noise", "sweep_056", "nile"} <= names


def test_one_dtype_throughout() -> None:
    model = random_model(CONFIG).bfloat16()
    ds = ablate_heads(model, walk(), [("encoder.0", 0)], "resample", [walk()])
    np.testing.assert_array_equal(ds.forecast, ds.intact_forecast)
    assert ds.attrs["dtype"] == "bfloat16"


def test_a_dataset_gives_what_its_signals_give_in_every_call(tmp_path, golden_model):
    """Harmonics, what a signal is a reduction of, and the order of signals are in a store, too."""
    signals = [
        compose("z", [Harmonic(50.0), Harmonic(20.0)], n=200, horizon=300, description="two tones"),
        compose("a", [Harmonic(20.0)], n=200, horizon=300, reduced_of="z"),
        Signal("m", np.random.default_rng(0).standard_normal(120), horizon=180),
    ]
    signals = [replace(signal, future=None) for signal in signals]  # what really came is kept in no store
    vc.build(signals, tmp_path / "a.zarr", golden_model, tokens="none")
    stored = vc.open_store(tmp_path / "a.zarr")
    heads = [("decoder.0", 1)]
    calls = [
        lambda given: vc.ablate_heads(golden_model, given, heads),
        lambda given: vc.mask_lags(golden_model, given, heads, 60.0),
    ]
    for call in calls:
        xr.testing.assert_identical(call(stored).drop_attrs(), call(signals).drop_attrs())
        one = stored.sel(signal="a")
        xr.testing.assert_identical(call(one).drop_attrs(), call(signals[1]).drop_attrs())
