from __future__ import annotations

import numpy as np

from tests.engines.tiny_person import tiny_person
from visavis.benchmarks.live.mouth_box import boxes, from_parts


def test_the_box_is_where_the_vertices_move_and_follows_the_pose() -> None:
    grid = np.stack(np.meshgrid(np.linspace(-1, 1, 21), np.linspace(-1, 1.4, 25)), axis=-1)
    mean = np.concatenate([grid.reshape(-1, 2), np.zeros((525, 1))], axis=1).astype(np.float32)
    basis = np.zeros((2, 525, 3), np.float32)
    speaking = (np.abs(mean[:, 0]) <= 0.41) & (np.abs(mean[:, 1] - 0.9) <= 0.21)
    basis[0, speaking, 1] = 0.1
    pose = np.tile(
        np.array([[100, 0, 0, 256], [0, 100, 0, 200], [0, 0, 100, 0]], np.float32), (3, 1, 1)
    )
    mouth, nose = from_parts({"mean": mean, "basis": basis, "pose": pose}, (512, 512))
    x, y, width, height = mouth
    assert 214 <= x <= 218 and 294 <= x + width <= 298
    assert 268 <= y <= 274 and 306 <= y + height <= 312
    assert nose[1] + nose[3] < y
    assert all(value % 2 == 0 for value in (*mouth, *nose))


def test_boxes_of_a_person_lie_in_its_frame() -> None:
    person = tiny_person()
    found = boxes(person)
    assert found is not None
    for x, y, width, height in found:
        assert x >= 0 and x + width <= person.width
        assert y >= 0 and y + height <= person.height
        assert width >= 8 and height >= 8
