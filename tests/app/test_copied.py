"""The Python that a page gives for its view runs, and shows the same."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vitime_cache as vc
from tests.app.conftest import SMALL, write_weights
from vitime_cache.attention.measures import head_measures
from vitime_cache.charts import HeadView
from vitime_cache.evidence.question import prepare, series_hash
from vitime_cache.evidence.verdict import schema as vschema
from vitime_cache.evidence.verdict.data import claim_figures
from vitime_cache.evidence.verdict.mock import mock_verdict
from vitime_cache.store.verdicts import keep_verdict
from vitime_cache.ui import own
from vitime_cache.ui.copied import answer_code, compared_code, head_code, heads_code
from vitime_cache.ui.options import CONTRAST, QUERIES, LagOptions, Queries
from vitime_cache.ui.shared import KEY
from vitime_cache.ui.stores import store_at
from vitime_cache.ui.two_signals import called
from vitime_cache.ui.verdicts import Subject


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


def test_the_lines_for_two_weights_of_other_tokens_show_the_curves_as_no_map_is_the_difference_of_theirs(
    built: Path, tmp_path: Path
) -> None:
    finer = write_weights(replace(SMALL, patch_height=8), tmp_path / "finer.safetensors")
    vc.build(vc.Signal("full", np.sin(np.arange(1232) / 10), 720), tmp_path / "finer.zarr", finer, tokens="none")
    both, names = (store_at(built).signal("full"), store_at(tmp_path / "finer.zarr").signal("full")), ("one", "another")
    shown = last_value(compared_code(both, names, ("decoder.0", 1), OPTIONS[0], 62.8))
    views = [HeadView(called(ds, name), "decoder.0", 1) for ds, name in zip(both, names, strict=True)]
    page = vc.charts.lag_curves(views, period=62.8, max_lag=640.0)
    assert shown.to_dict() == vc.charts.altair_chart(page).to_dict()


def test_the_lines_for_an_answer_open_it_where_its_store_keeps_it(store: Path) -> None:
    ds = vc.open_store(store)
    verdict = mock_verdict()
    question = vschema.facts(verdict, "question") | {"weights_sha256": ds.attrs["weights_sha256"]}
    verdict = vschema.with_facts(verdict, question=question)
    group = keep_verdict(store, verdict)
    kept = verdict.assign_attrs({KEY: f"{store}/{group}\0now"})
    shown = last_value(answer_code(kept, Subject.of(store_at(store).signal("full"))))
    assert shown.headline == vc.show(verdict).headline


@pytest.mark.parametrize("whose", ["catalogue", "store", "own"])
def test_an_answer_that_no_store_keeps_is_asked_again_of_the_same_series_and_weights(
    store: Path, weights: Path, monkeypatch: pytest.MonkeyPatch, whose: str
) -> None:
    name, wave = "it's mine", np.sin(np.arange(4000) * 2 * np.pi / 24)
    if whose == "own":
        ds = own.dataset(own.keep(vc.Signal(name, wave, 720)))
    elif whose == "store":
        vc.build(vc.Signal(name, wave[:900], 300), store, weights)
        ds = store_at(store).signal(name)
    else:
        ds = store_at(store).signal("full")
    subject, asked = Subject.of(ds), list[Any]()
    verdict = mock_verdict(signal=subject.signal.name)
    verdict = vschema.with_facts(verdict, question=vschema.facts(verdict, "question") | {"budget": 2.0})

    def ask(*given: Any, **options: Any) -> Any:
        asked.append((*given, options))
        return verdict

    monkeypatch.setattr(vc, "ask", ask)
    assert last_value(answer_code(verdict, subject)).headline == vc.show(verdict).headline
    draw = "vc.charts.head_matrix(measures, 'looks_figure')"
    page = vc.charts.head_matrix(head_measures(ds, 62.8).assign(claim_figures(verdict)), "looks_figure")
    assert last_value(heads_code(ds, 62.8, verdict, draw)).to_dict() == vc.charts.altair_chart(page).to_dict()
    for model, series, options in asked:
        assert options == {"period": 64.0, "budget": 2.0}
        assert model.weights.sha256 == subject.weights_sha256
        told = prepare(model, series, 64.0)
        assert series_hash(told.series) == series_hash(subject.signal.known)
        assert told.signal.name == subject.signal.name
    assert len(asked) == 2


def test_lines_that_ask_again_name_weights_that_are_not_here_and_a_window_that_was_chosen_by_hand(store: Path) -> None:
    subject = replace(Subject.of(store_at(store).signal("full")), weights_sha256="0" * 64, weights='a "b"\nimport os')
    verdict = mock_verdict()
    verdict = vschema.with_facts(verdict, window_facts={"chosen": False, "history": 128, "horizon": 32})
    code = answer_code(verdict, subject)
    compile(code, "cell", "exec")
    assert "import os\n" not in code.replace("\\n", "")
    assert "  # in place of their name, the file of these weights\n" in code
    assert "vc.ask(model, series, period=64.0, window=(128, 32))" in code
