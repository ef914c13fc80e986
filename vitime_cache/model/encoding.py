"""Series to image and back: ViTime draws a series as ink on a value-by-time image (arXiv 2407.07311, section 3.2).

`SeriesEncoding` keeps the scaling of one history, so that drawing and reading always use the same one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, Self, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vitime_cache.arrays import Floats
from vitime_cache.checks import choice, whole
from vitime_cache.errors import VitimeError
from vitime_cache.model.config import ViTimeConfig

OFFSET = 1e-7  # the published code adds it to deviations and moments, so that a constant history can be drawn
TINY = 1e-3  # OFFSET would distort a smaller deviation: such a history is scaled by its own range first
FLAT = 1e-12  # share of the largest magnitude: smaller variation counts as rounding
BLUR_SIZE = 31
BLUR_SIGMA = 5.0  # as OpenCV derives it from a 31-pixel kernel: 0.3 * ((31 - 1) / 2 - 1) + 0.8

Method = Literal["max", "expectation"]


class EncodingError(VitimeError):
    """A history, horizon or probability image that cannot be encoded or decoded."""


@dataclass(frozen=True)
class SeriesEncoding:
    """How one history of T samples and a horizon of H samples are placed on the image of a model.

    Every method takes leading dimensions, so a batch of equally long histories is encoded at once.

    Attributes
    ----------
    config
        The model's shapes; W below is `config.columns`, h is `config.image_height`.
    n_history, horizon
        T and H in samples.
    mean, std
        Centre and population standard deviation of the resampled history, (..., 1), in units of the series.
    """

    config: ViTimeConfig
    n_history: int
    horizon: int
    mean: Floats
    std: Floats

    @classmethod
    def fit(cls, history: ArrayLike, horizon: int, config: ViTimeConfig) -> Self:
        """Measure the scaling of `history` (..., T) for a forecast of `horizon` samples.

        Raises
        ------
        EncodingError
            If the history is shorter than two samples or not finite, the horizon is not positive, or the history
            is so short against the horizon that it would fill less than two image columns.
        """
        values = np.asarray(history, dtype=np.float64)
        if values.ndim == 0 or values.shape[-1] < 2:
            raise EncodingError(f"a history needs at least two samples, got shape {values.shape}")
        if not np.isfinite(values).all():
            raise EncodingError("the history holds NaN or infinite values; fill or remove them first")
        horizon = whole(horizon, "the horizon", 1, error=EncodingError)
        n_history = values.shape[-1]
        columns = history_columns(n_history, horizon, config.columns)
        if columns < 2:
            raise EncodingError(
                f"{n_history} samples of history before a horizon of {horizon} fill {columns} of {config.columns} "
                "image columns; give a longer history or a shorter horizon"
            )
        drawn = _resample(values, columns)
        tiny = drawn.std(axis=-1, keepdims=True) < TINY
        unit = np.where(tiny, np.ptp(drawn, axis=-1, keepdims=True), 1.0)
        level = np.maximum(np.abs(drawn).max(axis=-1, keepdims=True), 1.0)
        unit = np.where(is_flat(drawn)[..., None], level, unit)  # do not draw rounding errors
        measured = drawn / unit
        std = measured.std(axis=-1, keepdims=True) + OFFSET
        return cls(config, n_history, horizon, unit * _centre(measured, config.mu_norm), unit * std)

    @classmethod
    def stack(cls, encodings: Sequence[Self]) -> Self:
        """One encoding of several histories, all of one length and with one horizon."""
        first = encodings[0]
        mean, std = (np.stack(each) for each in zip(*((e.mean, e.std) for e in encodings), strict=True))
        return cls(first.config, first.n_history, first.horizon, mean, std)

    @property
    def history_columns(self) -> int:
        """Image columns that show the history; the remaining ones are blank until the model fills them."""
        return history_columns(self.n_history, self.horizon, self.config.columns)

    @property
    def samples_per_patch(self) -> float:
        """Samples per patch of lag: 16 for the reference study's 512 + 720."""
        return self.config.samples_per_patch(self.n_history + self.horizon)

    @property
    def history_patches(self) -> int:
        """Patch columns of which at least half show history."""
        return history_patches(self.n_history, self.horizon, self.config.columns, self.config.patch_width)

    def rows(self, values: ArrayLike) -> NDArray[np.intp]:
        """Image row of each value (...,), 0 at the bottom of the value range."""
        z = (np.asarray(values, dtype=np.float64) - self.mean) / self.std
        limit = self.config.value_range
        rows = np.floor((np.clip(z, -limit, limit) + limit) / self.config.row_step).astype(np.intp)
        return np.clip(rows, 0, self.config.image_height - 1)

    def history_rows(self, history: ArrayLike) -> NDArray[np.intp]:
        """Image row of each column of a history (..., T), (..., history_columns), as `image` and `drawing` draw it."""
        values = np.asarray(history, dtype=np.float64)
        if values.shape[-1] != self.n_history:
            raise EncodingError(f"this encoding was fitted to {self.n_history} samples, got {values.shape[-1]}")
        return self.rows(self.columns_of(values))

    def columns_of(self, history: ArrayLike) -> Floats:
        """Values of the history (..., T) at its image columns, (..., history_columns)."""
        return _resample(np.asarray(history, dtype=np.float64), self.history_columns)

    def image(self, history: ArrayLike) -> NDArray[np.float32]:
        """Draw the history (..., T) as ink, (..., W, h): one-hot rows, Gaussian blur 31 × 31, future columns blank.

        The blur carries the ink of the last history columns up to 15 columns into the future.
        """
        return self.ink(self.history_rows(history))

    def draw(self, values: ArrayLike) -> NDArray[np.float32]:
        """Draw values at the history's image columns (..., history_columns) as `image` draws a history."""
        return self.ink(self.rows(values))

    def ink(self, rows: NDArray[np.intp]) -> NDArray[np.float32]:
        """Ink (..., W, h) of the rows of the history's columns, (..., history_columns)."""
        ink = np.zeros((*rows.shape[:-1], self.config.columns, self.config.image_height), np.float32)
        # The blur of a one-hot column along the rows is a lookup; only the blur along time is a convolution.
        ink[..., : self.history_columns, :] = row_blur(self.config.image_height)[rows]
        from scipy.ndimage import correlate1d  # imported here: reading a store does not need scipy

        inked = ink[..., : self.history_columns + BLUR_SIZE, :]  # the ink ends here; the rest stays blank
        correlate1d(inked, BLUR_SIZE * blur_kernel(), axis=-2, output=inked, mode="mirror")
        return ink

    def series(self, probability: ArrayLike, method: Method = "max") -> Floats:
        """Read a probability image (..., W, h) as a series (..., T + H) in the units of the history.

        Parameters
        ----------
        method
            "max": the most probable row of each column, as in the published code; "expectation": the mean row.
        """
        choice(method, "method", get_args(Method), error=EncodingError)
        p = self._checked(probability)
        if method == "max":
            row = p.argmax(axis=-1).astype(np.float64)
        else:
            row = p @ np.arange(self.config.image_height) / p.sum(axis=-1)
        return self._samples(row)

    def quantiles(self, probability: ArrayLike, levels: ArrayLike) -> Floats:
        """Quantiles of each column's distribution, (..., W, h) → (levels, ..., T + H), with levels in 0 … 1.

        The mass of a row is spread evenly over ± half a row, so that quantiles vary continuously and the distribution
        keeps the mean that `series` reports.
        """
        p = self._checked(probability)
        cumulative = np.cumsum(p, axis=-1) / p.sum(axis=-1, keepdims=True)
        row = np.stack([_rows_below(cumulative, level) for level in np.asarray(levels, dtype=np.float64)])
        return self._samples(row)

    def sample(self, probability: ArrayLike, n: int, rng: np.random.Generator) -> Floats:
        """Draw `n` series, (T + H, n), from an image (W, h); columns are drawn independently."""
        p = self._checked(probability)
        if n < 1:
            raise EncodingError(f"the number of samples must be at least 1, got {n}")
        cumulative = np.cumsum(p, axis=-1) / p.sum(axis=-1, keepdims=True)
        draws = rng.random((self.config.columns, n))
        row = np.stack([np.searchsorted(c[:-1], u, side="right") for c, u in zip(cumulative, draws, strict=True)])
        return self._samples(row.T.astype(np.float64)).T

    def _checked(self, probability: ArrayLike) -> Floats:
        p = np.asarray(probability, dtype=np.float64)
        expected = (self.config.columns, self.config.image_height)
        if p.shape[-2:] != expected:
            raise EncodingError(f"a probability image of this model ends in shape {expected}, got {p.shape}")
        return p

    def _samples(self, row: Floats) -> Floats:
        """Rows of the image columns (..., W) → values at the samples (..., T + H)."""
        value = (row * self.config.row_step - self.config.value_range) * self.std + self.mean
        return self.at_samples(value)

    def at_samples(self, values: Floats) -> Floats:
        """Values at the image columns (..., W) → at the samples (..., T + H)."""
        return _resample(values, self.n_history + self.horizon)


