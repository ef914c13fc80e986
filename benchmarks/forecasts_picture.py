"""Twelve forecasts with their 50 and 90 % bands, as one PNG: what a person sees before any number."""

from __future__ import annotations

import numpy as np

from benchmarks.forecasting import LEVELS, network_quantiles, real, synthetic
from vitime_cache.charts.render import figure_bytes
from vitime_cache.charts.style import Spec
from vitime_cache.model.network import ViTime
from vitime_cache.series.signal import Signal
from vitime_cache.series.sources import catalogue

FROM_CATALOGUE = ("full", "reduced_harmonic", "sweep_068", "sweep_145", "square", "trend_season")
FROM_REAL = ("co2_mauna_loa", "seattle_hourly_temperature", "sunspots")
FROM_SYNTHETIC = ("exact repeats, periods 24-300", "sums of sines", "repeats with noise and trend")
WIDTH, HEIGHT, COLUMNS = 300, 110, 3


def picture(model: ViTime) -> bytes:
    """The twelve signals that are named above, each history, what came, and the forecast of `model`."""
    signals = {s.name: s for s in (*catalogue(), *real())}
    chosen = [(name, signals[name]) for name in (*FROM_CATALOGUE, *FROM_REAL)]
    chosen[6:6] = [(kind, synthetic(kind, 1)[0]) for kind in FROM_SYNTHETIC]
    note = {
        "text": f"{model.weights.name}: history and what came (black), median forecast (blue), 50 and 90 % bands",
        "fontSize": 13,
    }
    return figure_bytes(
        {
            "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
            "title": note,
            "columns": COLUMNS,
            "concat": [_panel(name, signal, model) for name, signal in chosen],
        },
        dpi=80,
    )


def _panel(name: str, signal: Signal, model: ViTime) -> Spec:
    assert signal.future is not None
    quantiles = network_quantiles(model, [signal])[0]
    at = {round(float(level), 2): row for level, row in zip(LEVELS, quantiles, strict=True)}
    time = np.arange(len(signal.values) + signal.horizon)
    truth = np.concatenate((signal.values, signal.future))
    ahead = time[len(signal.values) :]
    forecast = [
        {"t": int(t), "low90": a, "low50": b, "median": c, "high50": d, "high90": e}
        for t, a, b, c, d, e in zip(ahead, at[0.05], at[0.25], at[0.5], at[0.75], at[0.95], strict=True)
    ]
    x = {"field": "t", "type": "quantitative", "title": None, "scale": {"nice": False}}

    def y(field: str) -> Spec:
        return {"field": field, "type": "quantitative", "title": None, "scale": {"zero": False}}

    def band(share: int, opacity: float) -> Spec:
        encoding = {"x": x, "y": y(f"low{share}"), "y2": {"field": f"high{share}"}}
        return {"mark": {"type": "area", "color": "#4c78a8", "opacity": opacity}, "encoding": encoding}

    return {
        "title": {"text": name, "fontSize": 11, "fontWeight": "normal"},
        "width": WIDTH,
        "height": HEIGHT,
        "data": {"values": forecast},
        "layer": [
            band(90, 0.25),
            band(50, 0.4),
            {
                "data": {"values": [{"t": int(t), "value": float(v)} for t, v in zip(time, truth, strict=True)]},
                "mark": {"type": "line", "color": "black", "strokeWidth": 0.7},
                "encoding": {"x": x, "y": y("value")},
            },
            {
                "mark": {"type": "line", "color": "#1f4e8c", "strokeWidth": 1.4},
                "encoding": {"x": x, "y": y("median")},
            },
        ],
    }
