"""Everybody says something else, and persons under other names are other persons to a server."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np

from tests.engines.tiny_person import tiny_person
from visavis.benchmarks.live.speech import RATE
from visavis.benchmarks.sessions.copies import copies, listed_only
from visavis.benchmarks.sessions.voices import PACKET, opus_packets, voice
from visavis.engines.file_catalogue import FileCatalogue
from visavis.engines.person import load_person
from visavis.server.media.opus import OpusDecoder

RECORDING = np.random.default_rng(5).standard_normal(4 * RATE).astype(np.float32) * 0.1


def test_no_two_voices_are_alike() -> None:
    """The toy: one recording for all, which one mouth and one cache would serve."""
    voices = [voice(RECORDING, number, 1.0) for number in range(40)]
    assert len({len(one) for one in voices}) == 40
    for one, other in itertools.combinations(voices, 2):
        size = min(len(one), len(other))
        a, b = one[:size], other[:size]
        alike = float(a @ b) / float(np.linalg.norm(a) * np.linalg.norm(b))
        assert abs(alike) < 0.5
    assert np.array_equal(voice(RECORDING, 7, 1.0), voices[7])


def test_packets_are_opus_and_say_it() -> None:
    said = voice(RECORDING, 3, 0.5)
    packets = opus_packets(said)
    assert len(packets) * PACKET == len(said)
    assert len(set(packets)) == len(packets)
    decoder = OpusDecoder()
    heard = np.concatenate([decoder.decode(packet) for packet in packets])
    assert heard.size >= len(said) - PACKET and np.sqrt(np.mean(heard**2)) > 0.01


def test_copies_are_persons_of_their_own(tmp_path: Path) -> None:
    first, second = copies(tiny_person(), 2, tmp_path)
    persons = [load_person(path.read_bytes(), trusted=True) for path in (first, second)]
    assert [person.name for person in persons] == ["tiny-001", "tiny-002"]
    assert persons[0].id != persons[1].id
    assert persons[0].parts == persons[1].parts == tiny_person().parts


def test_those_that_are_only_listed_are_listed(tmp_path: Path) -> None:
    folder = tmp_path / "persons"
    folder.mkdir()
    listed_only(tiny_person(), 5, folder)
    found = FileCatalogue(folder=folder, promised=True, cache=tmp_path / "cache").persons()
    assert [info.name for info in found] == [f"tiny-{n:04}" for n in range(1, 6)]
    assert len({info.id for info in found}) == 5
