"""Chooses the windows of a series for a question.

The lag axis has one point per patch, and a patch is (T + H) / columns samples. A period shows if it spans two patches
and shows well if it spans four, so T + H should not exceed columns · P / 4. The tool chooses such windows, several if
the series is long enough, and says which samples it leaves out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np

from vitime_cache.attention.peaks import SHORTEST_PERIOD
from vitime_cache.evidence.levels.looking import LookingError, sights
from vitime_cache.evidence.periods import Proposal
from vitime_cache.evidence.verdict.schema import VerdictError
from vitime_cache.model.encoding import history_columns, history_patches
from vitime_cache.series.spans import samples_in_words

GOOD_PATCHES = 4  # patches that a period should span
PATCHES = 5  # target: a whole number, so that a period falls on one bin, with room between its multiples
HORIZON_SHARE = 1 / 3  # of a window: enough forecast to ask about, enough history to forecast from
FEWEST_PERIODS = 5  # target for the history: with fewer, little repeats
MOST_WINDOWS = 6
SHORTEST_HISTORY = 2  # periods
SHORTEST_SAMPLES = 2  # samples per period: a shorter period aliases to a longer one


@dataclass(frozen=True)
class Window:
    """Adjacent windows of equal geometry that end with the series.

    Attributes
    ----------
    starts
        First sample of each window in the series, oldest first.
    history, horizon
        Samples of each window; the samples of the horizon are known and held out.
    length
        Samples of the series.
    samples_per_patch
        Samples per patch of lag.
    period
        In samples.
    chosen
        Whether the tool chose the geometry; False if the user did.
    sample_seconds
        From one sample to the next; 0 where that is not known.
    after_constant
        Whether earlier windows are left out because the history of one is constant.
    """

    starts: tuple[int, ...]
    history: int
    horizon: int
    length: int
    samples_per_patch: float
    period: float
    chosen: bool
    sample_seconds: float = 0.0
    after_constant: bool = False

    @property
    def patches_per_period(self) -> float:
        """Points of the lag axis in one period."""
        return self.period / self.samples_per_patch

    @property
    def left_out(self) -> int:
        """Samples at the start of the series that are in no window."""
        return self.starts[0]

    @property
    def words(self) -> str:
        """One line that describes the windows."""
        history, horizon, period = map(self._span, (self.history, self.horizon, self.period))
        shape = f"{history} of history and a horizon of {horizon}"
        where = f"{len(self.starts)} windows of {shape}" if len(self.starts) > 1 else f"One window: {shape}"
        seen = f"at {self._span(self.samples_per_patch, 3)} a patch the period of {period} spans "
        seen += f"{self.patches_per_period:.1f} patches"
        if self.patches_per_period < GOOD_PATCHES:
            seen += f", fewer than the {GOOD_PATCHES} that show it well"
        rest = f"; the first {self._span(self.left_out)} of {self.length} are left out" if self.left_out else ""
        rest += ", where a history is constant" * self.after_constant
        return f"{where}; {seen}{rest}."

    def _span(self, samples: float, digits: int = 4) -> str:
        return samples_in_words(samples, self.sample_seconds, digits)

    def facts(self, proposed: Sequence[Proposal] = ()) -> dict[str, Any]:
        """Everything about the window, for a verdict's attribute "window_facts"."""
        derived = {name: getattr(self, name) for name in ("patches_per_period", "left_out", "words")}
        return asdict(self) | derived | {"starts": list(self.starts), "proposed": [asdict(p) for p in proposed]}


def choose_window(
    length: int, period: float, *, columns: int, patch_width: int,
    history: int | None = None, horizon: int | None = None, sample_seconds: float = 0.0,
) -> Window:  # fmt: skip
    """Choose history and horizon so that a period of `period` samples can be seen, and place the windows.

    Parameters
    ----------
    length
        Samples of the series.
    columns, patch_width
        Columns of the model's image, and columns per patch.
    history, horizon
        Given lengths instead of chosen ones; both or neither.
    sample_seconds
        From one sample to the next, so that what is said is said in time too; 0 where that is not known.

    Raises
    ------
    VerdictError
        If the window cannot show the period, saying which window would.
    """
    patches, said = columns / patch_width, partial(samples_in_words, sample_seconds=sample_seconds)
    if not SHORTEST_SAMPLES <= period < np.inf:
        raise VerdictError(f"the period must be a number of at least {SHORTEST_SAMPLES} samples, got {period:g}")
    if (history is None) != (horizon is None):
        raise VerdictError("give a window's history and horizon, or neither")
    chosen = history is None or horizon is None
    if history is None or horizon is None:
        span = min(int(patches * period / GOOD_PATCHES), max(int(patches * period / PATCHES), _enough(period)), length)
        horizon = max(round(span * HORIZON_SHARE), 1)
        history = span - horizon
    elif history < 4 or horizon < 1 or history + horizon > length:
        raise VerdictError(
            f"a window needs 4 samples of history and 1 of horizon or more, within the {length} samples of the "
            f"series; got {history} and {horizon}"
        )
    spp = patch_width * (history + horizon) / columns
    if period < SHORTEST_PERIOD * spp * (1 - 1e-9):
        raise VerdictError(
            f"a period of {said(period)} cannot be seen at {said(spp, digits=3)} a patch; history and horizon of "
            f"{said(int(patches * period / SHORTEST_PERIOD))} together would show it, and "
            f"{said(int(patches * period / GOOD_PATCHES))} would show it well"
        )
    if history < SHORTEST_HISTORY * period or history < 4:
        least = max(int(np.ceil(SHORTEST_HISTORY * period)), 4)
        rest = length - least  # may still show a patch of its own
        longer = rest > 2 * patch_width * length / columns
        shows = longer and _queries_see(period, least, rest, columns, patch_width)
        own = f", choose the window ({least}+{rest} shows it)" if shows else ""
        raise VerdictError(
            f"a period of {said(period)} needs a history of at least {SHORTEST_HISTORY} periods, and this one has "
            f"{said(history)} of the series' {length}; ask about a shorter period{own} or give a longer series"
        )
    if -(-history_columns(history, horizon, columns) // patch_width) >= patches:
        raise VerdictError(
            f"a horizon of {said(horizon)} has no patch of its own at {said(spp, digits=3)} a patch; "
            f"{said(int(2 * spp) + 1)} have one"
        )
    count = min(max(length // (history + horizon), 1), MOST_WINDOWS)
    starts = tuple(length - (history + horizon) * (count - i) for i in range(count))
    return Window(starts, history, horizon, length, spp, float(period), chosen, sample_seconds)


def _queries_see(period: float, history: int, horizon: int, columns: int, patch_width: int) -> bool:
    """Whether enough queries of a window look whole periods back in its history."""
    shown = history_patches(history, horizon, columns, patch_width)
    try:
        sights(columns // patch_width, shown, period * columns / (patch_width * (history + horizon)))
    except LookingError:
        return False
    return True


def _enough(period: float) -> int:
    """Samples of a window whose history has enough periods."""
    return int(np.ceil(FEWEST_PERIODS * period / (1 - HORIZON_SHARE)))
