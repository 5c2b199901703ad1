"""How much of each pixel of a video is a person, by MediaPipe Selfie Segmentation.

Runs in the interpreter of `track_faces.py`, and imports nothing of visavis for the same reason.

Use: `segment_person.py WIDTH HEIGHT OUT.npy < frames`, where the frames are raw rgb24. It writes
uint8[N, HEIGHT, WIDTH], 255 where it is sure of the person, 0 where it is sure of none. The network
looks at 256 x 256 pixels, and at each frame alone.
"""

from __future__ import annotations

import sys
import tempfile

import mediapipe as mp
import numpy as np

GENERAL = 0  # the model for any picture; 1 is for wide ones, and coarser


def main() -> int:
    width, height, out = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    count = 0
    selfie = mp.solutions.selfie_segmentation.SelfieSegmentation(model_selection=GENERAL)
    # Through a file: a clip of minutes is too much for memory.
    with selfie as segmenter, tempfile.TemporaryFile() as raw_masks:
        while len(raw := sys.stdin.buffer.read(width * height * 3)) == width * height * 3:
            frame = np.frombuffer(raw, np.uint8).reshape(height, width, 3)
            mask = segmenter.process(frame).segmentation_mask
            raw_masks.write(np.rint(np.clip(mask, 0.0, 1.0) * 255.0).astype(np.uint8).tobytes())
            count += 1
        if not count:
            sys.exit("no frames came in")
        raw_masks.flush()
        raw_masks.seek(0)
        masks = np.lib.format.open_memmap(out, "w+", np.uint8, (count, height, width))
        for index in range(count):
            got = raw_masks.read(width * height)
            masks[index] = np.frombuffer(got, np.uint8).reshape(height, width)
        masks.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
