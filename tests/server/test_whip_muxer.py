"""A voice from libavformat's own WHIP client, which knows nothing of aiortc."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import av
import numpy as np

from tests.server.conftest import Serving
from tests.server.fake_engine import FakeEngine
from tests.server.one_way import Watcher

ROOT = Path(__file__).parents[2]


async def test_its_voice_moves_the_face_that_others_watch(serving: Serving, tmp_path: Path) -> None:
    engine = FakeEngine()
    async with serving(engine) as server:
        muxer = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.server.whip_muxer"),
            *(f"{server.url}/whip/fake", str(tmp_path), "4"),
            cwd=ROOT,
        )
        try:
            sessions = server.app.state.sessions
            for _ in range(500):
                if any(report.state == "live" for report in sessions.reports()):
                    break
                await asyncio.sleep(0.02)
            identifier = next(iter(sessions._sessions))
            async with Watcher(server, sessions.view_of(identifier)) as watcher:
                await watcher.until(lambda: len(watcher.voice.packets) > 100)
                assert watcher.key_frame_first() and len(watcher.face.packets) > 30
            decoder = av.CodecContext.create("libopus", "r")
            heard = [
                np.abs(frame.to_ndarray().astype(np.float64)).max()
                for packet in watcher.voice.packets
                for frame in decoder.decode(av.Packet(packet.payload))
            ]
            # The tone bursts went in, through the session, and out, with silence between them.
            assert max(heard) > 100 * (min(heard) + 1e-4)
            assert await asyncio.wait_for(muxer.wait(), 10) == 0
            # Its goodbye ends the session.
            for _ in range(300):
                if not engine.sessions:
                    break
                await asyncio.sleep(0.02)
            assert not engine.sessions
        finally:
            if muxer.returncode is None:
                muxer.kill()
                await muxer.wait()
