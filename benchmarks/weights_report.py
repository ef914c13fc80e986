"""What a weights file can do, against the same network with random weights: the measures that the README quotes.

    python -m benchmarks.weights_report                        # the default weights
    python -m benchmarks.weights_report --weights my.safetensors --picture docs/images/forecasts.png

(a) period sweep: the first prominent peak of a head's lag curve, divided by its mean curve over unrelated signals,
    against the period; the head is chosen on one sweep and measured on five others, of other periods and phases:
    median, and range in brackets. Twice: the first peak has a quarter, or half, of the strongest one's prominence.
    And the heads whose strongest peak lies a whole number of periods back, one, two or more.
(b) full against reduced: how far peaks at one and two of the removed period stand out in both signals of the study.
(c) forecast of the reference study's signals and of a period sweep, the first 360 samples.
(d) forecast at 720 samples against simple and classical methods, on series that training never drew.
(e) the same on real series.
(f) forecast at four horizons, against repeating the last season.
(g) (a) to (c) for random weights.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from benchmarks.forecasting import (
    MEDIAN,
    RIVALS,
    SYNTHETIC,
    compare,
    network_quantiles,
    real,
    synthetic,
)
from benchmarks.forecasts_picture import picture
from benchmarks.weights_attention import SweepCurves, full_against_reduced, tracking, whole_periods
from vitime_cache.model.checkpoint import load_model
from vitime_cache.model.config import ViTimeConfig
from vitime_cache.model.encoding import SeriesEncoding
from vitime_cache.model.network import ViTime
from vitime_cache.series.signal import Signal
from vitime_cache.series.sources import catalogue

HORIZONS = (96, 192, 336, 720)
SHORT = 360


def listed(errors: dict[str, float]) -> str:
    """Errors by signal, on a line."""
    return ", ".join(f"{name} {error:.2f}" for name, error in errors.items())


def study_errors(model: ViTime) -> dict[str, float]:
    """Mean absolute error over the first 360 samples in standard deviations of the history."""
    signals = [s for s in catalogue() if s.name in ("full", "reduced_harmonic") or s.name.startswith("sweep_")]
    median = network_quantiles(model, signals)[:, MEDIAN, :SHORT]
    return {
        signal.name: float(np.abs(guess - signal.future[:SHORT]).mean() / signal.values.std())
        for signal, guess in zip(signals, median, strict=True)
        if signal.future is not None
    }


def encoding_errors(config: ViTimeConfig) -> dict[str, float]:
    """The same errors of an exact drawing: what the encoding leaves of a signal before a network sees anything."""
    errors = {}
    for signal in catalogue():
        if signal.name in ("full", "reduced_harmonic") and signal.future is not None:
            series = np.concatenate((signal.values, signal.future))
            fitted = SeriesEncoding.fit(signal.values, signal.horizon, config)
            whole = replace(fitted, n_history=len(series), horizon=0)
            read = whole.quantiles(whole.image(series), [0.5])[0]
            off = np.abs(read - series)[len(signal.values) :][:SHORT]
            errors[signal.name] = float(off.mean() / signal.values.std())
    return errors


def fast_wave(model: ViTime) -> tuple[dict[str, float], dict[str, float]]:
    """What a forecast without the study's wave of 6.28 samples, else exact, would be off; how much of it the model has.

    The second is the least-squares factor of the wave in the forecast less the rest of the true future.
    """
    errors, shares = {}, {}
    for signal in catalogue():
        if signal.name in ("full", "reduced_harmonic") and signal.future is not None:
            fastest = min(signal.harmonics, key=lambda harmonic: harmonic.period)
            wave = fastest.at(np.arange(len(signal.values), len(signal.values) + SHORT))
            median = network_quantiles(model, [signal])[0, MEDIAN, :SHORT]
            errors[signal.name] = float(np.abs(wave).mean() / signal.values.std())
            shares[signal.name] = float((median - (signal.future[:SHORT] - wave)) @ wave / (wave @ wave))
    return errors, shares


def report_attention(model: ViTime) -> None:
    curves = SweepCurves.of(model)
    for line in (*tracking(curves), *whole_periods(curves), *full_against_reduced(model)):
        print(line)
    errors = study_errors(model)
    print("(c) MAE / history std, first 360 samples: " + listed(errors))
    without, held = fast_wave(model)
    print(f"    without the wave of 6.28 samples, else exact: {listed(without)}; it has of it: {listed(held)}")
    for what, config in (("on this image", model.config), ("on the published one", ViTimeConfig())):
        size = f"{config.image_height} × {config.columns}"
        print(f"    median of an exact drawing {what}, {size}: {listed(encoding_errors(config))}")


def report_forecasts(model: ViTime, n: int, n_classical: int) -> None:
    def table(title: str, groups: dict[str, list[Signal]], rivals: list[str]) -> None:
        print(f"{title:38}" + "".join(f"{name:>21}" for name in ("model", *rivals)) + "   MAE/std MASE CRPS each")
        for group, signals in groups.items():
            found = compare(model, signals, rivals)
            cells = (f"{one.mae:7.2f}{one.mase:7.2f}{one.crps:7.2f}" for one in found.values())
            print(f"    {group:34}" + "".join(cells), flush=True)

    table("(d) synthetic, horizon 720", {kind: synthetic(kind, n) for kind in SYNTHETIC}, ["mean", "season"])
    few = {f"{kind}, {n_classical}": synthetic(kind, n_classical) for kind in SYNTHETIC}
    table("    fewer series, classical", few, ["ETS", "Theta"])
    table("(e) real", {signal.name: [signal] for signal in real()}, list(RIVALS))
    print(f"(f) {'MAE / std, model / last season':34}" + "".join(f"{horizon:>14}" for horizon in HORIZONS))
    for kind in SYNTHETIC:
        pairs = [compare(model, synthetic(kind, n, horizon), ["season"]) for horizon in HORIZONS]
        print(f"    {kind:34}" + "".join(f"{p['model'].mae:7.2f}{p['season'].mae:7.2f}" for p in pairs), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, help="a weights file (default: the one `build` takes)")
    parser.add_argument("--series", type=int, default=100, help="held-out series of each kind (default 100)")
    parser.add_argument("--classical", type=int, default=20, help="of these, how many ETS and Theta get (default 20)")
    parser.add_argument("--picture", type=Path, help="draw twelve forecasts with their bands into this PNG")
    parser.add_argument("--no-control", action="store_true", help="leave the random weights out")
    arguments = parser.parse_args()
    model = load_model(arguments.weights, device="cpu")
    if arguments.picture:
        arguments.picture.write_bytes(picture(model))
    print(f"{model.weights.name}: {model.weights.note or 'as published'}")
    report_attention(model)
    report_forecasts(model, arguments.series, arguments.classical)
    if not arguments.no_control:
        torch.manual_seed(0)
        print("\n(g) the same network with random weights")
        report_attention(ViTime(model.config).eval().requires_grad_(False))


if __name__ == "__main__":
    main()
