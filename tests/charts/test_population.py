"""The picture and the page of many signals."""

from __future__ import annotations

import json
import re

import altair
import numpy as np
import pytest
import vl_convert
from altair.utils.schemapi import validate_jsonschema

from vitime_cache import charts
from vitime_cache.charts.population import population_card
from vitime_cache.evidence.levels.table import KINDS
from vitime_cache.evidence.population import schema as population_schema
from vitime_cache.evidence.population.mock import mock_population
from vitime_cache.evidence.population.report import headline

HOSTILE = "<script>alert(1)</script>&\"'"
EVERY = [*KINDS, *population_schema.NOT_ASKED]


def test_the_pictures_follow_the_schema_render_and_say_what_the_table_says():
    ds = mock_population(EVERY * 2)
    for chart in (charts.population_kinds(ds), charts.population_heads(ds)):
        validate_jsonschema(chart, altair.Chart._rootschema)
        assert vl_convert.vegalite_to_svg(chart).startswith("<svg")
        assert max(map(len, np.atleast_1d(chart["title"]["subtitle"]))) <= 60
    table = charts.population_kinds_table(ds)
    assert table["signals"].tolist() == [2] * len(EVERY)
    assert table["what"].is_unique
    assert table[table["yes"]]["what"].tolist() == [
        "Yes, through attention there",
        "Yes, partly through attention there",
        "Yes, by a detour",
    ]
    heads = charts.population_heads_table(ds).set_index(["layer", "head"])["signals"]
    assert heads["decoder.0", 0] == 4
    assert heads["decoder.0", 1] == 2
    assert heads.sum() == 6


def test_where_no_head_carries_it_the_page_says_so_in_the_place_of_a_picture():
    ds = mock_population(["elsewhere", "constant"])
    with pytest.raises(charts.ChartError, match="on any signal"):
        charts.population_heads(ds)
    page = population_card(ds)
    assert page.count("<svg") == 1
    assert "No picture: no head was found" in page


def test_the_page_holds_the_headline_every_signal_and_its_numbers_and_nothing_of_a_name_is_markup():
    ds = mock_population(EVERY)
    ds = ds.assign_coords(signal=np.array([HOSTILE, *ds["signal"].values[1:]], dtype=object))
    ds["reason"].values[-1] = HOSTILE
    page = population_card(ds)
    assert headline(ds) in page
    assert "<script>alert" not in page
    assert page.count("<tr") == 1 + len(EVERY)
    block = re.search(r'<script type="application/json" id="population">(.*?)</script>', page, re.S)
    document = json.loads(block[1])
    assert document["signals"][0]["signal"] == HOSTILE
    assert document["answered"] == len(KINDS) - 1
