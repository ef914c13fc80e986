"""Tables of many signals in a store: next to verdicts, by the same protocol, invisible to readers of the root."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from tests.store.standin import WEIGHTS, verify
from tests.store.test_verdicts import verdict
from vitime_cache.evidence.population.mock import mock_population
from vitime_cache.store.objects import StoreError
from vitime_cache.store.populations import keep_population, open_population, stored_populations
from vitime_cache.store.reader import open_store
from vitime_cache.store.repair import repair
from vitime_cache.store.verdicts import keep_verdict, open_verdict, stored_verdicts


@pytest.fixture
def path(path_of_two: Path) -> Path:
    return path_of_two


def table(*kinds: str) -> xr.Dataset:
    return mock_population(kinds, weights=(WEIGHTS.name, WEIGHTS.sha256))


def test_a_table_is_read_back_as_it_was_by_us_and_by_plain_xarray_beside_verdicts(path):
    before = open_store(path).load()
    kept = table("mostly", "constant", "elsewhere")
    group = keep_population(path, kept)
    of_one = keep_verdict(path, verdict())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert open_population(path, group).identical(kept)
        assert xr.open_zarr(f"{path}/{group}").load().identical(kept)
        assert xr.open_zarr(path).load().identical(before)
    assert list(stored_populations(path)) == [group]
    assert [each.group for each in stored_verdicts(path)] == [of_one], "a table is no verdict"
    with pytest.raises(StoreError, match="table of many signals"):
        open_verdict(path, group)
    assert not verify(path).problems


def test_a_table_that_has_grown_takes_the_place_of_the_one_before_and_never_the_other_way_round(path):
    first = keep_population(path, table("mostly", "open"))
    second = keep_population(path, table("mostly", "elsewhere"))
    assert list(stored_populations(path)) == [second] != [first]
    assert keep_population(path, table("open", "open")) == second
    assert keep_population(path, table("mostly", "elsewhere")) == second
    assert open_population(path, second)["kind"].values.tolist() == ["mostly", "elsewhere"]
    assert keep_population(path, table("mostly")) not in (first, second), "other signals, another table"
    assert len(stored_populations(path)) == 2


def test_a_verdict_on_a_signal_called_population_is_not_taken_for_a_table(path):
    group = keep_verdict(path, verdict("population"))
    assert [each.group for each in stored_verdicts(path)] == [group]
    assert stored_populations(path) == {}


def test_a_damaged_table_is_found_by_verify_skipped_by_readers_and_taken_out_by_repair(path):
    group = keep_population(path, table("mostly"))
    chunk = path / group / "influence_share" / "c" / "0"
    chunk.write_bytes(b"\0" * chunk.stat().st_size)
    assert stored_populations(path) == {}
    with pytest.raises(StoreError, match="no table of many signals"):
        open_population(path, group)
    found = verify(path)
    assert {problem.verdict for problem in found.problems} == {group}
    repair(path, found)
    assert not verify(path).problems
    assert not (path / group).exists()
    assert np.isfinite(open_population(path, keep_population(path, table("mostly")))["influence_share"].values).all()


def test_a_table_of_other_weights_is_refused(path):
    with pytest.raises(StoreError, match="is for the weights standin, the answer for mock"):
        keep_population(path, mock_population(["mostly"]))
