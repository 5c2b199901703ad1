"""Which networks of other projects are timed, and where each lies in its project's clone.

Nothing of theirs is copied here: a class's place, its arguments, and the shapes that it takes. The
shapes are those of the projects' own inference code at the commits named.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["NETWORKS", "PeerNetwork"]


@dataclass(frozen=True, slots=True)
class PeerNetwork:
    """One network.

    Attributes:
        name: as people write it on the command line.
        title: as it stands in tables.
        repository: where it comes from; commit: the one that was read for this.
        folder: of its clone.
        root: of its Python, within the clone.
        module, attribute: what makes it.
        arguments: of that.
        inputs: shapes without the batch, by forward's argument.
        pixels: width and height of what it makes.
        needs: packages beyond torch.
        finish: a function of the module to be called on the network, or None.
        part: of it that is timed, an attribute; all of it where empty.
        evidence: a file of the clone that says which of a library's networks it is.
        notes: what a reader of the figures should know.
    """

    name: str
    title: str
    repository: str
    commit: str
    folder: str
    root: str
    module: str
    attribute: str
    arguments: Mapping[str, Any]
    inputs: Mapping[str, tuple[int, ...]]
    pixels: tuple[int, int]
    needs: tuple[str, ...] = ()
    finish: str | None = None
    part: str = ""
    evidence: str = ""
    notes: str = ""


NETWORKS = (
    PeerNetwork(
        "wav2lip-256",
        "Wav2Lip 256 (LiveTalking)",
        "https://github.com/lipku/LiveTalking",
        "a5a77f4c395c8347789a16da1843cd1b08b48eea",
        "LiveTalking",
        "avatars/wav2lip",
        "models.wav2lip_v2",
        "Wav2Lip",
        {},
        {"audio_sequences": (1, 80, 16), "face_sequences": (6, 256, 256)},
        (256, 256),
    ),
    PeerNetwork(
        "ultralight",
        "Ultralight U-Net (HuBERT)",
        "https://github.com/anliyuan/Ultralight-Digital-Human",
        "5aa8b5a8aae4b003b7de5750abeac5343a7b38e0",
        "Ultralight-Digital-Human",
        ".",
        "unet",
        "Model",
        {"n_channels": 6, "mode": "hubert"},
        {"x": (6, 160, 160), "audio_feat": (16, 32, 32)},
        (160, 160),
    ),
    PeerNetwork(
        "feathertalk",
        "FeatherTalk MobileOne (reparameterised)",
        "https://github.com/anliyuan/FeatherTalk",
        "126d66fdabe7be5f45d0df941a2dec0256c530c4",
        "FeatherTalk",
        ".",
        "unet_mobileone",
        "Model",
        {"n_channels": 6, "mode": "hubert"},
        {"x": (6, 160, 160), "audio_feat": (16, 32, 32)},
        (160, 160),
        finish="reparameterize_model",
    ),
    PeerNetwork(
        "musetalk-unet",
        "MuseTalk U-Net, one step",
        "https://github.com/TMElyralab/MuseTalk",
        "0a89dec45a0192b824e3cf4daf96c239440c5ed8",
        "MuseTalk",
        ".",
        "diffusers",
        "UNet2DConditionModel",
        {
            "in_channels": 8,
            "out_channels": 4,
            "block_out_channels": (320, 640, 1280, 1280),
            "layers_per_block": 2,
            "attention_head_dim": 8,
            "cross_attention_dim": 384,
            "sample_size": 64,
        },
        {"sample": (8, 32, 32), "timestep": (), "encoder_hidden_states": (50, 384)},
        (256, 256),
        needs=("diffusers",),
        evidence="musetalk/models/unet.py",
        notes="its configuration is not in the repository; the widths are Stable Diffusion 1.4's",
    ),
    PeerNetwork(
        "musetalk-vae",
        "MuseTalk VAE decoder (sd-vae-ft-mse)",
        "https://github.com/TMElyralab/MuseTalk",
        "0a89dec45a0192b824e3cf4daf96c239440c5ed8",
        "MuseTalk",
        ".",
        "diffusers",
        "AutoencoderKL",
        {
            "block_out_channels": (128, 256, 512, 512),
            "layers_per_block": 2,
            "latent_channels": 4,
            "down_block_types": ("DownEncoderBlock2D",) * 4,
            "up_block_types": ("UpDecoderBlock2D",) * 4,
            "sample_size": 256,
        },
        {"sample": (4, 32, 32)},
        (256, 256),
        needs=("diffusers",),
        part="decoder",
        evidence="musetalk/models/vae.py",
        notes="the decoder alone; a MuseTalk frame is one step of the U-Net and this",
    ),
)
"""Of a frame of theirs, what grows with its pixels: the network. Audio, pasting and copies are not
in it, nor are they in ours."""
