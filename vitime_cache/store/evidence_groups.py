"""Datasets of evidence in a store: one zarr group each, next to the attention that they are about.

`xr.open_zarr(f"{path}/evidence/<name>")` reads one: the group has its own consolidated metadata. With zarr 3.1,
`xr.open_zarr(path, group="evidence/<name>")` does too; later versions show the group as empty (see `root`). Readers of
the store's root see the same Dataset as without evidence (see `root`). `verdicts` and `populations` define what the
Datasets contain.

A Dataset is written by the protocol of signals (see `commit`): its objects, then a marker that lists them with their
stamps, then the group's `zarr.json`, which makes it visible, then the list in the store's root. The answer to a
question may grow. Each version gets its own group; once that is visible, the root lists it instead of the one before,
and only then is the older group removed. After a kill between any two steps the store holds the older Dataset or the
new one, and the root never lists a group that is not there.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import xarray as xr

from vitime_cache.evidence.verdict import schema
from vitime_cache.store.group_objects import MOST_BYTES, REMEDY, read_group, render_group
from vitime_cache.store.locations import open_objects
from vitime_cache.store.manifest import EVIDENCE, MANIFEST, ROOT, ROOT_BYTES, Manifest, ObjectStamp, seal, unseal
from vitime_cache.store.objects import Objects, Stamp, StoreError, stamp
from vitime_cache.store.root import (
    GROUP,
    GROUP_BYTES,
    VERDICT,
    clear_evidence,
    hold_root,
    listed_verdicts,
    marker_key,
    relist,
    verdict_groups,
    visible_verdicts,
)
from vitime_cache.store.stamps import unlike
from vitime_cache.typed_json import read_json

PUTS_AT_ONCE = 4
ROOM = 8_000_000  # free bytes needed: a verdict takes one or two million, and the older one is removed afterwards
_FOLDER = json.dumps(GROUP).encode()


@dataclass(frozen=True)
class _Written:
    """The marker of a group: the stamps of its objects."""

    group: str
    objects: dict[str, ObjectStamp]


def keep_group(
    store: str | Path, name: str, ds: xr.Dataset, question: Mapping[str, Any], says_more: Callable[[bytes, str], bool]
) -> str:
    """Store a Dataset in place of the earlier one of the same name; storing the same again writes nothing.

    Parameters
    ----------
    name
        The name of its question, without a number.
    question
        The question, including the weights that it is about.
    says_more
        Given the metadata and the name of a group in the store: whether it says more than `ds`, and so stays.

    Returns
    -------
    str
        The group that holds it.
    """
    objects = open_objects(store)
    check_weights(objects, str(question["weights"]), str(question["weights_sha256"]))
    with hold_root(objects):  # not the build's lock: evidence can be stored while signals are written
        kept = [group for group in verdict_groups(objects) if group.rpartition("-")[0] == EVIDENCE + name]
        numbers = [int(group.rpartition("-")[2]) for group in kept]
        shown = {group: objects.get(f"{group}/{ROOT}", GROUP_BYTES) for group in kept}
        visible = [group for group, root in shown.items() if root is not None]
        latest = max(visible, key=lambda group: int(group.rpartition("-")[2]), default=None)
        if latest is not None and says_more(shown[latest] or b"", latest):
            return latest  # another process has stored more meanwhile
        wanted = render_group(ds)
        if latest is None or not _is_there(objects, latest, wanted):
            latest = f"{EVIDENCE}{name}-{max(numbers, default=0) + 1}"
            _commit(objects, latest, wanted)
        _take_out(objects, [group for group in kept if group != latest])
        clear_evidence(objects)
    return latest


def latest_groups(objects: Objects) -> dict[str, bytes]:
    """Group -> its metadata, for the latest group of each question."""
    groups = verdict_groups(objects)
    latest: dict[str, tuple[int, str, bytes]] = {}
    roots = objects.get_many([f"{group}/{ROOT}" for group in groups], GROUP_BYTES)
    for group, root in zip(groups, roots, strict=True):
        if root is not None:  # else it is being written, or its writer was killed
            question, _, number = group.rpartition("-")
            if int(number) > latest.get(question, (0, "", b""))[0]:
                latest[question] = int(number), group, root
    return {group: root for _, group, root in latest.values()}


def open_group(
    store: str | Path, group: str, validate: Callable[[xr.Dataset], xr.Dataset], what: str = "verdict"
) -> xr.Dataset:
    """Read one Dataset of evidence into memory and check it.

    Parameters
    ----------
    validate
        Returns the Dataset, or raises an error that says what is wrong with it.
    what
        What error messages call the Dataset.

    Raises
    ------
    StoreError
        If there is none of that name, it is damaged, or another version's method found it.
    """
    objects = open_objects(store)
    try:
        if not VERDICT.fullmatch(group):
            raise ValueError(f"no {what} has that name")
        root = objects.get(f"{group}/{ROOT}", GROUP_BYTES)
        if root is None:
            raise FileNotFoundError("it is not there")
        ds = read_group(root, partial(_read_objects, objects, group))
        method = read_json(ds.attrs["question"], dict[str, Any], group, error=StoreError)["method"]
        if method == schema.METHOD:
            return validate(ds)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError) as error:
        told = " ".join(str(error).removeprefix(f"{objects.url}: ").split())
        if isinstance(error, StoreError) and not objects.sizes_of([f"{group}/{ROOT}"]):  # removed first
            told = "it was removed while it was read"
        raise StoreError(f"{objects.url} holds no {what} {group}, or a damaged one: {told}") from error
    raise StoreError(
        f"{objects.url}/{group} was found by method {method}, this version's is {schema.METHOD}: ask again, or read it "
        "as it is with xarray.open_zarr"
    )


def check_keeping(store: str | Path) -> None:
    """Check, before work on a question starts, that its answer can be stored.

    Raises
    ------
    StoreError, OSError
        If there is no store, or one of an older format, there is no room, or the place cannot be written.
    """
    objects = open_objects(store)
    _manifest(objects)
    with hold_root(objects):  # writes the lock, if it is a file
        if not objects.locks:
            objects.put(f"{EVIDENCE}{ROOT}", [_FOLDER])
        free = objects.free_bytes()
    if free is not None and free < ROOM:
        raise StoreError(f"{objects.url} has {free / 1e6:.1f} MB left; make room on this disk, or choose another store")


def damaged_groups(objects: Objects) -> Iterator[tuple[str | None, str]]:
    """Yield each verdict or table with a missing or changed object, and a sentence that names the object.

    The group is None for an object that all of them share.
    """
    seen = visible_verdicts(objects)
    folder = f"{EVIDENCE}{ROOT}"
    if seen and objects.get(folder, GROUP_BYTES) != _FOLDER:
        yield None, f"{folder} is missing or not what was written"
    for group in sorted(listed_verdicts(objects.get(ROOT, ROOT_BYTES)).keys() - set(seen)):
        yield group, f"verdict {group}: {ROOT} lists it, and it is not there"
    for group in seen:
        written = _marker(objects, group)
        if written is None:
            yield group, f"verdict {group}: its marker is missing or damaged"
            continue
        for key, fault in unlike(objects, written):
            yield group, f"verdict {group}: {key} {fault}"


def check_weights(objects: Objects, name: str, sha256: str) -> None:
    """Check that a store is one of these weights, so that it can keep what is found with them.

    Raises
    ------
    StoreError
        If it is for other weights, or there is none.
    """
    weights = _manifest(objects).identity.weights
    if sha256 != weights.sha256:
        theirs, ours = weights.name, name
        if theirs == ours:
            theirs, ours = f"{theirs} ({weights.sha256[:8]}…)", f"other ones of that name ({sha256[:8]}…)"
        raise StoreError(f"{objects.url} is for the weights {theirs}, the answer for {ours}: choose another store")


def _manifest(objects: Objects) -> Manifest:
    data = objects.get(MANIFEST)
    if data is None:
        raise StoreError(f"no store at {objects.url}; build one with: python -m vitime_cache build")
    return Manifest.from_bytes(data, objects.url)


def remove_groups(store: str | Path, groups: Iterable[str]) -> None:
    """Remove groups from a store; the next `ask` answers their questions again."""
    objects, leaving = open_objects(store), list(groups)
    for group in leaving:
        if not VERDICT.fullmatch(group):
            raise StoreError(f"{objects.url} holds no evidence {group!r:.100}")
    with hold_root(objects):
        _take_out(objects, leaving)
        _put_folder(objects)
        clear_evidence(objects)


def _read_objects(objects: Objects, group: str, most: Mapping[str, int]) -> dict[str, bytes]:
    """Read the objects of a group that are there; StoreError if one that was written is not, or they are too large."""
    sizes = objects.sizes_of([f"{group}/{key}" for key in most])
    if sum(sizes.values()) > MOST_BYTES or any(sizes.get(f"{group}/{key}", 0) > most[key] for key in most):
        raise StoreError(f"its objects have {sum(sizes.values()):,} bytes, more than its arrays")
    found = dict(zip(sizes, objects.get_many(list(sizes), max(sizes.values(), default=0)), strict=True))
    absent = [key for key in most if found.get(f"{group}/{key}") is None]
    written = _marker(objects, group) if absent else None
    for key in absent:  # chunks of missing values are not written
        if written is None or f"{group}/{key}" in written:
            raise StoreError(f"{group}/{key} is missing; {REMEDY}")
    return {key: data for key in most if (data := found.get(f"{group}/{key}")) is not None}


def _commit(objects: Objects, group: str, wanted: Mapping[str, bytes]) -> None:
    root = f"{group}/{ROOT}"
    _put_folder(objects)
    keys = {f"{group}/{key}": data for key, data in wanted.items()}
    with ThreadPoolExecutor(PUTS_AT_ONCE) as pool:
        list(pool.map(lambda key: objects.put(key, [keys[key]]), keys.keys() - {root}))
    objects.flush()
    stamps = {key: stamp([data]) for key, data in keys.items()}
    objects.put(marker_key(group), [seal({"group": group, "objects": stamps})])
    objects.flush()
    objects.put(root, [keys[root]])
    objects.flush()


def _put_folder(objects: Objects) -> None:
    """Write the metadata of the folder of verdicts, so that zarr finds no unknown object when it lists the root."""
    if objects.get(f"{EVIDENCE}{ROOT}", GROUP_BYTES) != _FOLDER:
        objects.put(f"{EVIDENCE}{ROOT}", [_FOLDER])


def _take_out(objects: Objects, groups: Collection[str]) -> None:
    """List the remaining groups in the root, then remove the others: first from view, the marker last."""
    relist(objects, leaving=groups)
    for group in groups:
        objects.delete(objects.sizes_of([f"{group}/{ROOT}"]))
        objects.flush()
        objects.delete_below(f"{group}/")
        objects.flush()
        objects.delete(objects.sizes_of([marker_key(group)]))
    objects.flush()


def _marker(objects: Objects, group: str) -> dict[str, Stamp] | None:
    """The objects of a group that its marker lists; None where the marker is missing, damaged or of another group."""
    record = unseal(objects.get(marker_key(group), GROUP_BYTES), _Written)
    if record is None or record.group != group:
        return None
    objects_of_it = record.objects
    return objects_of_it if all(key.startswith(f"{group}/") for key in objects_of_it) else None


def _is_there(objects: Objects, group: str, wanted: Mapping[str, bytes]) -> bool:
    return _marker(objects, group) == {f"{group}/{key}": stamp([data]) for key, data in wanted.items()}
