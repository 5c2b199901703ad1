"""`audiodvp`'s audio features: the published AT-net, of which it uses the encoder alone."""

from __future__ import annotations

from visavis.models.systems.audio_encoder import RENAMES
from visavis.models.systems.state import StateLayout

__all__ = ["LAYOUT"]

# `atnet_lstm_18.pth` for `audio_encoder.AudioEncoder`. The rest of AT-net makes landmarks.
LAYOUT = StateLayout(renames=RENAMES, unused=("lmark_encoder.*", "lstm.*", "lstm_fc.*"))
