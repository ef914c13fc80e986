"""A Dataset of made-up attention for tests and previews without weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from vitime_cache.attention.schema import QUANTILES, SIGNAL, SIGNAL_COORDINATES, attributes, dataset, validate
from vitime_cache.model.config import ViTimeConfig, WeightsInfo


def mock_dataset(
    config: ViTimeConfig | None = None,
    signals: Sequence[str] = ("full", "reduced_harmonic"),
    *,
    n_history: int = 512,
    horizon: int = 720,
    period: float = 63.0,
    tokens: bool = True,
    seed: int = 0,
) -> xr.Dataset:
    """Make a small Dataset of made-up attention that follows the schema.

    Head 0 of every layer looks one `period` back, the last head is uniform, and the others lie in between.
    A signal with "reduced" in its name is a reduction of the first signal and has no periodic head.
    """
    config = config or ViTimeConfig(
        image_height=32, context_columns=512, horizon_columns=720, patch_height=16, patch_width=16,
        encoder_width=32, encoder_depth=2, decoder_width=16, decoder_depth=1, heads=4,
    )  # fmt: skip
    rng = np.random.default_rng(seed)
    rows, columns = config.grid
    samples_per_patch = config.samples_per_patch(n_history + horizon)
    lag = np.subtract.outer(np.arange(columns), np.arange(columns))  # query - key
    time = np.arange(n_history + horizon)
    parts = []
    for name in signals:
        reduced = "reduced" in name
        arrays: dict[str, Any] = {}
        sharpness = np.linspace(6.0, 0.0, config.heads) * (0.0 if reduced else 1.0)
        bump = np.exp(-0.5 * (np.abs(lag) * samples_per_patch / period - 1) ** 2 / 0.05)
        logits = sharpness[:, None, None] * bump + 0.1 * rng.standard_normal(
            (len(config.layers), config.heads, columns, columns)
        )
        weights = np.exp(logits)
        cls_share = rng.uniform(0.005, 0.02, (len(config.layers), config.heads, config.tokens))
        row_mass = (1 - cls_share.reshape(*cls_share.shape[:2], rows, columns).mean(axis=2)) / rows
        arrays["time_attention"] = (weights / weights.sum(-1, keepdims=True) * row_mass[..., None]).astype("float32")
        arrays["lag_attention"] = np.stack(
            [arrays["time_attention"].diagonal(-k, 2, 3).mean(-1) for k in range(-(columns - 1), columns)], axis=-1
        ).astype("float32")
        arrays["cls_attention"] = cls_share.astype("float32")
        if tokens:
            token = np.broadcast_to(
                arrays["time_attention"][:, :, None, :, None, :],
                (len(config.layers), config.heads, rows, columns, rows, columns),
            )
            arrays["token_attention"] = token.reshape(*cls_share.shape, config.tokens).astype("float16")
        slow = 0.0 if reduced else 1.0
        series = slow * np.sin(2 * np.pi * time / period) + np.sin(4 * np.pi * time / period)
        is_history = time < n_history
        arrays["history"] = np.where(is_history, series, np.nan)
        arrays["forecast"] = np.where(is_history, np.nan, series)
        spread = np.array(QUANTILES)[:, None] - 0.5
        arrays["forecast_quantile"] = arrays["forecast"] + spread
        arrays["component_period"] = np.array([np.nan if reduced else period, period / 2], "float32")
        arrays["component_amplitude"] = np.array([np.nan if reduced else 1.0, 1.0], "float32")
        scalars = {
            SIGNAL: name, "n_history": n_history, "horizon": horizon, "samples_per_patch": samples_per_patch,
            "history_patches": round(n_history / samples_per_patch), "reduced_of": signals[0] if reduced else "",
            "description": f"mock signal {name}", "filled": 0, "sample_seconds": 0.0, "start": "",
            "complete": True,
        }  # fmt: skip
        parts.append(
            dataset(
                config, arrays, scalars, attributes(config, WeightsInfo("mock", note="made-up attention"), "float32")
            )
        )
    per_signal = [SIGNAL, *SIGNAL_COORDINATES]
    joined = xr.concat(parts, SIGNAL, "all", per_signal, compat="override", join="exact", combine_attrs="override")
    return validate(joined)
