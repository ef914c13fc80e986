"""The kind of answer is a function of the figures of the first two levels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from vitime_cache.evidence.levels.answer_kind import Figures, kind_of_figures
from vitime_cache.evidence.levels.table import KINDS

YES = Figures(
    effect=1.0, influence_low=0.7, influence_high=0.9, by_chance=0.2, carried_effect=1.0, coverage=1.0, share_low=0.9,
    rest=0.05, margin_low=0.9,
)  # fmt: skip
BESIDE_AS_MUCH = {"share_low": 0.49, "rest": 0.5, "margin_low": 0.0}
ELSEWHERE = {"share_low": 0.0, "rest": 1.0, "margin_low": -1.0}
BY_CHANCE = {"influence_low": 0.1, "influence_high": 0.25}
WIDE = {"influence_low": 0.1, "influence_high": 0.6}


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({}, "mostly"),
        ({"share_low": 0.45, "rest": 0.3, "margin_low": 0.3}, "partly"),
        (BESIDE_AS_MUCH, "partly"),
        ({"share_low": 0.31, "rest": 0.34, "margin_low": 0.15, "influence_low": 0.24}, "not shown"),
        ({**BESIDE_AS_MUCH, "influence_low": 0.29}, "partly"),
        ({**BESIDE_AS_MUCH, "influence_low": 0.27}, "not shown"),  # a tenth beyond chance is 0.28
        (ELSEWHERE, "detour"),
        ({"share_low": 0.2, "rest": 0.7, "margin_low": -0.1}, "detour"),
        ({"coverage": 0.1}, "detour"),
        ({"effect": 0.01}, "indifferent"),
        ({**ELSEWHERE, "influence_low": 0.29, "influence_high": 0.39}, "not shown"),
        ({"influence_low": 0.23, "influence_high": 0.4}, "mostly"),
        (WIDE, "unsettled"),
        ({**WIDE, **ELSEWHERE}, "not shown"),
        ({**BY_CHANCE, **ELSEWHERE}, "elsewhere"),
        ({"held": 0.7}, "mostly"),
        ({"held": 0.8}, "detour"),  # the forecast follows it by another route than what is read there
        ({"held": 0.8, "influence_low": 0.23, "influence_high": 0.4}, "unsettled"),
        ({"influence_share": 3.0, "influence_low": 2.0, "influence_high": 4.0, "far": -2.0}, "unsettled"),
        ({**ELSEWHERE, "influence_share": 3.0, "influence_low": 2.0, "influence_high": 4.0}, "not shown"),
        ({**ELSEWHERE, "influence_share": -0.6, "influence_low": -1.0, "influence_high": -0.2}, "not shown"),
        ({**BY_CHANCE, **ELSEWHERE, "size": 0.35}, "elsewhere"),
        ({**BY_CHANCE, **ELSEWHERE, "size": 0.4}, "not shown"),  # it is read there, and another part goes against it
        ({**BY_CHANCE, **ELSEWHERE, "size": 0.4, "coverage": 0.1}, "elsewhere"),
        ({**ELSEWHERE, "beside": 0.6}, "detour"),  # 0.7 - 0.6 / 2 is above a fifth beyond chance, 0.36
        ({**ELSEWHERE, "beside": 0.8}, "not shown"),  # what is read one patch beside has ink of whole periods back
        ({**ELSEWHERE, "beside": -0.8}, "detour"),
        ({**ELSEWHERE, "held": 0.3}, "detour"),
        ({**ELSEWHERE, "held": 0.2}, "not shown"),  # without the reads there, nothing is left: no other route
        ({"beside": 0.8}, "mostly"),
        ({**ELSEWHERE, "influence_low": np.nan, "influence_high": np.nan}, "not shown"),
    ],
)
def test_each_kind_follows_from_the_figures(changes: dict[str, float], kind: str) -> None:
    assert kind_of_figures(replace(YES, **changes)) == kind


def test_without_the_input_there_is_no_yes_whatever_attention_carries() -> None:
    for share in (0.0, 0.5, 1.0):
        for margin in (-1.0, 0.0, 1.0):
            figures = replace(YES, **BY_CHANCE, share_low=share, margin_low=margin)
            assert kind_of_figures(figures) not in ("mostly", "partly", "detour")


def test_the_page_on_the_method_explains_every_kind_that_json_and_stores_have() -> None:
    page = (Path(__file__).parents[2] / "docs" / "method.md").read_text()
    assert [kind for kind in KINDS if f"`{kind}`" not in page] == []
