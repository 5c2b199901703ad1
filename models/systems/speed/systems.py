"""The networks of each published system, whole and as a person of it has them here.

What counts as the original is what its published program calls for a frame, read in its source:
`davs` encodes the picture again for every frame, `headpose` asks its memory for every frame,
`rhythmic` encodes its references for every frame. Work that a program repeats without using it is
not counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import torch
from torch import Tensor, nn

from visavis.models.systems.audio_encoder import AudioEncoder
from visavis.models.systems.audiodvp import expression
from visavis.models.systems.audiodvp import renderer as audiodvp
from visavis.models.systems.davs import FEATURE, FROM_SOUND, decoder, folded, identity, sound
from visavis.models.systems.headpose import generator as headpose
from visavis.models.systems.headpose import memory, motion
from visavis.models.systems.speed.rhythmic import rhythmic_workloads
from visavis.models.systems.speed.workload import SIDE, Workload, drawn, filled
from visavis.models.systems.style_avatar import deepspeech, live, texture
from visavis.models.systems.style_avatar import generator as style
from visavis.models.systems.style_avatar import motion as style_motion

__all__ = ["SYSTEMS", "needed_bytes", "workloads"]

ROWS, COLUMNS = 28, 12  # of the coefficients that `headpose` and `audiodvp` hear
REMEMBERED = 30_000  # rows of a published memory
STYLE_SIDE = 224


def workloads(system: str, scale: int = 1) -> Iterator[Workload]:
    """Make the networks of a system, one part after the other.

    Args:
        system: one of `SYSTEMS`.
        scale: 1, 2, 4 or 8: channels and, where the network allows it, sides of pictures are
            divided by it. Only 1 is the published network. Encoders of sound have one size.
    """
    return SYSTEMS[system](scale)


def needed_bytes(system: str, scale: int, batch: int, *, copies: int) -> int:
    """Return about how much memory measuring a system takes at most at once.

    Args:
        batch: the largest.
        copies: of the weights of ours besides the one that it is made from.
    """
    parameters, activations = _SIZES[system]
    weights = 4 * parameters * (1 + copies)
    return (weights + batch * activations) // scale + (1 << 28)


# Parameters of the largest part, and bytes that a frame's picture needs between layers.
_SIZES: Mapping[str, tuple[int, int]] = {
    "davs": (38_000_000, 48 << 20),
    "headpose": (300_000_000, 48 << 20),
    "audiodvp": (141_000_000, 48 << 20),
    "style_avatar": (184_000_000, 64 << 20),
    "rhythmic-1": (105_000_000, 96 << 20),
    "rhythmic-8": (108_000_000, 384 << 20),
}


class _Scaled(nn.Module):
    """A network and a factor on what it gives."""

    def __init__(self, network: nn.Module, factor: float) -> None:
        super().__init__()
        self.network, self.factor = network, factor

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.network(x) * self.factor
        return made


class _DavsPicture(nn.Module):
    picture: Tensor

    def __init__(self, who: identity.IdentityEncoder, paint: decoder.Decoder) -> None:
        super().__init__()
        self.who, self.paint = who, paint
        self.register_buffer("picture", drawn((1, 3, SIDE, SIDE)))

    def forward(self, mouth: Tensor) -> Tensor:
        vector, level_map = self.who(self.picture.expand(len(mouth), -1, -1, -1))
        made: Tensor = self.paint(vector, level_map, mouth)
        return made


def _davs(scale: int) -> Iterator[Workload]:
    feature = FEATURE // scale
    hears = _Scaled(filled(sound.SoundEncoder(feature=feature)), FROM_SOUND)
    yield _alike("motion", hears, {"features": (20, 12)}, ("coefficients",))
    who = identity.IdentityEncoder(feature=feature)
    whole = _DavsPicture(who, decoder.Decoder(feature=feature))
    filled(whole)
    with torch.no_grad():
        vector, level_map = who(whole.picture)
        ours = folded.FoldedDecoder(whole.paint, vector, level_map)
    inputs = {"coefficients": (feature,)}
    yield Workload("picture", whole, ours, inputs, inputs, ("picture",), compared=whole)


class _HeadposeMotion(nn.Module):
    """A frame: a window f32[N, 28, 12] and states f32[N, 3, 256] to f32[N, 70] and states."""

    def __init__(self) -> None:
        super().__init__()
        self.network = motion.Motion()

    def forward(self, features: Tensor, hidden: Tensor, cell: Tensor) -> tuple[Tensor, ...]:
        state = (hidden.transpose(0, 1).contiguous(), cell.transpose(0, 1).contiguous())
        rows, after = self.network(features[:, None], state)
        return rows[:, 0], after[0].transpose(0, 1), after[1].transpose(0, 1)


class _HeadposePicture(nn.Module):
    """A frame with the identity asked for, and the drawing composed with what was painted."""

    picture: Tensor
    keys: Tensor
    values: Tensor

    def __init__(self, paint: headpose.Generator, rows: int, size: int) -> None:
        super().__init__()
        self.paint = paint
        self.asks = memory.MemoryNetwork()
        self.register_buffer("picture", drawn((1, 3, size, size)))
        keys = drawn((rows, memory.FEATURE)) - 0.5
        self.register_buffer("keys", nn.functional.normalize(keys))
        self.register_buffer("values", nn.functional.normalize(drawn(keys.shape, seed=2)))

    def feature(self, count: int) -> Tensor:
        queries, _ = self.asks(self.picture.expand(count, -1, -1, -1))
        return memory.Memory(self.keys, self.values, self.keys, self.keys).feature(queries)

    def forward(self, planes: Tensor) -> Tensor:
        colours, keep = self.paint(planes, self.feature(len(planes)))
        return headpose.composite(planes, colours, keep)


class _HeadposePerson(nn.Module):
    feature: Tensor

    def __init__(self, paint: headpose.Generator, feature: Tensor) -> None:
        super().__init__()
        self.paint = headpose.fold(paint, feature)
        self.register_buffer("feature", feature)

    def forward(self, planes: Tensor) -> Tensor:
        # One row for all frames: a count of them would be fixed in an export.
        colours, keep = self.paint(planes, self.feature)
        return headpose.composite(planes, colours, keep)


def _headpose(scale: int) -> Iterator[Workload]:
    inputs = {
        "features": (ROWS, COLUMNS),
        "hidden": (motion.LAYERS, motion.HIDDEN),
        "cell": (motion.LAYERS, motion.HIDDEN),
    }
    outputs = ("coefficients", "next_hidden", "next_cell")
    yield _alike("motion", filled(_HeadposeMotion()), inputs, outputs)
    widths, size = _levels(headpose.WIDTHS, scale)
    whole = _HeadposePicture(headpose.Generator(widths), REMEMBERED // scale, size)
    filled(whole)
    with torch.device("meta"):
        twin = headpose.Generator(widths)
    twin.load_state_dict(whole.paint.state_dict(), assign=True)
    with torch.no_grad():
        ours = _HeadposePerson(twin, whole.feature(1)).eval().requires_grad_(False)
    planes = {"planes": (3 * headpose.FRAMES, size, size)}
    yield Workload("picture", whole, ours, planes, planes, ("picture",), compared=whole)


class _AudiodvpMotion(nn.Module):
    """A frame: a window f32[N, 28, 12] and six frames' features to expressions f32[N, 64]."""

    def __init__(self, encoder: AudioEncoder, leave: nn.Module) -> None:
        super().__init__()
        self.encoder, self.leave = encoder, leave

    def forward(self, features: Tensor, before: Tensor) -> Tensor:
        seven = torch.cat((before, self.encoder(features)[:, None]), 1)
        flat = isinstance(self.leave, nn.Linear)
        made: Tensor = self.leave(seven.flatten(1) if flat else seven)
        return made


