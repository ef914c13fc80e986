"""The root's `zarr.json`: the object that readers open first, written by builds and by processes that store verdicts.

A build makes complete signals visible in it. A process that stores a verdict lists its group there for
`xr.open_zarr(path, group="evidence/<name>")`: xarray looks a group up in the consolidated metadata of the root, which
zarr takes as complete. Only the group and its attributes are listed. zarr 3.1 finds the members of a nested group
without consolidated metadata in the store itself, later versions take it as empty; listing those of every verdict, 56
arrays each, made opening a store with ten verdicts six times slower.

Both kinds of process wait for one lock, read the root under it, then write it. The list of verdicts follows from the
groups in the store, and every writer of the root updates it. So if a process is killed after its verdict becomes
visible and before the root lists it, the next writer adds it. `stored_verdicts` and `open_verdict` do not need the
list.

An object store has no lock. If a build and a verdict write at the same moment there, the root may miss a signal or a
verdict, or list a removed one. The next write of either mends it, at the latest the end of the build.
"""

from __future__ import annotations

import json
import re
from collections.abc import Container, Mapping
from contextlib import AbstractContextManager
from typing import Any

from vitime_cache.atomic import PARTIAL
from vitime_cache.attention.schema import SIGNAL, VARIABLES
from vitime_cache.store.journal import published, read_root
from vitime_cache.store.manifest import EVIDENCE, FOLDER, ROOT, ROOT_BYTES, ROOT_LOCK, Manifest
from vitime_cache.store.objects import Objects

MARKERS = f"{FOLDER}{EVIDENCE}"
WAIT = 60.0  # seconds for the lock: a verdict and its root are written in about one
GROUP_BYTES = 4 * 2**20  # of the metadata of a verdict's group
VERDICT = re.compile(rf"{EVIDENCE}[A-Za-z0-9._-]{{1,150}}-[0-9]{{1,9}}")  # key of a group of evidence
POPULATION = re.compile(rf"{EVIDENCE}population-[0-9a-f]{{12}}-[0-9]{{1,9}}")  # key of a table of many signals
GROUP: Mapping[str, Any] = {"zarr_format": 3, "node_type": "group", "attributes": {}}


def hold_root(objects: Objects) -> AbstractContextManager[None]:
    """Hold the lock of the root: no other process writes it, or adds or removes verdicts, during the context.

    Raises
    ------
    StoreError
        If another process does not release it in time.
    """
    return objects.lock(ROOT_LOCK, wait=WAIT)


def render_root(
    manifest: Manifest, metadata: Mapping[str, Any], complete: int, verdicts: Mapping[str, Any] | None = None
) -> bytes:
    """Encode the root's `zarr.json`: attributes, and consolidated metadata with `complete` signals.

    Parameters
    ----------
    metadata
        From `format.array_metadata`.
    verdicts
        From `list_verdicts`.
    """
    arrays = {}
    for name, array in metadata.items():
        per_signal = array["dimension_names"][0] == SIGNAL
        arrays[name] = array | {"shape": [complete, *array["shape"][1:]]} if per_signal else array
    # xarray distinguishes coordinates from variables by this attribute, and removes it.
    labels = " ".join(name for name in arrays if name not in VARIABLES and name not in arrays[name]["dimension_names"])
    root = {
        "zarr_format": 3,
        "node_type": "group",
        "attributes": {**manifest.attributes, "coordinates": labels},
        "consolidated_metadata": {"kind": "inline", "must_understand": False, "metadata": arrays | _groups(verdicts)},
    }
    return _encode(root)


def shorten_root(root: bytes | None, complete: int) -> bytes | None:
    """The same root with only its first signals; None if it has no more signals, or is damaged."""
    record = read_root(root)
    if record is None or (published(root) or 0) <= complete:
        return None
    try:
        for node in record["consolidated_metadata"]["metadata"].values():
            if node["node_type"] == "array" and node["dimension_names"][0] == SIGNAL:
                node["shape"][0] = complete
    except (KeyError, TypeError, IndexError):
        return None
    return _encode(record)


