"""A made-up verdict that follows the schema, so that pages, stores and tests need no model."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import numpy as np
import xarray as xr

from vitime_cache._version import __version__
from vitime_cache.attention.peaks import lag_peaks
from vitime_cache.evidence.verdict import schema as v
from vitime_cache.model.config import ViTimeConfig

NULLS = ("shuffled", "ar1", "notched")


def mock_verdict(
    config: ViTimeConfig | None = None, signal: str = "full", period: float = 64.0, *, windows: int = 1,
    stages: tuple[str, ...] = v.STAGES, seed: int = 0,
) -> xr.Dataset:  # fmt: skip
    """A verdict on made-up heads.

    Head 0 of every layer passes every rung, head 1 looks without mattering, head 2 matters without looking, the last
    head is not supported anywhere, and all others are inconclusive.

    Parameters
    ----------
    stages
        Rungs that have been worked on; fewer than all make a partial verdict.
    """
    config = config or ViTimeConfig(
        image_height=32, context_columns=512, horizon_columns=720, patch_height=16, patch_width=16,
        encoder_width=32, encoder_depth=2, decoder_width=16, decoder_depth=1, heads=4,
    )  # fmt: skip
    rng = np.random.default_rng(seed)
    history, horizon, patches = 512, 720, config.grid[1]
    spp = config.patch_width * (history + horizon) / config.columns
    sweep = np.geomspace(2.2 * spp, history / 3, 16)
    question = {
        "signal": signal, "period": period, "period_from": "asked", "heads": "all", "nulls": 99, "controls": 99,
        "seed": seed, "level": 0.05, "negligible": 0.02, "weights": "mock", "weights_sha256": "", "dtype": "float32",
        "series_sha256": "", "method": v.METHOD, "version": __version__,
    }  # fmt: skip
    window_facts = {
        "length": windows * (history + horizon) + 100, "history": history, "horizon": horizon, "left_out": 100,
        "samples_per_patch": spp, "patches_per_period": period / spp, "resolved": True, "chosen": True,
        "words": f"made up: {history} samples of history, {horizon} of horizon, a period of {period / spp:.1f} patches",
        "proposed": [{"period": period, "power": 0.8, "p_value": 0.001}],
    }  # fmt: skip
    ds = v.blank(
        config.layers, config.heads, patches=patches, windows=[100 + i * 1232 for i in range(windows)],
        samples=history + horizon, nulls=NULLS, sweep=sweep, measured_on=np.arange(16) % 2 == 1, controls=99, sets=99,
        attributes={
            "question": question, "window_facts": window_facts, "config": json.dumps(config.to_dict()),
            "counts": {"windows": windows, "heads": len(config.layers) * config.heads, "nulls": 99, "sweep": 16,
                       "controls": 99, "smallest_p": 0.01, "joint": [[config.layers[0], 0], [config.layers[1], 0]]},
            "screening": {"method": "", "tested": len(config.layers) * config.heads, "not_tested": []},
            "sentences": {"supported": "Made up: one head in each layer passes every rung.",
                          "not_supported": "Made up: nothing of this is true."},
            "stages": list(stages), "created": datetime.now(UTC).isoformat(timespec="seconds"),
        },
    )  # fmt: skip
    strength = np.array([1.0, 0.8, *([0.05] * (config.heads - 2))])[: config.heads]
    effect = np.array([0.6, 0.002, 0.4, *([0.01] * config.heads)])[: config.heads]
    layers = np.linspace(1.0, 0.7, len(config.layers))[:, None]
    heads_shape = (len(config.layers), config.heads)
    values = {name: ds[name].values for name in ds.data_vars}
    values["asked"][:] = True

    lag = np.arange(patches) * spp
    teeth = np.exp(-0.5 * ((lag / period - np.rint(lag / period)) * period / spp / 0.6) ** 2) * (lag > spp)
    base = 0.01 + 0.001 * rng.standard_normal((*heads_shape, patches))
    if "descriptive" in stages:
        values["lag_curve"][:] = base + 0.02 * (strength * layers)[..., None] * teeth
        values["prominence"][:] = strength * layers + 0.02 * rng.standard_normal((windows, *heads_shape))
        for at in np.ndindex(heads_shape):
            found = max(lag_peaks(np.arange(patches), values["lag_curve"][at], spp), key=lambda p: p.prominence)
            values["peak_lag"][at], values["peak_prominence"][at] = found.lag, found.relative_prominence
        values["flank_excess"][:], values["flank_excess_error"][:] = strength * layers, 0.05
        values["query_contrast"][:], values["query_contrast_error"][:] = np.tanh(strength * layers), 0.05
        values["figure"][0] = values["prominence"].mean(axis=0)
        values["p_value"][0] = np.where(strength > 0.1, 0.001, 0.6)
    if "signal-dependent" in stages:
        values["null_mean"][:] = 0.01
        values["null_upper"][:] = 0.013
        values["null_p"][:] = np.where(strength > 0.1, 0.01, 0.5)
        values["figure"][1] = 2 * strength * layers
        values["p_value"][1] = values["null_p"].max(axis=0)
    if "tracking" in stages:
        follows = np.where(strength > 0.9, 1.0, 0.0)
        peaks = follows * sweep[:, None, None] + (1 - follows) * 100 + spp / 6 * rng.standard_normal((16, *heads_shape))
        values["sweep_peak"][:] = peaks
        values["slope"][:] = values["figure"][2] = np.broadcast_to(follows, heads_shape)
        values["slope_low"][:], values["slope_high"][:] = follows - 0.05, follows + 0.05
        values["intercept"][:] = 100 * (1 - follows)
        values["r_squared"][:], values["found"][:] = 0.97 * follows, 1.0
        values["chosen"][:] = follows > 0
        values["p_value"][2] = np.where(follows > 0, 0.001, 0.9)
    if "causal" in stages:
        scale = np.array([1.0, 0.5, -0.1, -0.4])
        size = effect * layers
        for name, share in (("knockout", 1.0), ("mask", 0.8), ("comb", 0.8), ("comb_kept", 0.9)):
            values[name][:] = share * (scale[:, None, None, None] * size)
        for name in ("knockout", "mask"):
            values[f"{name}_low"][:], values[f"{name}_high"][:] = (values[name].mean(axis=1) + d for d in (-0.05, 0.05))
        values["knockout_stand_in"][:] = 0.1 * scale[:, None, None] * size
        values["knockout_rank"][:] = size.size - size.ravel().argsort().argsort().reshape(size.shape)
        values["knockout_p"][:] = np.where(effect > 0.1, 0.001, 0.9)
        values["mask_mass"][:] = 0.3 * strength * layers
        controls = 0.1 * scale[:, None, None] * size * rng.gamma(2, 0.5, (99, 4, *heads_shape))
        values["mask_control"][:], values["mask_control_elsewhere"][:] = controls, 0.8 * controls
        values["mask_elsewhere"][:] = 0.1 * values["mask"]
        values["through_lags"][:] = effect > 0.5
        values["comb_rank"][:] = np.where(effect > 0.1, 1, 4)
        values["mask_p"][:] = np.where(effect > 0.1, 0.01, 0.7)
        values["joint"][:], values["joint_sum"][:] = scale, 0.8 * scale
        values["joint_random"][:] = 0.3 * scale * rng.random((99, 1))
        values["figure"][3] = 0.8 * size
        values["p_value"][3] = values["mask_p"][0]

    last = config.heads - 1
    looks, depends, tracks, matters = ({0, 1}, {0, 1}, {0}, {0, 2})
    for rung, (name, passing) in enumerate(zip(v.RUNGS, (looks, depends, tracks, matters), strict=True)):
        if name in stages:
            values["verdict"][rung] = [
                v.SUPPORTED if h in passing else v.NOT_SUPPORTED if h == last else v.INCONCLUSIVE
                for h in range(config.heads)
            ]
    time = np.arange(history + horizon)
    wave = np.sin(2 * np.pi * time / period)
    values["history"][:] = np.where(time < history, wave, np.nan)
    values["forecast"][:] = np.where(time < history, np.nan, 0.9 * wave)
    values["future"][:] = np.where(time < history, np.nan, wave)
    return v.validate(ds.assign({name: (ds[name].dims, array, ds[name].attrs) for name, array in values.items()}))
