"""Files in `weights/`: the one that series are run with, and all of them."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from vitime_cache import places
from vitime_cache.atomic import FileStamp, file_stamp
from vitime_cache.errors import in_words
from vitime_cache.model.checkpoint import CheckpointError, find_weights, peek
from vitime_cache.model.config import ViTimeConfig, WeightsInfo
from vitime_cache.ui.shared import shared

ENDINGS = (".safetensors", ".pth")  # of the files that are offered
MOST_FILES = 40


@dataclass(frozen=True)
class WeightsFile:
    """A weights file, described without reading its tensors."""

    path: Path
    config: ViTimeConfig
    info: WeightsInfo

    @property
    def store(self) -> str:
        """Name of the store that `build` makes for these weights."""
        return places.default_store(self.info.name).name


def default_weights() -> WeightsFile:
    """The weights to run series with: the published file if it exists, else the shipped small model.

    Raises
    ------
    CheckpointError
        If there are no weights, or none that can be read; the message says what to do.
    """
    path = find_weights()
    try:
        return WeightsFile(path, *peek(path))
    except OSError as error:  # removed meanwhile, or not for this server to read
        raise CheckpointError(in_words(error)) from error


def weights_files() -> dict[Path, WeightsFile | str]:
    """The files in `weights/`, by name; in place of one that cannot be read, why not."""
    try:
        paths = sorted(path for path in places.WEIGHTS.iterdir() if path.suffix in ENDINGS and path.is_file())
    except OSError:
        return {}
    found = {}
    for path in paths[:MOST_FILES]:
        with suppress(FileNotFoundError):  # removed meanwhile
            found[path] = _described(path, file_stamp(path))
    return found


@shared(64)
def _described(path: Path, stamp: FileStamp) -> WeightsFile | str:  # noqa: ARG001 - a file that has changed is another
    try:
        return WeightsFile(path, *peek(path))
    except (CheckpointError, OSError) as error:
        return str(error)
