"""The verdict Dataset: does the forecast use what lies whole periods back, through which attention and which heads?

One Dataset answers one question about one signal: the forecast as a whole (influence, mechanism), the few heads that
carry it, and for every head five claims over (layer, head), with their figures and the arrays behind them. It consists
of plain arrays and JSON attributes, so that stores and other processes can hold it. A partial verdict is the same
Dataset with unknown values missing (NaN, "not tested"). Dimension, variable and attribute names are defined here and
nowhere else; the words for levels and claims are in `levels.table`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from vitime_cache.arrays import Bools
from vitime_cache.attention.lags import Region
from vitime_cache.attention.schema import HEAD, LAYER, Variable
from vitime_cache.errors import VitimeError
from vitime_cache.evidence.levels.table import (
    CLAIM_NAMES,
    INCONCLUSIVE,
    KINDS,
    NOT_SUPPORTED,
    NOT_TESTED,
    STDS,
    SUPPORTED,
)
from vitime_cache.evidence.levels.table import OUTCOMES as VERDICTS
from vitime_cache.evidence.levels.table import STAGES as STAGES
from vitime_cache.evidence.verdict.facts import KINDS_OF_FACTS, TEXTS
from vitime_cache.interventions.outcomes import OUTCOME, OUTCOMES
from vitime_cache.typed_json import check_attributes

CLAIM, REGION, NULL, PAST_LAG, SWEEP = "claim", "region", "null", "past_lag", "sweep_period"
WINDOW, SAMPLE, REPLICATE = "window", "sample", "replicate"
PHASE, MULTIPLE, SET_SIZE, RANDOM_SET = "phase", "multiple", "set_size", "random_set"

REGIONS: tuple[Region, ...] = ("history→history", "forecast→history")  # queries→keys of the claim "looks"
CURVES = ("intact", "blocked")
CURVE = "curve"

_HEADS = (LAYER, HEAD)
_SHARE = "share"
_EFFECTS = f"distance and error in {STDS}; seasonal power as a share; log score in nats"

VARIABLES: Mapping[str, Variable] = {
    # every head: claims
    "verdict": Variable((CLAIM, *_HEADS), "int8", "verdict on a claim, held over all heads asked about", "flag"),
    "figure": Variable((CLAIM, *_HEADS), "float32", "what the verdict rests on, as the claim says"),
    "low": Variable((CLAIM, *_HEADS), "float32", "lower end of the figure's interval, simultaneous over heads"),
    "high": Variable((CLAIM, *_HEADS), "float32", "upper end of the figure's interval, simultaneous over heads"),
    "p_value": Variable((CLAIM, *_HEADS), "float32", "p-value corrected over the heads asked about; NaN: no test"),
    "asked": Variable(_HEADS, "bool", "whether the head was asked about"),
    # influence
    "influence_effect": Variable(
        (), "float32", "change of the forecast under the stand-in: how far it follows it", STDS
    ),
    "influence_share": Variable((), "float32", "share of that change that comes from whole periods back", _SHARE),
    "influence_low": Variable((), "float32", "lower end of its 90 % interval", _SHARE),
    "influence_high": Variable((), "float32", "upper end of its 90 % interval", _SHARE),
    "influence_by_chance": Variable((), "float32", "the share if all of the history counted alike", _SHARE),
    "influence_near": Variable((), "float32", "share of the columns beside whole periods back", _SHARE),
    "influence_far": Variable((), "float32", "share of all other columns", _SHARE),
    "influence_curve": Variable(
        (CURVE, PAST_LAG),
        "float32",
        "change of the forecast a lag after one patch of the history was replaced by another place of it; intact, and "
        "with the values that attention reads whole periods back kept as they were",
        STDS,
    ),
    # mechanism
    "mechanism_effect": Variable((), "float32", "change of the forecast when every value is the stand-in's", STDS),
    "mechanism_coverage": Variable((), "float32", "share of influence_effect's change that these values carry", _SHARE),
    "mechanism_share": Variable((), "float32", "share carried by values whole periods back", _SHARE),
    "mechanism_low": Variable((), "float32", "lower end of its 90 % interval", _SHARE),
    "mechanism_high": Variable((), "float32", "upper end of its 90 % interval", _SHARE),
    "mechanism_rest": Variable(
        (), "float32", "share carried by all other values, without what those passed on", _SHARE
    ),
    "mechanism_beside": Variable((), "float32", "share carried by values one patch beside whole periods back", _SHARE),
    "mechanism_size": Variable(
        (), "float32", "squared change by values whole periods back alone, relative to that by every value", "1"
    ),
    "mechanism_phase": Variable((PHASE,), "float32", "share carried by values at another phase of the period", _SHARE),
    "mechanism_margin_low": Variable(
        (), "float32", "lower end of the 90 % interval of mechanism_share less the largest other phase", _SHARE
    ),
    "mechanism_by_multiple": Variable((MULTIPLE,), "float32", "share carried by values k periods back", _SHARE),
    "mechanism_by_layer": Variable(
        (LAYER,), "float32", "share carried by values whole periods back in a layer", _SHARE
    ),
    # the few heads
    "head_share": Variable(_HEADS, "float32", "share that values whole periods back in a head carry alone", _SHARE),
    "set_rank": Variable(
        _HEADS, "float32", "place of a head in the set that carries most of it, 1 first; NaN: not in it"
    ),
    "set_path": Variable(
        (SET_SIZE,), "float32", "share that the first n heads carry, where the set was chosen", _SHARE
    ),
    "set_share": Variable((), "float32", "share that the set carries alone, on other stand-ins or windows", _SHARE),
    "set_without": Variable((), "float32", "share that all other heads carry without it, likewise", _SHARE),
    "set_random": Variable(
        (RANDOM_SET,), "float32", "share that a random set with as many heads in each layer carries", _SHARE
    ),
    # each head
    "reads_each": Variable((REPLICATE, *_HEADS), "float32", "figure of the claim reads, by stand-in and window", STDS),
    "matters_each": Variable(
        (REPLICATE, *_HEADS), "float32", "figure of the claim matters, by window and stand-in", STDS
    ),
    "knockout": Variable((OUTCOME, WINDOW, *_HEADS), "float32", "effect of replacing a head by its mean", _EFFECTS),
    # looking
    "looks": Variable((REGION, *_HEADS), "int8", "verdict on the claim looks, by region", "flag"),
    "lag_curve": Variable(
        (REGION, *_HEADS, PAST_LAG), "float32", "mean attention to a lag in the past, mean over windows"
    ),
    "peak_lag": Variable(
        (REGION, *_HEADS), "float32", "lag of the strongest peak that the axis resolves, NaN: none", "samples"
    ),
    "prominence": Variable(
        (REGION, *_HEADS), "float32", "largest prominence of a peak whole periods back", "of the curve's mean"
    ),
    "query_contrast": Variable(
        (REGION, *_HEADS),
        "float32",
        "(attention whole periods back - beside it) / (their sum), mean over queries and windows",
    ),
    "query_contrast_error": Variable((REGION, *_HEADS), "float32", "its standard error over queries"),
    # against nulls
    "null_mean": Variable((NULL, REGION, *_HEADS, PAST_LAG), "float32", "mean lag curve of null inputs"),
    "null_upper": Variable((NULL, REGION, *_HEADS, PAST_LAG), "float32", "95 % quantile of null curves, lag by lag"),
    "null_contrast": Variable((NULL, REGION, *_HEADS), "float32", "mean query_contrast of null inputs"),
    "null_p": Variable(
        (NULL, REGION, *_HEADS), "float32", "p-value of query_contrast against null inputs, the maximum over heads"
    ),
    # tracking
    "sweep_peak": Variable((SWEEP, *_HEADS), "float32", "first prominent peak at a period, NaN: none", "samples"),
    "intercept": Variable(_HEADS, "float32", "lag of the first peak at period 0 on the fitted line", "samples"),
    "r_squared": Variable(_HEADS, "float32", "share of the peaks' variance on the line"),
    "found": Variable(_HEADS, "float32", "share of the periods measured on that have a first peak"),
    "chosen": Variable(_HEADS, "bool", "whether the head tracks on the periods it was chosen on"),
    # input and output of the model
    "history": Variable((WINDOW, SAMPLE), "float64", "the window's history, NaN after it", "units of the signal"),
    "forecast": Variable(
        (WINDOW, SAMPLE), "float64", "intact forecast (mean row), NaN before it", "units of the signal"
    ),
    "forecast_low": Variable((WINDOW, SAMPLE), "float64", "its 5 % quantile", "units of the signal"),
    "forecast_high": Variable((WINDOW, SAMPLE), "float64", "its 95 % quantile", "units of the signal"),
    "future": Variable((WINDOW, SAMPLE), "float64", "what really came, NaN where unknown", "units of the signal"),
    "stand_in": Variable((WINDOW, SAMPLE), "float64", "the history moved by half its period", "units of the signal"),
    "forecast_stand_in": Variable((WINDOW, SAMPLE), "float64", "forecast of that stand-in", "units of the signal"),
    "forecast_without": Variable(
        (WINDOW, SAMPLE),
        "float64",
        "forecast with the values that attention reads whole periods back taken from that stand-in",
        "units of the signal",
    ),
}
COORDINATES: Mapping[str, tuple[str, str]] = {
    "window_start": (WINDOW, "first sample of the window in the series"),
    "measured_on": (SWEEP, "whether slopes are measured on this period; heads are chosen on the others"),
    "whole_periods": (PAST_LAG, "whether the lag lies whole periods back"),
}
ATTRIBUTES = (*KINDS_OF_FACTS, *TEXTS)  # JSON as `facts` describes it, and plain text
METHOD = 11  # part of every question; increase it when the method changes, and so answers or variables
_PLAIN = ("config", *TEXTS)  # given as text


class VerdictError(VitimeError):
    """A Dataset that is not a verdict, or a question that cannot be asked."""


def blank(
    layers: Sequence[str], heads: int, *, patches: int, whole_periods: ArrayLike, windows: Sequence[int], samples: int,
    phases: ArrayLike, multiples: int, replicates: int, sizes: int, random_sets: int, nulls: Sequence[str],
    sweep: ArrayLike, measured_on: ArrayLike, attributes: Mapping[str, Any],
) -> xr.Dataset:  # fmt: skip
    """An empty verdict.

    Parameters
    ----------
    patches
        Patch columns; lags into the past are 0 … patches - 1.
    whole_periods
        (patches,) whether a lag lies whole periods back.
    windows
        First sample of each window.
    samples
        History and horizon of a window together.
    phases
        Other phases of the period, in patches.
    multiples
        Number of multiples of the period on the axis, 1 … multiples.
    replicates
        Most replicates of a head's effects, over stand-ins and windows.
    sizes, random_sets
        Most heads in a set, and most random sets.
    sweep, measured_on
        Periods of the sweep in samples, and whether slopes are measured on them.
    attributes
        Values of `ATTRIBUTES`; encoded as JSON here.
    """
    labels: dict[str, Any] = {
        CLAIM: np.array(CLAIM_NAMES, dtype=object), LAYER: np.array(layers, dtype=object), HEAD: np.arange(heads),
        REGION: np.array(REGIONS, dtype=object), CURVE: np.array(CURVES, dtype=object), PAST_LAG: np.arange(patches),
        NULL: np.array(nulls, dtype=object), SWEEP: np.array(sweep, dtype=np.float64),
        OUTCOME: np.array(list(OUTCOMES), dtype=object), PHASE: np.array(phases, dtype=np.float64),
        MULTIPLE: np.arange(1, multiples + 1), REPLICATE: np.arange(replicates), SET_SIZE: np.arange(1, sizes + 1),
        RANDOM_SET: np.arange(random_sets), WINDOW: np.arange(len(windows)), SAMPLE: np.arange(samples),
    }  # fmt: skip
    ds = without_values(VARIABLES, labels).assign_coords(
        window_start=(WINDOW, np.array(windows)),
        measured_on=(SWEEP, np.array(measured_on, dtype=bool)),
        whole_periods=(PAST_LAG, np.array(whole_periods, dtype=bool)),
    )
    for name, (_, meaning) in COORDINATES.items():
        ds[name].attrs["long_name"] = meaning
    for name in ("verdict", "looks"):
        ds[name].attrs |= {
            "flag_values": list(VERDICTS),
            "flag_meanings": " ".join(each.word.replace(" ", "_") for each in VERDICTS.values()),
        }
    ds.attrs = {"title": "whether the forecast of a ViTime model uses what lies whole periods back, and by which heads"}
    ds.attrs |= {name: encoded(name, attributes[name]) for name in ATTRIBUTES}
    return ds


def without_values(variables: Mapping[str, Variable], labels: Mapping[str, Any]) -> xr.Dataset:
    """A Dataset of these variables over labelled dimensions, in which every value is still missing."""
    missing: Mapping[str, Any] = {"float32": np.nan, "float64": np.nan, "int8": NOT_TESTED, "bool": False}
    return xr.Dataset(
        {
            name: (v.dims, np.full([len(labels[d]) for d in v.dims], missing[v.dtype], v.dtype), v.attributes)
            for name, v in variables.items()
        },
        coords=labels,
    )


def validate(ds: xr.Dataset) -> xr.Dataset:
    """Return `ds` if it is a verdict, complete or partial.

    Raises
    ------
    VerdictError
        Naming the variable, coordinate or attribute, what it is and what it should be.
    """
    if not isinstance(ds, xr.Dataset):
        raise VerdictError(f"a verdict to start from or to show is the Dataset of ask, got {ds!r:.60}")
    found = ds.variables  # ds[name] would gather the coordinates of each
    for name, variable in VARIABLES.items():
        if name not in found:
            raise VerdictError(f"the verdict lacks the variable {name!r}")
        if found[name].dims != variable.dims:
            raise VerdictError(f"{name} has dimensions {found[name].dims}, expected {variable.dims}")
        if found[name].dtype != np.dtype(variable.dtype):
            raise VerdictError(f"{name} has dtype {found[name].dtype}, expected {variable.dtype}")
    for name, (dimension, _) in COORDINATES.items():
        if name not in ds.coords or ds[name].dims != (dimension,):
            raise VerdictError(f"the verdict lacks the coordinate {name!r} over {dimension}")
    if (twice := next((name for name, index in ds.indexes.items() if not index.is_unique), None)) is not None:
        raise VerdictError(f"the coordinate {twice!r} names two places alike")
    check_facts(ds.attrs)
    if list(ds[CLAIM].values) != list(CLAIM_NAMES):
        raise VerdictError(f"the claims are {', '.join(map(str, ds[CLAIM].values))}, expected {', '.join(CLAIM_NAMES)}")
    for name in ("verdict", "looks"):
        if strange := sorted(set(np.unique(ds[name].values).tolist()) - set(VERDICTS)):
            raise VerdictError(f"{name} is one of {', '.join(map(str, VERDICTS))}, got {', '.join(map(str, strange))}")
    return ds


def check_facts(attributes: Mapping[Any, Any]) -> None:
    """Check the attributes of a verdict against the types in `facts`.

    Raises
    ------
    VerdictError
        Naming the attribute, the value in it and the expected type.
    """
    called = "the verdict's attribute {!r}"
    check_attributes(attributes, KINDS_OF_FACTS, TEXTS, "the verdict", called, error=VerdictError)
    if strange := [stage for stage in json.loads(attributes["stages"]) if stage not in STAGES]:
        raise VerdictError(f"levels are {', '.join(STAGES)}; got {strange[0]!r:.60}")
    kind(attributes)


def kind(attributes: Mapping[Any, Any]) -> str:
    """The kind of answer among a verdict's attributes, one of `levels.table.KINDS`.

    Raises
    ------
    VerdictError
        For a kind that this version does not know.
    """
    found = json.loads(attributes["answer"])["kind"]
    if found not in KINDS:
        raise VerdictError(f"the answer is of the kind {found!r:.60}; there are {', '.join(KINDS)}")
    return str(found)


def three_values(supported: Bools, refuted: Bools, asked: Bools) -> NDArray[np.int8]:
    """Verdicts: supported; not supported if a relevant effect is ruled out; inconclusive otherwise."""
    answered = np.where(supported, SUPPORTED, np.where(refuted, NOT_SUPPORTED, INCONCLUSIVE))
    return np.where(asked, answered, NOT_TESTED).astype(np.int8)


def facts(ds: xr.Dataset, name: str) -> Any:
    """A JSON attribute of a verdict, decoded: "question", "window_facts", "counts", "answer" …"""
    return ds.attrs[name] if name in TEXTS else json.loads(ds.attrs[name])


def with_facts(ds: xr.Dataset, **changes: Any) -> xr.Dataset:
    """The verdict with some attributes replaced."""
    return ds.assign_attrs({name: encoded(name, value) for name, value in changes.items()})


def complete(ds: xr.Dataset) -> bool:
    """Whether every level is finished."""
    return set(STAGES) <= set(facts(ds, "stages"))


def question_key(ds: xr.Dataset) -> str:
    """A short name of the question, safe in a path: equal questions about equal weights have equal names."""
    question = facts(ds, "question")
    digest = hashlib.sha256(json.dumps(question, sort_keys=True).encode()).hexdigest()[:12]
    return f"period-{question['period']:g}-{digest}".replace(".", "_").replace("+", "")


def encoded(name: str, value: Any) -> str:
    """The value of an attribute as it is stored: JSON, except what is text already."""
    return str(value) if name in _PLAIN else json.dumps(value)
