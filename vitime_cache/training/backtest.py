"""Backtests on the ends of a user's own series, and the choice of the best state of a run by them."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import torch
from scipy.signal import find_peaks

from vitime_cache.arrays import Floats
from vitime_cache.attention.lags import autocorrelation
from vitime_cache.model.config import ViTimeConfig
from vitime_cache.model.drawing import draw
from vitime_cache.model.encoding import EncodingError, SeriesEncoding
from vitime_cache.model.network import ViTime
from vitime_cache.training.config import TrainingError
from vitime_cache.training.own_series import SHORTEST, OwnSeries, Split

Stretch = Literal["validation", "held out"]

CUTS = (1, 2, 4)  # a whole stretch, its halves and its quarters are forecast
LEAST = 8  # fewest samples of a part that is forecast
MAX_FORECASTS = 32  # most forecasts of a stretch over all series
MAX_SEASONED = 20_000  # last samples from which the season is estimated
PROMINENCE = 0.05  # least prominence of a peak of the autocorrelation, so that rounding is not taken for one
AT_ONCE = 8  # images in a pass


@dataclass(frozen=True, eq=False)
class Origin:
    """A history of a series and the true future after it."""

    series: Split
    history: Floats
    future: Floats

    @property
    def last_season(self) -> Floats:
        """The last season of the history, repeated; the season is estimated from the training part, and fits in it."""
        samples = season(self.series.taught[-MAX_SEASONED:], len(self.history))
        return np.resize(self.history[-samples:], len(self.future))

    def error(self, forecast: Floats) -> float:
        """Mean absolute error in standard deviations of the training part of the series."""
        return float(np.abs(forecast - self.future).mean() / self.series.taught.std())


class Backtest:
    """A fixed set of forecasts of one stretch of every series, by which models are tested.

    The stretch is forecast as a whole, in halves and in quarters, each from a history of twice its length.

    Attributes
    ----------
    last_season
        Error of repeating the last `season` of each history, as `error`.

    Raises
    ------
    TrainingError
        If the stretch is so long that the histories before it are too short to draw.
    """

    def __init__(self, own: OwnSeries, stretch: Stretch, network: ViTimeConfig) -> None:
        every = [origin for split in own.splits for origin in _origins(split, stretch)]
        chosen = np.unique(np.linspace(0, len(every) - 1, MAX_FORECASTS).astype(int))
        self.origins = [every[i] for i in chosen]
        try:
            self.encodings = [SeriesEncoding.fit(o.history, len(o.future), network) for o in self.origins]
        except EncodingError as error:
            raise TrainingError(f"too much is held out: {error}") from error
        rows = [e.history_rows(o.history) for e, o in zip(self.encodings, self.origins, strict=True)]
        self.images = torch.cat([draw(torch.from_numpy(each)[None], network) for each in rows])
        self.last_season = float(np.mean([origin.error(origin.last_season) for origin in self.origins]))

    @torch.no_grad()
    def error(self, model: ViTime) -> float:
        """Mean absolute error of the median forecast, in standard deviations of each series' training part."""
        probability = torch.cat([model(part.to(model.device)).cpu() for part in self.images.split(AT_ONCE)]).numpy()
        errors = [
            origin.error(encoding.quantiles(p, [0.5])[0, -len(origin.future) :])
            for origin, encoding, p in zip(self.origins, self.encodings, probability, strict=True)
        ]
        return float(np.mean(errors))


class Choice:
    """Keeps the best state of a run by the validation stretch; the initial weights count as the first state.

    Attributes
    ----------
    before, errors
        Errors of the initial weights, and of the best state.
    step
        Step of the best state.
    best
        The network in the best state.

    Raises
    ------
    TrainingError
        As `Backtest`.
    """

    def __init__(self, own: OwnSeries, model: ViTime) -> None:
        self.tests = {name: Backtest(own, name, model.config) for name in get_args(Stretch)}
        self.before = self.errors = dict.fromkeys(self.tests, float("inf"))
        self.step, self.best = 0, deepcopy(model)

    def begin(self, model: ViTime) -> None:
        """Test the initial weights."""
        self.before = self.errors = self._errors(model)

    def consider(self, step: int, model: ViTime) -> dict[str, float]:
        """Test a state, keep it if it is the best so far, and return its errors."""
        errors = self._errors(model)
        if errors["validation"] < self.errors["validation"]:
            self.errors, self.step, self.best = errors, step, deepcopy(model)
        return errors

    def told(self, errors: dict[str, float]) -> str:
        """Errors in words, with those of the initial weights and of repeating the last season."""
        return "; ".join(
            f"{name} {errors[name]:.3f} (before {self.before[name]:.3f}, last season {test.last_season:.3f})"
            for name, test in self.tests.items()
        )

    def _errors(self, model: ViTime) -> dict[str, float]:
        return {name: test.error(model) for name, test in self.tests.items()}

    def state(self) -> dict[str, Any]:
        """The state that a resumed run needs."""
        return {"before": self.before, "errors": self.errors, "step": self.step, "best": self.best.state_dict()}

    def load(self, state: dict[str, Any]) -> None:
        self.before, self.errors, self.step = state["before"], state["errors"], state["step"]
        self.best.load_state_dict(state["best"])


def season(series: Floats, longest: int | None = None) -> int:
    """Season of a series in samples, at most `longest`: a peak of its autocorrelation up to two thirds of its length.

    It is the shortest peak within three standard errors of the highest one, or a higher one less than half a season
    behind it: all multiples of a season peak alike, and noise alone decides which of them is highest. 1 without a peak.
    """
    most = len(series) * 2 // 3
    correlation = autocorrelation(series, most if longest is None else min(longest + 1, most))
    at, _ = find_peaks(correlation, prominence=PROMINENCE)
    if not len(at):
        return 1
    highest = at[correlation[at].argmax()]
    error = (1 - correlation[highest] ** 2) / np.sqrt(len(series) - highest)
    first = at[correlation[at] >= correlation[highest] - 3 * error][0]
    near = at[(at >= first) & (at < 1.5 * first)]
    return int(near[correlation[near].argmax()])


def _origins(split: Split, stretch: Stretch) -> Iterator[Origin]:
    validation = stretch == "validation"
    begin = len(split.values) - split.end * (2 if validation else 1)
    for cuts in CUTS:
        horizon = (split.chosen_by if validation else split.end) // cuts
        if horizon < LEAST and cuts > 1:
            return
        for origin in range(begin, begin + cuts * horizon, horizon):
            first = max(0, origin - max(2 * horizon, SHORTEST))
            yield Origin(split, split.values[first:origin], split.values[origin : origin + horizon])
