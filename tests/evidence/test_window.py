"""The window that shows a period."""

import re

import numpy as np
import pytest

from vitime_cache.evidence.levels.looking import sights
from vitime_cache.evidence.verdict.mock import mock_verdict
from vitime_cache.evidence.verdict.schema import VerdictError
from vitime_cache.evidence.window import FEWEST_PERIODS, GOOD_PATCHES, choose_window
from vitime_cache.model.config import ViTimeConfig
from vitime_cache.model.encoding import SeriesEncoding

GRID = {"columns": 1232, "patch_width": 16}


@pytest.mark.parametrize("period", [6.28, 24, 52.18, 101])
@pytest.mark.parametrize("length", [1000, 2000, 20_000])
def test_the_window_shows_a_period_on_four_patches_or_more_and_lies_at_the_end_of_the_series(period, length):
    window = choose_window(length, period, **GRID)
    assert window.patches_per_period >= GOOD_PATCHES
    assert window.samples_per_patch == pytest.approx((window.history + window.horizon) / 77)
    assert window.history >= FEWEST_PERIODS * period
    assert window.starts[-1] + window.history + window.horizon == length
    assert set(np.diff(window.starts)) <= {window.history + window.horizon}
    assert window.left_out == window.starts[0] >= 0


def test_a_horizon_that_no_patch_shows_alone_is_refused_with_one_that_has_a_patch():
    config = ViTimeConfig()
    grid = {"columns": config.columns, "patch_width": config.patch_width}
    with pytest.raises(VerdictError, match="a horizon of 2 samples has no patch of its own") as refused:
        choose_window(400, 32, history=357, horizon=2, **grid)
    enough = int(re.findall(r"(\d+) samples have one", str(refused.value))[0])
    for horizon in range(enough, 43):
        choose_window(400, 32, history=357, horizon=horizon, **grid)
        columns = SeriesEncoding.fit(np.arange(357.0), horizon, config).history_columns
        assert -(-columns // config.patch_width) < config.grid[1]


def test_a_long_series_gives_several_windows_and_a_short_one_says_it_gives_one():
    assert len(choose_window(744, 24, **GRID).starts) == 2
    assert "2 windows" in choose_window(744, 24, **GRID).words
    one = choose_window(462, 24, **GRID)
    assert "One window" in one.words
    assert "the first 93 samples of 462 are left out" in one.words


def test_a_coarse_grid_gives_up_patches_before_it_gives_up_repeats():
    window = choose_window(2000, 64, columns=320, patch_width=16)
    assert window.patches_per_period >= GOOD_PATCHES
    assert window.history > 2 * 64


def test_a_user_may_override_the_window_and_is_told_what_it_cannot_show():
    own = choose_window(2000, 64, history=512, horizon=720, **GRID)
    assert (own.history, own.horizon, own.samples_per_patch, own.chosen) == (512, 720, 16, False)
    assert choose_window(2000, 40, history=512, horizon=720, **GRID).words.count("fewer than the 4") == 1
    with pytest.raises(VerdictError, match=r"24 samples cannot be seen at 16 samples a patch; .* 924 .* 462 .* would"):
        choose_window(2000, 24, history=512, horizon=720, **GRID)
    for history, horizon in ((512, None), (3, 10), (512, 0), (1900, 200)):
        with pytest.raises(VerdictError, match="history"):
            choose_window(2000, 24, history=history, horizon=horizon, **GRID)


@pytest.mark.parametrize("period", [0, -3, np.nan, np.inf, 400, 1.0e9])
def test_a_period_that_no_window_of_the_series_can_hold_is_refused(period):
    with pytest.raises(VerdictError, match="period"):
        choose_window(1000, period, **GRID)


def test_a_period_that_needs_a_shorter_horizon_is_refused_with_a_window_that_shows_it():
    with pytest.raises(VerdictError, match=r"choose the window \(800\+200 shows it\) or give a longer series"):
        choose_window(1000, 400, **GRID)
    assert choose_window(1000, 400, history=800, horizon=200, **GRID).patches_per_period > GOOD_PATCHES


@pytest.mark.parametrize("grid", [GRID, {"columns": 320, "patch_width": 8}])
def test_a_window_that_is_named_shows_the_period_to_enough_queries(grid):
    for period in range(350, 500, 5):
        with pytest.raises(VerdictError) as refused:
            choose_window(1000, period, **grid)
        if named := re.search(r"\((\d+)\+(\d+) shows", str(refused.value)):
            window = choose_window(1000, period, history=int(named[1]), horizon=int(named[2]), **grid)
            share = window.history / (window.history + window.horizon)
            patches = grid["columns"] // grid["patch_width"]
            sights(patches, round(share * patches), window.patches_per_period)


BARE = re.compile(r"[\d.]+ samples(?! \([\d., ]+ (?:hour|day|week|month)s\))")


def test_every_span_of_an_hourly_window_is_told_in_time_too():
    words = choose_window(1000, 30, sample_seconds=3600, **GRID).words
    assert words.count("samples (") >= 4
    assert not BARE.search(words)
    assert "(" not in choose_window(1000, 30, **GRID).words
    for length, period, options in ((2000, 24, {"history": 512, "horizon": 720}), (600, 400, {})):
        with pytest.raises(VerdictError) as refused:
            choose_window(length, period, sample_seconds=3600, **options, **GRID)
        assert not BARE.search(str(refused.value))


def test_what_the_window_says_is_kept_with_the_verdict():
    window = choose_window(1000, 24, sample_seconds=3600, **GRID)
    assert window.facts()["words"] == window.words
    assert "24 samples (24 hours)" in mock_verdict(period=24.0, sample_seconds=3600.0).attrs["window_facts"]
