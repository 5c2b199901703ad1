"""Any audio or video file as two streams of the same samples: for the ear, and for the engine."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import av
import numpy as np
from av.error import FFmpegError
from numpy.typing import NDArray

from visavis.engines.errors import AudioInputError

__all__ = ["OUTPUT_RATE", "SoundFile"]

logger = logging.getLogger(__name__)

ENGINE_RATE = 16000
OUTPUT_RATE = 48000
FRAME_SAMPLES = 1024  # of an AAC frame
F32 = NDArray[np.float32]


class SoundFile:
    """The first audio stream of a file, decoded as it is asked for.

    Args:
        path: anything that FFmpeg reads.

    Attributes:
        layout: "mono" or "stereo", of the samples for the ear; more channels are mixed down.
        duration_s: what the file says of itself, or None.
        damaged: packets that could not be decoded.

    Raises:
        AudioInputError: it cannot be read, or has no audio stream.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.damaged = 0
        try:
            self._file: BinaryIO = path.open("rb")
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise AudioInputError(f"{path} cannot be read: {reason}.") from error
        try:
            if not self._file.read(1):
                raise AudioInputError(f"{path} is empty.")
            self._file.seek(0)
            # An open file, not a name: a name may be an address, and FFmpeg follows it.
            self._container = av.open(self._file, "r")
            streams = self._container.streams.audio
            # Of a codec that FFmpeg does not know there is no context.
            if not streams or streams[0].codec_context is None:
                self._container.close()
                raise AudioInputError(f"{path} has no sound: there is no audio stream in it.")
        except (FFmpegError, OSError, ValueError) as error:
            self._file.close()
            raise AudioInputError(
                f"{path} is no audio or video file that can be read: {_reason(error)}."
            ) from error
        except AudioInputError:
            self._file.close()
            raise
        stream = self._container.streams.audio[0]
        self.layout = "mono" if stream.codec_context.layout.nb_channels == 1 else "stereo"
        self.duration_s: float | None = None
        if stream.duration is not None and stream.time_base is not None:
            self.duration_s = float(stream.duration * stream.time_base)
        elif self._container.duration is not None:
            self.duration_s = self._container.duration / av.time_base

    def __enter__(self) -> SoundFile:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._container.close()
        self._file.close()

    def samples(self) -> Iterator[tuple[list[av.AudioFrame], F32]]:
        """Yield, piece by piece, frames at 48 kHz and what they add at 16 kHz, f32[n], mono.

        Gaps in the file's time stamps are closed: the lips follow what is heard.

        Raises:
            AudioInputError: nothing in the stream can be decoded.
        """
        ear = av.AudioResampler("fltp", self.layout, OUTPUT_RATE, FRAME_SAMPLES)
        engine = av.AudioResampler("flt", "mono", ENGINE_RATE)
        position = 0
        for decoded in self._decode():
            try:
                frames = ear.resample(decoded)
            except ValueError as error:
                raise AudioInputError(
                    f"{self.path} changes its sample rate or channels half way; "
                    "convert it to one format first."
                ) from error
            heard = []
            for frame in frames:
                frame.pts = position
                position += frame.samples
                heard += engine.resample(frame)
            if decoded is None:
                heard += engine.resample(None)
            yield frames, _mono(heard)
        if not position:
            reason = "nothing in it can be decoded" if self.damaged else "it has no samples"
            raise AudioInputError(f"There is nothing to hear in {self.path}: {reason}.")
        if self.damaged:
            logger.warning("%s: %d damaged packets were left out", self.path, self.damaged)

    def _decode(self) -> Iterator[av.AudioFrame | None]:
        """Yield decoded frames, and at the end None, which empties a resampler."""
        stream = self._container.streams.audio[0]
        any_frame = False
        for packet in self._packets():
            try:
                frames = stream.codec_context.decode(packet)
            except FFmpegError as error:
                self.damaged += not isinstance(error, av.error.EOFError)
                continue
            for frame in frames:
                if frame.samples:
                    frame.pts = None
                    any_frame = True
                    yield frame
        if any_frame:
            yield None

    def _packets(self) -> Iterator[av.Packet[av.AudioStream]]:
        try:
            yield from self._container.demux(self._container.streams.audio[0])
        except FFmpegError:
            # Cut off or damaged beyond here: what came before is used.
            self.damaged += 1


def _mono(frames: list[av.AudioFrame]) -> F32:
    if not frames:
        return np.zeros(0, np.float32)
    return np.concatenate([frame.to_ndarray().ravel() for frame in frames]).astype(np.float32)


def _reason(error: BaseException) -> str:
    text = getattr(error, "strerror", None) or str(error)
    return text.splitlines()[0][:150].lower()