def relist(objects: Objects, *, leaving: Container[str] = ()) -> None:
    """Update the root's list of verdicts under the root's lock; the root is written only if the list changes.

    Parameters
    ----------
    leaving
        Groups that are about to be removed.
    """
    killed = (name for name in objects.names() if name.startswith(f"{ROOT}.") and name.endswith(PARTIAL))
    objects.delete(list(killed))  # nobody is writing them: this process holds the lock
    root = objects.get(ROOT, ROOT_BYTES)
    if published(root) is None:
        return  # a build has yet to write it, or to write it again
    record = json.loads(without_verdicts(root))
    listed = {group: entry for group, entry in list_verdicts(objects, root).items() if group not in leaving}
    record["consolidated_metadata"]["metadata"] |= _groups(listed)
    if (wanted := _encode(record)) != root:
        objects.put(ROOT, [wanted])
        objects.flush()


def without_verdicts(root: bytes | None) -> bytes:
    """The same root without verdicts: only its signals."""
    record = read_root(root)
    if record is None:
        return root or b""
    nodes = record["consolidated_metadata"]["metadata"]
    bare = {name: node for name, node in nodes.items() if not f"{name}/".startswith(EVIDENCE)}
    record["consolidated_metadata"]["metadata"] = bare
    return _encode(record)


def list_verdicts(objects: Objects, root: bytes | None = None) -> dict[str, Any]:
    """Group -> its entry in a root, for every visible verdict.

    Parameters
    ----------
    root
        A root that already lists some of them; only the others are read, because a group never changes.
    """
    visible = visible_verdicts(objects)
    known = listed_verdicts(root) if visible else {}
    unknown = [group for group in visible if group not in known]
    read = zip(unknown, objects.get_many([f"{group}/{ROOT}" for group in unknown], GROUP_BYTES), strict=True)
    entries = known | {group: entry for group, data in read if (entry := _entry(data))}
    return {group: entries[group] for group in visible if group in entries}


def listed_verdicts(root: bytes | None) -> dict[str, Any]:
    """Group -> its entry, for every verdict that this root lists; empty where it cannot be read."""
    nodes = (read_root(root) or {"consolidated_metadata": {"metadata": {}}})["consolidated_metadata"]["metadata"]
    return {name: node for name, node in nodes.items() if VERDICT.fullmatch(name)}


def verdict_groups(objects: Objects) -> list[str]:
    """Every group of a verdict in the store, including those not visible yet."""
    return sorted(group for name in objects.names(EVIDENCE) if VERDICT.fullmatch(group := f"{EVIDENCE}{name}"))


def visible_verdicts(objects: Objects) -> list[str]:
    """The groups of verdicts that readers may open; the protocol of writing makes them complete."""
    groups = verdict_groups(objects)
    shown = objects.sizes_of([f"{group}/{ROOT}" for group in groups])
    return [group for group in groups if f"{group}/{ROOT}" in shown]


def clear_evidence(objects: Objects) -> None:
    """Remove the remains of verdicts that killed processes left, under the root's lock.

    Without a lock they may belong to a process that is storing a verdict now, so they stay.
    """
    if not objects.locks:
        return
    groups, keys = left_evidence(objects)
    for group in groups:
        objects.delete_below(f"{group}/")
    objects.delete(keys)
    objects.flush()


def left_evidence(objects: Objects) -> tuple[list[str], list[str]]:
    """What killed processes left: groups that never became visible or were being removed, and keys of other objects.

    These are markers of such groups, and half-written files.
    """
    shown = set(visible_verdicts(objects))
    markers = {f"{MARKERS}{name}" for name in objects.names(MARKERS)}
    partial = [f"{EVIDENCE}{name}" for name in objects.names(EVIDENCE) if name.endswith(PARTIAL)]
    return sorted(set(verdict_groups(objects)) - shown), sorted(markers - set(map(marker_key, shown))) + partial


def marker_key(group: str) -> str:
    """Key of the marker of a verdict."""
    return f"{MARKERS}{group.removeprefix(EVIDENCE)}.json"


def _groups(verdicts: Mapping[str, Any] | None) -> dict[str, Any]:
    return {EVIDENCE.rstrip("/"): GROUP, **verdicts} if verdicts else {}


def _entry(data: bytes | None) -> dict[str, Any] | None:
    """A group's metadata without its members; None if it is gone, damaged or not a group."""
    try:
        record = json.loads(data or b"")
        own = {name: value for name, value in record.items() if name != "consolidated_metadata"}
        return own if own["node_type"] == "group" else None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _encode(record: Mapping[str, Any]) -> bytes:
    return json.dumps(record, ensure_ascii=False).encode(errors="replace")  # half a surrogate pair cannot be encoded
