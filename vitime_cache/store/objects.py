"""Where a store's bytes live: a folder, or any URL that fsspec reaches (s3://, gs://, memory://).

Both kinds promise the same: an object appears under its key whole or not at all, and what was put before a `flush`
survives a crash of the machine once `flush` returns. The commit protocol in `writing` rests on these promises only.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

import xxhash
from filelock import FileLock, Timeout

from vitime_cache.atomic import replacing
from vitime_cache.errors import VitimeError

GETS_AT_ONCE = 16
SYNC_BYTES = 64 * 2**20
UPLOAD_BYTES = 50 * 2**20  # of one part of an object that is streamed
LISTED_AT_ONCE = 1000
Stamp = tuple[int, str]  # size in bytes and XXH3 of an object


class StoreError(VitimeError):
    """A store that cannot be opened, written or continued; the message says what to do."""


def stamp(parts: Iterable[bytes]) -> Stamp:
    """Size and XXH3 hash of an object given in consecutive parts.

    Not CRC-32C, which zarr appends to every chunk: data followed by its own CRC has the same CRC whatever the data.
    """
    size, digest = 0, xxhash.xxh3_64()
    for part in parts:
        size += len(part)
        digest.update(part)
    return size, digest.hexdigest()


class Stream:
    """An object on its way to the store, with the stamp of what has been written of it."""

    def __init__(self, write: Callable[[bytes], object]) -> None:
        self._write, self._digest, self.size = write, xxhash.xxh3_64(), 0

    def write(self, part: bytes) -> None:
        """Append bytes."""
        self._write(part)
        self._digest.update(part)
        self.size += len(part)

    @property
    def stamp(self) -> Stamp:
        """Size and hash of all bytes so far."""
        return self.size, self._digest.hexdigest()


class Objects(Protocol):
    """Keys to bytes, as a store needs them."""

    url: str

    def get(self, key: str) -> bytes | None:
        """The bytes of an object, None where there is none."""

    def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        """The bytes of several objects, in the order of `keys`."""

    def put(self, key: str, parts: Sequence[bytes]) -> Stamp:
        """Write or replace an object in one step, and return its stamp. Safe to call from several threads."""

    def stream(self, key: str) -> AbstractContextManager[Stream]:
        """Write an object piece by piece; it appears when the context ends, and not at all after an error."""

    def read(self, key: str, start: int, stop: int) -> bytes:
        """Bytes `start` to `stop` of an object, fewer where it ends before, none where there is no object."""

    def sizes_of(self, keys: Sequence[str]) -> dict[str, int]:
        """Key -> size in bytes of those that are there."""

    def flush(self) -> None:
        """Return when everything put before is safe from a crash."""

    def delete(self, keys: Iterable[str]) -> None:
        """Remove objects that are there."""

    def sizes(self) -> dict[str, int]:
        """Key -> size in bytes of everything that is there, also of what no store has written."""

    def names(self, prefix: str = "") -> list[str]:
        """What lies directly below a prefix that ends in "/": names of objects and of folders."""

    def delete_below(self, prefix: str) -> None:
        """Remove every object whose key begins with a prefix that ends in "/"."""

    def free_bytes(self) -> int | None:
        """Bytes that can still be written; None where there is no such limit."""

    def lock(self, key: str, wait: float = 0.0) -> AbstractContextManager[None]:
        """Context in which no other process holds the lock `key`; StoreError if one still does after `wait` seconds."""


def open_objects(path: str | Path) -> Objects:
    """The objects below a folder or a URL; nothing is created until the first `put`.

    Raises
    ------
    StoreError
        If the URL needs a package that is not installed, or its protocol is unknown; if there is a file in the place.
    """
    if not isinstance(path, str | os.PathLike):
        raise StoreError(f"a store is a folder or a URL, got {path!r:.60}")
    url = str(path)
    if url.startswith("file://"):
        return LocalObjects(_folder(Path(url.removeprefix("file://"))))
    if "://" not in url:
        return LocalObjects(_folder(Path(path).expanduser()))
    import fsspec

    protocol, _, place = url.partition("://")
    if not place.strip("/"):
        raise StoreError(f"{url} names no place for a store; use a URL such as {protocol}://bucket/name.zarr")
    try:
        return RemoteObjects(url, fsspec.filesystem(protocol, use_listings_cache=False))
    except ImportError as error:
        raise StoreError(f"{url} needs a package that is not installed: {error} (with pip)") from error
    except (ValueError, TypeError, OSError) as error:  # some protocols want more than a URL, as zip:// does
        raise StoreError(f"cannot open {url}: {error}; use a folder, or a URL such as s3://bucket/name.zarr") from error


def _folder(path: Path) -> Path:
    for place in (path, *path.parents):
        if place.is_file():
            raise StoreError(
                f"{place} is a file, and a store is a folder or a URL: name another place, such as "
                f"{place.with_suffix('.zarr')}"
            )
    return path


class LocalObjects:
    """Objects as files: written under a temporary name, synced, renamed."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.url = str(root)
        self._renamed_in: set[Path] = set()

    def get(self, key: str) -> bytes | None:
        try:
            return (self.root / key).read_bytes()
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return None

    def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        return [self.get(key) for key in keys]

    def put(self, key: str, parts: Sequence[bytes]) -> Stamp:
        with self.stream(key) as stream:
            for part in parts:
                stream.write(part)
        return stream.stamp

    @contextmanager
    def stream(self, key: str) -> Iterator[Stream]:
        path = self.root / key
        self._make_folder(path.parent)
        with replacing(path) as file:
            synced = 0

            def write(part: bytes) -> None:
                nonlocal synced
                file.write(part)
                if file.tell() - synced > SYNC_BYTES:  # one big sync at the end would be waited for
                    synced = file.tell()
                    os.fdatasync(file.fileno())

            yield Stream(write)
        self._renamed_in.add(path.parent)

    def read(self, key: str, start: int, stop: int) -> bytes:
        try:
            with (self.root / key).open("rb") as file:
                file.seek(start)
                return file.read(stop - start)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return b""

    def sizes_of(self, keys: Sequence[str]) -> dict[str, int]:
        found = {}
        for key in keys:
            with suppress(FileNotFoundError, NotADirectoryError):
                found[key] = os.stat(f"{self.url}/{key}").st_size  # noqa: PTH116 - thrice as quick as a Path for each
        return found

    def _make_folder(self, folder: Path) -> None:
        if not folder.is_dir():
            self._make_folder(folder.parent)
            folder.mkdir(exist_ok=True)
            self._renamed_in.add(folder.parent)

    def flush(self) -> None:
        while self._renamed_in:  # a file's content is synced by `put`; its name is an entry of the folder
            descriptor = os.open(self._renamed_in.pop(), os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def delete(self, keys: Iterable[str]) -> None:
        for key in keys:
            path = self.root / key
            path.unlink(missing_ok=True)
            self._renamed_in.add(path.parent)

    def names(self, prefix: str = "") -> list[str]:
        try:
            return [path.name for path in (self.root / prefix).iterdir()]
        except (FileNotFoundError, NotADirectoryError):
            return []

    def delete_below(self, prefix: str) -> None:
        with suppress(FileNotFoundError):
            shutil.rmtree(self.root / prefix)
        self._renamed_in = {folder for folder in self._renamed_in if folder.exists()} | {(self.root / prefix).parent}

    def sizes(self) -> dict[str, int]:
        found: dict[str, int] = {}
        folders = [("", self.root)]
        while folders:
            prefix, folder = folders.pop()
            with suppress(FileNotFoundError), os.scandir(folder) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        folders.append((f"{prefix}{entry.name}/", Path(entry.path)))
                    else:
                        with suppress(FileNotFoundError):  # another process may be renaming it
                            found[prefix + entry.name] = entry.stat().st_size
        return found

    def free_bytes(self) -> int | None:
        folder = self.root.absolute()
        while not folder.exists():
            folder = folder.parent
        return shutil.disk_usage(folder).free

    @contextmanager
    def lock(self, key: str, wait: float = 0.0) -> Iterator[None]:
        # The system drops the lock when the process ends, however it ends. The file stays: two processes that each
        # made their own could both hold a lock.
        self._make_folder((self.root / key).parent)
        lock = FileLock(self.root / key, timeout=wait)
        try:
            lock.acquire()
        except Timeout as error:
            raise StoreError(
                f"another process is building {self.url} or keeping verdicts there; wait until it ends, or choose "
                "another store"
            ) from error
        try:
            yield
        finally:
            lock.release()


class RemoteObjects:
    """Objects behind fsspec: one PUT each, atomic and durable by the object store's own promise.

    An object store has no lock that ends with its process, so one builder at a time is the caller's promise there.
    Access keys, regions and endpoints come from the environment, as the protocol's own package reads them.
    """

    def __init__(self, url: str, filesystem: Any) -> None:
        self.url = url.rstrip("/")
        self._files = filesystem
        self._root: str = filesystem._strip_protocol(self.url)

    def _path(self, key: str) -> str:
        return f"{self._root}/{key}"

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Whatever a protocol's own package raises, without a class in common: no server, no access, no writing."""
        try:
            yield
        except (FileNotFoundError, StoreError):
            raise
        except Exception as error:
            told = " ".join(f"{type(error).__name__}: {error}".split())
            raise StoreError(
                f"cannot reach {self.url}: {told}; is the address right, and are access keys set?"
            ) from error

    def get(self, key: str) -> bytes | None:
        with suppress(FileNotFoundError), self._told():
            # With a start it is one request, hence one version of the object; without, s3fs first asks for its size.
            return bytes(self._files.cat_file(self._path(key), start=0))
        return None

    def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        with ThreadPoolExecutor(GETS_AT_ONCE) as pool:
            return list(pool.map(self.get, keys))

    def put(self, key: str, parts: Sequence[bytes]) -> Stamp:
        with self._told():
            self._files.pipe_file(self._path(key), b"".join(parts))
        return stamp(parts)

    @contextmanager
    def stream(self, key: str) -> Iterator[Stream]:
        file = self._files.open(self._path(key), "wb", block_size=UPLOAD_BYTES, autocommit=False)
        try:
            stream = Stream(file.write)
            yield stream
            file.close()
            file.commit()
        except BaseException:
            file.discard()
            raise

    def read(self, key: str, start: int, stop: int) -> bytes:
        try:
            return bytes(self._files.cat_file(self._path(key), start=start, end=stop))
        except FileNotFoundError:
            return b""

    def sizes_of(self, keys: Sequence[str]) -> dict[str, int]:
        if len(keys) > LISTED_AT_ONCE:  # one request tells of a thousand objects
            listed = self.sizes()
            return {key: listed[key] for key in keys if key in listed}
        with ThreadPoolExecutor(GETS_AT_ONCE) as pool:
            sizes = pool.map(self._size_of, keys)
        return {key: size for key, size in zip(keys, sizes, strict=True) if size is not None}

    def _size_of(self, key: str) -> int | None:
        try:
            return int(self._files.info(self._path(key))["size"])
        except FileNotFoundError:
            return None

    def flush(self) -> None:
        """Every PUT was answered, hence is durable."""

    def delete(self, keys: Iterable[str]) -> None:
        if paths := [self._path(key) for key in keys]:
            self._files.rm(paths)

    def names(self, prefix: str = "") -> list[str]:
        try:
            return [path.rstrip("/").rpartition("/")[2] for path in self._files.ls(self._path(prefix), detail=False)]
        except FileNotFoundError:
            return []

    def delete_below(self, prefix: str) -> None:
        if paths := self._files.find(self._path(prefix)):
            self._files.rm(paths)

    def sizes(self) -> dict[str, int]:
        listing = self._files.find(self._root, detail=True)
        return {path.removeprefix(f"{self._root}/"): entry["size"] for path, entry in listing.items()}

    def free_bytes(self) -> int | None:
        return None

    @contextmanager
    def lock(self, key: str, wait: float = 0.0) -> Iterator[None]:  # noqa: ARG002
        yield
