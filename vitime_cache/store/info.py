"""The content of a store, from its journal alone, without xarray and without reading arrays."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from vitime_cache.store.journal import published, read_journal
from vitime_cache.store.locations import open_objects
from vitime_cache.store.manifest import FORMAT, ROOT, ROOT_BYTES
from vitime_cache.store.objects import StoreError


def info(path: str | Path) -> dict[str, Any]:
    """Identity, signals and sizes of a store as plain JSON values.

    Returns
    -------
    dict
        "store", "format", "weights", "config", "dtype", "tokens", "created", "versions"; "visible", the number of
        signals that readers see; "signals", each with "complete" (committed) and its "bytes" as stored; "bytes" by
        variable, and "total".

    Raises
    ------
    StoreError
        If there is no store, or its manifest is damaged.
    """
    objects = open_objects(path)
    journal = read_journal(objects)
    if journal is None:
        raise StoreError(
            f"no store at {objects.url}; build one with: python -m vitime_cache build --store {objects.url}"
        )
    manifest, markers = journal.manifest, journal.markers
    by_variable: Counter[str] = Counter()
    for marker in markers.values():
        for key, (size, _) in marker.objects.items():
            by_variable[key.split("/")[0]] += size
    weights, attributes = manifest.identity.weights, manifest.attributes
    return {
        "store": objects.url,
        "format": FORMAT,
        "weights": {"name": weights.name, "sha256": weights.sha256, "note": weights.note},
        "config": manifest.identity.config.to_dict(),
        "dtype": manifest.identity.dtype,
        "tokens": list(manifest.tokens),
        "created": attributes["created"],
        "versions": {"vitime_cache": attributes["vitime_cache_version"], "libraries": attributes["library_versions"]},
        "visible": published(objects.get(ROOT, ROOT_BYTES)) or 0,
        "signals": [
            {
                "name": entry.name,
                **entry.coordinates,
                "tokens": list(entry.tokens),
                "fingerprint": entry.fingerprint,
                "complete": place in markers,
                "bytes": markers[place].size if place in markers else 0,
            }
            for place, entry in enumerate(manifest.entries)
        ],
        "bytes": dict(by_variable),
        "total": by_variable.total(),
    }
