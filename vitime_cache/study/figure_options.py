"""The options that both classes of the study take for their figures, checked before the model runs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from numbers import Integral
from pathlib import Path
from typing import Any, Self

from vitime_cache.charts.shading import Contrast
from vitime_cache.checks import truth
from vitime_cache.study.seen_attention import RolloutError

MOST_NAME = 150  # characters of an experiment's name


@dataclass(frozen=True)
class FigureOptions:
    """What `plot_attention_heads` draws, and where.

    Attributes
    ----------
    heads
        The numbers asked for, which the model need not have.
    contrast
        None for a heatmap without contrast.
    """

    folder: Path
    experiment: str
    heads: tuple[int, ...]
    contrast: Contrast | None

    @classmethod
    def of(cls, save_dir: Any, heads_to_plot: Any, experiment: Any, powermap: Any, **contrast: Any) -> Self:
        """The checked options.

        Raises
        ------
        RolloutError, ContrastError
            Naming the option and its value.
        """
        if not isinstance(save_dir, str | Path) or "\0" in str(save_dir):
            raise RolloutError(f"save_dir must be the name of a folder, got {save_dir!r:.60}")
        name = str(experiment)
        if not isinstance(experiment, str | int) or not (
            0 < len(name) <= MOST_NAME and name.isprintable() and name == name.strip()
        ):
            raise RolloutError(
                f"experiment must be a number, or a name of at most {MOST_NAME} printable characters without blanks "
                f"around it, got {experiment!r:.60}"
            )
        heads = heads_to_plot if isinstance(heads_to_plot, Iterable) else [heads_to_plot]
        numbers = tuple(heads)
        if strange := [head for head in numbers if isinstance(head, bool) or not isinstance(head, Integral)]:
            raise RolloutError(f"no head {strange[0]!r:.60}; heads_to_plot are whole numbers such as 7")
        options = Contrast(**contrast)
        return cls(Path(save_dir), name, tuple(map(int, numbers)), options if truth(powermap, "powermap") else None)
