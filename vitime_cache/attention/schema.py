"""The attention Dataset: names, shapes, meaning.

A stored signal and a live signal have the same Dataset; a store adds `signal` as the first dimension.
Dimension, coordinate and variable names are defined here and nowhere else.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from importlib.metadata import version
from typing import Any

import numpy as np
import xarray as xr

from vitime_cache._version import __version__
from vitime_cache.errors import VitimeError
from vitime_cache.model.config import ViTimeConfig, WeightsInfo
from vitime_cache.model.encoding import SeriesEncoding
from vitime_cache.series.bounds import SignalError
from vitime_cache.series.given import as_signal, as_signals
from vitime_cache.series.signal import MAX_MAGNITUDE, Harmonic, Signal

SIGNAL = "signal"
LAYER = "layer"
HEAD = "head"
QUERY_PATCH = "query_patch"
KEY_PATCH = "key_patch"
QUERY_TOKEN = "query_token"
KEY_TOKEN = "key_token"
LAG = "lag"
TIME = "time"
QUANTILE = "quantile"
COMPONENT = "component"

TIME_ATTENTION = "time_attention"
LAG_ATTENTION = "lag_attention"
CLS_ATTENTION = "cls_attention"
TOKEN_ATTENTION = "token_attention"
HISTORY = "history"
FORECAST = "forecast"
FORECAST_QUANTILE = "forecast_quantile"
COMPONENT_PERIOD = "component_period"
COMPONENT_AMPLITUDE = "component_amplitude"

N_HISTORY = "n_history"
HORIZON = "horizon"
SAMPLES_PER_PATCH = "samples_per_patch"
HISTORY_PATCHES = "history_patches"
REDUCED_OF = "reduced_of"
DESCRIPTION = "description"
FILLED = "filled"
SAMPLE_SECONDS = "sample_seconds"
START = "start"
COMPLETE = "complete"

# Attribute of a store that was not computed in float32: the largest difference of a cell of time attention from
# float32 on the first signal, as a share of the largest value of the head's map.
DTYPE_DEVIATION = "dtype_deviation"

# Variables without which a Dataset does not tell its signals.
OF_A_SIGNAL = (
    SIGNAL, HISTORY, COMPONENT_PERIOD, COMPONENT_AMPLITUDE, N_HISTORY, HORIZON, DESCRIPTION, REDUCED_OF, FILLED,
    SAMPLE_SECONDS,
)  # fmt: skip

QUANTILES = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95)


class SchemaError(VitimeError):
    """A Dataset that does not follow the attention schema."""


@dataclass(frozen=True)
class Variable:
    """One data variable: its dimensions without `signal`, its dtype, and the meaning of its numbers."""

    dims: tuple[str, ...]
    dtype: str
    long_name: str
    units: str = "1"
    normalisation: str = ""

    @property
    def attributes(self) -> dict[str, str]:
        attributes = {"long_name": self.long_name, "units": self.units}
        return attributes | ({"normalisation": self.normalisation} if self.normalisation else {})


VARIABLES: Mapping[str, Variable] = {
    TIME_ATTENTION: Variable(
        (LAYER, HEAD, QUERY_PATCH, KEY_PATCH),
        "float32",
        "attention between patch columns",
        normalisation="mean of token attention over both value axes, CLS dropped; rows sum to (1 - CLS) / token rows",
    ),
    LAG_ATTENTION: Variable(
        (LAYER, HEAD, LAG),
        "float32",
        "mean time attention at a lag",
        normalisation="mean of the diagonal of time_attention; lag > 0: the key lies in the past of the query",
    ),
    CLS_ATTENTION: Variable(
        (LAYER, HEAD, QUERY_TOKEN),
        "float32",
        "attention of each token to CLS",
        normalisation="one softmax weight; the mass that is missing from the token's row",
    ),
    TOKEN_ATTENTION: Variable(
        (LAYER, HEAD, QUERY_TOKEN, KEY_TOKEN),
        "float16",
        "attention between tokens",
        normalisation="softmax weight over tokens and CLS, CLS dropped; NaN where the layer was not asked for",
    ),
    HISTORY: Variable((TIME,), "float64", "the series given to the model", "units of the signal"),
    FORECAST: Variable((TIME,), "float64", "forecast: the most probable value at each time", "units of the signal"),
    FORECAST_QUANTILE: Variable(
        (QUANTILE, TIME), "float64", "quantiles of the model's own forecast distribution", "units of the signal"
    ),
    COMPONENT_PERIOD: Variable((COMPONENT,), "float32", "true period of a harmonic, NaN where unknown", "samples"),
    COMPONENT_AMPLITUDE: Variable((COMPONENT,), "float32", "true amplitude of a harmonic", "units of the signal"),
}

# Per-signal coordinates: name -> (dtype, meaning). "string" is variable-length text.
SIGNAL_COORDINATES: Mapping[str, tuple[str, str]] = {
    N_HISTORY: ("int64", "samples of history"),
    HORIZON: ("int64", "samples of forecast"),
    SAMPLES_PER_PATCH: (
        "float64",
        "samples per patch of lag: patch_width * (n_history + horizon) / columns",
    ),
    HISTORY_PATCHES: ("int64", "patch columns that show history; the rest show the forecast"),
    REDUCED_OF: ("string", "name of the fuller signal that this one is a reduction of, or empty"),
    DESCRIPTION: ("string", "what the signal is"),
    FILLED: ("int64", "missing values that were interpolated on request"),
    SAMPLE_SECONDS: ("float64", "seconds from one sample to the next, 0 where that is not known"),
    START: ("string", "time of the first sample in ISO 8601, or empty where that is not known"),
    COMPLETE: ("bool", "whether every array of this signal has been written and committed"),
}

# Stores of earlier versions have series in float32, which loses a variation of 0.1 on a level of 1e7.
_EARLIER = {(name, np.dtype("float32")) for name in (HISTORY, FORECAST, FORECAST_QUANTILE)}


def config_of(ds: xr.Dataset) -> ViTimeConfig:
    """The shapes of the model that wrote a Dataset."""
    return ViTimeConfig.from_dict(json.loads(ds.attrs["config"]))


def signal_coordinates(signal: Signal, config: ViTimeConfig) -> dict[str, Any]:
    """`signal` and `SIGNAL_COORDINATES` of one signal.

    Raises
    ------
    EncodingError
        If the signal does not fit the model's image.
    """
    encoding = SeriesEncoding.fit(signal.values, signal.horizon, config)
    return {
        SIGNAL: signal.name,
        N_HISTORY: len(signal.values),
        HORIZON: signal.horizon,
        SAMPLES_PER_PATCH: encoding.samples_per_patch,
        HISTORY_PATCHES: encoding.history_patches,
        REDUCED_OF: signal.reduced_of,
        DESCRIPTION: signal.description,
        FILLED: signal.filled,
        SAMPLE_SECONDS: signal.sample_seconds,
        START: signal.start,
        COMPLETE: True,
    }


def name_of(ds: xr.Dataset) -> str:
    """The name of the one signal of a Dataset."""
    return str(ds[SIGNAL].item())


def signal_of(ds: xr.Dataset) -> Signal:
    """The signal of a Dataset without the signal dimension; a Dataset does not keep phases or a formula's future."""
    known = np.isfinite(ds[COMPONENT_PERIOD].values)
    most = MAX_MAGNITUDE  # rounding to 32 bits can exceed it
    parts = (
        np.clip(ds[name].values[known].astype(float), -most, most) for name in (COMPONENT_PERIOD, COMPONENT_AMPLITUDE)
    )
    return Signal(
        name_of(ds),
        ds[HISTORY].values[: int(ds[N_HISTORY].item())].astype(np.float64),
        horizon=int(ds[HORIZON].item()),
        description=str(ds[DESCRIPTION].item()),
        harmonics=tuple(Harmonic(period, amplitude) for period, amplitude in zip(*parts, strict=True)),
        reduced_of=str(ds[REDUCED_OF].item()),
        filled=int(ds[FILLED].item()),
        sample_seconds=float(ds[SAMPLE_SECONDS].item()),
        start=str(ds[START].item()) if START in ds.coords else "",
    )


