"""Series to forecast, rival forecasters and scores, for `weights_report`.

Rivals: the history's mean, the last season repeated, and two classical methods of statsmodels: exponential smoothing
(additive, the trend and the season chosen by AIC, as AutoETS does) and Theta. Their season is the highest peak of the
history's autocorrelation, as everybody's here. Point forecasts
have no distribution: their CRPS is their absolute error.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from scipy.signal import find_peaks
from scipy.stats import norm

from vitime_cache.arrays import Floats
from vitime_cache.attention.lags import autocorrelation
from vitime_cache.model.encoding import SeriesEncoding
from vitime_cache.model.network import ViTime
from vitime_cache.series.examples import REAL_SERIES
from vitime_cache.series.signal import Signal, hold_out
from vitime_cache.series.sources import catalogue
from vitime_cache.training.synthesis import Mixture, synthesise

HISTORY, HORIZON = 512, 720
HELD_OUT_SEED = 2**33 + 7  # training draws from [seed, step], validation from [seed, 2**40]
LEVELS = np.arange(1, 20) / 20  # quantiles that CRPS is integrated over
MEDIAN = 9
SYNTHETIC = {
    "exact repeats, periods 24-300": Mixture(repeats=1),
    "slow sines": Mixture(slow=1),
    "sums of sines": Mixture(sines=1),
    "periodic with noise": Mixture(periodic=1),
    "repeats with noise and trend": Mixture(blends=1),
    "random spectra": Mixture(spectrum=1),
}
TRENDS = ((None, False), ("add", True))


@dataclass(frozen=True)
class Scores:
    """Means over a group of series.

    Attributes
    ----------
    mae
        Mean absolute error of the median, in standard deviations of the history.
    mase
        Mean absolute error over the mean absolute change from season to season in the history.
    crps
        Continuous ranked probability score in standard deviations of the history: twice the pinball loss, averaged
        over the levels 0.05 … 0.95.
    """

    mae: float
    mase: float
    crps: float


def season(history: Floats) -> int:
    """The highest peak of the autocorrelation in samples, or 1."""
    correlation = autocorrelation(history, len(history) * 2 // 3)
    at, _ = find_peaks(correlation)
    return int(at[correlation[at].argmax()]) if len(at) else 1


def network_quantiles(model: ViTime, signals: list[Signal], levels: Floats = LEVELS) -> Floats:
    """Quantiles of the model's own distribution over the horizon, (signal, level, H); signals of equal lengths."""
    history = np.stack([signal.values for signal in signals])
    encoding = SeriesEncoding.fit(history, signals[0].horizon, model.config)
    images = torch.from_numpy(encoding.image(history)).transpose(1, 2).unsqueeze(1)
    with torch.no_grad():
        probability = torch.cat([model(part) for part in images.split(16)]).numpy()
    each = [
        SeriesEncoding.fit(signal.values, signal.horizon, model.config).quantiles(p, levels)[:, -signal.horizon :]
        for signal, p in zip(signals, probability, strict=True)
    ]
    return np.stack(each)


def mean(history: Floats, horizon: int) -> Floats:
    return np.tile(history.mean(), (len(LEVELS), horizon))


def seasonal(history: Floats, horizon: int) -> Floats:
    """Repeat the last season, or the last value."""
    return np.tile(np.resize(history[-season(history) :], horizon), (len(LEVELS), 1))


def smoothing(history: Floats, horizon: int) -> Floats:
    """Exponential smoothing with additive errors: the model of lowest AIC with and without damped trend and season."""
    from statsmodels.tsa.exponential_smoothing.ets import ETSModel

    values, period = pd.Series(history), season(history)
    seasons = (None, "add") if 1 < period <= len(history) // 2 else (None,)
    warnings.simplefilter("ignore")  # of fits that did not quite converge: they are scored as they are
    fits = [
        ETSModel(
            values, error="add", trend=trend, damped_trend=damped, seasonal=seasonal_part,
            seasonal_periods=period if seasonal_part else None, initialization_method="heuristic",
        ).fit(disp=False)
        for trend, damped in TRENDS
        for seasonal_part in seasons
    ]  # fmt: skip
    best = min(fits, key=lambda fit: fit.aic)
    told = best.get_prediction(len(history), len(history) + horizon - 1)
    centre, deviation = np.asarray(told.predicted_mean), np.sqrt(np.asarray(told.forecast_variance))
    return _normal(centre, deviation)


