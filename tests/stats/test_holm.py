"""Means held against a margin are decided as Holm's procedure decides them."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import t as student
from statsmodels.stats.multitest import multipletests

from vitime_cache.stats.intervals import MeanWithError, held_against

MARGIN = 0.02


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 40), st.integers(1, 30), st.sampled_from([0.01, 0.05, 0.2]))
def test_an_interval_excludes_the_margin_exactly_where_statsmodels_rejects(seed, heads, degrees, level):
    ratio = 3 * np.random.default_rng(seed).standard_normal(heads)
    means = MeanWithError(MARGIN + 0.1 * ratio, np.full(len(ratio), 0.1), np.full(len(ratio), degrees))
    interval = held_against(MARGIN, means, np.ones(len(ratio), dtype=bool), level)
    p = student.sf(np.abs((means.value - MARGIN) / means.error), degrees)
    rejected = multipletests(p, level, method="holm")[0]
    excluded = (interval.low > MARGIN) | (interval.high < MARGIN)
    count = len(p)
    at_a_threshold = np.isclose(p[:, None], level / np.arange(1, count + 1), rtol=1e-6).any()
    assert at_a_threshold or (excluded == rejected).all()
