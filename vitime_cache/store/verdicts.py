"""Verdicts kept in a store: one zarr group for each question, beside the attention it was asked of.

`xr.open_zarr(path, group="evidence/<name>")` reads one, as does `xr.open_zarr(f"{path}/evidence/<name>")`, which is
quicker: the group carries its own consolidated metadata. Readers of the store's root see the same Dataset as without
verdicts (see `root`).

A verdict goes in by the protocol of signals (see `commit`): its objects, then a marker that lists them with their
stamps, then the group's `zarr.json`, which makes it visible, then the list in the store's root. What a question is
found to answer may grow, level by level: each time the Dataset goes into a group of its own; once that is visible, the
root lists it in the place of the one before, and only then is that taken out. A process killed between any two steps
leaves the verdict that was kept before, or the new one, and no root that lists one which is not there.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

import msgspec
import xarray as xr
from zarr.core.buffer import Buffer
from zarr.storage import MemoryStore

from vitime_cache.evidence.question import Question, identity
from vitime_cache.evidence.verdict import schema
from vitime_cache.store.checked import CheckedStore
from vitime_cache.store.format import CODECS
from vitime_cache.store.journal import read_root
from vitime_cache.store.layout import Layout, layout_of
from vitime_cache.store.manifest import EVIDENCE, MANIFEST, ROOT, ROOT_BYTES, Manifest, ObjectStamp, seal, unseal
from vitime_cache.store.objects import Objects, Stamp, StoreError, open_objects, stamp
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

if TYPE_CHECKING:
    from vitime_cache.model.network import ViTime

PUTS_AT_ONCE = 4
ROOM = 8_000_000  # bytes free: a verdict takes one or two million, and the one before goes only afterwards
_FOLDER = json.dumps(GROUP).encode()
MOST_VERDICT_BYTES = 256 * 2**20  # of all its arrays


@dataclass(frozen=True)
class _Written:
    """A verdict's marker: its objects as they were written."""

    group: str
    objects: dict[str, ObjectStamp]


class _GroupMetadata(TypedDict):
    attributes: dict[str, str]


class _Asked(TypedDict):
    """What of a question is known here; `evidence.verdict` knows all of it."""

    signal: str


@dataclass(frozen=True)
class KeptVerdict:
    """A verdict in a store, as far as its metadata tells.

    Attributes
    ----------
    group
        Where it lies below the store: `xr.open_zarr(f"{path}/{group}")`.
    question, stages
        As `evidence.verdict` describes them; all stages make a complete verdict.
    headline
        The answer in a sentence.
    """

    group: str
    question: Mapping[str, Any]
    stages: tuple[str, ...]
    created: str
    headline: str = ""

    @property
    def signal(self) -> str:
        """Name of the signal that was asked about."""
        return str(self.question["signal"])

    @property
    def series(self) -> str:
        """Which series was asked about, by its hash: names may be anybody's (`evidence.question.series_hash`)."""
        return str(self.question["series_sha256"])

    @property
    def complete(self) -> bool:
        """Whether every level has been worked on."""
        return set(schema.STAGES) <= set(self.stages)

    @property
    def of_all_heads(self) -> bool:
        """Whether it is about all heads, not some."""
        return bool(self.question["heads"] == "all")


def keep_verdict(store: str | Path, verdict: xr.Dataset) -> str:
    """Keep a verdict in a store, in the place of what was kept of the same question before.

    Keeping the same verdict again writes nothing.

    Parameters
    ----------
    verdict
        As `evidence.verdict` describes it, complete or partial.

    Returns
    -------
    str
        The group it lies in.

    Raises
    ------
    StoreError
        If there is no store, it is of other weights, or another process does not let go of its root.
    VerdictError
        If the Dataset is no verdict.
    """
    schema.validate(verdict)
    objects = open_objects(store)
    question = schema.facts(verdict, "question")
    _check_weights(objects, question)
    name = _name(question)
    with hold_root(objects):  # not what a build holds: a verdict is kept while signals are written
        kept = [group for group in verdict_groups(objects) if group.rpartition("-")[0] == EVIDENCE + name]
        numbers = [int(group.rpartition("-")[2]) for group in kept]
        shown = [group for group in kept if objects.get(f"{group}/{ROOT}", GROUP_BYTES) is not None]
        latest = max(shown, key=lambda group: int(group.rpartition("-")[2]), default=None)
        if latest is not None and _knows_more(objects, latest, schema.facts(verdict, "stages")):
            return latest  # another process has gone on meanwhile
        wanted = _render(verdict)
        if latest is None or not _is_there(objects, latest, wanted):
            latest = f"{EVIDENCE}{name}-{max(numbers, default=0) + 1}"
            _commit(objects, latest, wanted)
        _take_out(objects, [group for group in kept if group != latest])
        clear_evidence(objects)
    return latest


