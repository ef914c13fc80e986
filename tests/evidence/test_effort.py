"""What fits into a time, and what gives way first."""

from __future__ import annotations

from dataclasses import replace

import pytest

from vitime_cache.evidence.budget import Effort, fit_budget

PUBLISHED = Effort(
    heads=288, tested=288, network=288, layers=18, windows=4, history_patches=51, multiples=15, masks=96,
    most_masks=288, details=True, nulls=99, kinds=3, sweep=48,
)  # fmt: skip
RUN, FORWARD = 10.4, 8.7  # seconds of the published network on two cores
MINUTES = [15, 30, 60, 240, 1000, 5000]


def test_a_question_that_fits_is_left_whole_and_nothing_is_said() -> None:
    assert fit_budget(PUBLISHED, 0.001, 0.001, 600) == (PUBLISHED, [])


@pytest.mark.parametrize("minutes", MINUTES)
def test_a_smaller_budget_takes_no_longer_than_it_may(minutes: int) -> None:
    effort, dropped = fit_budget(PUBLISHED, RUN, FORWARD, 60 * minutes)
    assert effort.seconds(RUN, FORWARD) <= 60 * minutes or (effort.tested <= 8 and minutes < 60)
    assert effort.masks >= 48
    assert effort.nulls == 0 or effort.nulls >= effort.fewest_nulls
    assert (effort == PUBLISHED) == (not dropped)


def test_levels_one_to_three_come_first_then_heads_and_null_inputs_give_way_before_them() -> None:
    efforts = [fit_budget(PUBLISHED, RUN, FORWARD, 60 * minutes)[0] for minutes in range(15, 6000, 200)]
    assert [e.tested for e in efforts] == sorted(e.tested for e in efforts)
    assert all(e.nulls == 0 for e in efforts if e.screened)
    assert any(e.screened for e in efforts)
    assert all(e.masks == PUBLISHED.masks for e in efforts if e.details)


def test_every_change_is_told_in_a_sentence_that_names_what_was_wanted() -> None:
    effort, dropped = fit_budget(PUBLISHED, RUN, FORWARD, 60 * 20)
    said = " ".join(dropped)
    assert "one window in place of 4" in said
    assert "null inputs and the sweep of periods are left out" in said
    assert f"about {effort.tested} of 288 heads" in said
    assert f"about {effort.tested} of 288 heads" in effort.words
    assert all(each.startswith("Before the start: ") and each.endswith(".") for each in dropped)
    assert len(set(dropped)) == len(dropped)


@pytest.mark.parametrize("heads", [1, 2, 8])
def test_of_so_few_heads_as_are_tested_together_none_is_said_to_be_left_out(heads: int) -> None:
    effort, dropped = fit_budget(replace(PUBLISHED, heads=heads, tested=heads), RUN, FORWARD, 1)
    assert "one by one" not in " ".join(dropped)
    assert f", {heads} head{'s' * (heads > 1)} one by one" in effort.words


def test_the_plan_in_words_counts_what_is_run() -> None:
    words = PUBLISHED.words
    assert "96 to 288 masks" in words
    assert "288 heads one by one" in words
    assert ", 1 head one by one;" in replace(PUBLISHED, heads=1, tested=1).words
    assert f"{4 * 99 * 3} null inputs (99 of each of 3 kinds in each window)" in words
    assert "297 null inputs (99 of each of 3 kinds)," in replace(PUBLISHED, windows=1).words
    bare = replace(PUBLISHED, nulls=0, sweep=0, most_masks=96).words
    assert "96 masks" in bare
    assert "no null inputs, no sweep of periods" in bare
