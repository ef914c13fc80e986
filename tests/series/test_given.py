"""What callers give for a signal: each kind is the same alone and where several may be, or refused in one line."""

from __future__ import annotations

import math
from array import array
from collections import deque
from decimal import Decimal
from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr

from vitime_cache.series.given import as_signal, as_signals
from vitime_cache.series.signal import SignalError

V = [0.5, 1.25, -3.0, 2.0]
HOURS = pd.date_range("2016-07-01", periods=len(V), freq="h")


class Samples:
    """What numpy can make an array of."""

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(V)


class OwnSeries(pd.Series):
    """A library's own kind of series, as geopandas has."""


class Polars:
    """A table as polars has it."""

    def to_pandas(self) -> pd.DataFrame:
        return pd.DataFrame({"time": HOURS, "x": V})


GIVEN = {
    "list": V, "tuple": tuple(V), "deque": deque(V), "array": array("d", V), "memory": memoryview(np.array(V)),
    "whole": np.array([1, 2, 3]), "big endian": np.array(V, ">f8"), "half": np.array(V, np.float16),
    "objects": np.array(V, object), "decimals": [Decimal(str(v)) for v in V], "fractions": [Fraction(v) for v in V],
    "scalars": [np.float32(v) for v in V], "masked": np.ma.masked_array(V), "tensor": torch.tensor(V),
    "gradient": torch.tensor(V, requires_grad=True), "bfloat16": torch.tensor(V).bfloat16(),
    "tensors": [torch.tensor(v) for v in V], "__array__": Samples(), "index": pd.Index(V), "pandas": pd.array(V),
    "column": np.array(V)[:, None], "batch of one": torch.tensor(V)[None], "both": np.array(V)[None, :, None],
}  # fmt: skip


@pytest.mark.parametrize("kind", GIVEN)
def test_samples_of_any_kind_are_one_signal_alone_and_where_several_may_be(kind):
    values = [1, 2, 3] if kind == "whole" else V
    assert as_signal(GIVEN[kind]).values.tolist() == values
    [one] = as_signals(GIVEN[kind])
    assert one.values.tolist() == values


def test_samples_that_nobody_may_change_stay_as_they_are():
    values = np.array(V)
    values.setflags(write=False)
    assert as_signals(values)[0].values.tolist() == V
    assert not values.flags.writeable


@pytest.mark.parametrize(
    "given",
    [pd.Series(V, HOURS), OwnSeries(V, HOURS), Polars(), xr.DataArray(V, {"time": HOURS}, ("time",)),
     xr.Dataset({"x": ("time", V)}, {"time": HOURS}), xr.DataArray(V, {"time": HOURS, "place": 3}, ("time",))],
    ids=["pandas", "a kind of pandas", "polars", "array", "dataset", "scalar coordinate"],
)  # fmt: skip
def test_what_knows_its_times_keeps_them(given):
    for signal in (as_signal(given), *as_signals(given)):
        assert (signal.values.tolist(), signal.sample_seconds, signal.start) == (V, 3600, "2016-07-01T00:00:00")


REFUSED = {
    "truth values": [True, False, True], "truth array": np.array(V) > 0,
    "truth objects": np.array([True, False], object),
    "none": [1.0, None, 3.0], "words": np.array(["a", "b"], object), "text": "1,2,3", "bytes": b"123", "nothing": None,
    "one": 5, "one of numpy": np.float64(3), "rows": [[1.0, 2.0], [3.0, 4.0]],
    "columns": np.ones((9, 3)), "batch": torch.ones(3, 9),
    "complex": np.array(V) + 0j, "times": HOURS, "records": np.zeros(3, [("a", float)]), "huge": [10**400, 1, 2],
    "dictionary": {"a": V}, "function": len, "own": SimpleNamespace(values=V), "sparse": torch.tensor(V).to_sparse(),
    "no values": torch.empty(4, device="meta"), "conjugate": torch.tensor(V, dtype=torch.complex64).conj(),
    "masked": np.ma.masked_array(V, [1, 0, 0, 0]), "cube": xr.DataArray(np.zeros((2, 2, 2))),
    "scalar": xr.DataArray(3.0), "empty": pd.DataFrame(), "categories": pd.Series(V).gt(0).astype("category"),
    "series of none": pd.Series([1, None, 3]),
}  # fmt: skip


@pytest.mark.parametrize("shape", [(9, 3), (3, 9), (2, 3, 9)])
@pytest.mark.parametrize("read", [as_signal, as_signals])
def test_several_series_in_an_array_are_refused_with_what_works_whichever_way_they_lie(read, shape):
    given = torch.arange(math.prod(shape)).reshape(shape).float().sin()
    for each in (given, given.numpy()):
        with pytest.raises(SignalError, match=rf"has shape \({', '.join(map(str, shape))}\).*pandas DataFrame"):
            read(each)
    if len(shape) == 2:
        frame = pd.DataFrame(given.numpy() if shape[0] > shape[1] else given.numpy().T)
        assert [len(each.values) for each in as_signals(frame)] == [9, 9, 9]


@pytest.mark.parametrize("kind", REFUSED)
@pytest.mark.parametrize("read", [as_signal, as_signals])
def test_what_is_no_series_is_refused_in_one_line(kind, read):
    with pytest.raises(SignalError) as refused:
        read(REFUSED[kind])
    assert "\n" not in str(refused.value)