def to_signals(given: Any) -> list[Signal]:
    """Convert input to a list of signals: signals, samples, pandas objects, or a Dataset from `capture` or a store.

    Raises
    ------
    SignalError
        Naming the first that is not a signal, and how to make one.
    """
    if not isinstance(given, xr.Dataset):
        return as_signals(given)
    if N_HISTORY not in given.coords:
        raise SignalError("the Dataset is not from capture or open_store; pass its series as signals")
    if lacks := [name for name in OF_A_SIGNAL if name not in given.variables]:
        raise SignalError(
            f"the Dataset lacks {', '.join(lacks)}; give it as capture or open_store returned it, or pass its series "
            "as signals"
        )
    if SIGNAL not in given.dims:
        return [signal_of(given)]
    return [signal_of(given.isel({SIGNAL: place})) for place in range(given.sizes[SIGNAL])]


def to_signal(given: Any) -> Signal:
    """The same for one signal; SignalError where there are several."""
    if not isinstance(given, xr.Dataset):
        return as_signal(given)
    if len(signals := to_signals(given)) != 1:
        raise SignalError(f"the Dataset has {len(signals)} signals, expected one; choose one with ds.sel(signal=…)")
    return signals[0]


def coordinates(config: ViTimeConfig, n_time: int, n_components: int) -> dict[str, tuple[str, np.ndarray]]:
    """Index and token coordinates shared by all signals of a model, as name -> (dimension, values).

    Parameters
    ----------
    config
        The model's shapes.
    n_time
        Samples of history and horizon together, of the longest signal.
    n_components
        The largest number of harmonics of any signal.
    """
    columns = config.grid[1]
    token = np.arange(config.tokens)
    return {
        LAYER: (LAYER, np.array(config.layers, dtype=object)),
        HEAD: (HEAD, np.arange(config.heads)),
        QUERY_PATCH: (QUERY_PATCH, np.arange(columns)),
        KEY_PATCH: (KEY_PATCH, np.arange(columns)),
        LAG: (LAG, np.arange(-(columns - 1), columns)),
        QUERY_TOKEN: (QUERY_TOKEN, token),
        KEY_TOKEN: (KEY_TOKEN, token),
        "token_row": (QUERY_TOKEN, token // columns),
        "token_column": (QUERY_TOKEN, token % columns),
        "key_token_row": (KEY_TOKEN, token // columns),
        "key_token_column": (KEY_TOKEN, token % columns),
        TIME: (TIME, np.arange(n_time)),
        QUANTILE: (QUANTILE, np.array(QUANTILES)),
        COMPONENT: (COMPONENT, np.arange(n_components)),
    }


@lru_cache
def sizes(config: ViTimeConfig, n_time: int, n_components: int) -> Mapping[str, int]:
    """Length of every dimension except `signal`."""
    return {
        name: len(values)
        for name, (dimension, values) in coordinates(config, n_time, n_components).items()
        if name == dimension
    }


def attributes(config: ViTimeConfig, weights: WeightsInfo, dtype: str) -> dict[str, str]:
    """Global attributes, which say where the numbers come from; `config_of` reads the config back.

    Two runs differ only in the time; SOURCE_DATE_EPOCH (seconds, reproducible-builds.org) fixes it.
    """
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    created = datetime.fromtimestamp(int(epoch), UTC) if epoch else datetime.now(UTC)
    libraries = ("torch", "timm", "numpy", "xarray", "zarr")
    return {
        "title": "attention of a ViTime model, every layer and head",
        "weights": weights.name,
        "weights_sha256": weights.sha256,
        "weights_note": weights.note,
        "config": json.dumps(config.to_dict()),
        "dtype": dtype,
        "created": created.isoformat(timespec="seconds"),
        "vitime_cache_version": __version__,
        "library_versions": json.dumps({name: version(name) for name in libraries}),
    }


def dataset(
    config: ViTimeConfig,
    arrays: Mapping[str, np.ndarray],
    signal_coordinates: Mapping[str, Any],
    attributes: Mapping[str, Any],
) -> xr.Dataset:
    """Label the arrays of one signal.

    Parameters
    ----------
    arrays
        Variable name -> values without the signal dimension; `token_attention` may be missing.
    signal_coordinates
        Values of `SIGNAL_COORDINATES` (and `signal`, the name) for this signal, as scalars.
    attributes
        Global attributes: weights, config, versions.
    """
    labels = coordinates(config, arrays[HISTORY].shape[0], arrays[COMPONENT_PERIOD].shape[0])
    result = xr.Dataset(
        {name: (VARIABLES[name].dims, values, VARIABLES[name].attributes) for name, values in arrays.items()},
        attrs=dict(attributes),
    )
    used = set(result.dims)
    shared = {name: (dimension, values) for name, (dimension, values) in labels.items() if dimension in used}
    scalars = {name: ((), value) for name, value in signal_coordinates.items()}
    return result.assign_coords(shared | scalars)


def validate(ds: xr.Dataset) -> xr.Dataset:
    """Return `ds` if it follows the schema, with or without the signal dimension.

    Raises
    ------
    SchemaError
        Naming the variable or coordinate, what it is and what it should be.
    """
    lead = (SIGNAL,) if SIGNAL in ds.dims else ()
    for name, variable in VARIABLES.items():
        if name not in ds:
            if name == TOKEN_ATTENTION:
                continue
            raise SchemaError(f"the dataset lacks the variable {name!r}")
        if ds[name].dims != lead + variable.dims:
            raise SchemaError(f"{name} has dimensions {ds[name].dims}, expected {lead + variable.dims}")
        if ds[name].dtype != np.dtype(variable.dtype) and (name, ds[name].dtype) not in _EARLIER:
            raise SchemaError(f"{name} has dtype {ds[name].dtype}, expected {variable.dtype}")
    if START not in ds.coords:  # stores of earlier versions lack it
        ds = ds.assign_coords({START: (lead, np.full([ds.sizes[SIGNAL] for _ in lead], "", object))})
    for name in (SIGNAL, *SIGNAL_COORDINATES):
        if name not in ds.coords:
            raise SchemaError(f"the dataset lacks the coordinate {name!r}")
        if ds[name].dims != lead:
            raise SchemaError(f"coordinate {name} has dimensions {ds[name].dims}, expected {lead}")
    if not ds.sizes[LAYER] * ds.sizes[HEAD] * ds.sizes[QUERY_PATCH]:
        raise SchemaError("the dataset holds no attention: it has no layers, no heads or no patches")
    columns = ds.sizes[QUERY_PATCH]
    if ds.sizes[LAG] != 2 * columns - 1:
        raise SchemaError(f"lag has {ds.sizes[LAG]} entries, expected {2 * columns - 1} for {columns} patches")
    return ds