def _audiodvp(scale: int) -> Iterator[Workload]:
    encoder = AudioEncoder()
    whole = _AudiodvpMotion(encoder, expression.AudioExpression())
    filled(whole)
    assert isinstance(whole.leave, expression.AudioExpression)
    ours = _AudiodvpMotion(encoder, expression.folded(whole.leave)).eval()
    inputs = {
        "features": (ROWS, COLUMNS),
        "before": (expression.FRAMES - 1, expression.FEATURES),
    }
    yield Workload("motion", whole, ours, inputs, inputs, ("coefficients",), compared=whole)
    widths, size = _levels(audiodvp.WIDTHS, scale)
    paint = filled(audiodvp.NeuralRenderer(widths))
    yield _alike("picture", paint, {"planes": (3 * audiodvp.FRAMES, size, size)}, ("picture",))


class _StyleWindow(nn.Module):
    """As the original hears: a row of letters after the other, then a window of 32 frames."""

    def __init__(self, recognizer: deepspeech.DeepSpeech, network: style_motion.Motion) -> None:
        super().__init__()
        self.recognizer, self.network = recognizer, network

    def forward(self, windows: Tensor, letters: Tensor, energy: Tensor, code: Tensor) -> Tensor:
        new = self.recognizer(windows)
        heard = torch.cat((letters, new), 1).transpose(1, 2)
        made: Tensor = self.network(heard, energy, code)
        return made


