"""The verdict Dataset: which heads look one period back, and does the forecast use it? Names, meaning, checks.

One Dataset answers one question about one signal: four rungs for every head over (layer, head), each with the figure
that it rests on, and the arrays behind it. Plain arrays and JSON attributes, so that a store can keep it and any
process can hold it. A partial verdict is the same Dataset with what is not known yet missing (NaN, "not tested").
This is the only place where its dimension, variable and attribute names are spelled.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from vitime_cache.attention.schema import HEAD, LAYER, Variable
from vitime_cache.errors import VitimeError
from vitime_cache.interventions.outcomes import CONTROL as CONTROL
from vitime_cache.interventions.outcomes import OUTCOME as OUTCOME

RUNG, NULL, PAST_LAG, SWEEP = "rung", "null", "past_lag", "sweep_period"
STAND_IN, WINDOW, SAMPLE, RANDOM_SET = "stand_in", "window", "sample", "random_set"

RUNGS = ("descriptive", "signal-dependent", "tracking", "causal")
OUTCOMES = ("distance", "error", "seasonal_power", "log_score")
STAND_INS = ("notched", "aperiodic")

SUPPORTED, NOT_SUPPORTED, INCONCLUSIVE, NOT_TESTED = 1, 0, -1, -2
WORDS: Mapping[int, str] = {
    SUPPORTED: "supported", NOT_SUPPORTED: "not supported", INCONCLUSIVE: "inconclusive", NOT_TESTED: "not tested",
}  # fmt: skip

_HEADS = (LAYER, HEAD)
_STDS = "standard deviations of the history"
_EFFECTS = f"distance, error and log score in {_STDS} (log score: nats); seasonal power as a share"

VARIABLES: Mapping[str, Variable] = {
    "verdict": Variable((RUNG, *_HEADS), "int8", "verdict on a rung, corrected over the heads asked about", "flag"),
    "figure": Variable(
        (RUNG, *_HEADS), "float32",
        "what the verdict rests on: prominence at the period; excess over the mean null curve; slope; effect of the "
        "mask one period back, or of the knockout where it carries the verdict alone",
        f"of the curve's mean; of the curve's mean; samples per sample; {_STDS}",
    ),
    "p_value": Variable((RUNG, *_HEADS), "float32", "p-value corrected over the heads asked about; NaN: no test"),
    "asked": Variable(_HEADS, "bool", "whether the head was asked about"),
    # descriptive
    "lag_curve": Variable((*_HEADS, PAST_LAG), "float32", "mean attention to a lag in the past, mean over windows"),
    "peak_lag": Variable(_HEADS, "float32", "lag of the strongest peak that the axis resolves, NaN: none", "samples"),
    "peak_prominence": Variable(_HEADS, "float32", "prominence of the strongest peak", "of the curve's mean"),
    "prominence": Variable((WINDOW, *_HEADS), "float32", "prominence of the peak at the period", "of the curve's mean"),
    "flank_excess": Variable(_HEADS, "float32", "attention at the period less that beside it", "of the curve's mean"),
    "flank_excess_error": Variable(
        _HEADS, "float32", "standard error of flank_excess over queries", "of the curve's mean"
    ),
    "query_contrast": Variable(
        _HEADS, "float32", "(attention at the period - beside it) / (their sum), mean over queries and windows"
    ),
    "query_contrast_error": Variable(_HEADS, "float32", "its standard error over queries"),
    # signal-dependent
    "null_mean": Variable((NULL, *_HEADS, PAST_LAG), "float32", "mean lag curve of null inputs"),
    "null_upper": Variable(
        (NULL, *_HEADS, PAST_LAG), "float32",
        "the largest of 20 null curves at a lag, on average: their 95 % quantile, lag by lag",
    ),
    "null_p": Variable((NULL, *_HEADS), "float32", "p-value of flank_excess against null inputs, corrected over heads"),
    # tracking
    "sweep_peak": Variable((SWEEP, *_HEADS), "float32", "first prominent peak at a period, NaN: none", "samples"),
    "slope": Variable(_HEADS, "float32", "lag of the first peak per period, on the periods measured on"),
    "slope_low": Variable(_HEADS, "float32", "lower end of the slope's 95 % interval"),
    "slope_high": Variable(_HEADS, "float32", "upper end of the slope's 95 % interval"),
    "intercept": Variable(_HEADS, "float32", "lag of the first peak at period 0 on the fitted line", "samples"),
    "r_squared": Variable(_HEADS, "float32", "share of the peaks' variance on the line"),
    "found": Variable(_HEADS, "float32", "share of the periods measured on that have a first peak"),
    "chosen": Variable(_HEADS, "bool", "whether the head tracks on the periods it was chosen on"),
    # causal
    "attribution": Variable(_HEADS, "float32", "first-order estimate of the knockout: screening only, no result"),
    "knockout": Variable((OUTCOME, WINDOW, *_HEADS), "float32", "effect of replacing a head by its mean", _EFFECTS),
    "knockout_low": Variable((OUTCOME, *_HEADS), "float32", "lower end of its 95 % interval over windows", _EFFECTS),
    "knockout_high": Variable((OUTCOME, *_HEADS), "float32", "upper end of its 95 % interval over windows", _EFFECTS),
    "knockout_stand_in": Variable(
        (STAND_IN, OUTCOME, *_HEADS), "float32", "the same knockout on the series without that period, and on noise",
        _EFFECTS,
    ),
    "knockout_rank": Variable(_HEADS, "float32", "rank of the knockout's distance among heads tested, 1 the largest"),
    "knockout_p": Variable(_HEADS, "float32", "p-value of that distance as an outlier among all heads, corrected"),
    "mask": Variable(
        (OUTCOME, WINDOW, *_HEADS), "float32", "effect of taking away the attention one period back, and no other",
        _EFFECTS,
    ),
    "mask_low": Variable((OUTCOME, *_HEADS), "float32", "lower end of its 95 % interval over windows", _EFFECTS),
    "mask_high": Variable((OUTCOME, *_HEADS), "float32", "upper end of its 95 % interval over windows", _EFFECTS),
    "mask_mass": Variable(_HEADS, "float32", "attention one period back, mean over queries", "share"),
    "mask_elsewhere": Variable(
        (OUTCOME, WINDOW, *_HEADS), "float32", "effect of taking as much attention of each query evenly elsewhere",
        _EFFECTS,
    ),
    "mask_control": Variable((CONTROL, OUTCOME, *_HEADS), "float32", "effect of masking another lag", _EFFECTS),
    "mask_control_elsewhere": Variable(
        (CONTROL, OUTCOME, *_HEADS), "float32", "effect of taking as much as at that lag evenly elsewhere", _EFFECTS
    ),
    "mask_p": Variable(
        (OUTCOME, *_HEADS), "float32",
        "p-value of what masking one period back does beyond mask_elsewhere, against other lags, corrected over heads",
    ),
    "through_lags": Variable(
        _HEADS, "bool", "whether the causal verdict rests on what the head reads one period back, else on all of it"
    ),
    "comb": Variable(
        (OUTCOME, WINDOW, *_HEADS), "float32",
        "effect of masking the lags of the period and of all its multiples, the attention shared out among the rest",
        _EFFECTS,
    ),
    "comb_kept": Variable(
        (OUTCOME, WINDOW, *_HEADS), "float32", "the same without sharing the attention out again", _EFFECTS
    ),
    "comb_rank": Variable(
        _HEADS, "float32", "rank of the comb's distance among combs of the same spacing at other phases, 1 the largest"
    ),
    "windows_p": Variable(_HEADS, "float32", "sign-flip p-value over windows, corrected; NaN with fewer than five"),
    "joint": Variable((OUTCOME,), "float32", "joint knockout of the heads named in counts.joint", _EFFECTS),
    "joint_random": Variable(
        (RANDOM_SET, OUTCOME), "float32", "joint knockout of a random set with as many heads in each layer", _EFFECTS
    ),
    "joint_sum": Variable((OUTCOME,), "float32", "sum of their single knockouts", _EFFECTS),
    # what was given to the model
    "history": Variable((WINDOW, SAMPLE), "float32", "the window's history, NaN after it", "units of the signal"),
    "forecast": Variable((WINDOW, SAMPLE), "float32", "intact forecast, NaN before it", "units of the signal"),
    "future": Variable((WINDOW, SAMPLE), "float32", "what really came, NaN where unknown", "units of the signal"),
}  # fmt: skip
COORDINATES: Mapping[str, tuple[str, str]] = {
    "window_start": (WINDOW, "first sample of the window in the series"),
    "measured_on": (SWEEP, "whether slopes are measured on this period; heads are chosen on the others"),
}
# JSON objects, but for the plain texts `config` (a JSON object as in the attention schema) and `created`.
ATTRIBUTES = ("question", "window_facts", "counts", "screening", "sentences", "stages", "config", "created")
METHOD = 3  # part of every question; to be raised where what is done, and so its answer or its variables, changes
STAGES = RUNGS  # as they are completed; a verdict is complete when all are


class VerdictError(VitimeError):
    """A Dataset that is no verdict, or a question that cannot be asked."""


def blank(
    layers: Sequence[str], heads: int, *, patches: int, windows: Sequence[int], samples: int, nulls: Sequence[str],
    sweep: ArrayLike, measured_on: ArrayLike, controls: int, sets: int, attributes: Mapping[str, Any],
) -> xr.Dataset:  # fmt: skip
    """A verdict in which nothing is known yet.

    Parameters
    ----------
    patches
        Patch columns; lags into the past are 0 … patches - 1.
    windows
        First sample of each window.
    samples
        History and horizon of a window together.
    sweep, measured_on
        Periods of the sweep in samples, and which of them slopes are measured on.
    controls, sets
        Other lags that are masked, at most, and random sets of heads.
    attributes
        Values of `ATTRIBUTES`; all but `config` and `created` are encoded as JSON here.
    """
    labels: dict[str, Any] = {
        RUNG: np.array(RUNGS, dtype=object), LAYER: np.array(layers, dtype=object), HEAD: np.arange(heads),
        NULL: np.array(nulls, dtype=object), PAST_LAG: np.arange(patches), SWEEP: np.array(sweep, dtype=np.float64),
        OUTCOME: np.array(OUTCOMES, dtype=object), CONTROL: np.arange(controls),
        RANDOM_SET: np.arange(sets),
        STAND_IN: np.array(STAND_INS, dtype=object), WINDOW: np.arange(len(windows)), SAMPLE: np.arange(samples),
    }  # fmt: skip
    empty: Mapping[str, Any] = {"float32": np.nan, "int8": NOT_TESTED, "bool": False}
    ds = xr.Dataset(
        {
            name: (v.dims, np.full([len(labels[d]) for d in v.dims], empty[v.dtype], v.dtype), v.attributes)
            for name, v in VARIABLES.items()
        },
        coords=labels,
    ).assign_coords(window_start=(WINDOW, np.array(windows)), measured_on=(SWEEP, np.array(measured_on, dtype=bool)))
    for name, (_, meaning) in COORDINATES.items():
        ds[name].attrs["long_name"] = meaning
    ds["verdict"].attrs |= {
        "flag_values": list(WORDS), "flag_meanings": " ".join(word.replace(" ", "_") for word in WORDS.values()),
    }  # fmt: skip
    ds.attrs = {"title": "verdict on what the heads of a ViTime model do with one period of one signal"}
    ds.attrs |= {name: _encoded(name, attributes[name]) for name in ATTRIBUTES}
    return ds


def validate(ds: xr.Dataset) -> xr.Dataset:
    """Return `ds` if it is a verdict, complete or partial.

    Raises
    ------
    VerdictError
        Naming the variable, coordinate or attribute, what it is and what it should be.
    """
    for name, variable in VARIABLES.items():
        if name not in ds:
            raise VerdictError(f"the verdict lacks the variable {name!r}")
        if ds[name].dims != variable.dims:
            raise VerdictError(f"{name} has dimensions {ds[name].dims}, expected {variable.dims}")
        if ds[name].dtype != np.dtype(variable.dtype):
            raise VerdictError(f"{name} has dtype {ds[name].dtype}, expected {variable.dtype}")
    for name, (dimension, _) in COORDINATES.items():
        if name not in ds.coords or ds[name].dims != (dimension,):
            raise VerdictError(f"the verdict lacks the coordinate {name!r} over {dimension}")
    for name in ATTRIBUTES:
        if name not in ds.attrs:
            raise VerdictError(f"the verdict lacks the attribute {name!r}")
        try:
            facts(ds, name)
        except (TypeError, ValueError) as error:
            raise VerdictError(f"the verdict's attribute {name!r} is not JSON: {error}") from error
    if list(ds[RUNG].values) != list(RUNGS):
        raise VerdictError(f"the rungs are {', '.join(map(str, ds[RUNG].values))}, expected {', '.join(RUNGS)}")
    if strange := sorted(set(np.unique(ds["verdict"].values).tolist()) - set(WORDS)):
        raise VerdictError(f"verdicts are {', '.join(map(str, WORDS))}, got {', '.join(map(str, strange))}")
    return ds


def three_values(
    supported: NDArray[np.bool_], refuted: NDArray[np.bool_], asked: NDArray[np.bool_]
) -> NDArray[np.int8]:
    """Verdicts: supported, not supported where an effect worth the name is ruled out, inconclusive otherwise."""
    answered = np.where(supported, SUPPORTED, np.where(refuted, NOT_SUPPORTED, INCONCLUSIVE))
    return np.where(asked, answered, NOT_TESTED).astype(np.int8)


def facts(ds: xr.Dataset, name: str) -> Any:
    """A JSON attribute of a verdict, decoded: "question", "window_facts", "counts", "screening", "sentences" …"""
    return ds.attrs[name] if name == "created" else json.loads(ds.attrs[name])


def with_facts(ds: xr.Dataset, **changes: Any) -> xr.Dataset:
    """The verdict with some attributes replaced."""
    return ds.assign_attrs({name: _encoded(name, value) for name, value in changes.items()})


def complete(ds: xr.Dataset) -> bool:
    """Whether every rung has been worked on: False for a partial verdict."""
    return set(STAGES) <= set(facts(ds, "stages"))


def question_key(ds: xr.Dataset) -> str:
    """A short name of the question, safe in a path: equal questions of equal weights have equal names."""
    question = facts(ds, "question")
    digest = hashlib.sha256(json.dumps(question, sort_keys=True).encode()).hexdigest()[:12]
    return f"period-{question['period']:g}-{digest}".replace(".", "_").replace("+", "")


def _encoded(name: str, value: Any) -> str:
    return str(value) if name in ("config", "created") else json.dumps(value)
