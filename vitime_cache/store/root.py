"""The root's `zarr.json`: the one object that readers start from, and that two kinds of processes write.

A build shows complete signals in it; whoever keeps a verdict lists its group there, for `xr.open_zarr(path,
group="evidence/<name>")`: xarray looks a group up in the consolidated metadata of the root, and zarr takes that for all
there is. Only the group stands there, with its attributes. Of a nested group without consolidated metadata of its own
zarr looks for the members in the store, and to list those of every verdict, 56 arrays each, made opening a store with
ten of them six times slower.

Both write it under one lock, for which they wait, and read it under that lock first. The list of verdicts follows from
the groups that are there: whoever writes the root brings it up to date, so that a process killed after a verdict has
become visible and before the root says so is made up for by the next. `stored_verdicts` and `open_verdict` do without.

An object store has no lock. Where a build and a verdict write at the same moment there, the root may show a signal or a
verdict less, or a verdict that was taken out, until one of them writes it again; the end of a build does.
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
GROUP_BYTES = 4 * 2**20  # of what a verdict's group says of itself
VERDICT = re.compile(rf"{EVIDENCE}[A-Za-z0-9._-]{{1,150}}-[0-9]{{1,9}}")  # key of a group of evidence
POPULATION = re.compile(rf"{EVIDENCE}population-[0-9a-f]{{12}}-[0-9]{{1,9}}")  # those of them that are tables of many
GROUP: Mapping[str, Any] = {"zarr_format": 3, "node_type": "group", "attributes": {}}


def hold_root(objects: Objects) -> AbstractContextManager[None]:
    """Context in which no other process writes the root, or changes which verdicts are there.

    Raises
    ------
    StoreError
        If another process does not let go of it.
    """
    return objects.lock(ROOT_LOCK, wait=WAIT)


def render_root(
    manifest: Manifest, metadata: Mapping[str, Any], complete: int, verdicts: Mapping[str, Any] | None = None
) -> bytes:
    """The root's `zarr.json`: attributes, and consolidated metadata in which `complete` signals exist.

    Parameters
    ----------
    metadata
        As `format.array_metadata` gives it.
    verdicts
        As `list_verdicts` gives them.
    """
    arrays = {}
    for name, array in metadata.items():
        per_signal = array["dimension_names"][0] == SIGNAL
        arrays[name] = array | {"shape": [complete, *array["shape"][1:]]} if per_signal else array
    # xarray tells coordinates from variables by this attribute, and takes it away.
    labels = " ".join(name for name in arrays if name not in VARIABLES and name not in arrays[name]["dimension_names"])
    root = {
        "zarr_format": 3,
        "node_type": "group",
        "attributes": {**manifest.attributes, "coordinates": labels},
        "consolidated_metadata": {"kind": "inline", "must_understand": False, "metadata": arrays | _groups(verdicts)},
    }
    return _encode(root)


def shorten_root(root: bytes | None, complete: int) -> bytes | None:
    """The same root, whatever it describes, with only its first signals; None if it has no more, or is damaged."""
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
    """Bring the root's list of verdicts up to date, the root being held: written only where it has to change.

    Parameters
    ----------
    leaving
        Groups that are about to go.
    """
    killed = (name for name in objects.names() if name.startswith(f"{ROOT}.") and name.endswith(PARTIAL))
    objects.delete(list(killed))  # nobody writes it now
    root = objects.get(ROOT, ROOT_BYTES)
    if published(root) is None:
        return  # a build has still to write it, or to write it again
    record = json.loads(without_verdicts(root))
    listed = {group: entry for group, entry in list_verdicts(objects, root).items() if group not in leaving}
    record["consolidated_metadata"]["metadata"] |= _groups(listed)
    if (wanted := _encode(record)) != root:
        objects.put(ROOT, [wanted])
        objects.flush()


def without_verdicts(root: bytes | None) -> bytes:
    """The same root, as it would be if no verdict were kept: what it says of signals."""
    record = read_root(root)
    if record is None:
        return root or b""
    nodes = record["consolidated_metadata"]["metadata"]
    bare = {name: node for name, node in nodes.items() if not f"{name}/".startswith(EVIDENCE)}
    record["consolidated_metadata"]["metadata"] = bare
    return _encode(record)


def list_verdicts(objects: Objects, root: bytes | None = None) -> dict[str, Any]:
    """Group -> what a root says of it, of every verdict that is visible.

    Parameters
    ----------
    root
        A root that lists some of them already; only the others are read, as a group is written once.
    """
    visible = visible_verdicts(objects)
    known = listed_verdicts(root) if visible else {}
    unknown = [group for group in visible if group not in known]
    read = zip(unknown, objects.get_many([f"{group}/{ROOT}" for group in unknown], GROUP_BYTES), strict=True)
    entries = known | {group: entry for group, data in read if (entry := _entry(data))}
    return {group: entries[group] for group in visible if group in entries}


def listed_verdicts(root: bytes | None) -> dict[str, Any]:
    """Group -> what this root says of it, of every verdict that it lists; nothing where it cannot be read."""
    nodes = (read_root(root) or {"consolidated_metadata": {"metadata": {}}})["consolidated_metadata"]["metadata"]
    return {name: node for name, node in nodes.items() if VERDICT.fullmatch(name)}


def verdict_groups(objects: Objects) -> list[str]:
    """Every group of a verdict that is there, also what is not visible yet."""
    return sorted(group for name in objects.names(EVIDENCE) if VERDICT.fullmatch(group := f"{EVIDENCE}{name}"))


def visible_verdicts(objects: Objects) -> list[str]:
    """The groups of verdicts that readers may open: complete, by the protocol that they are written by."""
    groups = verdict_groups(objects)
    shown = objects.sizes_of([f"{group}/{ROOT}" for group in groups])
    return [group for group in groups if f"{group}/{ROOT}" in shown]


def clear_evidence(objects: Objects) -> None:
    """Remove what killed processes have left of verdicts, the root being held.

    That is groups that never became visible or were being taken out, their markers, and half-written files. Where
    nobody can be kept out, it may be of another process that is keeping a verdict just now, and stays.
    """
    if not objects.locks:
        return
    shown = set(visible_verdicts(objects))
    for group in verdict_groups(objects):
        if group not in shown:
            objects.delete_below(f"{group}/")
    markers = (f"{MARKERS}{name}" for name in objects.names(MARKERS))
    left = [key for key in markers if key not in {marker_key(group) for group in shown}]
    left += [f"{EVIDENCE}{name}" for name in objects.names(EVIDENCE) if name.endswith(PARTIAL)]
    objects.delete(left)
    objects.flush()


def marker_key(group: str) -> str:
    """Key of the marker of a verdict."""
    return f"{MARKERS}{group.removeprefix(EVIDENCE)}.json"


def _groups(verdicts: Mapping[str, Any] | None) -> dict[str, Any]:
    return {EVIDENCE.rstrip("/"): GROUP, **verdicts} if verdicts else {}


def _entry(data: bytes | None) -> dict[str, Any] | None:
    """A group's metadata without what it says of its members; None of one that is gone, damaged or no group."""
    try:
        record = json.loads(data or b"")
        own = {name: value for name, value in record.items() if name != "consolidated_metadata"}
        return own if own["node_type"] == "group" else None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _encode(record: Mapping[str, Any]) -> bytes:
    return json.dumps(record, ensure_ascii=False).encode(errors="replace")  # half a surrogate pair is no text
