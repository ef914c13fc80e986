"""The Python that a page gives for its view runs, and shows the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import vitime_cache as vc
from vitime_cache.evidence.verdict import schema as vschema
from vitime_cache.evidence.verdict.mock import mock_verdict
from vitime_cache.store.verdicts import keep_verdict
from vitime_cache.ui.copied import answer_code, compared_code, head_code, heads_code
from vitime_cache.ui.shared import KEY


def last_value(code: str) -> Any:
    """What a notebook would display of a cell."""
    *lines, last = code.rstrip().splitlines()
    names: dict[str, Any] = {}
    exec("\n".join(lines), names)
    return eval(last, names)


def test_the_lines_for_a_head_and_for_two_signals_and_for_all_heads_run(built: Path) -> None:
    store = vc.open_store(built)
    full, reduced = (
        store.sel(signal=name).assign_attrs({KEY: f"{built}@1|{name}"}) for name in ("full", "reduced_harmonic")
    )
    layer = str(store.layer.values[-1])
    shown = last_value(head_code(full, layer, 1))
    assert shown.headline.startswith("full: ")
    assert shown.small == f"{layer}, head 1: chosen by you."
    for code in (compared_code(full, reduced, layer, 1), heads_code(full, 62.8), heads_code(full, None)):
        assert last_value(code).to_dict()


def test_the_lines_for_an_answer_open_it_where_its_store_keeps_it(store: Path) -> None:
    ds = vc.open_store(store)
    verdict = mock_verdict()
    question = vschema.facts(verdict, "question") | {"weights_sha256": ds.attrs["weights_sha256"]}
    verdict = vschema.with_facts(verdict, question=question)
    group = keep_verdict(store, verdict)
    shown = last_value(answer_code(verdict.assign_attrs({KEY: f"{store}/{group}|now"})))
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