def stored_verdicts(store: str | Path) -> list[KeptVerdict]:
    """The verdicts of a store, from their metadata alone; of each question the one kept last.

    Those found by another method than this version's are left out: they stay in the store for who opens them by name,
    and `ask` works their questions out again.

    Raises
    ------
    StoreError
        If the metadata of one is damaged.
    """
    objects = open_objects(store)
    groups = verdict_groups(objects)
    latest: dict[str, tuple[int, KeptVerdict]] = {}
    roots = objects.get_many([f"{group}/{ROOT}" for group in groups], GROUP_BYTES)
    for group, root in zip(groups, roots, strict=True):
        if root is not None:  # else it is being kept, or was when a process ended
            question, _, number = group.rpartition("-")
            if int(number) > latest.get(question, (0, None))[0]:
                latest[question] = int(number), _described(objects, group, root)
    return [kept for _, kept in latest.values() if kept.question.get("method") == schema.METHOD]


def check_keeping(store: str | Path) -> None:
    """See, before a question is worked on, whether its verdict can be kept.

    Raises
    ------
    StoreError, OSError
        If there is no room, or nothing may be written there.
    """
    objects = open_objects(store)
    with hold_root(objects):  # writes the lock, where that is a file
        free = objects.free_bytes()
    if free is not None and free < ROOM:
        raise StoreError(f"{objects.url} has {free / 1e6:.1f} MB left; make room on this disk, or choose another store")


def find_verdict(store: str | Path, *questions: Mapping[str, Any]) -> xr.Dataset | None:
    """What a store knows of the first of these questions that it knows, in memory; answers that are complete first."""
    kept = stored_verdicts(store)
    for complete in (True, False):
        for question in questions:
            for each in kept:
                if each.question == question and each.complete == complete:
                    return open_verdict(store, each.group)
    return None


def find_answer(store: str | Path, model: ViTime, question: Question) -> xr.Dataset | None:
    """The verdict that a store keeps of a question, complete or as far as it goes.

    With a budget, the one found within it, or without one.
    """
    return find_verdict(store, *(identity(model, question, budget) for budget in (None, question.budget)))


def verdicts_on(store: str | Path, *series: str) -> list[KeptVerdict]:
    """The verdicts on a series, told by its hashes; of each period the one that says most, latest first.

    One about all heads says more than one about some, one that is complete more than one that is not, the later more
    than the earlier.
    """
    best: dict[float, KeptVerdict] = {}
    for each in stored_verdicts(store):
        if each.series in series:
            period = float(each.question["period"])
            best[period] = max(
                best.get(period, each), each, key=lambda one: (one.of_all_heads, one.complete, one.created)
            )
    return sorted(best.values(), key=lambda one: one.created, reverse=True)


def open_verdict(store: str | Path, group: str) -> xr.Dataset:
    """One verdict, in memory and checked.

    Parameters
    ----------
    group
        As `stored_verdicts` names it.

    Raises
    ------
    StoreError
        If there is none of that name, or it is damaged.
    """
    objects = open_objects(store)
    try:
        if not VERDICT.fullmatch(group):
            raise ValueError("no verdict is called so")
        root = objects.get(f"{group}/{ROOT}", GROUP_BYTES)
        if root is None:
            raise FileNotFoundError("it is not there")
        arrays = _layouts(root)
        written = partial(_was_written, objects, group)
        source = CheckedStore(objects, f"{group}/", root, arrays, written, partial(_describe, group))
        ds = xr.open_zarr(source, chunks=None, consolidated=True).load()
        method = read_json(ds.attrs["question"], dict[str, Any], group, error=StoreError)["method"]
        if method == schema.METHOD:
            return schema.validate(ds)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError) as error:
        told = " ".join(str(error).removeprefix(f"{objects.url}: ").split())
        if isinstance(error, StoreError) and not objects.sizes_of([f"{group}/{ROOT}"]):  # the first of it to go
            told = "it was taken out while it was read"
        raise StoreError(f"{objects.url} holds no verdict {group}, or a damaged one: {told}") from error
    raise StoreError(
        f"{objects.url}/{group} was found by method {method}, this version's is {schema.METHOD}: ask again, or read it "
        "as it is by xarray.open_zarr"
    )


def _layouts(root: bytes) -> dict[str, Layout]:
    """The layout of every array of a verdict."""
    record = read_root(root)
    if record is None:
        raise ValueError(f"its {ROOT} is damaged")
    arrays = {name: layout_of(name, node) for name, node in record["consolidated_metadata"]["metadata"].items()}
    size = sum(math.prod(layout.shape) * max(layout.item, 8) for layout in arrays.values())
    if size > MOST_VERDICT_BYTES:
        raise ValueError(f"its arrays have {size:,} bytes, more than the {MOST_VERDICT_BYTES:,} of any verdict")
    return arrays


def _was_written(objects: Objects, group: str, key: str) -> bool:
    written = _marker(objects, group)
    return written is None or f"{group}/{key}" in written


def _describe(group: str, key: str, _: int | None) -> str:
    return f"{group}/{key}"


