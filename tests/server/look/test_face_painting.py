"""The sender of pictures paints them: in the pool, before they are compressed."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.server.fake_engine import draw_before_plate, draw_matte, draw_plate
from visavis.engines.client import Frame, PersonInfo
from visavis.server.look.choice import LookChoice
from visavis.server.look.look import Look, filmed, make_look
from visavis.server.media.budget import BudgetControl
from visavis.server.media.encoder import Encoded
from visavis.server.media.face_sender import FaceSender, Outlet

SIZE = 128
PERSON = PersonInfo(
    "a", "A", SIZE, SIZE, 25, 100, (100,), "0" * 64, False, has_matte=True, face=(0.5, 0.4, 0.2)
)


class Encoder:
    """Notes what it is given."""

    mime_type = "video/VP8"
    opened: list[tuple[int, int]] = []

    def __init__(self, mime_type: str, width: int, height: int) -> None:
        self.seen: list[tuple[NDArray[np.uint8], bool]] = []
        self.opened.append((width, height))

    def encode(
        self, index: int, i420: NDArray[np.uint8], *, key: bool, bit_rate: int | None = None
    ) -> Encoded:
        self.seen.append((i420, key))
        return Encoded(index, b"x", key, True, 0.0)


class Way:
    """A transport that takes everything."""

    video_mime_type = "video/VP8"

    def takes_face(self, ready: int) -> bool:
        return True

    def send_face(self, encoded: Encoded, pts: int) -> bool:
        return True


class Observer:
    def frame_encoded(self, cpu_ms: float) -> None:
        self.cpu_ms = cpu_ms

    def frame_ready(self, late_ms: float) -> None: ...


def look_of(background: str) -> Look:
    plate = draw_plate(SIZE, SIZE)
    return make_look(PERSON, LookChoice(background), badge=False, plate=plate)


async def test_looks_change_between_two_frames_and_drawings_are_counted() -> None:
    """The toys: a size that the encoder was not opened for; a still engine that seems to move."""
    encoders: list[Encoder] = []

    def open_encoder(mime_type: str, width: int, height: int) -> Encoder:
        encoders.append(Encoder(mime_type, width, height))
        return encoders[-1]

    now, observer, way = 0.0, Observer(), Way()
    with ThreadPoolExecutor(1) as pool:
        face = FaceSender(
            filmed(PERSON, badge=False),
            encoders=pool,
            open_encoder=open_encoder,
            outlet=lambda: Outlet(way, 0.0),  # type: ignore[arg-type]
            relay=lambda encoded, pts: None,
            budget=BudgetControl(0.02),
            observer=observer,  # type: ignore[arg-type]
            clock=lambda: now,
        )

        async def give(index: int, drawn: int) -> Any:
            nonlocal now
            now = index * 0.04
            frame = Frame(
                index,
                0,
                draw_before_plate(drawn, 0.5, SIZE, SIZE),
                0.0,
                draw_matte(drawn, SIZE, SIZE),
            )
            face.offer(frame, due=now)
            await face.settle()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            return frame, encoders[-1].seen[-1][0]

        Encoder.opened = []
        frame, seen = await give(0, drawn=0)
        assert seen is frame.i420
        face.show(look_of("#ff0000"))
        frame, seen = await give(1, drawn=1)
        assert seen[1, -1] == 81 and frame.i420[1, -1] != 81
        assert seen.shape == frame.i420.shape and len(encoders) == 1
        face.show(look_of("#00ff00"))
        await give(2, drawn=1)  # the engine drew nothing new, the picture differs
        face.show(look_of("transparent"))
        assert face.plan.size == (SIZE, 2 * SIZE)
        _, seen = await give(3, drawn=2)
        assert seen.shape == (3 * SIZE, SIZE)
        face.show(filmed(PERSON, badge=False))
        frame, seen = await give(4, drawn=3)
        assert seen is frame.i420
        assert Encoder.opened == [(SIZE, SIZE), (SIZE, 2 * SIZE), (SIZE, SIZE)]
        now += 1.0
        face.send(now)
        assert (face.line.sent, face.line.distinct) == (5, 4)
        assert face.plan.size_changes == 2
        assert observer.cpu_ms > 0  # painting counts: the encoder said that it took nothing
        await face.aclose()