class _StylePicture(nn.Module):
    texture: Tensor

    def __init__(self, paint: style.Generator) -> None:
        super().__init__()
        self.paint = paint
        self.register_buffer("texture", drawn((1, texture.CHANNELS, 64, 64)))

    def forward(self, coordinates: Tensor) -> Tensor:
        wide = self.texture.expand(coordinates.shape[0], -1, -1, -1)
        made: Tensor = self.paint(texture.sampled(wide, coordinates))
        return made


def _style_avatar(scale: int) -> Iterator[Workload]:
    width = 2048 // scale
    recognizer = deepspeech.DeepSpeech(deepspeech.Widths(*5 * (width,)))
    network = style_motion.Motion()
    filled(recognizer)
    filled(network)
    ours = live.LiveMotion(recognizer, network, live.place_of(live.WHOLE_MS)).eval()
    inputs = {
        "features": (live.WINDOW, deepspeech.COEFFICIENTS + 1),
        "style": (style_motion.STYLE,),
        **ours.state_shapes(),
    }
    rows = live.ROWS * style_motion.STEP
    original = {
        "windows": (rows, deepspeech.COEFFICIENTS * (2 * deepspeech.AROUND + 1)),
        "letters": (style_motion.HEARD - rows, deepspeech.LETTERS),
        "energy": (1, style_motion.HEARD),
        "code": (style_motion.STYLE,),
    }
    yield Workload(
        "motion",
        _StyleWindow(recognizer, network),
        ours,
        inputs,
        original,
        ("coefficients", *(f"next_{name}" for name in ours.state_shapes())),
        original_frames=style_motion.STEP,
        note="the original makes a window for eight frames, ours one for each",
    )
    side = max(STYLE_SIDE // scale // 16 * 16, 32)
    picture = _StylePicture(style.Generator(width=style.WIDTH // scale))
    yield _alike("picture", filled(picture), {"coordinates": (side, side, 2)}, ("picture",))


SYSTEMS: Mapping[str, Callable[[int], Iterator[Workload]]] = {
    "davs": _davs,
    "headpose": _headpose,
    "audiodvp": _audiodvp,
    "style_avatar": _style_avatar,
    "rhythmic-1": rhythmic_workloads(1),
    "rhythmic-8": rhythmic_workloads(8),
}
"""By name; `rhythmic` with one reference picture, and with eight."""


def _alike(
    part: str, network: nn.Module, inputs: Mapping[str, tuple[int, ...]], outputs: tuple[str, ...]
) -> Workload:
    """A part of which nothing depends on the person alone: both run the same network."""
    return Workload(part, network, network, inputs, inputs, outputs, compared=network)


def _levels(widths: tuple[int, ...], scale: int) -> tuple[tuple[int, ...], int]:
    """Channels of a network that halves a picture down to one pixel, and the picture's side."""
    count = len(widths) - (scale.bit_length() - 1)
    return tuple(width // scale for width in widths[:count]), 2**count
