"""What a file is, told by its first bytes, so that a wrong one is refused with the reason."""

from __future__ import annotations

import stat
import tarfile
from dataclasses import dataclass
from pathlib import Path

from visavis.export.imports.errors import ImportRefused

__all__ = ["Kind", "kind_of"]

HEAD = 4096
SMALLEST = 32


@dataclass(frozen=True, slots=True)
class Kind:
    """What a file is.

    Attributes:
        name: "zip", "pickle" or "safetensors"; "nothing" of what no system can use; "other".
        refusal: why it is no checkpoint, a clause that follows the path; "" where it is.
    """

    name: str
    refusal: str = ""


def kind_of(path: Path, most: int) -> Kind:
    """Return what a file is.

    Args:
        most: bytes that it may have.

    Raises:
        ImportRefused: it cannot be read.
    """
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            return Kind("nothing", "is a folder; name the checkpoint's file in it")
        if not stat.S_ISREG(status.st_mode):
            return Kind("nothing", "is no regular file")
        with path.open("rb") as file:
            head = file.read(HEAD)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ImportRefused(f"{path} cannot be read: {reason.lower()}.") from error
    if not head:
        return Kind("nothing", "is empty; the download may have failed")
    if status.st_size > most:
        return Kind("other", f"is larger than {most >> 30} GiB, which no network here is")
    if head.startswith(b"PK\x03\x04"):
        return Kind("zip")
    if head.startswith(b"PK"):
        return Kind("other", "is a zip without content")
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") < status.st_size:
        return Kind("safetensors")
    if head.startswith(b"version https://git-lfs"):
        return Kind(
            "nothing", "is a pointer of Git LFS and not the file itself; `git lfs pull` gets it"
        )
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith((b"<!doctype", b"<html", b"<head", b"<?xml", b"<script")):
        return Kind(
            "nothing",
            "is a web page and not a checkpoint; the download was answered with a page to click",
        )
    if head.startswith(b"\x1f\x8b"):
        return Kind("other", "is compressed (gzip); unpack it first")
    if head.startswith((b"\xff\xd8\xff", b"\x89PNG", b"RIFF")) or head[4:8] == b"ftyp":
        return Kind("other", "is a picture or a video and not a checkpoint")
    if head.startswith(b"\x89HDF"):
        return Kind("other", "is an HDF5 file and not a checkpoint of PyTorch")
    if _is_tar(path):
        return Kind(
            "other", "is a tar archive; unpack it, or save its network with a newer PyTorch"
        )
    if all(byte in b"\t\r\n" or byte >= 32 for byte in head) and _is_text(head):
        return Kind("other", "is text and not a checkpoint")
    if not head.startswith(b"\x80"):  # every protocol of pickle since 2 begins so
        return Kind("other", "is no checkpoint of PyTorch, and nothing else that is known here")
    if status.st_size < SMALLEST:
        return Kind("other", "is too small for a checkpoint; the download may have failed")
    return Kind("pickle")


def _is_text(head: bytes) -> bool:
    try:
        head.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.start > len(head) - 4  # cut within a character
    return True


def _is_tar(path: Path) -> bool:
    try:
        return tarfile.is_tarfile(path)
    except (OSError, EOFError, ValueError):
        return False
