"""Objects against the stamps taken when they were written."""

from __future__ import annotations

from pathlib import Path

import pytest

from vitime_cache.store.locations import open_objects
from vitime_cache.store.stamps import READ_BYTES, unlike

LARGE = bytes(READ_BYTES + 5)


@pytest.mark.parametrize("others", [0, 3])
def test_each_fault_is_told_of_the_object_that_has_it_alone_and_among_others(tmp_path: Path, others: int) -> None:
    objects = open_objects(str(tmp_path / "s"))
    faulty = {"cut": b"12345", "changed": b"12345", "missing": b"1", "link": b"12345", "large": LARGE}
    written = {f"a/{key}": objects.put(f"a/{key}", [data]) for key, data in faulty.items()}
    written |= {f"b/{i}": objects.put(f"b/{i}", [b"sound"]) for i in range(others)}
    folder = tmp_path / "s/a"
    (folder / "cut").write_bytes(b"1234")
    (folder / "changed").write_bytes(b"12344")
    (folder / "missing").unlink()
    (folder / "link").rename(folder / "elsewhere")
    (folder / "link").symlink_to(folder / "elsewhere")
    (folder / "large").write_bytes(LARGE[:-1] + b"1")
    found = dict(unlike(objects, written))
    strange = "is not what was written"
    assert found == {
        "a/cut": strange,
        "a/changed": strange,
        "a/missing": "is missing",
        "a/link": strange,
        "a/large": strange,
    }
    for key in written:
        assert dict(unlike(objects, {key: written[key]})) == ({key: found[key]} if key in found else {})
