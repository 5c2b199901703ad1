"""The container of a person file: a zip of stored members, read strictly.

General zip readers are lenient on purpose: they search for the directory, skip what they do not
know and prefer one of two contradicting headers. Two readers may then see two different files.
Here only one layout exists (PKWARE APPNOTE 6.3, sections 4.3.7, 4.3.12 and 4.3.16): members follow
each other from the first byte, without extra fields or data descriptors, then the directory in the
same order, then the end record as the last 22 bytes. Everything else is refused.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Mapping
from typing import BinaryIO, NamedTuple

from visavis.engines.errors import PersonFileError

__all__ = [
    "MAX_FILE_BYTES",
    "MAX_PARTS",
    "MAX_PART_BYTES",
    "StoredZip",
    "check_name",
    "pack",
    "unpack",
]

MAX_FILE_BYTES = 1 << 30
MAX_PART_BYTES = 800 << 20
MAX_PARTS = 256
MAX_NAME = 120

_LOCAL = struct.Struct("<4s5H3I2H")
_CENTRAL = struct.Struct("<4s6H3I5H2I")
_END = struct.Struct("<4s4H2IH")
_LOCAL_MAGIC, _CENTRAL_MAGIC, _END_MAGIC = b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06"
_LARGEST_DIRECTORY = MAX_PARTS * (_CENTRAL.size + MAX_NAME)
_ENCRYPTED, _DESCRIPTOR, _UTF8 = 1 << 0, 1 << 3, 1 << 11
_DOS_DATE = 0x21  # 1980-01-01, the first day the format knows: equal parts give equal files
_SEGMENT = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*")


class _Member(NamedTuple):
    name: str
    crc: int
    size: int
    offset: int


def check_name(name: str) -> str:
    """Return `name` if it is safe for a member: relative, ASCII, no dots that climb.

    Raises:
        PersonFileError: it is not.
    """
    if name.endswith("/"):
        raise PersonFileError(f"{name!r} is a folder; a person file holds files only.")
    if name.startswith("/") or re.match(r"[A-Za-z]:", name):
        raise PersonFileError(f"{name!r} is an absolute path; members must be relative.")
    if "\\" in name:
        raise PersonFileError(f"{name!r} contains a backslash; members use forward slashes.")
    segments = name.split("/")
    if ".." in segments or "." in segments:
        raise PersonFileError(f"{name!r} climbs out of the file; members must not contain '..'.")
    if len(name) > MAX_NAME or not all(_SEGMENT.fullmatch(segment) for segment in segments):
        raise PersonFileError(
            f"{name[:MAX_NAME]!r} is not a name that a person file uses: "
            "letters, digits, '.', '_' and '-' only."
        )
    return name


def pack(members: Mapping[str, bytes], first: str) -> bytes:
    """Return a zip of `members`, `first` in front and the others sorted; equal input, equal bytes.

    Raises:
        PersonFileError: a name or a size that `unpack` would refuse.
    """
    names = [first, *sorted(name for name in members if name != first)]
    _check_names(names)
    if len(names) > MAX_PARTS:
        raise PersonFileError(f"A person file holds at most {MAX_PARTS} members.")
    body, directory = bytearray(), bytearray()
    for name in names:
        data, raw = members[name], name.encode("ascii")
        if len(data) > MAX_PART_BYTES:
            raise PersonFileError(f"{name!r} is larger than {MAX_PART_BYTES >> 20} MiB.")
        common = (20, 0, 0, 0, _DOS_DATE, zlib.crc32(data), len(data), len(data), len(raw), 0)
        directory += _CENTRAL.pack(_CENTRAL_MAGIC, 20, *common, 0, 0, 0, 0, len(body)) + raw
        body += _LOCAL.pack(_LOCAL_MAGIC, *common) + raw + data
    count = len(names)
    end = _END.pack(_END_MAGIC, 0, 0, count, count, len(directory), len(body), 0)
    whole = bytes(body + directory + end)
    if len(whole) > MAX_FILE_BYTES:
        raise PersonFileError(f"The person file is larger than {MAX_FILE_BYTES >> 20} MiB.")
    return whole


def unpack(data: bytes) -> dict[str, bytes]:
    """Return the members of a zip by name.

    Raises:
        PersonFileError: `data` is anything but the one layout described above.
    """
    if len(data) > MAX_FILE_BYTES:
        raise PersonFileError(f"The file is larger than {MAX_FILE_BYTES >> 20} MiB.")
    members: dict[str, bytes] = {}
    directory, start = _directory(data)
    position = 0
    for member in directory:
        if member.offset < position:
            raise PersonFileError(f"{member.name!r} overlaps the member before it.")
        if member.offset > position:
            raise PersonFileError(
                f"There are bytes before {member.name!r} that belong to no member."
            )
        content, position = _content(data, member, start)
        members[member.name] = content
    if position != start:
        raise PersonFileError("There are bytes before the directory that belong to no member.")
    return members


class StoredZip:
    """A zip on a disk, of which single members are read: its end, its directory, and what is asked.

    What lies between the members is not looked at, as nothing of it is used; `unpack` does.

    Args:
        file: open for reading.

    Raises:
        PersonFileError: its end or its directory is not as described above.
        OSError: it cannot be read.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        size = file.seek(0, 2)
        base = max(0, size - _LARGEST_DIRECTORY - _END.size)
        file.seek(base)
        entries, self._start = _directory(file.read(size - base), base)
        self._members = {member.name: member for member in entries}

    def read(self, name: str, limit: int = MAX_PART_BYTES) -> bytes:
        """Return a member, whose checksum is looked at.

        Raises:
            PersonFileError: there is none, it has more than `limit` bytes, or is damaged.
            OSError: it cannot be read.
        """
        member = self._members.get(name)
        if member is None:
            raise PersonFileError(f"The file holds no {name}.")
        if member.size > limit:
            raise PersonFileError(f"{name} is larger than {limit >> 10} KiB.")
        wanted = _LOCAL.size + len(name) + member.size
        self._file.seek(member.offset)
        data = self._file.read(max(0, min(wanted, self._start - member.offset)))
        return _content(data, member._replace(offset=0), len(data))[0]


