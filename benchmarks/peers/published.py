"""What others have published of theirs, quoted. None of it was measured by us, or on our machines.

They are other classes of models, mostly: whole heads from one photograph, where ours draws one
person's lower face. Frames are not of one size, and what is in a figure is not always said.
"""

from __future__ import annotations

__all__ = ["PUBLISHED"]

PUBLISHED = (
    {
        "system": "VASA-1",
        "hardware": "one RTX 4090",
        "says": "512x512, 45 frames/s offline, up to 40 online, 170 ms before it begins",
        "source": "arXiv 2404.10667",
    },
    {
        "system": "Livatar-1",
        "hardware": "one A10",
        "says": "141 frames/s, 0.17 s from end to end",
        "source": "arXiv 2507.18649",
    },
    {
        "system": "Ditto",
        "hardware": "A100, TensorRT 8.6",
        "says": "real-time factor 0.155 to 0.31 of the motion stage; first frame within 400 ms",
        "source": "github.com/antgroup/ditto-talkinghead, issue 14",
    },
    {
        "system": "MuseTalk",
        "hardware": "V100",
        "says": "256x256 face, over 30 frames/s (U-Net and VAE)",
        "source": "github.com/TMElyralab/MuseTalk, README and issue 6",
    },
    {
        "system": "LiveTalking, wav2lip256",
        "hardware": "RTX 3060 / 3080 Ti",
        "says": "60 / 120 frames/s",
        "source": "github.com/lipku/LiveTalking, README-EN, section 6",
    },
    {
        "system": "LiveTalking, musetalk",
        "hardware": "RTX 3080 Ti / 3090 / 4090",
        "says": "42 / 45 / 72 frames/s",
        "source": "the same",
    },
)
