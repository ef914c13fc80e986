"""Compares objects with the stamps taken when they were written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from vitime_cache.store.objects import ObjectError, Objects, Stamp, stamp

READ_AT_ONCE = 16  # objects, each of at most READ_BYTES
READ_BYTES = 8 * 2**20


def unlike(objects: Objects, written: Mapping[str, Stamp]) -> Iterator[tuple[str, str]]:
    """Yield key and fault ("is missing", "is not what was written") of each object that differs from its stamp."""
    small = [key for key, (size, _) in written.items() if size <= READ_BYTES]
    for start in range(0, len(small), READ_AT_ONCE):
        some = small[start : start + READ_AT_ONCE]
        for key, data in zip(some, _read(objects, some), strict=True):
            if data is None:
                yield key, "is missing"
            elif isinstance(data, ObjectError) or stamp([data]) != written[key]:
                yield key, "is not what was written"
    for key in sorted(written.keys() - set(small)):
        size, _ = written[key]
        try:
            there = objects.sizes_of([key]).get(key)
            blocks = (objects.read(key, at, at + READ_BYTES) for at in range(0, size, READ_BYTES))
            if there is None:
                yield key, "is missing"
            elif there != size or stamp(blocks) != written[key]:
                yield key, "is not what was written"
        except ObjectError:
            yield key, "is not what was written"


def _read(objects: Objects, keys: list[str]) -> list[bytes | ObjectError | None]:
    """The bytes of each object, or the error for one that is not an object of a store."""
    try:
        return list(objects.get_many(keys, READ_BYTES))
    except ObjectError as error:
        if len(keys) == 1:
            return [error]
    return [data for key in keys for data in _read(objects, [key])]
