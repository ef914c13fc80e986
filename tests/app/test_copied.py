"""The Python that a page gives for its view runs, and shows the same."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

import vitime_cache as vc
from vitime_cache.attention.measures import head_measures
from vitime_cache.charts import HeadView
from vitime_cache.evidence.verdict import schema as vschema
from vitime_cache.evidence.verdict.data import claim_figures
from vitime_cache.evidence.verdict.mock import mock_verdict
from vitime_cache.store.verdicts import keep_verdict
from vitime_cache.ui.copied import answer_code, compared_code, head_code, heads_code
from vitime_cache.ui.options import CONTRAST, QUERIES, LagOptions, Queries
from vitime_cache.ui.shared import KEY
from vitime_cache.ui.stores import store_at
from vitime_cache.ui.two_signals import called


def last_value(code: str) -> Any:
    """What a notebook would display of a cell."""
    *lines, last = code.rstrip().splitlines()
    names: dict[str, Any] = {}
    exec("\n".join(lines), names)
    return eval(last, names)


OPTIONS = (LagOptions("all", "past", False, 640.0), LagOptions("history→history", "future", True, 480.0))


@pytest.mark.parametrize(("options", "queries", "period"), [*zip(OPTIONS, QUERIES, (62.8, None), strict=True)])
def test_the_lines_for_a_head_show_what_the_page_shows(
    built: Path, options: LagOptions, queries: Queries, period: float | None
) -> None:
    ds = store_at(built).signal("full")
    view, other = (HeadView(ds, str(ds.layer.values[-1]), head, queries) for head in (1, 2))
    code = head_code([view, other], options, period, contrast=CONTRAST, moment=40, total_width=640)
    region, side, log, longest = options.region, options.side, options.log, options.longest
    page = vc.charts.linked_head(
        view, CONTRAST, beside=[other], region=region, side=side, period=period, max_lag=longest, log=log, moment=40,
        total_width=640,
    )  # fmt: skip
    assert last_value(code).to_dict() == vc.charts.altair_chart(page).to_dict()


def test_the_lines_for_all_heads_show_what_the_page_shows(store: Path) -> None:
    ds = store_at(store).signal("full")
    verdict = mock_verdict()
    question = vschema.facts(verdict, "question") | {"weights_sha256": ds.attrs["weights_sha256"]}
    verdict = vschema.with_facts(verdict, question=question)
    verdict = verdict.assign_attrs({KEY: f"{store / keep_verdict(store, verdict)}\0now"})
    measures = head_measures(ds, 62.8)
    for draw, known, page in (
        ("vc.charts.head_matrix(measures, 'locality')", None, vc.charts.head_matrix(measures, "locality")),
        (
            f"vc.charts.small_multiples(ds, measures, {CONTRAST!r}, verdict=verdict)", verdict,
            vc.charts.small_multiples(ds, measures.assign(claim_figures(verdict)), CONTRAST, verdict=verdict),
        ),
    ):  # fmt: skip
        shown = last_value(heads_code(ds, 62.8, known, draw))
        assert shown.to_dict() == vc.charts.altair_chart(page).to_dict()


def test_the_lines_for_two_signals_show_what_the_page_shows_even_of_one_name_and_in_odd_places(
    built: Path, tmp_path: Path
) -> None:
    place = shutil.copytree(built, tmp_path / "it's \\ a|name@home.zarr")
    both, head = (store_at(built).signal("full"), store_at(place).signal("full")), ("decoder.0", 1)
    names = ("full (first)", "full (second)")
    views = [HeadView(called(ds, name), *head) for ds, name in zip(both, names, strict=True)]
    curves = vc.charts.lag_curves(views, period=62.8, max_lag=640.0)
    page = vc.charts.beside([vc.charts.difference(*views), curves], columns=1)
    shown = last_value(compared_code(both, names, head, OPTIONS[0], 62.8))
    assert shown.to_dict() == vc.charts.altair_chart(page).to_dict()


def test_the_lines_for_an_answer_open_it_where_its_store_keeps_it(store: Path) -> None:
    ds = vc.open_store(store)
    verdict = mock_verdict()
    question = vschema.facts(verdict, "question") | {"weights_sha256": ds.attrs["weights_sha256"]}
    verdict = vschema.with_facts(verdict, question=question)
    group = keep_verdict(store, verdict)
    shown = last_value(answer_code(verdict.assign_attrs({KEY: f"{store}/{group}\0now"})))
    assert shown.headline == vc.show(verdict).headline


def test_an_answer_that_no_store_keeps_is_asked_again_in_lines_that_parse() -> None:
    code = answer_code(mock_verdict(signal='it\'s "mine"\nimport os'))
    compile(code, "cell", "exec")
    assert "import os\n" not in code.replace("\\n", "")
    assert "series, period=64.0))  # by the weights" in code
    verdict = mock_verdict()
    facts = {"window_facts": {"chosen": False, "history": 128, "horizon": 32}, "question": {"budget": 2.0}}
    facts = {name: vschema.facts(verdict, name) | change for name, change in facts.items()}
    assert "series, period=64.0, window=(128, 32), budget=2.0))" in answer_code(vschema.with_facts(verdict, **facts))
