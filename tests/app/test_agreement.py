"""One question on all pages and on its card: a figure that stands twice is the same figure."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import xarray as xr
from rich.console import Console
from streamlit.testing.v1 import AppTest

from tests.app.test_evidence import made
from tests.app.test_pages import charts, read
from vitime_cache.attention import schema
from vitime_cache.charts.card import verdict_card
from vitime_cache.cli.console import show_verdict
from vitime_cache.evidence.levels.table import CLAIMS
from vitime_cache.evidence.verdict import schema as vschema
from vitime_cache.evidence.verdict.data import set_heads
from vitime_cache.numerals import number
from vitime_cache.store.verdicts import keep_verdict

OpenPage = Callable[..., AppTest]


@pytest.fixture
def verdict(store: Path, weights: Path) -> xr.Dataset:
    """A made-up answer about `full`, kept in the store."""
    found = made(weights, "full")
    keep_verdict(store, found)
    return found


def badges(at: AppTest) -> list[str]:
    """The badges with figures of each text of a page that names one head."""
    said = [each.value for each in at.markdown if "more than on nulls" in each.value and ", head " in each.value]
    return [" ".join(re.findall(r":\w+-badge\[[^\]]*\]", text)) for text in said]


def test_the_headline_is_the_same_on_ask_in_the_library_and_on_the_card(
    verdict: xr.Dataset, open_page: OpenPage
) -> None:
    (said,) = (read(each.value) for each in open_page("ask", signal="full").success)
    assert open_page("library").dataframe[0].value["answer"].tolist() == [said]
    assert said in verdict_card(verdict)
    share = re.search(r"(\d+ %) of it through", said)
    assert share is not None
    assert any(f"Alone they carry {share[1]} of it" in chart for chart in charts(open_page("ask", signal="full")))


def test_the_headline_is_the_same_where_another_version_stored_it_in_other_words(
    store: Path, weights: Path, open_page: OpenPage
) -> None:
    found = made(weights, "full")
    older = vschema.facts(found, "answer") | {"headline": "Yes, as one said then.", "version": "0.1"}
    keep_verdict(store, vschema.with_facts(found, answer=older))
    (said,) = (read(each.value) for each in open_page("ask", signal="full").success)
    assert "as one said then" not in said
    assert open_page("library").dataframe[0].value["answer"].tolist() == [said]


def test_the_figures_of_a_head_are_the_same_on_ask_heads_head_compare_the_card_and_in_the_command(
    verdict: xr.Dataset, open_page: OpenPage
) -> None:
    i, head = set_heads(verdict)[0]
    layer = str(verdict[schema.LAYER].values[i])
    place = {"signal": "full", "layer": layer, "head": str(head)}
    (asked,) = badges(open_page("ask", signal="full"))
    for page in ("head", "compare"):
        assert badges(open_page(page, **place)) == [asked], page
    at = {schema.LAYER: layer, schema.HEAD: head}
    figures = [number(float(verdict["figure"].sel({vschema.CLAIM: claim.name, **at}))) for claim in CLAIMS]
    assert re.findall(r"[\d.−]+(?=\])", asked) == figures
    row = re.search(rf"<td>{layer} {head}</td>(.*?)</tr>", verdict_card(verdict, layer, head))
    assert row is not None
    assert re.findall(r">([\d.−]+) ", row[1]) == figures
    show_verdict(verdict, printed := Console(file=io.StringIO(), width=200))
    assert isinstance(printed.file, io.StringIO)
    (line,) = re.findall(rf"│ {layer} {head} (.*)", printed.file.getvalue())
    assert re.findall(r"([\d.−]+) [✓✗?–]", line) == figures
    ranked = open_page("heads", signal="full", view="Ranked").dataframe[0]
    of = ranked.value.set_index(["layer", "head"]).loc[(layer, head)]
    assert [number(float(of[f"{claim.name}_figure"])) for claim in CLAIMS] == figures


@pytest.mark.usefixtures("verdict")
def test_the_prominence_of_a_peak_is_the_same_on_heads_head_and_compare(open_page: OpenPage) -> None:
    ranked = open_page("heads", signal="full", view="Ranked").dataframe[0].value
    known = ranked.dropna(subset=["period_prominence"])
    assert len(known)
    for layer, head, prominence in known[["layer", "head", "period_prominence"]].head(2).itertuples(index=False):
        place = {"signal": "full", "layer": layer, "head": str(head), "region": "all"}
        peaks = open_page("head", **place).dataframe[0].value
        assert peaks["error"].dtype == float, "sorted and downloaded as numbers"
        (on_head,) = peaks[(peaks["multiple"] == 1) & peaks["matches"]]["relative_prominence"]
        changes = open_page("compare", **place).dataframe[0].value
        (compared,) = changes[(changes["multiple"] == "1 P") & changes["first"].notna()]["first"]
        assert number(prominence) == number(on_head) == number(compared)
