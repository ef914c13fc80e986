"""A store's objects as files below a folder.

The folder itself may be a link. Below it only folders and regular files are used: links, pipes and devices, as an
archive from elsewhere may contain them, are never opened, followed or written to.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from vitime_cache.atomic import can_sync_all, named, replacing, sync, sync_all, sync_folder, write_unsynced
from vitime_cache.store.objects import MOST_BYTES, ObjectError, Stamp, StoreError, Stream, check_key, stamp

SYNC_BYTES = 64 * 2**20
_NOTHING = FileNotFoundError, NotADirectoryError


def open_folder(path: Path) -> LocalObjects:
    """The objects below a folder, which need not exist yet; StoreError if it is no folder, or below what is none."""
    for place in (path, *path.parents):
        if os.path.lexists(place) and not place.is_dir():
            is_file = place.exists()
            found = "a file" if is_file else "a link that leads to nothing"
            wanted = "a store is a folder or a URL" if place == path else f"{path.name} belongs in a folder"
            away = "move it away" if is_file else f"make the folder that it leads to ({place.readlink()})"
            first = "unpack a zipped store first" if place.suffix == ".zip" else away
            free = place.with_suffix(".zarr")
            other = f", such as {free}" if place == path and is_file and not os.path.lexists(free) else ""
            raise StoreError(f"{place} is {found}, but {wanted}: {first}, or name another place{other}")
    return LocalObjects(path)


class LocalObjects:
    """Objects as files: written under a temporary name, synced, renamed; `put_many` leaves the sync to `flush`."""

    locks = True

    def __init__(self, root: Path) -> None:
        self.url, self.root = str(root), root.absolute()  # as given, for messages; the same folder after a chdir
        self.address = str(self.root)
        self._renamed_in: set[Path] = set()
        self._unsynced = False  # whether `put_many` has written anything that is not synced
        self._flushing = threading.Lock()
        self._lost: OSError | None = None  # why a flush failed
        self._folders: set[str] = set()  # known folders, so that each is checked once

    def __reduce__(self) -> tuple[type[LocalObjects], tuple[Path]]:
        """Another process, such as a worker of dask, opens the folder anew: locks cannot be sent there."""
        return LocalObjects, (self.root,)

    def get(self, key: str, most: int = MOST_BYTES) -> bytes | None:
        size = self._size(key)
        if size is None:
            return None
        with self._told(key), (self.root / key).open("rb") as file:
            data = file.read(most + 1) if size <= most else b""
        if max(size, len(data)) > most:
            raise ObjectError(f"{self.url}/{key} has {size:,} bytes, more than the {most:,} allowed")
        return data

    def get_many(self, keys: Sequence[str], most: int = MOST_BYTES) -> list[bytes | None]:
        return [self.get(key, most) for key in keys]

    def put(self, key: str, parts: Sequence[bytes]) -> Stamp:
        with self.stream(key) as stream:
            for part in parts:
                stream.write(part)
        return stream.stamp

    def put_many(self, objects: Mapping[str, Sequence[bytes]]) -> dict[str, Stamp]:
        if not can_sync_all():
            return {key: self.put(key, parts) for key, parts in objects.items()}
        stamps = {}
        for key, parts in objects.items():
            self._check(key)
            self._make_folder(key.rpartition("/")[0])
            self._size(key)  # raises for anything but a regular file
            write_unsynced(f"{self.address}/{key}", parts)
            self._unsynced = True
            stamps[key] = stamp(parts)
        return stamps

    @contextmanager
    def stream(self, key: str) -> Iterator[Stream]:
        path = self._path(key)
        self._make_folder(key.rpartition("/")[0])
        self._size(key)  # raises for anything but a regular file
        with replacing(path) as file, ThreadPoolExecutor(1, thread_name_prefix="sync") as beside:
            synced = 0
            syncing: Future[None] | None = None

            def write(part: bytes) -> None:
                nonlocal synced, syncing
                with named(path):
                    file.write(part)
                    # One large sync at the end would block; syncing a piece while the next is written saves a quarter.
                    if file.tell() - synced > SYNC_BYTES:
                        if syncing is not None:
                            syncing.result()
                        synced, syncing = file.tell(), beside.submit(sync, file.fileno())

            yield Stream(write)
            if syncing is not None:
                syncing.result()
        self._renamed_in.add(path.parent)

    def read(self, key: str, start: int, stop: int) -> bytes:
        size = self._size(key)
        if size is None or start >= size:
            return b""
        with self._told(key), (self.root / key).open("rb") as file:
            file.seek(start)
            return file.read(max(min(stop, size) - start, 0))

    def tail(self, key: str, count: int) -> bytes | None:
        size = self._size(key)
        return None if size is None else self.read(key, max(size - count, 0), size)

    def sizes_of(self, keys: Sequence[str]) -> dict[str, int]:
        found = {}
        for key in keys:  # up to a million when a large store is built again
            if (size := self._size(key)) is not None:
                found[key] = size
        return found

    def flush(self) -> None:
        # One thread at a time: a thread with nothing to sync must wait for the threads that are syncing.
        # The system tells of a failed write once, and it may be any thread's: none may take its objects for synced.
        with self._flushing:
            if self._lost is not None:
                raise self._lost
            try:
                self._sync()
            except OSError as error:
                self._lost = error
                raise

    def _sync(self) -> None:
        if self._unsynced:
            self._unsynced = False  # before the sync: another thread may put while it runs
            sync_all(self.root)
        while self._renamed_in:  # `put` syncs a file's content; its name is an entry of the folder
            sync_folder(self._renamed_in.pop())

    def delete(self, keys: Iterable[str]) -> None:
        for key in keys:
            path = self._path(key)
            path.unlink(missing_ok=True)
            self._renamed_in.add(path.parent)

    def names(self, prefix: str = "") -> list[str]:
        if prefix and not self._is_folder(prefix.removesuffix("/")):
            return []
        with suppress(*_NOTHING), self._told(prefix):
            return [path.name for path in (self.root / prefix).iterdir()]
        return []

    def delete_below(self, prefix: str) -> None:
        folder = self._path(prefix.removesuffix("/"))
        if folder.is_symlink():
            folder.unlink()
        with suppress(FileNotFoundError):
            shutil.rmtree(folder)
        self._folders.clear()
        self._renamed_in = {each for each in self._renamed_in if each.exists()} | {folder.parent}

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
                            found[prefix + entry.name] = entry.stat(follow_symlinks=False).st_size
        return found

    def free_bytes(self) -> int | None:
        folder = self.root
        while not folder.exists():
            folder = folder.parent
        return shutil.disk_usage(folder).free

    @contextmanager
    def lock(self, key: str, wait: float = 0.0) -> Iterator[None]:
        # The system releases the lock when the process ends, however it ends. The file stays, because two processes
        # that each created a file could both hold a lock.
        self._make_folder(key.rpartition("/")[0])
        self._size(key)  # raises for anything but a regular file
        lock = FileLock(self.root / key, timeout=wait)
        try:
            with named(self.root / key):
                lock.acquire()
        except Timeout as error:
            raise StoreError(
                f"another process is building {self.url} or storing verdicts there; wait until it ends, or choose "
                "another store"
            ) from error
        except OSError as error:
            if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
                raise
            raise StoreError(
                f"{self.url} cannot be written to: {str(error.strerror).lower()}; change what it permits, or work on a "
                "copy of it"
            ) from error
        try:
            yield
        finally:
            lock.release()

    # --- paths of keys -----------------------------------------------------------------------------------------------

    def _path(self, key: str) -> Path:
        """The file of a key, after a check that no folder on the way is a link."""
        self._check(key)
        return self.root / key

    def _check(self, key: str) -> None:
        """Raise StoreError for a key that leads out of the store or through a link; each folder is checked once."""
        folder, _, name = key.rpartition("/")
        if folder not in self._folders or name in ("", ".", "..") or "\0" in name or "\\" in name:
            check_key(key)
            if folder:
                self._is_folder(folder)

    def _size(self, key: str) -> int | None:
        """Size of a regular file in bytes; None where there is nothing, StoreError where it is something else."""
        self._check(key)
        try:
            found = os.lstat(f"{self.address}/{key}")  # three times as quick as a Path
        except _NOTHING:
            return None
        except OSError as error:
            raise self._refused(key, error) from error
        if not stat.S_ISREG(found.st_mode):
            raise ObjectError(self._strange(key))
        return found.st_size

    def _is_folder(self, folder: str) -> bool:
        """Whether the folder exists; StoreError if it, or one above it, is a link or not a folder."""
        above = folder.rpartition("/")[0]
        if folder in self._folders:
            return True
        if above and not self._is_folder(above):
            return False
        try:
            with self._told(folder):
                mode = os.lstat(f"{self.address}/{folder}").st_mode
        except _NOTHING:
            return False
        if not stat.S_ISDIR(mode):
            raise ObjectError(self._strange(folder))
        self._folders.add(folder)
        return True

    def _make_folder(self, folder: str) -> None:
        """Make a folder below the root, or the root itself (""), with its parents."""
        if folder and not self._is_folder(folder):
            self._make_folder(folder.rpartition("/")[0])
            self._make(self.root / folder)
        elif not folder:
            for place in [each for each in (*reversed(self.root.parents), self.root) if not each.is_dir()]:
                self._make(place)

    def _make(self, place: Path) -> None:
        place.mkdir(exist_ok=True)
        self._renamed_in.add(place.parent)

    def _strange(self, key: str) -> str:
        is_link = (self.root / key).is_symlink()
        kind = "a link, and links in a store are not followed" if is_link else "not a regular file"
        return f"{self.url}/{key} is {kind}; remove it, or replace it by the right file"

    @contextmanager
    def _told(self, key: str) -> Iterator[None]:
        """Turn an OSError into a StoreError with one sentence; "not found" is left to the caller."""
        try:
            yield
        except _NOTHING:
            raise
        except OSError as error:
            raise self._refused(key, error) from error

    def _refused(self, key: str, error: OSError) -> StoreError:
        return StoreError(f"{self.url}/{key} cannot be read: {str(error.strerror or error).lower()}")
