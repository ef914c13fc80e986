"""Runs of one window of a series: the intact run, its stand-ins, and the effect of changed runs on the forecast.

Forecasts here are mean rows of image columns, in standard deviations of the history. They vary continuously, and a
change is a vector that can be projected on another.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from vitime_cache.arrays import Bools, Floats
from vitime_cache.evidence.verdict.schema import VerdictError
from vitime_cache.interventions.lag_masks import whole_periods
from vitime_cache.model.encoding import SeriesEncoding
from vitime_cache.series.signal import Signal
from vitime_cache.stats.stand_ins import moved, shifts

if TYPE_CHECKING:
    from torch import Tensor

    from vitime_cache.attention.forward import Intact
    from vitime_cache.interventions.value_patch import FrozenRun, Pairs, Patch
    from vitime_cache.model.network import ViTime


Told = Callable[[int], object]  # called with the number of runs just done


class WindowRuns:
    """Runs of one window.

    Attributes
    ----------
    period
        In patches.
    patches, patch_width
        Patch columns of the image, and image columns of a patch.
    history_columns
        Image columns that show the history, C.
    drawn
        (C,) values of the history at its image columns.
    first_future
        First patch column that shows nothing of the history.
    """

    def __init__(self, model: ViTime, signal: Signal, period: float, earlier: ArrayLike = ()) -> None:
        config = model.config
        self.model, self.signal, self._period, self._earlier = model, signal, period, earlier
        self.encoding = SeriesEncoding.fit(signal.values, signal.horizon, config)
        self.period = period / self.encoding.samples_per_patch
        self.patches, self.patch_width = config.grid[1], config.patch_width
        self.history_columns = self.encoding.history_columns
        self.first_future = -(-self.history_columns // self.patch_width)
        self.drawn = self.encoding.columns_of(signal.values)

    @property
    def on(self) -> Pairs:
        """Pairs of a query of the forecast and a key whole periods back."""
        from vitime_cache.interventions.value_patch import lag_pairs

        return lag_pairs(whole_periods(self.period, self.patches), self.first_future)

    @property
    def every_head(self) -> Bools:
        """All heads of the network, (layer, head)."""
        return np.ones((len(self.model.config.layers), self.model.config.heads), dtype=bool)

    def stand_in(self, draw: int) -> Floats:
        """Stand-in number `draw` of the history, (T,)."""
        return moved(self.signal.values, shifts(self._period, draw + 1)[draw], self._period, self._earlier)

    def stand_in_columns(self, draw: int) -> Floats:
        """The same stand-in at the history's image columns, (C,)."""
        return self.encoding.columns_of(self.stand_in(draw))

    @cached_property
    def frozen(self) -> FrozenRun:
        """The intact run, kept for patching."""
        from vitime_cache.interventions.value_patch import freeze

        return freeze(self.model, self._images(self.drawn[None]))

    @cached_property
    def intact(self) -> Floats:
        """The intact forecast, (W,); a VerdictError if the network does not give a number."""
        rows: Floats = self.rows(self.frozen.intact.probability)[0]
        if not np.isfinite(rows).all():
            raise VerdictError(f"the network's forecast of {self.signal.name} is not a number: look at its weights")
        return rows

    def forecasts(self, drawn: ArrayLike, told: Told = lambda _: None) -> Floats:
        """Forecasts (B, W) of other histories, given at the image columns (B, C)."""
        from vitime_cache.attention.forward import forecast

        return self._in_batches(np.asarray(drawn), lambda images: forecast(self.model, images), told)

    def forecasts_holding(self, drawn: ArrayLike, pairs: Pairs, told: Told = lambda _: None) -> Floats:
        """The same with the values that heads read at `pairs` held as in the intact run."""
        from vitime_cache.interventions.value_patch import run_holding

        def run(images: Tensor) -> Tensor:
            return run_holding(self.model, images, self.frozen, pairs)

        return self._in_batches(np.asarray(drawn), run, told)

    def source(self, draw: int) -> tuple[list[Tensor], Floats]:
        """Values of every layer in the run of a stand-in, and its forecast (W,)."""
        from vitime_cache.interventions.value_patch import run_for_values

        values, probability = run_for_values(self.model, self._images(self.stand_in_columns(draw)[None]))
        return values, self.rows(probability)[0]

    def source_holding(self, draw: int, pairs: Pairs) -> list[Tensor]:
        """Values of every layer in the run of a stand-in, with those that heads read at `pairs` held as intact."""
        from vitime_cache.interventions.value_patch import holding, run_for_values

        images = self._images(self.stand_in_columns(draw)[None])
        return run_for_values(self.model, images, holding(self.model, self.frozen, pairs))[0]

    def keep_stand_in(self, draw: int) -> tuple[Intact, Floats]:
        """The kept run of a stand-in, and its forecast (W,)."""
        from vitime_cache.attention.forward import run_and_keep

        intact = run_and_keep(self.model, self._images(self.stand_in_columns(draw)[None]))
        return intact, self.rows(intact.probability)[0]

    def reference_means(self) -> list[Tensor]:
        """Heads' outputs of every layer, (heads, 1 + N, d), mean over the reference signals of `vc.ablate_heads`."""
        from vitime_cache.interventions.references import ReplacementOutputs

        return ReplacementOutputs(self.model, "mean", None).of(self.signal)

    def patched(self, values: Sequence[Tensor], patches: Sequence[Patch], told: Told = lambda _: None) -> Floats:
        """Forecasts (B, W) of patches of the intact run."""
        from vitime_cache.interventions.runs import mean_rows
        from vitime_cache.interventions.value_patch import run_patches

        order: list[int] = []
        parts = []
        for numbers, probability in run_patches(self.model, self.frozen, values, patches):
            order += numbers
            parts.append(mean_rows(probability))
            told(len(numbers))
        found = np.empty((len(patches), self.model.config.columns))
        found[order] = self._in_deviations(parts)
        return found

    def change(self, rows: Floats) -> Floats:
        """Forecasts (..., W) minus the intact one, at the future's columns: (..., F)."""
        changed: Floats = (rows - self.intact)[..., self.history_columns :]
        return changed

    def change_by_patch(self, rows: Floats) -> Floats:
        """The same grouped by future patch, (..., patches, columns)."""
        changed = (rows - self.intact)[..., self.first_future * self.patch_width :]
        return changed.reshape(*rows.shape[:-1], -1, self.patch_width)

    def effect(self, rows: Floats, intact: Floats | None = None) -> Floats:
        """Root mean square change over the horizon's samples, (...), in standard deviations of the history.

        `intact` (..., W) replaces the window's own intact forecast.
        """
        change = rows - (self.intact if intact is None else intact)
        distance: Floats = np.sqrt((self._at_samples(change) ** 2).mean(axis=-1))
        return distance

    def values_of(self, rows: Floats) -> Floats:
        """A forecast (..., W) at the horizon's samples, (..., H), in units of the series."""
        limit = self.model.config.value_range
        values: Floats = (self._at_samples(rows) - limit) * self.encoding.std + self.encoding.mean
        return values

    def quantiles(self, levels: Sequence[float]) -> Floats:
        """Quantiles of the intact forecast, (levels, H), in units of the series."""
        probability = self.frozen.intact.probability[0].cpu().numpy()
        return self.encoding.quantiles(probability, levels)[:, -self.signal.horizon :]

    def _at_samples(self, rows: Floats) -> Floats:
        samples = self.encoding.at_samples(rows)
        return samples[..., -self.signal.horizon :]

    def _images(self, drawn: Floats) -> Tensor:
        from vitime_cache.attention.capture import images_of_rows

        return images_of_rows(self.encoding.rows(drawn), self.encoding, self.model)

    def rows(self, probability: Tensor) -> Floats:
        """Mean rows of probability images (B, W, h), (B, W), in standard deviations above the lowest row."""
        from vitime_cache.interventions.runs import mean_rows

        return self._in_deviations([mean_rows(probability)])

    def _in_deviations(self, rows: Sequence[Tensor]) -> Floats:
        """Mean rows of several passes (B, W), fetched from the device together, so that it need not wait in between."""
        from vitime_cache.interventions.runs import fetch

        return fetch(rows).astype(np.float64) * self.model.config.row_step

    def _in_batches(self, drawn: Floats, run: Callable[[Tensor], Tensor], told: Told) -> Floats:
        from vitime_cache.attention.passes import in_passes
        from vitime_cache.interventions.runs import batch_size, mean_rows

        def rows_of(some: Sequence[int]) -> Tensor:
            return mean_rows(run(self._images(drawn[list(some)])))

        parts = []
        for some, rows in in_passes(range(len(drawn)), batch_size(self.model), rows_of):
            parts.append(rows)
            told(len(some))
        return self._in_deviations(parts)


@dataclass(frozen=True)
class Cell:
    """One replicate: a window, and the number of its stand-in."""

    window: int
    draw: int


def cells(windows: int, n: int) -> list[Cell]:
    """`n` replicates, or one per window if that is more: windows in turn, with a new stand-in for each."""
    return [Cell(i % windows, i) for i in range(max(n, windows))]
