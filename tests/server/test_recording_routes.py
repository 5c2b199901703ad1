"""Who may start, list, fetch and remove recordings, and what is in the folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.server.conftest import Serving, http
from tests.server.peers import tone_bursts
from tests.server.sockets import SocketClient
from visavis.engines.errors import ConfigError
from visavis.server.config import ServerConfig
from visavis.server.errors import RequestError
from visavis.server.recording.download import UnsatisfiableRange, parse_range
from visavis.server.recording.store import MAX_LISTED, Store, new_name

WHOLE = b"x" * 100 + b"\0\0\0\x10mfro\0\0\0\0\0\0\0\x64"


def put(folder: Path, content: bytes = WHOLE, *, at: float = 0.0) -> str:
    name = new_name(at)
    (folder / name).write_bytes(content)
    return name


async def test_without_a_folder_nothing_is_recorded(serving: Serving) -> None:
    async with (
        serving() as server,
        SocketClient(server, tone_bursts(2)) as client,
        http(server) as requests,
    ):
        path = client.config["session"] + "/recording"
        refused = await requests.post(path)
        assert refused.status_code == 403 and "--recordings" in refused.json()["detail"]
        assert (await requests.get(path)).json()["recording"] is False
        assert (await requests.get("/recordings")).status_code == 403
        assert (await requests.get(f"/recordings/{new_name(0)}")).status_code == 403


async def test_where_anybody_may_come_a_name_is_the_key(serving: Serving, tmp_path: Path) -> None:
    name = put(tmp_path)
    async with serving(recordings=str(tmp_path), open=True) as server, http(server) as requests:
        for method, path in (("GET", "/recordings"), ("DELETE", f"/recordings/{name}")):
            refused = await requests.request(method, path)
            assert refused.status_code == 403 and "--token" in refused.json()["detail"]
        assert (await requests.get(f"/recordings/{name}")).content == WHOLE
        assert (await requests.get(f"/recordings/{new_name(0)}")).status_code == 404
    async with serving(recordings=str(tmp_path), token="mif") as server:
        async with http(server) as stranger:
            assert (await stranger.get(f"/recordings/{name}")).status_code == 401
        async with http(server, Authorization="Bearer mif") as requests:
            listed = (await requests.get("/recordings")).json()["recordings"]
            assert listed == [
                {
                    "name": name,
                    "started": "1970-01-01T00:00:00Z",
                    "bytes": len(WHOLE),
                    "state": "whole",
                }
            ]
            assert (await requests.delete(f"/recordings/{name}")).status_code == 204
            assert (await requests.delete(f"/recordings/{name}")).status_code == 404


async def test_nothing_else_can_be_fetched(serving: Serving, tmp_path: Path) -> None:
    folder = tmp_path / "recordings"
    folder.mkdir()
    (tmp_path / "secret").write_bytes(b"secret")
    linked, pipe, inside = new_name(1), new_name(2), new_name(3)
    (folder / linked).symlink_to(tmp_path / "secret")
    os.mkfifo(folder / pipe)
    (folder / inside).mkdir()
    (folder / "notes.txt").write_bytes(b"secret")
    async with serving(recordings=str(folder)) as server, http(server) as requests:
        for name in (
            "notes.txt",
            "..%2fsecret",
            "%2e%2e",
            "%2e%2e%2fsecret",
            linked,
            pipe,
            inside,
            linked.upper(),
            f"{new_name(0)}%00",
            f"{new_name(0)}%0a",
            "x" * 5000,
        ):
            answer = await requests.get(f"/recordings/{name}")
            assert answer.status_code == 404 and b"secret" not in answer.content, name
            assert (await requests.delete(f"/recordings/{name}")).status_code == 404, name
        assert (await requests.get("/recordings")).json() == {"recordings": []}
    assert (tmp_path / "secret").exists() and (folder / "notes.txt").exists()


async def test_ranges(serving: Serving, tmp_path: Path) -> None:
    content = bytes(range(256)) * 4000  # more than one part of it
    name = put(tmp_path, content)
    async with serving(recordings=str(tmp_path)) as server, http(server) as requests:
        path = f"/recordings/{name}"
        whole = await requests.get(path)
        assert whole.content == content and whole.headers["accept-ranges"] == "bytes"
        assert whole.headers["content-type"] == "video/mp4"
        etag = whole.headers["etag"]
        for asked, begin, end in (
            ("bytes=0-0", 0, 1),
            ("bytes=10-", 10, len(content)),
            ("bytes=-10", len(content) - 10, len(content)),
            ("bytes=300000-700000", 300_000, 700_001),
            (f"bytes=5-{len(content) * 2}", 5, len(content)),
        ):
            part = await requests.get(path, headers={"Range": asked, "If-Range": etag})
            assert part.status_code == 206 and part.content == content[begin:end], asked
            span = f"bytes {begin}-{end - 1}/{len(content)}"
            assert part.headers["content-range"] == span
        other = await requests.get(path, headers={"Range": "bytes=0-0", "If-Range": '"old"'})
        assert other.status_code == 200 and other.content == content
        none = await requests.get(path, headers={"Range": f"bytes={len(content)}-"})
        assert (
            none.status_code == 416 and none.headers["content-range"] == f"bytes */{len(content)}"
        )
        assert (await requests.get(path, headers={"If-None-Match": etag})).status_code == 304
        head = await requests.head(path)
        assert head.status_code == 200 and int(head.headers["content-length"]) == len(content)


@given(st.one_of(st.text(max_size=30), st.from_regex(r"bytes=\d{0,4}-\d{0,4}", fullmatch=True)))
def test_no_range_is_outside_the_file(header: str) -> None:
    for size in (0, 1, 500):
        try:
            span = parse_range(header, size)
        except UnsatisfiableRange:
            continue
        assert span is None or 0 <= span[0] < span[1] <= size


def test_states_and_the_newest_first(tmp_path: Path) -> None:
    store = Store(tmp_path, free_mib=0)
    broken = put(tmp_path, WHOLE[:-1], at=100)
    empty = put(tmp_path, b"", at=200)
    whole = put(tmp_path, at=300)
    running = new_name(400)
    with store.create(running) as file:
        file.write(WHOLE)
        states = [(entry.name, entry.state) for entry in store.entries()]
        assert states == [
            (running, "recording"),
            (whole, "whole"),
            (empty, "interrupted"),
            (broken, "interrupted"),
        ]
        with pytest.raises(RequestError, match="still being recorded"):
            store.delete(running)
        with pytest.raises(FileExistsError):
            store.create(running)
    assert store.entries()[0].state == "whole"
    store.delete(running)
    assert store.entries()[0].name == whole


def test_of_very_many_the_newest_are_listed(tmp_path: Path) -> None:
    store = Store(tmp_path)
    names = [put(tmp_path, b"", at=number) for number in range(MAX_LISTED + 5)]
    assert [entry.name for entry in store.entries()] == names[:4:-1]


def test_a_folder_that_cannot_be_written_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/recordings")):
        with pytest.raises(ConfigError, match="Nothing can be recorded in"):
            Store(folder)


def test_a_disk_without_room_is_not_filled(tmp_path: Path) -> None:
    assert Store(tmp_path, free_mib=0).lack_of_room() is None
    lack = Store(tmp_path, free_mib=1 << 40).lack_of_room()
    assert lack is not None and f"{1 << 40} MiB" in lack


def test_what_contradicts_itself_is_refused() -> None:
    with pytest.raises(ConfigError, match="--recordings FOLDER"):
        ServerConfig(record_all=True)
    for hours in (0, -1, 25, float("nan")):
        with pytest.raises(ConfigError, match="24 h"):
            ServerConfig(recording_hours=hours)
