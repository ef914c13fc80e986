"""A store's objects behind a URL, through fsspec."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any
from urllib.parse import quote, unquote

from vitime_cache.shown import ADDRESS, redact
from vitime_cache.store.objects import MOST_BYTES, ObjectError, Stamp, StoreError, Stream, check_key, stamp

GETS_AT_ONCE = 16
PUTS_AT_ONCE = 8  # in each thread that puts several
UPLOAD_BYTES = 50 * 2**20  # of one part of a streamed object
LISTED_AT_ONCE = 1000


def open_url(url: str) -> RemoteObjects:
    """The objects below a URL; StoreError if it names no place or needs a package that is not installed."""
    import fsspec

    protocol, _, place = url.partition("://")
    shown = redact(url)
    if not place.strip("/"):
        raise StoreError(f"{shown} names no place for a store; use a URL such as {protocol}://bucket/name.zarr")
    # Errors are not chained: a traceback would show the address with its credentials.
    try:
        return RemoteObjects(url, fsspec.filesystem(protocol, use_listings_cache=False))
    except ImportError as error:
        raise StoreError(f"{shown} needs a package that is not installed: {_told(error, url)} (with pip)") from None
    except (ValueError, TypeError, OSError) as error:  # some protocols, such as zip://, need more than a URL
        raise StoreError(
            f"cannot open {shown}: {_told(error, url)}; use a folder, or a URL such as s3://bucket/name.zarr"
        ) from None


def _told(error: Exception, address: str) -> str:
    """An error in one line, without the credentials in an address; some protocols' errors quote parts of them."""
    text = redact(" ".join(str(error).split()))
    found = ADDRESS.match(address)
    user, query = (found["user"] or "", found["query"] or "") if found else ("", "")
    secrets = {user, query, *user.split(":"), *query.split("&"), *(pair.partition("=")[2] for pair in query.split("&"))}
    for secret in sorted(secrets, key=len, reverse=True):
        for form in {secret, quote(secret, safe=""), unquote(secret)}:
            if len(form) > 3:  # a shorter one would match inside ordinary words
                text = text.replace(form, "…")
    return text


class RemoteObjects:
    """Objects behind fsspec: one PUT each, which the object store makes atomic and durable.

    An object store has no lock that ends with its process, so the caller must run only one build at a time; `root` says
    what happens if a verdict is stored meanwhile. The protocol's own package reads access keys, regions and endpoints
    from the environment.
    """

    locks = False

    def __init__(self, url: str, filesystem: Any) -> None:
        self.address = url.rstrip("/")
        self.url = redact(self.address)
        self._files = filesystem
        # With http the query is not part of the place: it goes after each key.
        place = filesystem._strip_protocol(self.address)
        self._root, mark, query = place.partition("?") if url.startswith("http") else (place, "", "")
        self._root, self._query = self._root.rstrip("/"), mark + query

    def _path(self, key: str) -> str:
        return f"{self._root}/{check_key(key.removesuffix('/')) if key else ''}{self._query}"

    def _call(self, operation: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        """Call a protocol's package and turn any of its errors, which share no class, into a StoreError."""
        try:
            return operation(*arguments, **options)
        except FileNotFoundError:
            raise
        except Exception as error:
            told = f"{type(error).__name__}: {_told(error, self.address)}"
            raise StoreError(
                f"cannot reach {self.url}: {told}; is the address right, and are access keys set?"
            ) from None

    def get(self, key: str, most: int = MOST_BYTES) -> bytes | None:
        try:
            # With a start this is one request and so one version of the object; without, s3fs first asks for the size.
            data = bytes(self._call(self._files.cat_file, self._path(key), start=0, end=most + 1))
        except FileNotFoundError:
            return None
        if len(data) > most:
            raise ObjectError(f"{self.url}/{key} has more than the {most:,} bytes allowed")
        return data

    def get_many(self, keys: Sequence[str], most: int = MOST_BYTES) -> list[bytes | None]:
        with ThreadPoolExecutor(GETS_AT_ONCE) as pool:
            return list(pool.map(partial(self.get, most=most), keys))

    def put(self, key: str, parts: Sequence[bytes]) -> Stamp:
        self._call(self._files.pipe_file, self._path(key), b"".join(parts))
        return stamp(parts)

    def put_many(self, objects: Mapping[str, Sequence[bytes]]) -> dict[str, Stamp]:
        with ThreadPoolExecutor(PUTS_AT_ONCE) as pool:
            return dict(zip(objects, pool.map(self.put, objects.keys(), objects.values()), strict=True))

    @contextmanager
    def stream(self, key: str) -> Iterator[Stream]:
        file = self._call(self._files.open, self._path(key), "wb", block_size=UPLOAD_BYTES, autocommit=False)
        try:
            yield Stream(partial(self._call, file.write))
            self._call(file.close)
            self._call(file.commit)
        except BaseException:
            file.discard()
            raise

    def read(self, key: str, start: int, stop: int) -> bytes:
        try:
            data = bytes(self._call(self._files.cat_file, self._path(key), start=start, end=stop))
        except FileNotFoundError:
            return b""
        return data if len(data) <= stop - start else data[start:stop]  # some servers answer with the whole object

    def tail(self, key: str, count: int) -> bytes | None:
        try:
            return bytes(self._call(self._files.cat_file, self._path(key), start=-count))[-count:]
        except FileNotFoundError:
            return None

    def sizes_of(self, keys: Sequence[str]) -> dict[str, int]:
        if len(keys) > LISTED_AT_ONCE:  # one request lists a thousand objects
            listed = self.sizes()
            return {key: listed[key] for key in keys if key in listed}
        with ThreadPoolExecutor(GETS_AT_ONCE) as pool:
            sizes = pool.map(self._size_of, keys)
        return {key: size for key, size in zip(keys, sizes, strict=True) if size is not None}

    def _size_of(self, key: str) -> int | None:
        try:
            return int(self._call(self._files.info, self._path(key))["size"])
        except FileNotFoundError:
            return None

    def flush(self) -> None:
        """Nothing to do: every PUT was answered and so is durable."""

    def delete(self, keys: Iterable[str]) -> None:
        self._remove([self._path(key) for key in keys])

    def names(self, prefix: str = "") -> list[str]:
        try:
            listed = self._call(self._files.ls, self._path(prefix), detail=False)
            return [path.rstrip("/").rpartition("/")[2] for path in listed]
        except FileNotFoundError:
            return []

    def delete_below(self, prefix: str) -> None:
        self._remove(self._call(self._files.find, self._path(prefix)))

    def _remove(self, paths: Sequence[str]) -> None:
        if not paths:
            return
        try:
            self._call(self._files.rm, paths)
        except FileNotFoundError:  # one is not there, and protocols differ in which of the others are gone
            for path in paths:
                with suppress(FileNotFoundError):
                    self._call(self._files.rm, path)

    def sizes(self) -> dict[str, int]:
        listing = self._call(self._files.find, self._root, detail=True)
        return {path.removeprefix(f"{self._root}/"): entry["size"] for path, entry in listing.items()}

    def free_bytes(self) -> int | None:
        return None

    @contextmanager
    def lock(self, key: str, wait: float = 0.0) -> Iterator[None]:  # noqa: ARG002
        yield
