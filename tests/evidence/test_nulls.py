"""Every head against null inputs."""

from dataclasses import replace

import numpy as np
import pytest

from vitime_cache.evidence.levels import nulls
from vitime_cache.evidence.levels.looking import mean_contrast, sights
from vitime_cache.evidence.verdict import schema as vschema
from vitime_cache.stats.surrogates import NullError, null_kinds

N, HISTORY, SPP = 40, 26, 4.0
PERIOD = 20.0  # samples: 5 patches
ASKED = np.ones((1, 3), dtype=bool)


def maps(rng: np.random.Generator, lag: int | None = None, height: float = 0.0) -> np.ndarray:
    """Attention (1, 3, n, n), noise, of which head 0 has a ridge at multiples of a lag."""
    attention = np.exp(0.2 * rng.standard_normal((1, 3, N, N)))
    if lag:
        query, key = np.indices((N, N))
        attention[0, 0] += height * ((query - key) % lag == 0)
    return attention


def inputs(n: int = 19, *, proposed: bool = False, starts=(0,), seed: int = 0) -> list[nulls.NullInput]:
    stretch = np.sin(2 * np.pi * np.arange(400) / PERIOD) + 0.3 * np.random.default_rng(9).standard_normal(400)
    return nulls.null_inputs(stretch, starts, 104, 56, PERIOD, n=n, seed=seed, proposed=proposed)


def held(observed: np.ndarray, given: list[nulls.NullInput], attention, level: float = 0.05) -> nulls.Nulls:
    contrast = mean_contrast(observed, sights(N, HISTORY, PERIOD / SPP))
    return nulls.against_null_inputs(contrast, given, attention, HISTORY, PERIOD / SPP, SPP, ASKED, level)


def test_null_inputs_are_one_series_of_each_kind_cut_into_the_same_windows():
    given = inputs(5, starts=(0, 240))
    assert [(i.kind, i.number) for i in given[::2]] == [(kind, n) for kind in null_kinds(PERIOD) for n in range(5)]
    assert {len(i.signal.values) for i in given} == {104}
    assert all(i.own_period is None for i in given)
    again = inputs(5, starts=(0, 240))
    assert all(np.array_equal(a.signal.values, b.signal.values) for a, b in zip(given, again, strict=True))
    assert not np.array_equal(given[0].signal.values, given[1].signal.values)


def test_where_the_period_was_proposed_null_series_that_have_one_too_are_asked_about_theirs():
    time = np.arange(400)
    series = np.sin(2 * np.pi * time / PERIOD) + np.sin(2 * np.pi * time / 27) + 0.1 * np.sin(time**2)
    given = nulls.null_inputs(series, (0,), 104, 56, PERIOD, n=9, proposed=True)
    own = {kind: [i.own_period for i in given if i.kind == kind] for kind in null_kinds(PERIOD)}
    left = [period for period in own["notched"] if period is not None]  # of its periods one is left
    assert len(left) >= 5
    assert left == pytest.approx([27] * len(left), rel=0.05)
    assert sum(period is not None for period in own["shuffled"]) <= 1


def test_only_the_head_that_looks_there_more_than_on_nulls_is_supported():
    rng = np.random.default_rng(0)
    given = inputs()
    found = held(maps(rng, 5, 1.0), given, (maps(rng) for _ in given))
    assert found.claimed.verdict[0].tolist()[0] == vschema.SUPPORTED
    assert (found.claimed.verdict[0, 1:] != vschema.SUPPORTED).all()
    assert found.claimed.p_value[0, 0] == pytest.approx(1 / 20)
    assert found.claimed.low[0, 0] > 0
    assert found.null_p.shape == (3, len(vschema.REGIONS), 1, 3)
    assert found.null_mean.shape == found.null_upper.shape == (3, len(vschema.REGIONS), 1, 3, N)


def test_a_head_that_looks_there_on_any_input_is_refuted():
    rng = np.random.default_rng(1)
    given = inputs()
    found = held(maps(rng, 5, 3.0), given, (maps(rng, 5, 3.0) for _ in given))
    assert found.claimed.verdict[0, 0] == vschema.NOT_SUPPORTED
    assert found.claimed.figure[0, 0] == pytest.approx(0, abs=0.05)


def test_a_head_that_follows_whatever_period_its_input_has_gains_nothing_from_a_proposed_one():
    rng = np.random.default_rng(2)
    observed = maps(rng, 5, 1.0)
    asked = inputs()
    proposed = [replace(each, own_period=28.0) for each in asked]  # 7 patches

    def follows(given):
        return (maps(rng, 7, 1.0) for _ in given)

    assert held(observed, asked, follows(asked)).claimed.verdict[0, 0] == vschema.SUPPORTED
    assert held(observed, proposed, follows(proposed)).claimed.verdict[0, 0] != vschema.SUPPORTED


@pytest.mark.parametrize(("own", "patches"), [(28.0, 7), (8.0, 2), (6.0, None), (140.0, None), (None, None)])
def test_a_null_counts_by_its_own_period_where_the_axis_shows_it_and_by_the_one_asked_about_elsewhere(own, patches):
    """A period of 1.5 patches, and one that no query sees a whole period back, cannot be looked at."""
    rng = np.random.default_rng(5)
    given = [replace(each, own_period=own) for each in inputs()]
    attention = [maps(rng, patches or 5, 1.0) for _ in given]
    found = held(maps(rng), given, attention)
    for kind, name in enumerate(dict.fromkeys(each.kind for each in given)):
        of_kind = np.array([each for each, null in zip(attention, given, strict=True) if null.kind == name])
        means = [
            np.stack([mean_contrast(each, sights(N, HISTORY, period)) for each in of_kind]).mean(axis=0)
            for period in (PERIOD / SPP, patches or PERIOD / SPP)
        ]
        np.testing.assert_allclose(found.null_contrast[kind], np.maximum(*means))
    assert found.null_contrast[..., 0, 0].min() > 0.1


def test_a_head_of_a_null_s_kind_is_claimed_no_more_often_than_the_level_says():
    rng = np.random.default_rng(3)
    given = inputs()
    level = 0.2
    hits = sum(
        (held(maps(rng), given, (maps(rng) for _ in given), level).claimed.p_value <= level).any() for _ in range(60)
    )
    assert hits <= 60 * level + 3 * np.sqrt(60 * level)


@pytest.mark.parametrize("level", [0.5, 0.05, 0.01, 0.001])
def test_the_fewest_nulls_can_reach_the_level_and_fewer_cannot(level):
    n = nulls.fewest_nulls(level)
    assert 1 / (n + 1) <= level * (1 + 1e-9)
    assert n == 3 or 1 / n > level
    assert nulls.fewest_nulls(0.05) <= nulls.NULLS


def test_too_few_nulls_are_refused_before_the_model_would_be_run_in_vain():
    given = inputs(18)
    with pytest.raises(NullError, match="needs 19 nulls of a kind, got 18"):
        held(maps(np.random.default_rng(4)), given, iter(()))
