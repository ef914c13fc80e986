"""The answer of the shipped weights about the reference study's signal is the one that the README states."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from vitime_cache import catalogue, load_model
from vitime_cache.evidence.ask import answers
from vitime_cache.evidence.question import prepare
from vitime_cache.evidence.verdict import schema as vschema
from vitime_cache.evidence.verdict.data import set_heads
from vitime_cache.model.checkpoint import SHIPPED_NAME
from vitime_cache.places import WEIGHTS

README = Path(__file__).parents[2] / "README.md"


def percents(text: str) -> list[float]:
    return [int(number) / 100 for number in re.findall(r"(\d+) %", text)]


@pytest.mark.slow
def test_the_answer_of_the_shipped_weights_about_full_is_that_of_the_readme() -> None:
    row = next(line for line in README.read_text().splitlines() if line.startswith("| `full`"))
    _, _, influence, mechanism, few, _, _ = (cell.strip() for cell in row.split("|"))
    low, high = (int(number) / 100 for number in re.search(r"\((\d+) … (\d+)\)", influence).groups())
    model = load_model(WEIGHTS / SHIPPED_NAME, device="cpu")
    (full,) = (signal for signal in catalogue() if signal.name == "full")
    question = prepare(model, full)
    shorter = question.with_effort(replace(question.effort, details=False))  # no answer depends on details
    *_, verdict = answers(model, replace(shorter, levels=("influence", "mechanism", "set")))

    assert f"{question.period:.1f} samples" in row
    assert vschema.kind(verdict.attrs) == "mostly"
    assert low <= float(verdict["influence_share"]) <= high, "other masks than the table's, the same interval"
    assert float(verdict["influence_low"]) > percents(influence)[-1], "more than by chance"
    assert float(verdict["mechanism_share"]) == pytest.approx(percents(mechanism)[0], abs=0.015)
    assert float(verdict["set_share"]) == pytest.approx(percents(few)[0], abs=0.02)
    assert float(verdict["set_without"]) == pytest.approx(percents(few)[1], abs=0.02)
    named = re.findall(r"(\w+\.\d) · ([\d, ]+)", few)
    layers = verdict["layer"].values
    assert {(str(layers[layer]), head) for layer, head in set_heads(verdict)} == {
        (layer, int(head)) for layer, heads in named for head in heads.split(",")
    }