def is_flat(history: ArrayLike) -> NDArray[np.bool_]:
    """Whether histories (..., T) are constant apart from rounding, (...): they are drawn as a line in any unit."""
    values = np.asarray(history, dtype=np.float64)
    flat: NDArray[np.bool_] = np.ptp(values, axis=-1) <= FLAT * np.abs(values).max(axis=-1)
    return flat


def _centre(values: Floats, mu_norm: float | None) -> Floats:
    """The centre of histories (..., n), (..., 1): the mean, or the root of a signed moment."""
    if mu_norm is None:
        return np.asarray(values.mean(axis=-1, keepdims=True))
    power = np.power(values if float(mu_norm).is_integer() else np.abs(values), mu_norm)  # (-2) ** 1.5 is NaN
    moment = (power * np.sign(values)).mean(axis=-1, keepdims=True) + OFFSET
    return np.asarray(np.sqrt(np.abs(moment)) * np.sign(moment))


def history_columns(n_history: int, horizon: int, columns: int) -> int:
    """How many of an image's columns show the history."""
    return int(n_history / (n_history + horizon) * columns)


def history_patches(n_history: int, horizon: int, columns: int, patch_width: int) -> int:
    """Patch columns of which at least half show history."""
    return int(history_columns(n_history, horizon, columns) / patch_width + 0.5)


