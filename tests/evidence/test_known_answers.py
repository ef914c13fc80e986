"""`ask` of networks whose answers are known; `benchmarks.evidence` asks them a hundred times."""

import numpy as np
import pytest

from benchmarks import planted
from vitime_cache.evidence.ask import ask
from vitime_cache.evidence.verdict import schema as v
from vitime_cache.evidence.verdict.report import together


def asked(network: planted.Planted, seed: int = 1):
    window = (planted.N_HISTORY, planted.HORIZON)
    return ask(network.model, planted.question(seed), planted.PERIOD, window=window, nulls=19, controls=39, seed=seed)


def supported(ds, network: planted.Planted) -> set[str]:
    """The rungs supported for every planted head; none may be for any other."""
    layers = list(ds.layer.values)
    claims = ds["verdict"].values == v.SUPPORTED
    mine = np.zeros(claims.shape[1:], dtype=bool)
    for layer, head in network.heads:
        mine[layers.index(layer), head] = True
    assert not claims[:, ~mine].any()
    return {rung for rung, row in zip(v.RUNGS, claims, strict=True) if row[mine].all() and mine.any()}


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("copier", {"descriptive", "causal"}),
        ("inert_copier", {"descriptive"}),
        ("even_head", {"causal"}),
        ("matcher", {"signal-dependent", "tracking"}),
    ],
)
def test_looking_following_and_mattering_are_told_apart(kind, expected):
    network = getattr(planted, kind)()
    assert supported(asked(network), network) == expected


def test_two_redundant_copiers_understate_each_other_and_the_joint_knockout_does_not():
    network = planted.redundant_copiers()
    ds = asked(network)
    assert "descriptive" in supported(ds, network)
    assert v.facts(ds, "counts")["joint"][0] in [list(head) for head in network.heads]
    assert float(ds.joint[0]) > 2 * float(ds.joint_sum[0])


def test_a_copier_over_three_periods_is_not_missed_where_the_other_teeth_supply_what_one_lacks():
    network = planted.comb_copier()
    ds = asked(network)
    assert supported(ds, network) == {"descriptive", "causal"}
    head = ds.sel(layer=planted.LAYER, head=1, outcome="distance")
    assert float(head.comb_kept[0]) > 10 * float(head["mask"][0])


def test_the_sentence_says_by_what_a_head_matters():
    by_lags, as_a_whole = (
        v.facts(asked(kind()), "sentences")["supported"] for kind in (planted.copier, planted.even_head)
    )
    assert "1 matters to the forecast, 1 by what it reads one period back (decoder.0 head 1)" in by_lags
    assert "1 as a whole (decoder.0 head 1)" in as_a_whole


def test_a_dependence_on_the_signal_too_small_to_mean_anything_is_no_claim():
    network = planted.even_head()
    ds = asked(network, 4)
    layer, head = network.heads[0]
    dependent = ds.sel(layer=layer, head=head, rung="signal-dependent")
    assert float(dependent.p_value) < 0.051  # its attention does change with the ink, by LayerNorm
    assert 0 < float(dependent.figure) < 1e-3
    assert int(dependent.verdict) != v.SUPPORTED


def test_nothing_is_claimed_of_sharpened_random_weights():
    network = planted.sharpened(3)
    assert supported(asked(network, 3), network) == set()


def test_the_heads_that_look_are_knocked_out_together_beside_as_many_at_random():
    network = planted.redundant_copiers()
    ds = asked(network)
    random = ds.joint_random.sel(outcome="distance").values
    assert np.isfinite(random).sum() == 5  # the other pairs of the four heads in that layer
    assert (random[np.isfinite(random)] < 0.5 * float(ds.joint[0])).all()  # a copier less does far less


def test_what_redundant_heads_do_together_is_said_beside_single_knockouts_and_random_sets():
    said = together(asked(planted.redundant_copiers()))
    assert "The 2 heads that look most there" in said
    assert "single knockouts understate what redundant heads do" in said
    assert "Random sets with as many heads in each layer" in said
    assert "understate" not in together(asked(planted.copier()))