def _directory(data: bytes, base: int = 0) -> tuple[list[_Member], int]:
    """Return the directory's entries and where it starts.

    Args:
        data: the file from byte `base` to its end.
    """
    if len(data) < _END.size:
        raise PersonFileError("This is not a person file: it is too short to be a zip.")
    magic, *fields = _END.unpack_from(data, len(data) - _END.size)
    if magic != _END_MAGIC:
        if data.rfind(_END_MAGIC) >= 0:
            raise PersonFileError("There are bytes after the end of the zip.")
        raise PersonFileError("This is not a person file: it does not end like a zip.")
    disk, directory_disk, here, total, size, start, comment = fields
    if disk or directory_disk or here != total:
        raise PersonFileError("The zip is one of several disks; a person file is one piece.")
    if comment:
        raise PersonFileError("The zip has a comment; a person file has none.")
    if total == 0xFFFF or size == 0xFFFFFFFF or start == 0xFFFFFFFF:
        raise PersonFileError("The zip uses the 64-bit extension; a person file is smaller.")
    if not 0 < total <= MAX_PARTS:
        raise PersonFileError(f"A person file holds between 1 and {MAX_PARTS} members.")
    if start + size != base + len(data) - _END.size:
        raise PersonFileError("The zip's directory is not where its end says it is.")
    if start < base:
        raise PersonFileError("The zip's directory is larger than that of a person file.")
    members, position = [], start - base
    for _ in range(total):
        member, position = _entry(data, position, len(data) - _END.size)
        members.append(member)
    if position != len(data) - _END.size:
        raise PersonFileError("There are bytes between the zip's directory and its end.")
    _check_names([member.name for member in members])
    return members, start