def _resample(values: Floats, n: int) -> Floats:
    """Linear interpolation of (..., m) at n points from the first to the last, like np.interp over the last axis."""
    left, weight = _between(values.shape[-1], n)
    # Unlike indexing, `take` keeps each series contiguous: sums over one are then the same to the bit in every batch.
    resampled: Floats = values.take(left, axis=-1) * (1 - weight) + values.take(left + 1, axis=-1) * weight
    return resampled


@lru_cache(maxsize=32)
def _between(m: int, n: int) -> tuple[NDArray[np.intp], Floats]:
    """The sample to the left of each of `n` points along `m` samples, and the share of the one to the right, (n,)."""
    at = np.linspace(0, m - 1, n)
    left = np.minimum(at.astype(np.intp), m - 2)
    return left, at - left


def _rows_below(cumulative: Floats, level: float) -> Floats:
    """The row at which each distribution (..., h) reaches a level, (...): np.interp over row edges."""
    last = cumulative.shape[-1] - 1
    above = ~(cumulative <= level)  # True for NaN too
    row = np.where(above[..., -1], above.argmax(axis=-1), last + 1)  # number of rows wholly below the level
    inside = np.minimum(row, last)[..., None]
    upper = np.take_along_axis(cumulative, inside, axis=-1)[..., 0]
    lower = np.take_along_axis(cumulative, np.maximum(inside - 1, 0), axis=-1)[..., 0] * (row > 0)
    share = np.divide(level - lower, upper - lower, out=np.zeros_like(upper), where=row <= last)
    reached: Floats = row - 0.5 + share
    return reached


@lru_cache
def blur_kernel() -> NDArray[np.float32]:
    """(BLUR_SIZE,) weights of the blur along either axis; they sum to 1."""
    offset = np.arange(BLUR_SIZE) - BLUR_SIZE // 2
    kernel = np.exp(-0.5 * (offset / BLUR_SIGMA) ** 2)
    normalised: NDArray[np.float64] = kernel / kernel.sum()
    return normalised.astype(np.float32)


@lru_cache
def row_blur(height: int) -> NDArray[np.float32]:
    """(h, h): row r is a one-hot column at r, blurred along the value axis with border reflect-101."""
    from scipy.ndimage import correlate1d

    blurred: NDArray[np.float32] = correlate1d(np.eye(height, dtype=np.float32), blur_kernel(), axis=1, mode="mirror")
    return blurred
