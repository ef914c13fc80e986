"""Take the pictures of the app that the README shows: python -m docs.screenshots STORES [--widths 1280 1920].

STORES is a folder with the default store in it, and in that a verdict on `full` for the Evidence page:
python -m vitime_cache ask STORES/vitime-mini.zarr --signal full

Needs Debian's package `chromium` and the Python package playwright.
"""

from __future__ import annotations

import argparse
from io import BytesIO
from pathlib import Path

from PIL import Image

from benchmarks.app_session import served
from benchmarks.browser import chromium
from vitime_cache.model.checkpoint import find_weights
from vitime_cache.ui.routing import FIRST, PAGES

QUERIES = {"heads": "?signal=full&view=Maps", "library": ""}
VIEWS = {page: ("" if page == FIRST else page) + QUERIES.get(page, "?signal=full") for page in PAGES}
COLOURS = (160, 96, 64, 40, 24)
MOST_BYTES = 250_000
CHART = "[data-testid=stVegaLiteChart] canvas, [data-testid=stVegaLiteChart] svg, [data-testid=stDataFrame]"
HEIGHT = "document.querySelector('[data-testid=stMain]').scrollHeight"


def main() -> None:
    """One picture per page, theme and width, as tall as the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stores", type=Path)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "images")
    parser.add_argument("--widths", type=int, nargs="+", default=[1280])
    parser.add_argument("--themes", nargs="+", choices=("light", "dark"), default=["light"])
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    with served(options.stores, find_weights().parent) as server, chromium() as browser:
        for theme in options.themes:
            for width in options.widths:
                page = browser.new_page(viewport={"width": width, "height": 1000}, color_scheme=theme)
                for name, address in VIEWS.items():
                    page.set_viewport_size({"width": width, "height": 1000})
                    page.goto(f"{server.url}/{address}")
                    page.wait_for_selector(CHART, timeout=60_000)
                    page.wait_for_timeout(2500)  # the last chart of the page
                    page.set_viewport_size({"width": width, "height": min(page.evaluate(HEIGHT), 2600)})
                    page.wait_for_timeout(1000)
                    _save(page.screenshot(), options.out / f"{name}-{theme}-{width}.png")
                page.close()


def _save(picture: bytes, path: Path) -> None:
    """Write a picture in as many colours as keep it below `MOST_BYTES`."""
    whole = Image.open(BytesIO(picture)).convert("RGB")
    for colours in COLOURS:
        whole.quantize(colours, dither=Image.Dither.NONE).save(path, "PNG", optimize=True)
        if path.stat().st_size <= MOST_BYTES:
            return


if __name__ == "__main__":
    main()
