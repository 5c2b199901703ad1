"""The stream against the whole utterance, down to the pixels.

The other side is plain numpy: the sound at once (`reference_voice`), the picture without kernels
(`reference_picture`), the networks by ONNX's own evaluator, the frames decoded in one go.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import av
import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx.reference import ReferenceEvaluator

from tests.engines import reference_picture, reference_voice
from tests.engines.tiny_person import HEIGHT, WIDTH, tiny_person, voice
from visavis.engines.person import Person
from visavis.engines.pipeline import Pipeline, Work
from visavis.engines.stress import StressState, listen
from visavis.engines.timeline import Timeline
from visavis.engines.walk import Cue, Walk

U8 = NDArray[np.uint8]
SEED = 5
SECONDS = 2.5
SHOWN = (*range(3, 58, 6), 40, 41, 42)  # the last three are blends of two frames


def whole_utterance(person: Person, pcm: NDArray[np.float32]) -> Iterator[tuple[int, U8]]:
    """The pictures of `SHOWN`, each from the whole sound."""
    coefficients, speech = reference_voice.coefficients(person, pcm, 100)
    with av.open(io.BytesIO(person.parts["background.mp4"]), "r", format="mp4") as container:
        clip = [frame.to_ndarray(format="yuv420p") for frame in container.decode(video=0)]
    geometry: Any = person.stage_parts("geometry")
    raster: Any = person.stage_parts("raster")
    mask: Any = person.stage_parts("composite")["mask"]
    renderer = ReferenceEvaluator(onnx.load_from_string(person.parts["renderer.fp32.onnx"]))
    background = {**person.stages["background"].params, "width": WIDTH, "height": HEIGHT}
    parts: Any = person.stage_parts("background")
    walk = Walk(background, parts)
    state, heard = walk.initial_state(SEED), StressState()
    for index, (shape, spoken) in enumerate(zip(coefficients, speech, strict=True)):
        stress = listen(heard, pcm[: 1600 + 640 * index][-640:])
        choice = walk.step(state, Cue(float(spoken), stress))
        if index not in SHOWN:
            continue
        frames = []
        for frame in choice.frames:
            pose = parts["pose"][frame]
            field = reference_picture.field(background, parts, pose, choice.pose, choice.breath)
            frames.append(reference_picture.warped(clip[frame], field).astype(float))
        share = round(256 * choice.share) / 256
        mixed = frames[0] + share * (frames[-1] - frames[0])
        picture = np.floor(mixed + 0.5).astype(np.uint8)
        points = reference_picture.vertices(geometry, shape, choice.pose, choice.origin)
        planes = reference_picture.planes(
            person.stages["raster"].params, raster, points, shape, picture, choice.origin
        )
        y, u, v = renderer.run(None, {"planes": planes[None].astype(np.float32)})
        blended = reference_picture.composite(picture, mask, choice.origin, y[0], u[0], v[0])
        yield index, np.rint(blended).astype(np.uint8)


@pytest.fixture(scope="module")
def wanted() -> dict[int, U8]:
    return dict(whole_utterance(tiny_person(), voice(SECONDS)))


@pytest.mark.parametrize("chunk", [1, 777, 16000])
def test_pixels_equal_the_whole_utterance(wanted: dict[int, U8], chunk: int) -> None:
    pipeline, pcm = Pipeline(tiny_person(), variant="fp32"), voice(SECONDS)
    timeline, state = Timeline(pipeline.lookahead_ms), pipeline.initial_state(SEED)
    compared = blended = 0
    for start in range(0, len(pcm), chunk):
        timeline.push(pcm[start : start + chunk])
        while (tick := timeline.take()) is not None:
            work = Work(state, tick.pcm)
            pipeline.advance([work])
            assert work.i420 is not None
            if tick.index not in wanted:
                continue
            apart = np.abs(work.i420.astype(int) - wanted[tick.index])
            assert apart.max() <= 1, f"frame {tick.index}"
            blended += len(work.choice.frames) == 2
            compared += 1
    assert compared == len(SHOWN) and blended


def test_the_pictures_compared_are_not_alike(wanted: dict[int, U8]) -> None:
    """Were the mouth or the frame the wrong one, the comparison would see it."""
    pictures = list(wanted.values())
    for one, two in zip(pictures, pictures[1:], strict=False):
        assert (np.abs(one.astype(int) - two) > 1).mean() > 0.2
