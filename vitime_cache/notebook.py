"""Shows results of `ask` and `capture`, and a store's Dataset, as a headline and a picture in a notebook."""

from __future__ import annotations

import json
import uuid
from base64 import b64encode
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

import xarray as xr

from vitime_cache import charts
from vitime_cache.attention import schema
from vitime_cache.charts.style import ChartError, Spec
from vitime_cache.evidence.verdict import schema as vschema
from vitime_cache.evidence.verdict.headline import headline
from vitime_cache.evidence.verdict.report import NOT_CLAIMED, sentences
from vitime_cache.shown import html
from vitime_cache.study.first_head import first_head

WIDTH = 640  # pixels: the text column of a notebook
MAP, TOTAL = 360, 860
PAGE = """<p>{headline}</p><p><small>{small}</small></p>
<div id="{place}"><img src="data:image/png;base64,{png}" alt="{alt}" style="max-width: 100%"></div>
<script>
(() => {{
  const place = document.getElementById("{place}"), live = document.createElement("div");
  import("{modules}")
    .then(({{default: embed}}) => embed(live, {chart}, {{actions: false}}))
    .then(() => place.replaceChildren(live), () => undefined);
}})();
</script>
"""


@dataclass(frozen=True)
class Shown:
    """A headline and a picture that Jupyter displays.

    The picture is interactive once the browser has loaded Vega from the network; until then it is static.

    Attributes
    ----------
    headline
        What the picture shows, in a few sentences.
    small
        What is not claimed, or which head is shown and why.
    chart
        Vega-Lite, for `vc.charts.figure_bytes(shown.chart, "pdf")` or `vc.charts.altair_chart(shown.chart)`.
    """

    headline: str
    small: str
    chart: Spec

    def __repr__(self) -> str:
        return f"{self.headline}\n{self.small}"

    def _repr_html_(self) -> str:
        return PAGE.format(
            headline=html(self.headline), small=html(self.small), alt=html(self.headline),
            place=f"vitime-{uuid.uuid4().hex[:12]}", modules=charts.vega_embed_module(),
            png=b64encode(charts.small_png(self.chart)).decode(),
            chart=json.dumps(self.chart).replace("<", "\\u003c"),
        )  # fmt: skip


def show(ds: xr.Dataset, layer: str | None = None, head: int | None = None) -> Shown:
    """The headline and the picture of an answer, or of attention.

    Parameters
    ----------
    ds
        The result of `ask` or `capture`, or the Dataset of a store; of several signals the first is shown, as the
        headline says.
    layer, head
        The head to show for attention; by default one that is named with the reason. An answer is about all heads.

    Raises
    ------
    ChartError
        For anything but an answer or attention, and for a head that does not exist.

    Examples
    --------
    >>> vc.show(vc.ask(model, signal, period=24))
    >>> vc.show(vc.open_store("store/vitime-mini.zarr").sel(signal="full"))
    """
    if not isinstance(ds, xr.Dataset):
        raise ChartError(f"vc.show takes the Dataset of vc.ask, vc.capture or a store, got {type(ds).__name__}")
    if vschema.CLAIM in ds.dims and "mechanism_share" in ds:
        if layer is not None or head is not None:
            raise ChartError("an answer is about all heads: leave out layer and head")
        return _answer(vschema.validate(ds))
    if schema.TIME_ATTENTION in ds:
        return _attention(schema.validate(ds), layer, head)
    names = ", ".join(map(str, ds.data_vars)) or "none"
    raise ChartError(f"vc.show takes the Dataset of vc.ask, vc.capture or a store; this has the variables {names:.200}")


def _answer(verdict: xr.Dataset) -> Shown:
    """The series with its forecasts, influence and attention over lags, and the few heads, as far as known."""
    if not vschema.facts(verdict, "stages"):
        raise ChartError("nothing is known yet about this question: no level is finished")
    pictures = _drawable(
        partial(draw, verdict, width=WIDTH)
        for draw in (charts.answer_forecast, charts.answer_influence, charts.answer_attention, charts.answer_heads)
    )
    return Shown(headline(verdict), sentences(verdict)[NOT_CLAIMED], charts.beside(pictures, columns=1))


def _attention(ds: xr.Dataset, layer: str | None, head: int | None) -> Shown:
    """The series with one head's map and lag curve, linked; only the map if no lag has enough pairs for a curve."""
    several = schema.SIGNAL in ds.dims
    count = ds.sizes[schema.SIGNAL] if several else 1
    if not count:
        raise ChartError("the store holds no complete signal yet")
    one = ds.isel({schema.SIGNAL: 0}) if several else ds
    first = first_head(one)
    layer_shown, head_shown = first[0] if layer is None else layer, first[1] if head is None else head
    view = charts.HeadView(one, layer_shown, head_shown)
    chosen = "chosen by you" if layer is not None or head is not None else first[2]
    said = [
        f"{view.signal}: {view.clock.span(view.n_history)} of history and a forecast of "
        f"{view.clock.span(int(one[schema.HORIZON]))}, {view.clock.span(view.samples_per_patch)} a patch, weights "
        f"{ds.attrs['weights']}."
    ]
    if count > 1:
        said.append(f"It is the first of {count} signals; ds.sel(signal=…) takes another.")
    if ds.attrs["weights_note"]:
        said.append(f"Weights: {ds.attrs['weights_note']}.")
    (chart,) = _drawable([partial(charts.linked_head, view, total_width=TOTAL)]) or [charts.heatmap(view, size=MAP)]
    return Shown(" ".join(said), f"{layer_shown}, head {head_shown}: {chosen}.", chart)


def _drawable(draws: Iterable[Callable[[], Spec]]) -> list[Spec]:
    """The pictures that can be drawn: those of finished levels, or with enough pairs."""
    pictures = []
    for draw in draws:
        with suppress(ChartError):
            pictures.append(draw())
    return pictures
