"""The motion of `style_avatar` for a sound that has not ended: 40 ms at a time.

The original makes windows of 32 frames, eight frames apart, and takes the mean where they overlap;
a frame then depends on up to 1.6 s of what comes later. Here every frame has a window of its own
and is the same place in it: the last, or an earlier one with more to go by.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from visavis.models.systems.style_avatar.deepspeech import AROUND, COEFFICIENTS, LETTERS, DeepSpeech
from visavis.models.systems.style_avatar.motion import AROUND as AFTER
from visavis.models.systems.style_avatar.motion import FRAMES, HEARD, Motion

__all__ = ["LOOKAHEADS_MS", "WHOLE_MS", "LiveMotion", "Place", "place_of"]

ROW_MS, FRAME_MS = 20, 40
ROWS = FRAME_MS // ROW_MS
# The window of coefficients, and the row before it, which says whether the sound had begun.
WINDOW = 2 * AROUND + 1 + ROWS
# Ends of what the last frame of a window hears: its own 40 ms, eight rows, nine of the recognizer's
# window, and the rest of the last row's own window, which is 512 samples long and ends within two.
WHOLE_MS = FRAME_MS + (AFTER + AROUND + 1) * ROW_MS
LOOKAHEADS_MS = (WHOLE_MS - AFTER * ROW_MS, WHOLE_MS + (FRAMES - 1) * FRAME_MS)


@dataclass(frozen=True, slots=True)
class Place:
    """Where in its window a frame is, and how much of the window's end is made up.

    Attributes:
        frame: 0 to 31.
        repeated: rows at the end that repeat the one before, 0 to 8, as the original does where a
            sound ends.
    """

    frame: int
    repeated: int


def place_of(lookahead_ms: int) -> Place:
    """Return the place of a frame that may hear so far.

    Args:
        lookahead_ms: 240 to 400 by 20, then to 1640 by 40. At 400 the last frame has all that it
            was trained with.

    Raises:
        ValueError: it is none of these.
    """
    low, high = LOOKAHEADS_MS
    step = ROW_MS if lookahead_ms <= WHOLE_MS else FRAME_MS
    if not low <= lookahead_ms <= high or (lookahead_ms - WHOLE_MS) % step:
        raise ValueError(
            f"The look-ahead must be {low} to {WHOLE_MS} ms by {ROW_MS}, or to {high} by "
            f"{FRAME_MS}, not {lookahead_ms}."
        )
    if lookahead_ms <= WHOLE_MS:
        return Place(FRAMES - 1, (WHOLE_MS - lookahead_ms) // ROW_MS)
    return Place(FRAMES - 1 - (lookahead_ms - WHOLE_MS) // FRAME_MS, 0)


class LiveMotion(nn.Module):
    """One step of 40 ms: two rows of letters, a window of the newest 80, one frame.

    A row of zeros is one before the sound. The first row after it is not used: its window begins
    before the sound does, and the original has none such. Before the first row of letters that row
    is repeated, as in the original.

    Args:
        recognizer, motion: trained.
        place: of the frame in its window.
    """

    def __init__(self, recognizer: DeepSpeech, motion: Motion, place: Place) -> None:
        super().__init__()
        self.recognizer, self.motion = recognizer, motion
        self.place = place

    def state_shapes(self) -> dict[str, tuple[int, ...]]:
        """What is carried, by name, without the batch; zeros at first."""
        width = self.recognizer.widths.cell
        return {"hidden": (width,), "cell": (width,), "sound": (HEARD, LETTERS + 1), "begun": (1,)}

    def forward(
        self,
        features: Tensor,
        style: Tensor,
        hidden: Tensor,
        cell: Tensor,
        sound: Tensor,
        begun: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Return expression f32[N, 64] and the next states.

        Args:
            features: f32[N, 21, 27], rows of coefficients and, last, the root of the mean square.
            style: f32[N, 135].
            hidden, cell, sound, begun: see `state_shapes`; the recognizer's state, f32[N, 80, 30]
                letters and loudness, and 1 where a row of them has come.
        """
        there = (features.abs().amax(2) > 0.0).to(features.dtype)
        used = (there[:, 1:] * there[:, :-1])[..., None]
        rows = features[:, 1:] * used
        for step in range(ROWS):
            middle = AROUND + step
            window = rows[:, step : step + 2 * AROUND + 1, :COEFFICIENTS].flatten(1)
            letters, next_hidden, next_cell = self.recognizer.step(window, hidden, cell)
            now = used[:, middle : middle + 1, 0]
            hidden = hidden + now * (next_hidden - hidden)
            cell = cell + now * (next_cell - cell)
            loud = rows[:, middle : middle + 1, COEFFICIENTS:]
            row = torch.cat((letters[:, None], loud), 2)
            before = sound * begun[..., None] + row * (1.0 - begun[..., None])
            after = torch.cat((before[:, 1:], row), 1)
            sound = sound + now[..., None] * (after - sound)
            begun = torch.maximum(begun, now)
        heard = sound
        if self.place.repeated:
            held = sound[:, -1:].expand(-1, self.place.repeated, -1)
            heard = torch.cat((sound[:, self.place.repeated :], held), 1)
        heard = heard.transpose(1, 2)
        told: Tensor = self.motion(heard[:, :LETTERS], heard[:, LETTERS:], style)
        frame = slice(self.place.frame, self.place.frame + 1)
        return told[:, :, frame].flatten(1), hidden, cell, sound, begun