def theta(history: Floats, horizon: int) -> Floats:
    """Theta (Assimakopoulos & Nikolopoulos 2000), deseasonalised where a test finds a season."""
    from statsmodels.tsa.forecasting.theta import ThetaModel

    period = season(history)
    warnings.simplefilter("ignore")
    seasonal_part = 1 < period <= len(history) // 2
    fit = ThetaModel(
        pd.Series(history), period=period if seasonal_part else None, deseasonalize=seasonal_part, method="additive"
    ).fit()
    centre = np.asarray(fit.forecast(horizon))
    band = fit.prediction_intervals(horizon, alpha=0.1).to_numpy()
    deviation = (band[:, 1] - band[:, 0]) / (2 * norm.ppf(0.95))
    return _normal(centre, deviation)


def _normal(centre: Floats, deviation: Floats) -> Floats:
    quantiles: Floats = centre + norm.ppf(LEVELS)[:, None] * deviation
    return quantiles


RIVALS: dict[str, Callable[[Floats, int], Floats]] = {
    "mean": mean, "season": seasonal, "ETS": smoothing, "Theta": theta,
}  # fmt: skip


def scores(quantiles: Floats, signals: list[Signal]) -> Scores:
    """Scores of forecasts (signal, level, H)."""
    each = []
    for forecast, signal in zip(quantiles, signals, strict=True):
        assert signal.future is not None
        off = signal.future - forecast
        pinball = np.maximum(LEVELS[:, None] * off, (LEVELS[:, None] - 1) * off)
        absolute = np.abs(off[MEDIAN]).mean()
        lag = season(signal.values)
        naive = np.abs(signal.values[lag:] - signal.values[:-lag]).mean()
        scale = signal.values.std()
        # On exact repeats the naive change is rounding: held at a hundredth of a standard deviation.
        each.append((absolute / scale, absolute / max(naive, 0.01 * scale), 2 * pinball.mean() / scale))
    return Scores(*np.mean(each, axis=0))


def compare(model: ViTime, signals: list[Signal], rivals: list[str]) -> dict[str, Scores]:
    """Scores of the model and of `rivals` on one group of signals of equal lengths."""
    found = {"model": scores(network_quantiles(model, signals), signals)}
    for name in rivals:
        forecasts = np.stack([RIVALS[name](signal.values, signal.horizon) for signal in signals])
        found[name] = scores(forecasts, signals)
    return found


def synthetic(kind: str, n: int, horizon: int = HORIZON) -> list[Signal]:
    """Series of one kind that neither training nor any choice has seen."""
    rng = np.random.default_rng([HELD_OUT_SEED, list(SYNTHETIC).index(kind)])
    series, _ = synthesise(rng, n, HISTORY + HORIZON, SYNTHETIC[kind])
    return [hold_out(str(i), values[: HISTORY + horizon], horizon) for i, values in enumerate(series)]


def real() -> Iterator[Signal]:
    """The catalogue's real series, and others out of requirements-dev.txt's packages, licences in weights/README.md."""
    names = {series.name for series in REAL_SERIES}
    yield from (signal for signal in catalogue() if signal.name in names)
    import pywt.data
    from statsmodels.datasets import macrodata
    from vega_datasets import data

    def end(name: str, values: object, history: int, horizon: int) -> Signal:
        return hold_out(name, np.asarray(values, dtype=np.float64)[-(history + horizon) :], horizon)

    yield end("seattle_hourly_temperature", data.seattle_temps()["temp"], 240, 96)
    yield end("san_francisco_hourly_temp.", data.sf_temps()["temp"], 240, 96)
    yield end("electrocardiogram", pywt.data.ecg(), 512, 256)
    yield end("us_construction_jobs", data.us_employment()["construction"], 84, 36)
    yield end("us_real_gdp", macrodata.load_pandas().data["realgdp"], 160, 40)
