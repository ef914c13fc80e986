"""The windows of a question on its series, and the samples that are left out."""

from __future__ import annotations

import numpy as np
import pandas as pd

from vitime_cache.charts.clock import Clock
from vitime_cache.charts.style import (
    FORECAST,
    HISTORY,
    MOST_POINTS,
    NEUTRAL,
    STRETCH,
    Spec,
    assemble,
    layer,
    quantity,
    subtitle_lines,
    thin,
    tip,
)
from vitime_cache.evidence.window import Window

WORDS = 560  # pixels of a line of its words, which a page with its sidebar on a tablet shows whole
GIVEN, AHEAD = "history given to the model", "to be forecast"


def window_picture(
    name: str, values: np.ndarray, window: Window, start: str = "", *, width: int = 860, height: int = 180
) -> Spec:
    """A whole series (T,) with the stretches that are the model's history and those that it must forecast.

    Parameters
    ----------
    start
        Time of the first sample in ISO 8601, or "" where that is not known.
    """
    line = thin(np.arange(len(values)), values, MOST_POINTS)
    clock = Clock(window.sample_seconds, start)
    x = quantity("time", scale={"domain": [0, len(values)], "nice": False}, **clock.axis(0, len(values)))
    history, span = window.history, window.history + window.horizon
    y = quantity("value", "value", scale={"zero": False})
    boxes = pd.DataFrame(
        [
            {"from": at + first, "to": min(at + last, len(values)), "part": part}
            for at in window.starts
            for first, last, part in ((0, history, GIVEN), (history, span, AHEAD))
        ]
    )
    begins, begin = clock.moments_tip(boxes["from"], "begins", "from")
    ends, end = clock.moments_tip(boxes["to"], "ends", "to")
    boxes = boxes.assign(**begins, **ends)
    points, tooltip = clock.points_tip(line, "time")
    layers = [
        *(
            layer(
                boxes[boxes["part"] == part],
                "rect",
                encoding={
                    "x": quantity("from"),
                    "x2": {"field": "to"},
                    "tooltip": [
                        tip("part", "part"),
                        tip("from", "from sample", "d"),
                        tip("to", "to sample", "d"),
                        *begin,
                        *end,
                    ],
                },
                color=colour,
                opacity=0.18,
            )
            for part, colour in ((GIVEN, HISTORY), (AHEAD, FORECAST))
        ),
        layer(line, "line", encoding={"x": x, "y": y}, color=NEUTRAL, strokeWidth=1.2),
        layer(
            points,
            "rule",
            encoding={"x": x, "tooltip": tooltip},
            opacity=0,
            strokeWidth=3,
        ),
    ]
    return assemble(
        layers,
        f"The stretch asked about: {name}",
        subtitle_lines(
            window.words, "Blue: history given to the model; orange: to be forecast; no colour: left out", width=WORDS
        ),
        width=width,
        height=height,
        autosize=STRETCH,
    )


def window_table(values: np.ndarray, window: Window, start: str = "") -> pd.DataFrame:
    """sample, value (T,), and its part: history, horizon, or left out; with its time (ISO 8601) if that is known.

    Parameters
    ----------
    start
        Time of the first sample, or "".
    """
    part = np.full(len(values), "left out", dtype=object)
    for first in window.starts:
        border = first + window.history
        part[first:border] = "history"
        part[border : border + window.horizon] = "horizon"
    table = pd.DataFrame({"sample": np.arange(len(values)), "value": values, "part": part})
    return Clock(window.sample_seconds, start).with_times(table)
