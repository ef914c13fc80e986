"""`vc.show`: a headline and a picture of answers and of attention, and one line for all else."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import vitime_cache as vc
from tests.conftest import random_model, small_config
from vitime_cache.attention.mock import mock_dataset
from vitime_cache.charts.style import ChartError
from vitime_cache.evidence.verdict import schema as vschema
from vitime_cache.evidence.verdict.headline import headline
from vitime_cache.evidence.verdict.mock import MADE, mock_verdict


@pytest.mark.parametrize("kind", MADE)
def test_an_answer_of_every_kind_shows_its_headline_and_its_pictures(kind: str) -> None:
    verdict = mock_verdict(kind=kind)
    shown = vc.show(verdict)
    assert shown.headline == headline(verdict)
    assert repr(shown).startswith(shown.headline)
    assert shown.chart["concat"]


def test_the_pictures_are_valid_vega_lite() -> None:
    for ds in (mock_verdict(), mock_dataset()):
        vc.charts.altair_chart(vc.show(ds).chart)  # checked against the schema


def test_an_unfinished_answer_shows_the_levels_that_are_done() -> None:
    whole, part = (vc.show(mock_verdict(stages=stages)) for stages in (vschema.STAGES, vschema.STAGES[:1]))
    assert 0 < len(part.chart["concat"]) < len(whole.chart["concat"])


def test_an_answer_in_which_no_level_is_done_is_refused() -> None:
    with pytest.raises(ChartError, match="no level is finished"):
        vc.show(mock_verdict(stages=()))


def test_what_capture_returns_is_shown_with_the_head_and_why_it_is_that_one() -> None:
    wave = np.sin(2 * np.pi * np.arange(256) / 32)
    shown = vc.show(vc.capture(random_model(small_config()), wave, horizon=64))
    assert "256 samples of history and a forecast of 64" in shown.headline
    assert re.match(r"(en|de)coder\.\d, head \d: ", shown.small)


def test_of_a_store_the_first_signal_is_shown_and_said_to_be_the_first() -> None:
    ds = mock_dataset(signals=("one", "two", "three"))
    assert "first of 3 signals" in vc.show(ds).headline
    assert vc.show(ds.sel(signal="two")).headline.startswith("two: ")
    assert vc.show(ds.sel(signal=["three"])).headline.startswith("three: ")
    assert "first of" not in vc.show(ds.sel(signal=["three"])).headline


def test_a_head_can_be_named_and_one_that_does_not_exist_is_refused() -> None:
    ds = mock_dataset()
    assert vc.show(ds, "encoder.1", 2).small == "encoder.1, head 2: chosen by you."
    with pytest.raises(ChartError, match=r"no layer 'decoder.9'"):
        vc.show(ds, "decoder.9")
    with pytest.raises(ChartError, match="no head 99"):
        vc.show(ds, head=99)
    with pytest.raises(ChartError, match="leave out layer and head"):
        vc.show(mock_verdict(), head=1)


@pytest.mark.parametrize("thing", [None, 3, "store.zarr", np.zeros(3), xr.Dataset(), xr.Dataset({"t2m": ("x", [1.0])})])
def test_what_is_neither_is_refused_in_one_line(thing: object) -> None:
    with pytest.raises(ChartError, match=r"^vc\.show takes the Dataset of vc\.ask, vc\.capture or a store[^\n]*$"):
        vc.show(thing)  # type: ignore[arg-type]
    with pytest.raises(ChartError, match="no complete signal"):
        vc.show(mock_dataset().isel(signal=slice(0, 0)))
    for dim in ("layer", "head"):
        with pytest.raises(vc.VitimeError, match="holds no attention"):
            vc.show(mock_dataset().isel({dim: slice(0, 0)}))


def test_names_from_outside_are_no_markup_in_the_page() -> None:
    page = vc.show(mock_dataset(signals=("</script><b>x",)))._repr_html_()
    assert "<b>x" not in page
    assert page.count("</script>") == 1


def test_the_page_holds_a_still_picture_and_the_chart_itself() -> None:
    shown = vc.show(mock_verdict())
    page = shown._repr_html_()
    (found,) = re.findall(r"embed\(live, (.*), \{actions: false\}\)", page)
    assert json.loads(found) == json.loads(json.dumps(shown.chart))
    assert "data:image/png;base64,iVBOR" in page
    assert page != shown._repr_html_()  # shown twice on a page, each finds its own place


def test_showing_does_not_import_torch_and_reading_a_store_does_not_import_altair() -> None:
    code = (
        "import sys, vitime_cache as vc; vc.open_store; print('altair' in sys.modules); vc.show; "
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path.cwd())
    assert done.stdout.split() == ["False", "False"]
