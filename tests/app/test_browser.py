"""What only a browser shows: clicks on charts, and a page that follows a build, by a person in a browser."""

from __future__ import annotations

import contextlib
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("playwright", reason="the Python package playwright is not installed")
from playwright.sync_api import Browser, BrowserContext, CDPSession, Locator, Page, expect

from benchmarks.app_session import served
from benchmarks.browser import MISSING, chromium, program
from tests.app.conftest import signals
from tests.app.test_evidence import made
from vitime_cache import places
from vitime_cache.model.checkpoint import SHIPPED_NAME
from vitime_cache.store.build import build
from vitime_cache.store.verdicts import keep_verdict

pytestmark = pytest.mark.slow

# On a link to a page Streamlit's client first looks for its server below that page, and finds it one level up.
PROBE = re.compile(r"/\w+/_stcore/(health|host-config)$")
PATIENCE = 60_000  # ms
expect.set_options(timeout=PATIENCE)
ON_THE_MAP = ((0.2, 0.8), (0.2, 0.7))  # places on the map of the linked picture, as shares of its width and height


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if program() is None:
        pytest.skip(MISSING)
    with chromium() as started:
        yield started


@contextlib.contextmanager
def served_without_errors(folder: Path, weights: Path) -> Iterator[str]:
    with served(folder, weights.parent) as server:
        yield server.url
    assert "Traceback" not in (folder / "server.log").read_text()


