"""The rungs of evidence, in words."""

from vitime_cache.evidence.rungs import RUNGS
from vitime_cache.evidence.verdict import schema as verdict


def test_the_rungs_climb_from_descriptive_to_causal_and_each_says_what_it_leaves_open():
    assert tuple(rung.name for rung in RUNGS) == verdict.RUNGS
    assert all(rung.shown_by and rung.leaves_open for rung in RUNGS)
