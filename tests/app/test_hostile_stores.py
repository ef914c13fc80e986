"""Stores from strangers, and damage while the app serves a store: a message in place, and the rest goes on."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from tests.app.test_pages import OpenPage, charts, leads_on, texts

SPOILT: dict[str, Callable[[Path, Path], object]] = {
    "a link": lambda place, outside: place.symlink_to(outside),
    "a pipe": lambda place, _: os.mkfifo(place),
    "zeros without end": lambda place, _: place.symlink_to("/dev/zero"),
    "eight gigabytes": lambda place, _: [place.touch(), os.truncate(place, 8 * 2**30)],
    "JSON of a great depth": lambda place, _: place.write_text("[" * 1_000_000),
}


@pytest.mark.parametrize("key", ["zarr.json", "journal/manifest.json"])
@pytest.mark.parametrize("kind", SPOILT)
def test_a_hostile_store_is_a_message_on_its_pages_and_in_nobodys_way(
    store: Path, open_page: OpenPage, tmp_path_factory: pytest.TempPathFactory, kind: str, key: str
) -> None:
    outside = tmp_path_factory.mktemp("outside") / "secret"
    outside.write_text("of a person")
    hostile = Path(shutil.copytree(store, store.with_name("hostile.zarr")))
    (hostile / key).unlink()
    SPOILT[kind](hostile / key, outside)
    at: AppTest = open_page("heads", store="hostile.zarr")
    assert not at.exception
    assert leads_on(at)
    if key == "zarr.json":
        assert "hostile.zarr cannot be read" in texts(at)
        assert charts(at) == []
    sound = open_page("heads", store=store.name)
    assert not sound.exception
    assert charts(sound)
    assert outside.read_text() == "of a person"


@pytest.mark.parametrize("harm", ["missing", "damaged"])
def test_a_chunk_that_is_missing_or_damaged_is_named_and_verify_with_it(
    store: Path, open_page: OpenPage, harm: str
) -> None:
    for place in store.glob("time_attention/c.*"):
        place.unlink() if harm == "missing" else place.write_bytes(place.read_bytes()[:-1] + b"x")
    at = open_page("head")
    assert not at.exception
    assert charts(at) == []
    for words in ("signal '", "time_attention/c.", f"is {harm}", "verify"):
        assert words in texts(at)