def damaged_verdicts(objects: Objects) -> Iterator[tuple[str | None, str]]:
    """Each verdict of which an object is missing or not what was written, with a sentence that names it.

    None in the place of a verdict where it is what they all have in common.
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


def remove_verdicts(store: str | Path, groups: Iterable[str]) -> None:
    """Take verdicts out of a store; the next `ask` works the question out again."""
    objects, leaving = open_objects(store), list(groups)
    for group in leaving:
        if not VERDICT.fullmatch(group):
            raise StoreError(f"{objects.url} holds no verdict {group!r:.100}")
    with hold_root(objects):
        _take_out(objects, leaving)
        _put_folder(objects)
        clear_evidence(objects)


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
    """Metadata of the folder of verdicts, once there is one, so that listing the store's root finds no stranger."""
    if objects.get(f"{EVIDENCE}{ROOT}", GROUP_BYTES) != _FOLDER:
        objects.put(f"{EVIDENCE}{ROOT}", [_FOLDER])


def _take_out(objects: Objects, groups: Collection[str]) -> None:
    """List what stays in the root, and remove groups, or what is left of them: invisible first, the marker last."""
    relist(objects, leaving=groups)
    for group in groups:
        objects.delete(objects.sizes_of([f"{group}/{ROOT}"]))
        objects.flush()
        objects.delete_below(f"{group}/")
        objects.flush()
        objects.delete(objects.sizes_of([marker_key(group)]))
    objects.flush()


def _render(verdict: xr.Dataset) -> dict[str, bytes]:
    """The objects of a verdict's group; its `zarr.json` carries consolidated metadata, as the store's own does."""
    staged: dict[str, Buffer] = {}
    texts = {name: label.astype(object) for name, label in verdict.coords.items() if label.dtype.kind == "U"}
    plain = verdict.assign_coords(texts).drop_encoding()  # text of a fixed width has no stable format in zarr
    encoding = {
        name: {"compressors": CODECS if plain[name].dtype != object else CODECS[-1:]} for name in plain.variables
    }
    plain.to_zarr(MemoryStore(staged), zarr_format=3, consolidated=False, encoding=encoding)
    files = {key: value.to_bytes() for key, value in staged.items()}
    root = json.loads(files[ROOT])
    arrays = {name: json.loads(files[f"{name}/{ROOT}"]) for name in sorted(map(str, plain.variables))}
    root["consolidated_metadata"] = {"kind": "inline", "must_understand": False, "metadata": arrays}
    return files | {ROOT: json.dumps(root, ensure_ascii=False).encode()}


def _name(question: Mapping[str, Any]) -> str:
    """What a question is called in a path: readable, and different for different questions."""
    readable = re.sub(r"[^A-Za-z0-9._-]+", "_", f"{question['signal']}-{question['period']:g}")[:60].strip(".")
    digest = hashlib.sha256(json.dumps(question, sort_keys=True).encode()).hexdigest()[:12]
    return f"{readable}-{digest}"


def _says(kept: KeptVerdict) -> tuple[bool, bool, str]:
    return kept.of_all_heads, kept.complete, kept.created


def _knows_more(objects: Objects, group: str, stages: Collection[str]) -> bool:
    """Whether a verdict that is there has all of these levels and more."""
    there = objects.get(f"{group}/{ROOT}", GROUP_BYTES)
    return there is not None and set(stages) < set(_described(objects, group, there).stages)


def _described(objects: Objects, group: str, root: bytes) -> KeptVerdict:
    where = f"{objects.url}/{group}/{ROOT}"
    try:
        attributes = read_json(root, _GroupMetadata, where, error=StoreError)["attributes"]
        texts = {name: attributes[name] for name in ("question", "stages", "created")}
        question = read_json(texts["question"], dict[str, Any], where, error=StoreError)
        msgspec.convert(question, _Asked)
        stages = read_json(texts["stages"], tuple[str, ...], where, error=StoreError)
        answer = read_json(
            attributes.get("answer", "{}"), dict[str, Any], where, error=StoreError
        )  # older ones gave none
        return KeptVerdict(group, question, stages, texts["created"], str(answer.get("headline", "")))
    except (ValueError, KeyError) as error:
        told = str(error) if isinstance(error, StoreError) else f"{where} is damaged: {str(error)[:200]}"
        raise StoreError(f"{told}; verify --repair takes it out") from error


def _marker(objects: Objects, group: str) -> dict[str, Stamp] | None:
    """The objects of a verdict as its marker lists them; None where that is missing, damaged or of another group."""
    record = unseal(objects.get(marker_key(group), GROUP_BYTES), _Written)
    if record is None or record.group != group:
        return None
    objects_of_it = record.objects
    return objects_of_it if all(key.startswith(f"{group}/") for key in objects_of_it) else None


def _is_there(objects: Objects, group: str, wanted: Mapping[str, bytes]) -> bool:
    return _marker(objects, group) == {f"{group}/{key}": stamp([data]) for key, data in wanted.items()}


def _check_weights(objects: Objects, question: Mapping[str, Any]) -> None:
    data = objects.get(MANIFEST)
    if data is None:
        raise StoreError(f"no store at {objects.url}; build one with: python -m vitime_cache build")
    weights = Manifest.from_bytes(data, objects.url).identity.weights
    if question["weights_sha256"] != weights.sha256:
        raise StoreError(
            f"{objects.url} is of the weights {weights.name}, the verdict of {question['weights']}: "
            "choose another store"
        )
