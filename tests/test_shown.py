"""Text from outside, in the places it is shown: nothing of it is markup, and no secret is told."""

from __future__ import annotations

import logging
import re
import traceback
import warnings
from collections.abc import Callable
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.store.standin import Model, build, make_signals, verify
from vitime_cache.cli.main import main
from vitime_cache.shown import html, markdown, redact, terminal
from vitime_cache.store.info import info
from vitime_cache.store.locations import open_objects
from vitime_cache.store.objects import StoreError
from vitime_cache.store.reader import open_store

SECRETS = ["hunter2", "AKIAEXAMPLE", "wJalr/XUtnFEMI+K7", "5igned", "t0ken"]
ADDRESSES = [
    "http://AKIAEXAMPLE:hunter2@127.0.0.1:9/a.zarr",
    "http://127.0.0.1:9/a.zarr?X-Amz-Signature=5igned&X-Amz-Credential=AKIAEXAMPLE",
    "http://AKIAEXAMPLE:wJalr/XUtnFEMI+K7@127.0.0.1:9/a.zarr",
    "http://hunter2@127.0.0.1:9/a.zarr#t0ken",
    "zip://hunter2:t0ken@a.zarr",
    "wrong://AKIAEXAMPLE:hunter2@bucket/a.zarr?sig=5igned",
    "gs://t0ken@bucket/a.zarr",
    "simplecache::http://hunter2:t0ken@127.0.0.1:9/a.zarr?sv=5igned",
    "memory://hunter2:t0ken@place/a.zarr",
]


def told(use: Callable[[], object], caplog: pytest.LogCaptureFixture) -> str:
    """All that a person could get to see of a use: messages, tracebacks, warnings, logs."""
    with warnings.catch_warnings(record=True) as warned, caplog.at_level(logging.INFO):
        warnings.simplefilter("always")
        try:
            found = repr(use())
        except StoreError as error:
            found = "".join(traceback.format_exception(error))
    lines = [line for line in found.splitlines() if 'File "' not in line]
    return "\n".join([*lines, *map(str, warned), caplog.text])


@pytest.mark.parametrize("address", ADDRESSES)
def test_what_an_address_carries_besides_the_place_is_never_told(
    address: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "400")
    uses: list[Callable[[], object]] = [
        lambda: open_store(address).attrs, lambda: info(address), lambda: verify(address),
        lambda: build(make_signals(1), address, Model()), lambda: open_store(address).encoding,
        lambda: open_objects(address), lambda: open_store(address),
    ]  # fmt: skip
    shown = "\n".join(told(use, caplog) for use in uses)
    for command in (["info", address], ["verify", address, "--sample", "0"], ["info", address, "--store", "other"]):
        main(command)
    shown += "".join(capsys.readouterr())
    assert "a.zarr" in shown
    assert [secret for secret in SECRETS if secret in shown] == []


def test_an_error_that_quotes_what_an_address_carries_is_told_without(monkeypatch: pytest.MonkeyPatch) -> None:
    objects = open_objects("memory://hunter2:t0ken@place/b.zarr")

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError("no access for t0ken of hunter2 at memory://hunter2:t0ken@place/b.zarr?sig=5igned")

    monkeypatch.setattr(objects._files, "cat_file", refuse)
    with pytest.raises(StoreError, match=r"memory://place/b\.zarr") as error:
        objects.get("zarr.json")
    assert not any(secret in "".join(traceback.format_exception(error.value)) for secret in SECRETS)


@pytest.mark.parametrize(
    ("text", "shown"),
    [("see https://a.org/b?c=d#e.", "see https://a.org/b"), ("s3://bucket/a.zarr", "s3://bucket/a.zarr"),
     ("http://a.org:80/x@y.zarr", "http://a.org:80/x@y.zarr"), ("s3://k:a/b@bucket/c", "s3://bucket/c"),
     ("a@b.org, 12:30", "a@b.org, 12:30")],
)  # fmt: skip
def test_places_stay_as_they_are(text: str, shown: str) -> None:
    assert redact(text) == shown


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append(tag)
        self.found += [name for name, _ in attrs if name != "title"]


markup = st.text() | st.sampled_from(
    [
        "<script>alert(1)</script>",
        '"><img src=x onerror=alert(1)>',
        "&lt;b&gt;",
        "' onload='x",
        "</title><b>",
        "\x1b[2J",
    ]
)


@given(markup, markup)
def test_nothing_is_markup_in_html(text: str, other: str) -> None:
    page = Tags()
    page.feed(f'<p title="{html(text)}">{html(other)}</p>')
    page.close()
    assert page.found == ["p"]


@given(markup | st.floats() | st.lists(st.text()))
def test_a_terminal_gets_no_control_characters(value: object) -> None:
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\ud800-\udfff]", terminal(value))
    terminal(value).encode()


@pytest.mark.parametrize(
    "text",
    ["![a](http://x)", "<b>", "**a**", ":material/close:", "$x$", "[a](b)", "# a", "- a", "1. a", "`a`", "www.a.b"],
)
def test_nothing_is_markup_in_markdown(text: str) -> None:
    marked = markdown(text)
    assert marked != text
    assert re.sub(r"\\(?=[^\w\s])|\N{WORD JOINER}", "", marked) == text
