"""A file over HTTP: whole, or one range of it (RFC 9110, section 14)."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncIterator
from typing import BinaryIO

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

__all__ = ["UnsatisfiableRange", "download", "parse_range"]

CHUNK = 256 * 1024
RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)


class UnsatisfiableRange(ValueError):
    """None of the bytes that were asked for are there."""


def parse_range(header: str, size: int) -> tuple[int, int] | None:
    """First byte and the one after the last that a ``Range`` header asks for.

    Args:
        header: of the request; empty where there is none.
        size: of the file in bytes.

    Returns:
        None for the whole file: also where the header is malformed or asks for several ranges,
        which a server may answer so.

    Raises:
        UnsatisfiableRange: the file has no such bytes.
    """
    match = RANGE.fullmatch(header.replace(" ", ""))
    if match is None or match[1] == match[2] == "":
        return None
    if match[1] == "":
        first, end = max(0, size - int(match[2])), size
    else:
        first, end = int(match[1]), size
        if match[2] != "":
            if int(match[2]) < first:
                return None
            end = min(size, int(match[2]) + 1)
    if first >= end:
        raise UnsatisfiableRange
    return first, end


def download(request: Request, file: BinaryIO, name: str, media_type: str) -> Response:
    """Send an open file as it is now, and close it. One that grows is sent up to its present end.

    Args:
        request: GET or HEAD, perhaps with ``Range`` and ``If-Range``.
        file: from its beginning.
        name: that a browser saves it by; ASCII without quotes.
        media_type: of the file.
    """
    found = os.fstat(file.fileno())
    size = found.st_size
    etag = f'"{found.st_ino:x}-{size:x}-{found.st_mtime_ns:x}"'
    headers = {
        "ETag": etag,
        "Accept-Ranges": "bytes",
        "Cache-Control": "private, no-cache",
        "X-Content-Type-Options": "nosniff",
        "Content-Disposition": f'inline; filename="{name}"',
    }
    if request.headers.get("if-none-match") == etag:
        file.close()
        return Response(status_code=304, headers=headers)
    asked = request.headers.get("range", "")
    if request.headers.get("if-range", etag) != etag:
        asked = ""  # of another version of it
    try:
        span = parse_range(asked, size)
    except UnsatisfiableRange:
        file.close()
        return Response(status_code=416, headers={**headers, "Content-Range": f"bytes */{size}"})
    first, end = span or (0, size)
    if span is not None:
        headers["Content-Range"] = f"bytes {first}-{end - 1}/{size}"
    headers["Content-Length"] = str(end - first)
    if request.method == "HEAD":
        file.close()
        return Response(status_code=200, headers=headers, media_type=media_type)
    return StreamingResponse(
        _parts(file, first, end),
        status_code=200 if span is None else 206,
        media_type=media_type,
        headers=headers,
    )


async def _parts(file: BinaryIO, first: int, end: int) -> AsyncIterator[bytes]:
    """The bytes, read in threads: a disk may take its time."""
    with file:
        await asyncio.to_thread(file.seek, first)
        while first < end:
            part = await asyncio.to_thread(file.read, min(CHUNK, end - first))
            if not part:
                return  # it was cut off meanwhile; the length says that some is missing
            first += len(part)
            yield part
