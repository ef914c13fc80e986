"""The reference experiment from start to conclusion, by a person in a browser."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("playwright", reason="the Python package playwright is not installed")
from playwright.sync_api import Browser, Locator, Page, expect

from benchmarks.app_session import served
from benchmarks.browser import MISSING, chromium, program

# On a link to a page Streamlit's client first looks for its server below that page, and finds it one level up.
PROBE = re.compile(r"/\w+/_stcore/(health|host-config)$")
PATIENCE = 60_000  # ms
expect.set_options(timeout=PATIENCE)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if program() is None:
        pytest.skip(MISSING)
    with chromium() as started:
        yield started


@pytest.fixture
def empty_site(weights: Path, tmp_path: Path) -> Iterator[str]:
    """The address of the app over a folder without a store."""
    with served(tmp_path, weights.parent) as server:
        yield server.url
    assert "Traceback" not in (tmp_path / "server.log").read_text()


@pytest.fixture
def site(built: Path, weights: Path, tmp_path: Path) -> Iterator[str]:
    """The address of the app over a store of four signals."""
    shutil.copytree(built, tmp_path / built.name)
    with served(tmp_path, weights.parent) as server:
        yield server.url
    assert "Traceback" not in (tmp_path / "server.log").read_text()


@pytest.fixture
def page(browser: Browser, tmp_path: Path) -> Iterator[Page]:
    """A tab; at the end it must have shown no exception box and its console no error. Ask for it after the site."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(PATIENCE)
    tab = context.new_page()
    complaints: list[str] = []
    tab.on("pageerror", lambda error: complaints.append(str(error)))
    tab.on(
        "console",
        lambda message: (
            complaints.append(f"{message.text} ({message.location.get('url')})")
            if message.type == "error" and not PROBE.search(message.location.get("url", ""))
            else None
        ),
    )
    yield tab
    tab.screenshot(path=tmp_path / "last.png")
    boxes = tab.get_by_test_id("stException").all_inner_texts()
    context.close()
    assert not complaints
    assert not boxes


def settled(page: Page) -> None:
    """Wait until the script has run and its charts are drawn."""
    expect(page.get_by_test_id("stStatusWidget")).to_have_count(0)
    assert page.get_by_test_id("stException").count() == 0


def go(page: Page, name: str) -> None:
    page.locator(".st-key-pages").get_by_text(name, exact=True).click()
    expect(page.get_by_role("heading", name=name, exact=True)).to_be_visible(timeout=PATIENCE)
    settled(page)


def chart(page: Page, title: str) -> Locator:
    """The chart whose title holds these words, once it is drawn as large as a chart."""
    page.wait_for_function(
        """title => [...document.querySelectorAll('[data-testid=stVegaLiteChart]')].some(chart =>
            (chart.getAttribute('aria-label') ?? '').includes(title)
            && chart.querySelector('canvas, svg')?.getBoundingClientRect().height > 100)""",
        arg=title,
    )
    return page.locator(f"[data-testid=stVegaLiteChart][aria-label*='{title}']").first


def click(place: Locator, across: float, down: float) -> None:
    """Click a point of a chart, given as shares of its width and height."""
    box = place.bounding_box()
    assert box is not None
    place.click(position={"x": box["width"] * across, "y": box["height"] * down})


def choose(page: Page, label: str, option: str) -> None:
    page.get_by_test_id("stSelectbox").filter(has_text=label).get_by_role("combobox").click()
    page.get_by_role("option", name=option, exact=True).click()
    settled(page)


def test_the_reference_experiment_from_the_heatmap_to_a_saved_run(site: str, page: Page) -> None:
    page.goto(site)
    expect(page.get_by_role("heading", name="What does each head look at?")).to_be_visible()
    expect(page.get_by_text("not the published ViTime model").first).to_be_visible()

    go(page, "Heatmap")
    choose(page, "Head", "2")
    chart(page, "full, decoder.0, head 2")
    assert "head=2" in page.url
    page.reload()
    settled(page)
    map_ = chart(page, "full, decoder.0, head 2")
    assert "head=2" in page.url

    before = page.url
    click(map_, 0.5, 0.8)
    expect(page).not_to_have_url(before)
    assert "query_16=" in page.url, "a click chooses the query"

    go(page, "Lags")
    chart(page, "How far it looks: full, decoder.0, head 2")
    chart(page, "How the series resembles its own past")
    assert "head=2" in page.url, "the choice goes along"

    go(page, "Compare")
    chart(page, "Where full and reduced_harmonic differ")
    expect(page.get_by_text("The peaks of both")).to_be_visible()
    expect(page.get_by_text("It does not support")).to_be_visible()

    go(page, "Live")
    page.get_by_role("button", name="Run the model").click()
    expect(page.get_by_role("heading", name="composed")).to_be_visible()
    settled(page)
    chart(page, "composed")
    page.get_by_label("Save as").fill("from the browser")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("Saved as from the browser")).to_be_visible()

    page.goto(f"{site}/heatmap?signal=from+the+browser")
    expect(page.get_by_role("combobox", name="Signal")).to_have_value("from the browser")
    settled(page)
    chart(page, "from the browser, decoder.0")


def test_a_click_on_a_head_opens_its_heatmap(site: str, page: Page) -> None:
    page.goto(f"{site}/heads?view=Maps")
    settled(page)
    click(chart(page, "map: full"), 0.8, 0.5)
    expect(page.get_by_role("heading", name="Heatmap")).to_be_visible()
    settled(page)
    assert "layer=" in page.url
    assert "head=" in page.url


def test_a_store_is_built_from_the_overview_and_seen_growing(empty_site: str, page: Page) -> None:
    page.goto(empty_site)
    page.get_by_role("button", name="Build it now").click()
    expect(page.get_by_text("signals are complete").first).to_be_visible()
    expect(page.get_by_text("29 signals in vitime-mini.zarr")).to_be_visible(timeout=120_000)


def test_a_click_leaves_one_entry_in_the_browsers_history_and_going_back_undoes_it(site: str, page: Page) -> None:
    def entries() -> int:
        return int(page.evaluate("history.length"))

    def expect_entries(count: int) -> None:
        page.wait_for_function("count => history.length === count", arg=count)
        settled(page)
        assert entries() == count

    page.goto(site)
    expect(page.get_by_role("heading", name="What does each head look at?")).to_be_visible()
    settled(page)
    before = entries()
    for clicks, name in enumerate(("Heatmap", "Lags", "Compare", "Evidence", "Heads", "Heatmap"), 1):
        go(page, name)
        expect_entries(before + clicks)
    before = entries()
    choose(page, "Head", "2")
    expect(page).to_have_url(re.compile("head=2"))
    expect_entries(before + 1)
    map_ = chart(page, "full, decoder.0, head 2")
    for query, (across, down) in enumerate(((0.5, 0.6), (0.5, 0.5)), 2):
        address = page.url
        click(map_, across, down)
        expect(page).not_to_have_url(address)
        expect_entries(before + query)
    page.go_back()
    expect(page).to_have_url(address)
    looked_at = re.search(r"query_16=(\d+)", address)
    assert looked_at
    chart(page, f"Where the tokens of samples {looked_at[1]}–")
    page.go_back()
    expect(page).not_to_have_url(address)
    settled(page)
    page.go_back()
    expect(page).not_to_have_url(re.compile("head=2"))
    chart(page, "full, decoder.0, head 0")
    page.go_back()
    expect(page.get_by_role("heading", name="Heads", exact=True)).to_be_visible()