def _entry(data: bytes, position: int, end: int) -> tuple[_Member, int]:
    if position + _CENTRAL.size > end:
        raise PersonFileError("The zip's directory is cut off.")
    (magic, made_by, needed, flags, method, _, _, crc, packed, size, name_size, extra, comment,
     disk, _, attributes, offset) = _CENTRAL.unpack_from(data, position)  # fmt: skip
    position += _CENTRAL.size
    if magic != _CENTRAL_MAGIC or position + name_size > end:
        raise PersonFileError("The zip's directory is damaged.")
    name = _decode(data[position : position + name_size])
    _check_header(name, needed, flags, method, packed, size, extra)
    if comment:
        raise PersonFileError(f"{name!r} has a comment; members have none.")
    if disk:
        raise PersonFileError("The zip is one of several disks; a person file is one piece.")
    kind = (attributes >> 16) & 0o170000
    if made_by >> 8 == 3 and kind == 0o120000:
        raise PersonFileError(f"{name!r} is a link; a person file holds files only.")
    if (made_by >> 8 == 3 and kind not in (0, 0o100000)) or attributes & 0x10:
        raise PersonFileError(f"{name!r} is not a plain file; a person file holds files only.")
    return _Member(check_name(name), crc, size, offset), position + name_size


def _content(data: bytes, member: _Member, start: int) -> tuple[bytes, int]:
    """Return the bytes of a member and the position after them."""
    position = member.offset
    if position + _LOCAL.size > start:
        raise PersonFileError(f"{member.name!r} lies outside the file.")
    magic, needed, flags, method, _, _, crc, packed, size, name_size, extra = _LOCAL.unpack_from(
        data, position
    )
    position += _LOCAL.size
    if magic != _LOCAL_MAGIC:
        raise PersonFileError(f"{member.name!r} is not where the zip's directory says it is.")
    if data[position : position + name_size] != member.name.encode("ascii"):
        raise PersonFileError(f"{member.name!r} has another name in front of its content.")
    _check_header(member.name, needed, flags, method, packed, size, extra)
    if (crc, size) != (member.crc, member.size):
        raise PersonFileError(f"{member.name!r} differs between the directory and its header.")
    position += name_size
    if position + size > start:
        raise PersonFileError(f"{member.name!r} overlaps the zip's directory.")
    content = data[position : position + size]
    if zlib.crc32(content) != crc:
        raise PersonFileError(f"{member.name!r} is damaged: its checksum differs.")
    return content, position + size


def _check_header(
    name: str, needed: int, flags: int, method: int, packed: int, size: int, extra: int
) -> None:
    if flags & _ENCRYPTED:
        raise PersonFileError(f"{name!r} is encrypted; a person file is not.")
    if flags & _DESCRIPTOR:
        raise PersonFileError(f"{name!r} states its size after its content; write it in front.")
    if flags & ~_UTF8:
        raise PersonFileError(f"{name!r} uses a zip feature that a person file does not.")
    if method != 0:
        raise PersonFileError(f"{name!r} is compressed; a person file stores its members.")
    if packed == 0xFFFFFFFF or size == 0xFFFFFFFF or needed >= 45:
        raise PersonFileError(f"{name!r} uses the 64-bit extension; a person file is smaller.")
    if packed != size:
        raise PersonFileError(f"{name!r} states two different sizes.")
    if size > MAX_PART_BYTES:
        raise PersonFileError(f"{name!r} is larger than {MAX_PART_BYTES >> 20} MiB.")
    if extra:
        raise PersonFileError(f"{name!r} has extra fields; members have none.")


def _decode(raw: bytes) -> str:
    try:
        return raw.decode("ascii")
    except UnicodeDecodeError:
        raise PersonFileError(
            f"{raw[:MAX_NAME]!r} is not a name that a person file uses: ASCII only."
        ) from None


def _check_names(names: list[str]) -> None:
    seen: dict[str, str] = {}
    for name in names:
        other = seen.get(check_name(name).lower())
        if other == name:
            raise PersonFileError(f"{name!r} is in the file twice.")
        if other is not None:
            raise PersonFileError(f"{other!r} and {name!r} differ only in upper and lower case.")
        seen[name.lower()] = name
