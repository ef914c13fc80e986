"""Take pictures of all pages of the app, at four widths and in both themes: python -m docs.screenshots STORES.

STORES is a folder with the default store in it, and in that an answer on `full` for the pages to show:
python -m vitime_cache ask STORES/vitime-mini.zarr --signal full

Writes docs/images/screens/PAGE-THEME-WIDTH.webp, and docs/images/PAGE-light-1280.png of the pages that the README
shows. Needs Debian's package `chromium` and the Python package playwright.
"""

from __future__ import annotations

import argparse
from io import BytesIO
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page
from playwright.sync_api import TimeoutError as NothingDrawnError

from benchmarks.app_session import served
from benchmarks.browser import chromium
from vitime_cache.model.checkpoint import find_weights
from vitime_cache.ui.routing import FIRST, PAGES

QUERIES = {"heads": "?signal=full&view=Maps", "library": ""}
VIEWS = {page: ("" if page == FIRST else page) + QUERIES.get(page, "?signal=full") for page in PAGES}
IMAGES = Path(__file__).parent / "images"
WIDTHS, THEMES = (390, 800, 1280, 1920), ("light", "dark")
README = {(page, "light", 1280) for page in ("ask", "head", "heads")}
COLOURS = (160, 96, 64, 40, 24)
MOST_BYTES = 250_000  # of a picture of the README; the others are a third of it on the average
QUALITY = 55
TALLEST = 2600  # pixels; what lies below is cut
CHART = "[data-testid=stVegaLiteChart] canvas, [data-testid=stVegaLiteChart] svg, [data-testid=stDataFrame]"
HEIGHT = "document.querySelector('[data-testid=stMain]').scrollHeight"


def main() -> None:
    """One picture per page, theme and width, as tall as the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stores", type=Path)
    parser.add_argument("--out", type=Path, default=IMAGES, help="folder of the README's pictures; screens/ below it")
    parser.add_argument("--widths", type=int, nargs="+", default=WIDTHS)
    parser.add_argument("--themes", nargs="+", choices=THEMES, default=THEMES)
    parser.add_argument("--pages", nargs="+", choices=list(VIEWS), default=list(VIEWS))
    options = parser.parse_args()
    screens = options.out / "screens"
    screens.mkdir(parents=True, exist_ok=True)
    with served(options.stores, find_weights().parent) as server, chromium() as browser:
        for theme in options.themes:
            for width in options.widths:
                tab = browser.new_page(viewport={"width": width, "height": 1000}, color_scheme=theme)
                for name in options.pages:
                    picture = _taken(tab, f"{server.url}/{VIEWS[name]}", width)
                    picture.save(screens / f"{name}-{theme}-{width}.webp", quality=QUALITY, method=6)
                    if (name, theme, width) in README:
                        _save(picture, options.out / f"{name}-{theme}-{width}.png")
                    print(f"{name}, {theme}, {width} pixels", flush=True)
                tab.close()


def _taken(tab: Page, address: str, width: int) -> Image.Image:
    """The page once its charts are drawn."""
    tab.set_viewport_size({"width": width, "height": 1000})
    tab.goto(address)
    try:
        tab.wait_for_selector(CHART, timeout=60_000)
    except NothingDrawnError:
        print(f"no chart or table within a minute: {address}")
    tab.wait_for_timeout(2500)  # the last chart of the page
    tab.set_viewport_size({"width": width, "height": min(tab.evaluate(HEIGHT), TALLEST)})
    tab.wait_for_timeout(1000)
    return Image.open(BytesIO(tab.screenshot())).convert("RGB")


def _save(picture: Image.Image, path: Path) -> None:
    """Write a picture in as many colours as keep it below `MOST_BYTES`."""
    for colours in COLOURS:
        picture.quantize(colours, dither=Image.Dither.NONE).save(path, "PNG", optimize=True)
        if path.stat().st_size <= MOST_BYTES:
            return


if __name__ == "__main__":
    main()
