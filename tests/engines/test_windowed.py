"""`windowed@1`: what the network is fed, and what is carried."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import numpy as np
import pytest
from numpy.typing import NDArray

from visavis.engines.controls import Controls
from visavis.engines.person_manifest import GraphSpec
from visavis.engines.windowed import Windowed, WindowedState

F32 = NDArray[np.float32]
W, F, K = 10, 3, 2
NOBODY = np.zeros(0, np.bool_)


class Sums:
    """Coefficients: the window's first and last row's first value, calls so far, the style."""

    def __init__(self) -> None:
        self.fed: list[dict[str, F32]] = []

    def run(self, feeds: Mapping[str, F32]) -> dict[str, NDArray[np.generic]]:
        self.fed.append(dict(feeds))
        count = feeds["count"] + 1
        rows = feeds["features"]
        made = np.stack((rows[:, 0, 0], rows[:, -1, 0], count[:, 0], feeds["style"].sum(1)), 1)
        return {"coefficients": made, "next_count": count}


SPEC = GraphSpec(
    {"features": (W, F), "count": (1,), "style": (K,)},
    {"coefficients": (4,), "next_count": (1,)},
    (("count", "next_count"),),
    {},
)


def stage(lookahead_ms: int = 100, rows: int = 4, **params: object) -> Windowed:
    return Windowed({"graph": "g", "lookaheads": [lookahead_ms], **params}, SPEC, Sums(), rows)


def feed(it: Windowed, state: WindowedState, numbers: range, rows: int = 4) -> list[F32]:
    """Rows of rising numbers, as the pipeline gives them: the last of the early ones is tick 0."""
    values = np.repeat(np.array(numbers, np.float32)[:, None], F, 1)
    made = []
    for start in range(0, len(values), rows):
        made.append(it.step([state], values[None, start : start + rows], [NOBODY])[0][0])
    return made


def test_the_newest_rows_and_zeros_before_the_first() -> None:
    it = stage()
    made = feed(it, it.initial_state(100), range(1, 21))
    # 100 ms are ten rows: two more make them whole ticks, the third of which is frame 0.
    assert [int(row[1]) for row in made[2:]] == [12, 16, 20]
    assert [int(row[0]) for row in made[2:]] == [3, 7, 11]
    state = it.initial_state(100)
    feed(it, state, range(1, 5))
    assert state.rows is not None
    assert state.rows[:, 0].tolist() == [0.0] * 6 + [1, 2, 3, 4]


def test_the_edge_can_be_held() -> None:
    it = stage(hold="edge")
    state = it.initial_state(100)
    feed(it, state, range(5, 9))
    assert state.rows is not None
    assert state.rows[:, 0].tolist() == [5.0] * 7 + [6, 7, 8]


@pytest.mark.parametrize(("rows", "early"), [(4, 2), (2, 2)])
def test_a_recurrent_network_begins_with_the_first_frame(rows: int, early: int) -> None:
    it = stage(rows=rows)
    made = feed(it, it.initial_state(100), range(rows * 5), rows)
    assert [float(row[2]) for row in made] == [0.0] * early + [1.0, 2.0, 3.0]
    eager = stage(rows=rows, preroll="run")
    made = feed(eager, eager.initial_state(100), range(rows * 5), rows)
    assert [float(row[2]) for row in made] == [1.0, 2.0, 3.0, 4.0, 5.0]


def test_sessions_do_not_share_and_a_copy_undoes_a_step() -> None:
    it = stage(40)
    first, second = it.initial_state(40), it.initial_state(40)
    feed(it, first, range(4))
    before = copy.copy(first)
    rows = np.stack([np.full((4, F), 7.0), np.full((4, F), 9.0)]).astype(np.float32)
    together, _ = it.step([first, second], rows, [NOBODY] * 2)
    assert together[:, 1].tolist() == [7.0, 9.0]
    assert together[:, 2].tolist() == [2.0, 1.0]
    again, _ = it.step([before], rows[:1], [NOBODY])
    assert np.array_equal(again[0], together[0])


def test_a_style_is_spoken_in_until_another_one_is_chosen() -> None:
    it = stage(40)
    state = it.initial_state(40)
    assert feed(it, state, range(4))[0][3] == 0.0
    it.apply(state, Controls(style=(1.5, 2.0)))
    assert feed(it, state, range(4))[0][3] == 3.5
    assert feed(it, it.restarted(state), range(4))[0][3] == 3.5
    with pytest.raises(ValueError, match="style of 2 numbers, not 3"):
        it.apply(state, Controls(style=(1.0, 2.0, 3.0)))


def test_after_a_restart_nothing_is_early() -> None:
    it = stage(200)
    assert feed(it, it.restarted(it.initial_state(200)), range(4))[0][2] == 1.0


def test_it_speaks_while_there_is_a_voice_at_the_frames_start() -> None:
    it = stage(200)
    state = it.initial_state(200)
    rows = np.zeros((1, 4, F), np.float32)
    voiced, silent = np.ones(2, np.bool_), np.zeros(2, np.bool_)
    shares = [float(it.step([state], rows, [voiced])[1][0]) for _ in range(5)]
    assert shares == pytest.approx([0.0, 0.0, 0.2, 0.6, 1.0])
    shares = [float(it.step([state], rows, [silent])[1][0]) for _ in range(5)]
    assert shares == pytest.approx([1.0, 1.0, 0.8, 0.4, 0.0])


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"hold": "nothing"}, "hold must be"),
        ({"preroll": "sing"}, "preroll"),
        ({"speed": 2}, "no parameter speed"),
        ({"lookaheads": [40, 80]}, "one look-ahead"),
    ],
)
def test_senseless_parameters(params: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Windowed({"graph": "g", "lookaheads": [40], **params}, SPEC, Sums(), 4)


def test_other_graphs_and_look_aheads_are_refused() -> None:
    for inputs, outputs in (
        ({"count": (1,)}, SPEC.outputs),
        ({**SPEC.inputs, "more": (1,)}, SPEC.outputs),
        (SPEC.inputs, {"next_count": (1,)}),
    ):
        with pytest.raises(ValueError, match="must take features"):
            Windowed(
                {"graph": "g", "lookaheads": [40]},
                GraphSpec(inputs, outputs, SPEC.state, {}),
                Sums(),
                4,
            )
    with pytest.raises(ValueError, match="one look-ahead, 100 ms"):
        stage().initial_state(120)
