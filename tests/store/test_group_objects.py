"""A Dataset of evidence as objects: the bytes that xarray and zarr write, and read as they read them."""

from __future__ import annotations

import json
from collections.abc import Mapping

import numpy as np
import pytest
import xarray as xr
from zarr.core.buffer import default_buffer_prototype
from zarr.storage import MemoryStore

from vitime_cache.evidence.population.mock import mock_population
from vitime_cache.evidence.verdict.mock import mock_verdict
from vitime_cache.store.format import CODECS
from vitime_cache.store.group_objects import read_group, render_group
from vitime_cache.store.objects import StoreError


def by_xarray(ds: xr.Dataset) -> dict[str, bytes]:
    """The same objects by `to_zarr`."""
    staged: dict = {}
    texts = {name: label.astype(object) for name, label in ds.coords.items() if label.dtype.kind == "U"}
    plain = ds.assign_coords(texts).drop_encoding()
    encoding = {
        name: {"compressors": CODECS[-1:] if variable.dtype == object else CODECS}
        for name, variable in plain.variables.items()
    }
    plain.to_zarr(MemoryStore(staged), zarr_format=3, consolidated=False, encoding=encoding)
    return {key: value.to_bytes() for key, value in staged.items()}


def without_root(objects: Mapping[str, bytes]) -> dict[str, bytes]:
    return {key: data for key, data in objects.items() if key != "zarr.json"}


def every_kind() -> xr.Dataset:
    """Every type of number and text, at sizes around those at which zarr cuts an array into chunks."""
    rng = np.random.default_rng(0)
    ds = xr.Dataset(attrs={"title": "käse ☃", "numbers": "[1, 2]"})
    for dtype in ("bool", "int8", "int64", "float16", "float32", "float64"):
        ds[f"some_{dtype}"] = ("a", "b"), rng.integers(0, 9, (3, 5)).astype(dtype), {"long_name": f"größe {dtype}"}
        ds[f"nothing_{dtype}"] = ("a", "b"), np.zeros((3, 5), dtype), {"flag_values": np.arange(3)}
        ds[f"negative_{dtype}"] = ("a", "b"), np.negative(np.zeros((3, 5))).astype(dtype)
        ds[f"scalar_{dtype}"] = (), np.array(1, dtype)
    for name, length in {"whole": 32_000, "cut": 70_001, "often_cut": 400_003}.items():
        ds[name] = f"long_{name}", rng.normal(size=length)
    ds["transposed"] = ("c", "b"), rng.normal(size=(5, 301))[:, ::-1].T
    ds["partly_missing"] = ("d", "e"), np.where(np.arange(300)[:, None] < 200, np.nan, rng.normal(size=(300, 301)))
    ds["missing"] = "a", np.full(3, np.nan, np.float32)
    return ds.assign_coords(
        a=["", "ü", "three words here"], b=np.arange(5), begin=("b", np.arange(5) * 0.5), empty=("a", ["", "", ""])
    )


GROUPS = {
    "a verdict": mock_verdict(),
    "a verdict on several windows": mock_verdict(signal="größe", kind="detour", windows=4, sample_seconds=3600),
    "a verdict of one level": mock_verdict(stages=("influence",)),
    "a verdict without any": mock_verdict(kind="indifferent", stages=()),
    "a table": mock_population(("mostly", "constant", "elsewhere"), weights=("made up", "5" * 64)),
    "every kind of array": every_kind(),
}


@pytest.mark.parametrize("what", GROUPS)
def test_the_objects_of_a_group_are_those_that_xarray_writes(what: str) -> None:
    ds = GROUPS[what]
    ours, theirs = render_group(ds), by_xarray(ds)
    assert without_root(ours) == without_root(theirs)
    assert ours.keys() == theirs.keys()
    root = json.loads(ours["zarr.json"])
    members = root.pop("consolidated_metadata")["metadata"]
    assert root == {key: value for key, value in json.loads(theirs["zarr.json"]).items() if value is not None}
    assert members == {name: json.loads(theirs[f"{name}/zarr.json"]) for name in map(str, ds.variables)}
    assert list(members) == sorted(members)


def test_long_arrays_are_cut_and_values_that_are_all_missing_are_left_out() -> None:
    objects = render_group(GROUPS["every kind of array"])
    chunks = {name: sum(key.startswith(f"{name}/c") for key in objects) for name in ("whole", "cut", "often_cut")}
    assert chunks["whole"] == 1 < chunks["cut"] < chunks["often_cut"]
    assert not [key for key in objects if key.startswith(("missing/c", "nothing_int8/c"))]
    assert 0 < sum(key.startswith("partly_missing/c") for key in objects) < 300 * 301 * 8 / 65_536


@pytest.mark.parametrize("what", GROUPS)
def test_a_group_is_read_as_plain_xarray_reads_it(what: str) -> None:
    objects = render_group(GROUPS[what])
    asked: dict[str, int] = {}

    def read(most: Mapping[str, int]) -> dict[str, bytes]:
        asked.update(most)
        return {key: objects[key] for key in most if key in objects}

    ours = read_group(objects["zarr.json"], read)
    staged = {key: default_buffer_prototype().buffer.from_bytes(data) for key, data in objects.items()}
    theirs = xr.open_zarr(MemoryStore(staged), consolidated=True, chunks=None).load()
    assert ours.identical(theirs)
    assert ours.identical(GROUPS[what])
    assert ours.coords.keys() == theirs.coords.keys()
    assert {name: ours[name].dtype for name in ours.variables} == {name: theirs[name].dtype for name in ours.variables}
    assert all(len(objects[key]) <= asked[key] for key in objects.keys() & asked.keys())
    assert {key for key in objects if "/c" in key} <= asked.keys()
    assert render_group(ours) == objects, "what was read is written as it was"


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("whole", {"fill_value": 7.0}),
        ("whole", {"shape": [2**30]}),
        ("whole", {"chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [1]}}}),
        ("whole", {"shape": [0], "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [2**53]}}}),
        ("whole", {"data_type": "complex128"}),
        ("whole", {"data_type": {"name": "fixed_length_utf32", "configuration": {"length_bytes": 8}}}),
        ("whole", {"attributes": {"_FillValue": "AAAAAAAA8D8="}}),
        ("some_int64", {"attributes": {"_FillValue": "AAAAAAAA+H8="}}),
        ("cut", {"dimension_names": ["x", "y"]}),
        ("partly_missing", {"shape": [2**52, 0]}),
    ],
)
def test_metadata_that_this_version_does_not_write_is_refused_before_anything_is_read(name, change) -> None:
    root = json.loads(render_group(GROUPS["every kind of array"])["zarr.json"])
    root["consolidated_metadata"]["metadata"][name].update(change)

    def read(most: Mapping[str, int]) -> dict[str, bytes]:
        raise AssertionError(f"{len(most)} objects were asked for")

    with pytest.raises((StoreError, TypeError, ValueError)):
        read_group(json.dumps(root).encode(), read)


def test_numbers_of_another_order_of_bytes_are_refused() -> None:
    root = json.loads(render_group(GROUPS["every kind of array"])["zarr.json"])
    root["consolidated_metadata"]["metadata"]["whole"]["codecs"][0]["configuration"]["endian"] = "big"
    with pytest.raises(StoreError, match="'whole' is not of this version"):
        read_group(json.dumps(root).encode(), lambda _: {})
