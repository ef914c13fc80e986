"""What a weights file can do, against the same network with random weights: the measures that the README quotes.

    python -m benchmarks.weights_report                        # the default weights
    python -m benchmarks.weights_report --weights my.safetensors --picture docs/images/forecasts.png

(a) period sweep: the first prominent peak of a head's lag curve, divided by its mean curve over unrelated signals,
    against the period; the head is chosen on one sweep and measured on five others, of other periods and phases:
    median, and range in brackets. Twice: the first peak has a quarter, or half, of the strongest one's prominence.
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
    HISTORY,
    HORIZON,
    MEDIAN,
    RIVALS,
    SYNTHETIC,
    compare,
    network_quantiles,
    real,
    synthetic,
)
from benchmarks.forecasts_picture import picture
from vitime_cache.arrays import Floats
from vitime_cache.attention.capture import capture_batch
from vitime_cache.attention.peaks import FIRST_SHARE, period_prominence
from vitime_cache.compare.reduction import SignalCurve, prominence_ratio
from vitime_cache.evidence.levels.tracking import Tracking, choose_head, track_periods
from vitime_cache.model.checkpoint import load_model
from vitime_cache.model.config import ViTimeConfig
from vitime_cache.model.encoding import SeriesEncoding
from vitime_cache.model.network import ViTime
from vitime_cache.series.signal import Signal
from vitime_cache.series.sources import catalogue

CHOSEN_ON = np.geomspace(34, 240, 12)
MEASURED_ON = np.geomspace(32, 256, 15)
STRICT_SHARE = 0.5
HORIZONS = (96, 192, 336, 720)
SHORT = 360


def lag_curves(model: ViTime, signals: list[Signal]) -> Floats:
    """(signal, layer, head, L), signed lags in patches."""
    return np.stack([capture_batch(model, [signal])[0]["lag_attention"] for signal in signals]).astype(np.float64)


def sweep(periods: Floats, seed: int) -> list[Signal]:
    """One sine for each period, at random phases."""
    phase = np.random.default_rng(seed).uniform(0, 2 * np.pi, len(periods))
    n = np.arange(HISTORY)
    return [Signal(f"{p:.0f}", np.sin(2 * np.pi * n / p + f)) for p, f in zip(periods, phase, strict=True)]


def unrelated(seed: int = 11) -> list[Signal]:
    """White noise and random walks: no period, so what their curves share is position."""
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal((12, HISTORY))
    return [Signal(f"unrelated {i}", x.cumsum() if i % 2 else x) for i, x in enumerate(noise)]


def period_tracking(model: ViTime) -> dict[float, tuple[tuple[int, ...], list[Tracking]]]:
    """For both definitions of a first peak: the head that tracks best on one sweep, and all heads on five others."""
    lag = np.arange(-(model.config.grid[1] - 1), model.config.grid[1])
    samples_per_patch = model.config.samples_per_patch(HISTORY + HORIZON)
    baseline = lag_curves(model, unrelated())

    chosen_on = lag_curves(model, sweep(CHOSEN_ON, 1))
    measured_on = [lag_curves(model, sweep(MEASURED_ON, seed)) for seed in range(2, 7)]

    def tracking(share: float) -> tuple[tuple[int, ...], list[Tracking]]:
        head = choose_head(track_periods(lag, chosen_on, CHOSEN_ON, samples_per_patch, baseline, share))
        return head, [track_periods(lag, c, MEASURED_ON, samples_per_patch, baseline, share) for c in measured_on]

    return {share: tracking(share) for share in (FIRST_SHARE, STRICT_SHARE)}


def full_against_reduced(model: ViTime) -> tuple[str, Floats, Floats, Floats]:
    """Head with the greatest ratio of prominence at one and two periods, as the Compare page has it; all ratios.

    Between the name and the ratios: the prominences at one and two periods in full and in reduced, (2,) each.
    """
    signals = {s.name: s for s in catalogue()}
    names = ("full", "reduced_harmonic")
    removed = max(harmonic.period for harmonic in signals["full"].harmonics)
    curves = lag_curves(model, [signals[name] for name in names])
    lag = np.arange(-(model.config.grid[1] - 1), model.config.grid[1])
    samples_per_patch = model.config.samples_per_patch(HISTORY + HORIZON)
    ratio = np.empty(curves.shape[1:-1])
    for at in np.ndindex(ratio.shape):
        whole, reduced = (
            SignalCurve(name, lag, curve[at], samples_per_patch) for name, curve in zip(names, curves, strict=True)
        )
        ratio[at] = prominence_ratio(whole, reduced, removed)
    layer, head = np.unravel_index(ratio.argmax(), ratio.shape)
    at_periods = np.stack(
        [period_prominence(lag, curves[:, layer, head], samples_per_patch, removed, (k,)) for k in (1, 2)], axis=1
    )
    return f"{model.config.layers[layer]} head {head}", *at_periods, ratio


def spread(values: list[float], digits: int) -> str:
    """Median and range."""
    return f"{np.median(values):.{digits}f} [{min(values):.{digits}f} … {max(values):.{digits}f}]"


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


def report_attention(model: ViTime) -> None:
    for share, (head, sweeps) in period_tracking(model).items():
        found = np.mean([one.found[head] for one in sweeps])
        tracks = np.mean([one.tracks for one in sweeps], axis=0) > 0.5
        slope, r_squared = ([getattr(one, name)[head] for one in sweeps] for name in ("slope", "r_squared"))
        print(
            f"(a) first peak ≥ {share:.0%} of the strongest: {model.config.layers[head[0]]} head {head[1]}: "
            f"slope {spread(slope, 2)}, R² {spread(r_squared, 3)}, "
            f"a peak at {found:.0%} of {len(MEASURED_ON)} periods; "
            f"{int(tracks.sum())} of {tracks.size} heads within 0.9 … 1.1 and R² ≥ 0.95 in most sweeps"
        )
    best, full, reduced, ratios = full_against_reduced(model)
    print(
        f"(b) {best}: prominence at one, two periods: full {full[0]:.2f}, {full[1]:.2f}; "
        f"reduced {reduced[0]:.2f}, {reduced[1]:.2f} of the curve's mean; ratio {ratios.max():.1f}; "
        f"{int((ratios >= 3).sum())} of {ratios.size} heads at 3 or more, {int((ratios >= 10).sum())} at 10 or more"
    )
    errors = study_errors(model)
    print("(c) MAE / history std, first 360 samples: " + listed(errors))
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
