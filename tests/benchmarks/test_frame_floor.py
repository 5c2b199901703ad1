"""The floor of a frame: it moves what the network's layers move and what the buffers hold."""

from __future__ import annotations

import torch

from tests.engines.tiny_person import tiny_person
from visavis.benchmarks import frame_floor
from visavis.benchmarks.frame_floor import steps_of, table
from visavis.benchmarks.live.persons import load
from visavis.engines.cuda.layout import KERNELS
from visavis.engines.planes import PLANES
from visavis.models.layer_floor import layers_of
from visavis.models.renderer import Renderer


def test_layers_move_what_the_networks_own_layers_move() -> None:
    steps = [step for step in steps_of(load("presenter")) if step.name not in KERNELS]
    layers = layers_of(Renderer().eval(), torch.zeros(1, PLANES, 96, 96))
    found = [step.reads + step.writes + step.shared for step in steps]
    assert found == [layer.traffic(1, 2) for layer in layers]


def test_kernels_write_what_they_have_room_for() -> None:
    person = tiny_person()
    steps = {step.name: step for step in steps_of(person)}
    assert [name for name in steps if name in KERNELS] == list(KERNELS)
    assert steps["warp_picture"].writes == 128 * 128 * 3 // 2
    assert steps["draw_planes"].writes == 4 * PLANES * 32 * 32
    assert steps["clear_cover"].writes == 4 * 3 * (64 * 64 + 32 * 32)
    assert steps["place_vertices"].writes == 4 * 3 * 33
    assert steps["paste_crop"].writes == 64 * 64 * 3 // 2


def test_what_a_batch_shares_is_counted_once() -> None:
    person = load("presenter")
    alone, many = (sum(step.seconds(n, 1e12) for step in steps_of(person)) for n in (1, 64))
    shared = sum(step.shared for step in steps_of(person)) / 1e12
    assert abs(alone - many - shared * 63 / 64) < 1e-12 and shared > 0


def test_the_table_says_the_sum() -> None:
    lines = table(tiny_person(), batch=1, bytes_per_s=frame_floor.H200_BYTES_PER_S).splitlines()
    moved = [float(line[20:32]) for line in lines[2:-3]]
    assert abs(sum(moved) - float(lines[-1][20:32])) < 0.1 * len(moved)
    assert lines[-1].startswith("the frame") and lines[-2].startswith("our kernels")