@pytest.fixture(scope="module")
def empty_site(weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the app over a folder without a store; the last test that asks for it builds one."""
    with served_without_errors(tmp_path_factory.mktemp("empty"), weights) as url:
        yield url


@pytest.fixture(scope="module")
def site(built: Path, weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The app over a store of four signals, with a made-up answer about `full`; tests look at it and change nothing."""
    folder = tmp_path_factory.mktemp("site")
    keep_verdict(Path(shutil.copytree(built, folder / built.name)), made(weights, "full"))
    with served_without_errors(folder, weights) as url:
        yield url


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the app over a store of the reference experiment, by the weights that are shipped."""
    folder, weights = tmp_path_factory.mktemp("shipped"), places.WEIGHTS / SHIPPED_NAME
    build(signals("full", "reduced_harmonic"), folder / "vitime-mini.zarr", weights, tokens="all")
    with served_without_errors(folder, weights) as url:
        yield url


@pytest.fixture(scope="module")
def window(browser: Browser) -> Iterator[BrowserContext]:
    """A browser of one person, which keeps the scripts of the app between the tests: a fresh one compiles them anew."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(PATIENCE)
    yield context
    context.close()


@pytest.fixture
def page(window: BrowserContext, tmp_path: Path) -> Iterator[Page]:
    """A new tab; at the end it must have shown no exception box and its console no error. Ask for it after the site."""
    tab = window.new_page()
    complaints: list[str] = []
    tab.on("pageerror", lambda error: complaints.append(str(error)))
    tab.on(
        "console",
        lambda message: (
            complaints.append(f"{message.text} ({message.location.get('url')})")
            if message.type in ("error", "warning")
            and not PROBE.search(message.location.get("url", ""))
            and "willReadFrequently" not in message.text  # of this test's own reading
            else None
        ),
    )
    yield tab
    tab.screenshot(path=tmp_path / "last.png")
    boxes = tab.get_by_test_id("stException").all_inner_texts()
    tab.close()
    assert not complaints
    assert not boxes


def settled(page: Page) -> None:
    """Wait until the browser has met the server and no script runs or is asked for."""
    app = page.get_by_test_id("stApp")
    expect(app).to_have_attribute("data-test-connection-state", "CONNECTED")
    expect(app).to_have_attribute("data-test-script-state", "notRunning")
    assert page.get_by_test_id("stException").count() == 0


def chart(page: Page, title: str) -> Locator:
    """The chart whose title holds these words, once it is drawn as large as a chart."""
    page.wait_for_function(
        """title => [...document.querySelectorAll('[data-testid=stVegaLiteChart]')].some(chart =>
            (chart.getAttribute('aria-label') ?? '').includes(title)
            && chart.querySelector('canvas, svg')?.getBoundingClientRect().height > 100)""",
        arg=title,
    )
    return page.locator(f"[data-testid=stVegaLiteChart][aria-label*='{title}']").first


def fits(page: Page) -> None:
    """Wait until no chart is wider than its column and the page cannot be moved sideways.

    The page tells its width, and runs again: its charts fit in the end.
    """
    page.wait_for_function(
        """() => [...document.querySelectorAll('[data-testid=stVegaLiteChart]')].every(chart =>
            chart.querySelector('canvas, svg')?.getBoundingClientRect().right
            <= chart.closest('[data-testid=stMainBlockContainer]').getBoundingClientRect().right)
            && (main => main.scrollWidth <= main.clientWidth)(document.querySelector('[data-testid=stMain]'))"""
    )


def click(page: Page, place: Locator, across: float, down: float) -> None:
    """Click a point, given as shares of a chart's width and height, until the address follows.

    What falls on a canvas while it is drawn anew is lost.
    """
    before = page.url
    for _ in range(4):
        box = place.bounding_box()
        assert box is not None
        place.click(position={"x": box["width"] * across, "y": box["height"] * down})
        with contextlib.suppress(AssertionError):
            expect(page).not_to_have_url(before, timeout=PATIENCE / 4)
            return
    raise AssertionError(f"no click at {across}, {down} changes {before}")


def go(page: Page, name: str) -> None:
    """Follow the link to a page."""
    page.locator(".st-key-pages").get_by_text(name, exact=True).click()
    expect(page.get_by_role("heading", name=name, exact=True)).to_be_visible()
    settled(page)


def choose(page: Page, label: str, option: str) -> None:
    """Choose in the select box of that label."""
    page.get_by_test_id("stSelectbox").filter(has_text=label).get_by_role("combobox").click()
    page.get_by_role("option", name=option, exact=True).click()
    settled(page)


def test_the_reference_experiment_reads_the_right_head_and_what_the_reduction_leaves(shipped: str, page: Page) -> None:
    page.goto(f"{shipped}/heads?signal=full")
    expect(page.get_by_text("not the published ViTime model").first).to_be_visible()
    chart(page, "map: full")

    go(page, "Head")
    choose(page, "Layer", "decoder.1")
    choose(page, "Head", "6")  # at once: the address of the first choice may still be on its way to the browser
    expect(page).to_have_url(re.compile(r"layer=decoder\.1.*head=6|head=6.*layer=decoder\.1"))
    page.reload()
    settled(page)
    map_ = chart(page, "full, decoder.1, head 6")
    assert "head=6" in page.url
    click(page, map_, *ON_THE_MAP[0])
    assert "query_16=" in page.url, "a click chooses the query"

    go(page, "Compare")
    chart(page, "Where every head differs: full and reduced_harmonic")
    expect(page.get_by_role("heading", name="decoder.1, head 6", exact=True)).to_be_visible()
    chart(page, "Where full and reduced_harmonic differ")
    expect(page.get_by_text("Lag peaks from full to reduced_harmonic")).to_be_visible()
    expect(page.get_by_text(re.compile(r"62\.83 = 2 × 31\.42")).first).to_be_visible()
    expect(page.get_by_text(re.compile(r"Those at 64, .* at multiples of 62\.83")).first).to_be_visible()
    expect(page.get_by_text("Not shown by this")).to_be_visible()


def test_two_weights_show_both_forecasts_one_over_the_other(shipped: str, page: Page) -> None:
    page.goto(f"{shipped}/compare?signal=full")
    settled(page)
    page.get_by_role("radio", name="Two weights").or_(page.get_by_text("Two weights", exact=True)).first.click()
    # The model's process starts first: on a busy machine that takes longer than a page.
    expect(page.get_by_text("standard deviations of the history apart")).to_be_visible(timeout=180_000)
    chart(page, "Both forecasts of full")
    chart(page, "Where every head differs: vitime-mini and vitime-mini-1")
    assert "compare=Two" in page.url
    for width in (390, 800):
        page.set_viewport_size({"width": width, "height": 900})
        fits(page)


def test_a_click_on_a_head_opens_it(site: str, page: Page) -> None:
    page.goto(f"{site}/heads?view=Maps")
    settled(page)
    click(page, chart(page, "map: full"), 0.8, 0.5)
    expect(page.get_by_role("heading", name="Head", exact=True)).to_be_visible()
    settled(page)
    assert "layer=" in page.url
    assert "head=" in page.url


def test_a_click_in_the_gallery_of_differences_shows_that_head_below(site: str, page: Page) -> None:
    page.goto(f"{site}/compare?signal=full")
    settled(page)
    click(page, chart(page, "Where every head differs"), 0.85, 0.45)
    expect(page).to_have_url(re.compile("layer=.*head=|head=.*layer="))
    settled(page)
    layer, head = (re.search(rf"{name}=([\w.]+)", page.url)[1] for name in ("layer", "head"))
    expect(page.get_by_role("heading", name=f"{layer}, head {head}", exact=True)).to_be_visible()


def test_a_csv_of_hours_gets_headline_series_and_influence_by_one_action_and_is_found_again(
    empty_site: str, page: Page, tmp_path: Path
) -> None:
    hours = np.datetime64("2024-01-01T00") + np.arange(1500)
    load = 10 + np.sin(np.arange(1500) * 2 * np.pi / 24)
    table = tmp_path / "load.csv"
    table.write_text("time,load\n" + "\n".join(f"{at},{value:.4f}" for at, value in zip(hours, load, strict=True)))
    page.goto(empty_site)
    page.locator("input[type=file]").first.set_input_files(table)
    expect(page).to_have_url(re.compile("q=[0-9a-f]{16}"))
    expect(page.get_by_text(re.compile(r"samples \(\d+ hours\) back")).first).to_be_visible(timeout=120_000)
    chart(page, "Forecast with and without that past: load")
    chart(page, "Influence: what the forecast follows")
    expect(page.get_by_text(re.compile(r"the first \d+ samples \(.*\) of \d+ are left out")).first).to_be_visible()
    address = page.url
    page.goto("about:blank")
    page.goto(address)
    chart(page, "Forecast with and without that past: load")


def test_a_row_of_the_library_opens_its_question_under_an_address_that_others_can_follow(
    site: str, page: Page, browser: Browser
) -> None:
    page.goto(f"{site}/library")
    settled(page)
    table = page.get_by_test_id("stDataFrame").first
    expect(table).to_be_visible()
    sorted_by = table.locator("th", has_text="↑ Series")
    for _ in range(4):  # what falls on a canvas while it is drawn anew is lost
        table.click(position={"x": 80, "y": 15})
        with contextlib.suppress(AssertionError):
            expect(sorted_by).to_be_attached(timeout=PATIENCE / 4)
            break
    table.locator("canvas").first.focus()
    page.keyboard.press("ArrowDown")
    page.wait_for_timeout(500)
    settled(page)
    assert page.url == f"{site}/library", "sorting a table, or the keyboard on its way through it, opens nothing"
    click(page, table, 0.018, 0.72)
    expect(page).to_have_url(re.compile("q=[0-9a-f]{16}$"))
    expect(page.get_by_text("Yes, mostly").first).to_be_visible()
    colleague = browser.new_context().new_page()
    colleague.goto(page.url)
    expect(colleague.get_by_text("Yes, mostly").first).to_be_visible()
    assert colleague.url == page.url, "opening an address writes nothing to it"
    colleague.context.close()


def test_a_store_is_built_in_the_library_and_seen_growing(empty_site: str, page: Page) -> None:
    page.goto(f"{empty_site}/library")
    page.get_by_role("button", name="Build it now").click()
    expect(page.get_by_text("signals are complete").first).to_be_visible()
    expect(page.get_by_text("29 signals in vitime-mini.zarr")).to_be_visible(timeout=120_000)


# Moves the pointer to each place and waits for the picture to change; milliseconds from the event to the first frame.
FOLLOWED = """async ({selector, places, across_series}) => {
    const canvas = document.querySelector(selector), context = canvas.getContext("2d")
    const box = canvas.getBoundingClientRect()
    // One line of pixels through the series, where it lights up.
    const line = Math.round(canvas.height * across_series), picture = () =>
        String(context.getImageData(0, line, canvas.width, 1).data)
    const frame = () => new Promise(requestAnimationFrame)
    const took = []
    for (const [across, down] of places) {
        const before = picture(), began = performance.now()
        const at = {clientX: box.left + across * box.width, clientY: box.top + down * box.height, bubbles: true}
        canvas.dispatchEvent(new PointerEvent("pointermove", at))
        let frames = 0
        do { await frame() } while (++frames < 120 && picture() === before)
        took.push(frames < 120 ? performance.now() - began : Infinity)
    }
    return took
}"""


def worked(metrics: CDPSession) -> float:
    """Seconds of processor time that the page's main thread has taken, drawing included."""
    found = {metric["name"]: metric["value"] for metric in metrics.send("Performance.getMetrics")["metrics"]}
    return float(found["TaskDuration"])


def test_pointing_at_a_moment_lights_its_past_at_once_and_asks_the_server_nothing(site: str, page: Page) -> None:
    told: list[str | bytes] = []

    def note(frame: str | bytes) -> None:  # a function, as playwright marks those it calls
        told.append(frame)

    page.on("websocket", lambda socket: socket.on("framesent", note))
    page.goto(f"{site}/head?signal=full")
    settled(page)
    canvas = chart(page, "Where each moment looks").locator("canvas")
    canvas.scroll_into_view_if_needed()
    page.wait_for_timeout(500)
    told.clear()
    selector = "[data-testid=stVegaLiteChart][aria-label*='Where each moment looks'] canvas"
    on_the_series = [(share, 0.15) for share in (0.3, 0.5, 0.7, 0.9, 0.4, 0.6, 0.8)]
    places = on_the_series + [(0.25, share) for share in (0.55, 0.6, 0.65, 0.7, 0.75, 0.8)]  # the map's rows
    metrics = page.context.new_cdp_session(page)
    metrics.send("Performance.enable", {"timeDomain": "threadTicks"})  # processor time, which a busy machine leaves be
    spent = []
    for _ in range(3):  # the first time the browser compiles; what other programs do makes any one time slower
        began = worked(metrics)
        took = page.evaluate(FOLLOWED, {"selector": selector, "places": places, "across_series": 0.15})
        assert max(took) < float("inf"), f"every move changes the picture: {took}"
        spent.append(1000 * (worked(metrics) - began) / len(places))
    assert min(spent) <= 50, "milliseconds from pointer to picture"
    assert not told


def test_a_tap_on_a_moment_lights_its_past(site: str, browser: Browser) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    page.goto(f"{site}/head?signal=full")
    settled(page)
    canvas = chart(page, "Where each moment looks").locator("canvas")
    page.wait_for_function("canvas => canvas.getBoundingClientRect().width <= 390", arg=canvas.element_handle())
    canvas.scroll_into_view_if_needed()
    before = canvas.evaluate("canvas => canvas.toDataURL()")
    box = canvas.bounding_box()
    canvas.tap(position={"x": box["width"] * 0.8, "y": 120})
    page.wait_for_function("([canvas, before]) => canvas.toDataURL() !== before", arg=[canvas.element_handle(), before])
    context.close()


@pytest.mark.parametrize("width", [390, 800])
def test_no_chart_is_wider_than_its_column(site: str, page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    heads = ("heads?signal=full&view=Maps", "heads?signal=full&view=By+a+figure")
    for address in ("head?signal=full", *heads, "compare?signal=full", "?signal=full"):
        page.goto(f"{site}/{address}")
        settled(page)
        page.wait_for_selector("[data-testid=stVegaLiteChart] canvas, [data-testid=stVegaLiteChart] svg")
        page.wait_for_timeout(500)
        fits(page)


CUT = """() => [...document.querySelectorAll('[data-testid=stMainBlockContainer] *')].filter(each =>
    each.innerText && each.scrollWidth > each.clientWidth + 1 && getComputedStyle(each).overflowX === 'hidden'
).map(each => each.innerText)"""


@pytest.mark.parametrize("address", ["heads?signal=white_noise", "head?signal=harmonic_63", "compare?signal=full", ""])
def test_no_words_are_cut_at_the_edge_of_a_phone(address: str, site: str, page: Page) -> None:
    page.set_viewport_size({"width": 390, "height": 900})
    page.goto(f"{site}/{address}")
    page.wait_for_selector("[data-testid=stVegaLiteChart] canvas, [data-testid=stVegaLiteChart] svg")
    settled(page)
    fits(page)
    assert page.evaluate(CUT) == []


def test_a_file_of_30_megabytes_is_read_and_asked_about_while_others_look_at_pages(
    site: str, page: Page, window: BrowserContext, tmp_path: Path
) -> None:
    day = [f"{10 + np.sin(hour * 2 * np.pi / 24):.30f}" for hour in range(24)]
    table = tmp_path / "large.csv"
    table.write_text("load\n" + "\n".join(day * 40_000))
    assert table.stat().st_size > 30e6
    page.goto(site)
    settled(page)
    page.locator("input[type=file]").first.set_input_files(table)
    colleague = window.new_page()
    colleague.goto(f"{site}/heads?signal=white_noise")
    chart(colleague, "map: white_noise")
    colleague.close()
    expect(page).to_have_url(re.compile("q=[0-9a-f]{16}"))


def test_a_click_leaves_one_entry_in_the_browsers_history_and_going_back_undoes_it(site: str, page: Page) -> None:
    def entries() -> int:
        return int(page.evaluate("history.length"))

    def expect_entries(count: int) -> None:
        page.wait_for_function("count => history.length === count", arg=count)
        settled(page)
        assert entries() == count

    page.goto(f"{site}/head?signal=full&layer=decoder.0&head=0")
    chart(page, "full, decoder.0, head 0")
    settled(page)
    before = entries()
    for clicks, name in enumerate(("Compare", "Library", "Heads", "Head"), 1):
        go(page, name)
        expect_entries(before + clicks)
    before = entries()
    choose(page, "Head", "2")
    expect(page).to_have_url(re.compile("head=2"))
    expect_entries(before + 1)
    map_ = chart(page, "full, decoder.0, head 2")
    for query, (across, down) in enumerate(ON_THE_MAP, 2):
        address = page.url
        click(page, map_, across, down)
        expect_entries(before + query)
    page.go_back()
    expect(page).to_have_url(address)
    settled(page)
    page.go_back()
    expect(page).not_to_have_url(address)
    settled(page)
    page.go_back()
    expect(page).not_to_have_url(re.compile("head=2"))
    chart(page, "full, decoder.0, head 0")
    page.go_forward()
    expect(page).to_have_url(re.compile("head=2"))
    chart(page, "full, decoder.0, head 2")
    page.go_back()
    page.go_back()
    expect(page.get_by_role("heading", name="Heads", exact=True)).to_be_visible()
