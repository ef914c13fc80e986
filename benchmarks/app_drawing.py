"""How long a page takes to be drawn in a browser, from the click on its name to the last picture of its charts.

    python -m benchmarks.app_drawing                     # needs Debian's package `chromium`

The store is one of 18 layers × 16 heads, the size of the published model, with made-up attention; the heads page shows
all 288 maps. A chart counts as drawn once it is there and two further frames have been painted.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path
from statistics import median

from playwright.sync_api import Page

from benchmarks.app_latency import LARGE, large_store
from benchmarks.app_session import served
from benchmarks.browser import chromium
from vitime_cache.model.checkpoint import find_weights

CHARTS = {"Heatmap": 1, "Lags": 1, "Heads": 1}  # at least so many; token maps are not in the store
DRAWN = """count => {
    const idle = !document.querySelector('[data-testid=stStatusWidget]');
    const charts = document.querySelectorAll('[data-testid=stVegaLiteChart] canvas, [data-testid=stVegaLiteChart] svg');
    const loading = document.querySelector('[data-testid=stSkeleton], [data-stale=true]');
    return idle && !loading && charts.length >= count && [...charts].every(chart => chart.clientHeight > 50);
}"""
TWO_FRAMES = "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"


def seconds_to(page: Page, name: str) -> float:
    """From the click on a page's name until its charts are drawn."""
    link = page.locator(".st-key-pages").get_by_role("link", name=name, exact=True)
    start = time.perf_counter()
    link.click()
    page.wait_for_url(f"**/{name.lower()}?**")
    page.wait_for_function(DRAWN, arg=CHARTS[name], polling="raf")
    page.evaluate(TWO_FRAMES)
    return time.perf_counter() - start


def main() -> None:
    """Build the store, walk through the pages, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        large_store(Path(name) / LARGE)
        with served(Path(name), find_weights().parent) as server, chromium() as browser:
            page = browser.new_page(viewport={"width": 1280, "height": 1000})
            start = time.perf_counter()
            page.goto(f"{server.url}/heads?store={LARGE}&view=Maps")
            page.wait_for_function(DRAWN, arg=1, timeout=60_000)
            page.evaluate(TWO_FRAMES)
            print(f"{os.cpu_count()} cores, server and browser on them")
            print(
                f"a new tab with all {18 * 16} maps, in a new browser and server: {time.perf_counter() - start:.2f} s"
            )
            print(f"{'page':12}{'first s':>10}{'median s':>10}{'most s':>10}")
            times: dict[str, list[float]] = {page_name: [] for page_name in CHARTS}
            for _ in range(options.repeats + 1):
                for page_name in CHARTS:
                    times[page_name].append(seconds_to(page, page_name))
            for page_name, (first, *again) in times.items():
                print(f"{page_name:12}{first:>10.2f}{median(again):>10.2f}{max(again):>10.2f}")
            assert page.get_by_text("Maps", exact=True).count(), "the heads page shows no maps"


if __name__ == "__main__":
    main()
