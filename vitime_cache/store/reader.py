"""Reading a store: what plain xarray reads, checked, and with a message where there is nothing to read."""

from __future__ import annotations

from pathlib import Path

import xarray as xr

from vitime_cache.attention.schema import COMPONENT, SIGNAL, TIME, config_of, coordinates, validate
from vitime_cache.store.manifest import ROOT
from vitime_cache.store.objects import StoreError, open_objects


def open_store(path: str | Path) -> xr.Dataset:
    """The complete signals of a store, lazily: `xr.open_zarr(path, chunks=None)`, checked.

    Parameters
    ----------
    path
        A folder, or a URL such as s3://bucket/name.zarr.

    Returns
    -------
    xarray.Dataset
        As `schema` describes it, with the dimension `signal`. It stays valid while a build adds signals; open again
        to see them.

    Raises
    ------
    StoreError
        If there is no store, or something else than an attention store.
    """
    objects = open_objects(path)
    if objects.get(ROOT) is None:
        raise StoreError(
            f"no store at {objects.url}; build one with: python -m vitime_cache build --store {objects.url}"
        )
    try:
        ds = xr.open_zarr(objects.url, chunks=None, consolidated=True, create_default_indexes=False)
        return validate(_with_indexes(ds))
    except (
        ValueError,
        TypeError,
        KeyError,
        AttributeError,
    ) as error:  # whatever zarr finds wrong with foreign metadata
        raise StoreError(f"{objects.url} is no attention store, or a damaged one: {error}") from error


def _with_indexes(ds: xr.Dataset) -> xr.Dataset:
    """Index the dimensions by what the schema says of them: to read all those coordinates would take as long again."""
    config = config_of(ds)
    known = coordinates(config, ds.sizes[TIME], ds.sizes[COMPONENT])
    labels = {name: values for name, (dimension, values) in known.items() if name == dimension and name in ds.coords}
    return ds.assign_coords(xr.Coordinates({SIGNAL: ds.variables[SIGNAL].load()} | labels))
