"""The background pictures that a server offers: a folder, read once at start."""

from __future__ import annotations

from pathlib import Path

from visavis.engines.errors import ConfigError, EngineError
from visavis.server.look.choice import OWN

__all__ = ["MAX_PICTURE_BYTES", "Pictures", "open_pictures"]

MAX_PICTURE_BYTES = 8 << 20
MAX_PICTURES = 500
MAX_NAME = 60
SUFFIXES = {".jpg", ".jpeg", ".png"}


class Pictures:
    """Files by name; a name is a file's own without its suffix."""

    def __init__(self, files: dict[str, Path]) -> None:
        self._files = files

    @property
    def names(self) -> tuple[str, ...]:
        """In the order of the alphabet."""
        return tuple(self._files)

    def read(self, name: str) -> bytes:
        """A picture as it lies in the folder. From a thread.

        Raises:
            EngineError: it is not there any more, or has grown too large.
        """
        try:
            with self._files[name].open("rb") as file:
                data = file.read(MAX_PICTURE_BYTES + 1)
        except OSError as error:
            raise EngineError(
                f"The background picture {name!r} cannot be read: {error}."
            ) from error
        if len(data) > MAX_PICTURE_BYTES:
            raise EngineError(f"The background picture {name!r} is larger than it may be.")
        return data


def open_pictures(folder: str | None) -> Pictures:
    """Look at a folder; other files in it do not matter.

    Raises:
        ConfigError: there is no such folder, or something in it cannot be offered.
    """
    if folder is None:
        return Pictures({})
    try:
        paths = sorted(Path(folder).iterdir())
    except OSError as error:
        raise ConfigError(f"--backgrounds takes a folder of pictures: {error}.") from error
    files: dict[str, Path] = {}
    for path in paths:
        if path.suffix.lower() not in SUFFIXES or path.name.startswith(".") or not path.is_file():
            continue
        if path.stem in files:
            raise ConfigError(f"Two background pictures are named {path.stem!r}; rename one.")
        if path.stem == OWN or len(path.stem) > MAX_NAME:
            raise ConfigError(
                f"A background picture cannot be named {path.stem[:MAX_NAME]!r}; rename it."
            )
        if path.stat().st_size > MAX_PICTURE_BYTES:
            raise ConfigError(f"{path} is larger than {MAX_PICTURE_BYTES >> 20} MiB.")
        files[path.stem] = path
    if len(files) > MAX_PICTURES:
        raise ConfigError(f"There are more than {MAX_PICTURES} background pictures in {folder}.")
    return Pictures(files)
