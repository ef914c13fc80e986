"""The population Dataset: the answers for many signals, one row each. Names, meanings, checks.

A row has the results of the first levels of a signal's verdict; for a signal that could not be asked about it says why.
Unfinished rows are "open", so that a table grows signal by signal and an interrupted one can continue. Its variable and
attribute names are defined here and nowhere else.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from vitime_cache.attention.schema import HEAD, LAYER, SAMPLE_SECONDS, SIGNAL, Variable
from vitime_cache.evidence.levels.table import KINDS, STDS
from vitime_cache.evidence.population.facts import KINDS_OF_FACTS
from vitime_cache.evidence.verdict.facts import TEXTS as PLAIN
from vitime_cache.evidence.verdict.schema import VerdictError, encoded, without_values
from vitime_cache.evidence.verdict.schema import facts as facts
from vitime_cache.series.bounds import SignalError
from vitime_cache.series.spans import samples_in_words, to_samples
from vitime_cache.typed_json import check_attributes

LEVELS = ("influence", "mechanism", "set")  # levels that run for each signal

FIGURES = (
    "influence_effect", "influence_share", "influence_low", "influence_high", "influence_by_chance",
    "mechanism_effect", "mechanism_coverage", "mechanism_share", "mechanism_low", "mechanism_high", "mechanism_rest",
    "set_share", "set_without",
)  # fmt: skip
VARIABLES: Mapping[str, Variable] = {
    "period": Variable((SIGNAL,), "float64", "period asked about, NaN: none", "samples"),
    "windows": Variable((SIGNAL,), "float32", "windows that it was asked on", "1"),
    **{
        name: Variable((SIGNAL,), "float32", f"{name} of the signal's verdict",
                       STDS if name.endswith("_effect") else "share")
        for name in FIGURES
    },
    "in_set": Variable(
        (SIGNAL, LAYER, HEAD), "bool", "whether the head is among the few that carry it, where attention is shown to"
    ),
}  # fmt: skip
TEXTS: Mapping[str, str] = {
    "kind": "kind of answer, or why there is none",
    "reason": "what stood in the way of asking, in words; empty where the signal was asked about",
    "series_sha256": "which series it is: names may be anybody's",
}
SPACING = "seconds from one sample to the next, 0: not known"  # a coordinate that older tables lack
ATTRIBUTES = (*KINDS_OF_FACTS, *PLAIN)  # JSON as `facts` describes it, and plain text as in a verdict


@dataclass(frozen=True)
class NotAsked:
    """Why a signal has no answer.

    Attributes
    ----------
    one, many
        The reason, for one signal and for several.
    """

    one: str
    many: str


NOT_ASKED: Mapping[str, NotAsked] = {
    "no period": NotAsked("no period of it is proposed", "no period of them is proposed"),
    "constant": NotAsked("it is constant", "they are constant"),
    "no spacing": NotAsked(
        "how far apart its samples are is not known", "how far apart their samples are is not known"
    ),
    "not seen": NotAsked("no window of it shows the period", "no window of them shows the period"),
}
OPEN = "open"


def blank(
    layers: Sequence[str], heads: int, signals: Sequence[str], hashes: Sequence[str], attributes: Mapping[str, Any],
    seconds: Sequence[float] = (),
) -> xr.Dataset:  # fmt: skip
    """A table in which every signal is open.

    Parameters
    ----------
    signals, hashes
        Names, and `evidence.question.series_hash` of each series.
    attributes
        Values of `ATTRIBUTES`; encoded as JSON here, except plain text.
    """
    n = len(signals)
    labels: dict[str, Any] = {
        SIGNAL: np.array(signals, dtype=object), LAYER: np.array(layers, dtype=object), HEAD: np.arange(heads),
    }  # fmt: skip
    ds = without_values(VARIABLES, labels)
    values = {"kind": [OPEN] * n, "reason": [""] * n, "series_sha256": list(hashes)}
    for name, meaning in TEXTS.items():
        ds = ds.assign_coords({name: (SIGNAL, np.array(values[name], dtype=object), {"long_name": meaning})})
    ds = ds.assign_coords({SAMPLE_SECONDS: (SIGNAL, np.array(seconds or [0.0] * n), {"long_name": SPACING})})
    ds.attrs = {"title": "on how many signals the forecast of a ViTime model uses what lies whole periods back"}
    ds.attrs |= {name: encoded(name, attributes[name]) for name in ATTRIBUTES}
    return ds


def validate(ds: xr.Dataset) -> xr.Dataset:
    """Return `ds` if it is such a table, finished or not.

    Raises
    ------
    VerdictError
        Naming the variable, coordinate or attribute, what it is and what it should be.
    """
    if not isinstance(ds, xr.Dataset):
        raise VerdictError(f"a table to start from or to show is the Dataset of ask_all, got {ds!r:.60}")
    for name, variable in VARIABLES.items():
        if name not in ds:
            raise VerdictError(f"the table of signals lacks the variable {name!r}")
        if ds[name].dims != variable.dims or ds[name].dtype != np.dtype(variable.dtype):
            raise VerdictError(
                f"{name} is {ds[name].dtype} over {ds[name].dims}, expected {variable.dtype} over {variable.dims}"
            )
    for name in (SIGNAL, *TEXTS):
        if name not in ds.coords or ds[name].dims != (SIGNAL,):
            raise VerdictError(f"the table of signals lacks the coordinate {name!r} over {SIGNAL}")
    spacing = ds.coords.get(SAMPLE_SECONDS)
    if spacing is not None and (spacing.dims != (SIGNAL,) or spacing.dtype != np.float64 or not (spacing >= 0).all()):
        raise VerdictError(f"{SAMPLE_SECONDS} of the table of signals is no number of seconds over {SIGNAL}")
    check_facts(ds.attrs)
    if strange := sorted(set(map(str, ds["kind"].values)) - {*KINDS, *NOT_ASKED}):
        raise VerdictError(f"answers are {', '.join([*KINDS, *NOT_ASKED])}; got {strange[0]!r:.60}")
    return ds


def check_facts(attributes: Mapping[Any, Any]) -> None:
    """Check the attributes of a table of signals against the types in `facts`.

    Raises
    ------
    VerdictError
        Naming the attribute, the value in it and the expected type.
    """
    whole = "the table of signals"
    check_attributes(attributes, KINDS_OF_FACTS, PLAIN, whole, f"the attribute {{!r}} of {whole}", error=VerdictError)
    if isinstance(period := json.loads(attributes["question"])["period"], str):
        try:
            to_samples(period, 1.0)
        except SignalError as error:
            raise VerdictError(f"the table of signals is about no period: {error}") from None


def period_words(ds: xr.Dataset, place: int) -> str:
    """The period that one signal was asked about, in samples and, if their spacing is known, in time; "" for none."""
    period = float(ds["period"].values[place])
    return samples_in_words(period, spacing(ds, place)) if np.isfinite(period) else ""


def spacing(ds: xr.Dataset, place: int) -> float:
    """Seconds from one sample of a signal to the next; 0 where that is not known."""
    return float(ds[SAMPLE_SECONDS].values[place]) if SAMPLE_SECONDS in ds.coords else 0.0


def complete(ds: xr.Dataset) -> bool:
    """Whether every signal is finished."""
    return OPEN not in ds["kind"].values


def question_name(question: Mapping[str, Any]) -> str:
    """A name for a question, safe in a path: equal questions have equal names."""
    digest = hashlib.sha256(json.dumps(question, sort_keys=True).encode()).hexdigest()[:12]
    return f"population-{digest}"
