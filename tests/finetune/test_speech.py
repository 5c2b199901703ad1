"""Synthetic speech: phones of every engine and voice, sentences, and the raw corpus."""

from __future__ import annotations

import random
import subprocess
from pathlib import Path

import numpy as np
import pytest

from visavis.finetune.speech import corpus
from visavis.finetune.speech.corpus import build_corpus, load_shard, make_shard, pick_voice
from visavis.finetune.speech.festival import FESTIVAL, festival_voices
from visavis.finetune.speech.phones import PHONES, from_festival, from_ipa
from visavis.finetune.speech.phonesets import from_phoneset
from visavis.finetune.speech.resampling import resample
from visavis.finetune.speech.sentences import LANGUAGES, foreign_text, sentence
from visavis.finetune.speech.shapes import SHAPES
from visavis.finetune.speech.voices import (
    Utterance,
    Voice,
    available,
    installed,
    speak,
    voices,
)
from visavis.finetune.speech.workers import workers

RATE = 16000


def needs(engine: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(engine not in available(), reason=f"needs {engine}")


def test_every_phone_of_the_american_voices_is_known() -> None:
    names = (
        *("aa", "ae", "ah", "ao", "aw", "ax", "ay", "b", "ch", "d", "dh", "eh", "er", "ey", "f"),
        *("g", "hh", "ih", "iy", "jh", "k", "l", "m", "n", "ng", "ow", "oy", "p", "pau", "r"),
        *("s", "sh", "t", "th", "uh", "uw", "v", "w", "y", "z", "zh"),
    )
    for name in names:
        parts = from_festival(name, 1.0, 1.2)
        assert all(p.name in SHAPES for p in parts)
        assert parts[0].start == 1.0 and parts[-1].end == 1.2
    assert [p.name for p in from_festival("ow", 0.0, 0.1)] == ["oh", "uw"]


@pytest.mark.parametrize(
    ("ipa", "name"),
    [("p", "p"), ("ˈiː", "iy"), ("tʃ", "ch"), ("œ", "oe"), ("ɾ", "rr"), ("_:", "pau"), ("m̩", "m")],
)
def test_ipa(ipa: str, name: str) -> None:
    assert from_ipa(ipa, 0.0, 0.1)[0].name == name


def test_reduced_vowels_are_unstressed() -> None:
    assert from_ipa("ə", 0.0, 0.05)[0].stress == 0.0
    assert from_ipa("ˈɑ", 0.0, 0.05)[0].stress == 1.0
    assert from_festival("ax", 0.0, 0.05)[0].stress == 0.0


def test_sentences_are_many_and_repeatable() -> None:
    said = [sentence(random.Random(i)) for i in range(400)]
    assert said == [sentence(random.Random(i)) for i in range(400)]
    assert len(set(said)) > 300
    text = " ".join(said).lower()
    assert all(text.count(letter) > 50 for letter in "pbmfvw")
    assert all(foreign_text(random.Random(1), language) for language in LANGUAGES)


def _check(*utterances: Utterance) -> None:
    """Phones in order, as long as the sound, and voiceless stops quieter than vowels."""
    stops, vowels = [], []
    for utterance in utterances:
        phones = utterance.phones
        assert len(phones) > 5
        assert all(a.end <= b.start + 1e-3 for a, b in zip(phones, phones[1:], strict=False))
        assert phones[0].start >= 0.0
        assert abs(phones[-1].end - len(utterance.sound) / RATE) < 0.3
        for p in phones:
            piece = np.square(utterance.sound[int(p.start * RATE) : int(p.end * RATE)])
            if p.name in {"p", "t", "k"}:
                stops.append(piece)
            elif SHAPES[p.name].kind == "vowel":
                vowels.append(piece)
    assert np.mean(np.concatenate(stops)) < 0.4 * np.mean(np.concatenate(vowels))


# A voice of Festival is a package of its own: those that are installed are tested.
HERE = [name for name in FESTIVAL if name in festival_voices()]
TEXT = "Papa and Bob help my happy puppy jump over a big apple pie."


@needs("flite")
@pytest.mark.parametrize("name", ["slt", "kal"])
def test_flite(name: str) -> None:
    slow, fast = (speak(Voice("flite", name), [TEXT], stretch=s)[0] for s in (1.3, 0.8))
    _check(slow)
    assert len(slow.sound) > 1.3 * len(fast.sound)


@needs("festival")
def test_festival_says_many_things_at_once() -> None:
    one, two = speak(Voice("festival", "kal"), [TEXT, 'He said "no" twice.'])
    _check(one)
    assert 5000 < len(two.sound) < len(one.sound)


@needs("espeak")
@pytest.mark.parametrize("name", ["en-us+m3", "de+f2"])
def test_espeak(name: str) -> None:
    _check(speak(Voice("espeak", name), [TEXT])[0])


@needs("festival")
@pytest.mark.parametrize("name", HERE or ["none"])
def test_every_voice_of_festival(name: str) -> None:
    language = FESTIVAL[name][1]
    rng = random.Random(4)
    texts = [TEXT] if language == "en" else [foreign_text(rng, language) for _ in range(3)]
    said = speak(Voice("festival", name, language), texts)
    assert len(said) == len(texts)
    phones = tuple(p for u in said for p in u.phones)
    assert len({p.name for p in phones}) > 10
    _check(*said)
    for utterance in said:
        # No voice hangs on: what follows the last phone is short.
        last = max(p.end for p in utterance.phones if p.name != "pau")
        assert len(utterance.sound) / RATE - last < 0.3


@needs("festival")
@pytest.mark.parametrize("name", HERE or ["none"])
def test_every_phone_of_festival_has_a_place(name: str) -> None:
    theirs, language, _ = FESTIVAL[name]
    listed = subprocess.run(
        ["festival", "-b", f"(voice_{theirs})",
         """(mapcar (lambda (p) (format t "%s\\n" (car p)))
            (cadr (car (PhoneSet.description '(phones)))))"""],
        capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip
    assert len(listed) > 25
    lost = [p for p in listed if _lost(language, p)]
    assert not lost


def _lost(language: str, phone: str) -> bool:
    """Whether a phone came out as the stand-in for unknown ones, and is none of the kind."""
    reduced = {"ax", "&", "&:", "e", "E"}
    names = {p.name for p in from_phoneset(language, phone, 0.0, 0.1, "0")}
    return names == {"ax"} and phone not in reduced


def test_a_catalan_b_is_shut_after_a_pause_only() -> None:
    assert from_phoneset("ca", "b", 0.0, 0.1, "0", "pau")[0].name == "b"
    assert from_phoneset("ca", "b", 0.0, 0.1, "0", "aa")[0].name == "bh"
    assert from_phoneset("it", "b", 0.0, 0.1, "0", "aa")[0].name == "b"


@needs("espeak")
def test_espeak_knows_every_voice_of_the_corpus() -> None:
    for voice in voices():
        if voice.engine == "espeak":
            text = "Papa, boom." if voice.language == "en" else TEXT
            assert len(speak(voice, [text])[0].sound) > 5000, voice


@needs("espeak")
def test_a_voiceless_stop_begins_with_its_silence() -> None:
    utterance = speak(Voice("espeak", "en-us"), ["apa papa papa"])[0]
    stops = [p for p in utterance.phones if p.name == "p"]
    assert np.median([p.end - p.start for p in stops]) > 0.06


@needs("flite")
def test_the_corpus_is_resumed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpus, "installed", lambda: (Voice("flite", "kal"),))
    first = build_corpus(tmp_path, 0.02, seed=3)
    assert len(first) > 1
    times = {p: p.stat().st_mtime_ns for p in first}
    content = first[0].read_bytes()
    first[0].unlink()
    again = build_corpus(tmp_path, 0.02, seed=3)
    assert again == first
    assert first[0].read_bytes() == content
    assert all(p.stat().st_mtime_ns == times[p] for p in first[1:])
    shard = load_shard(first[0])
    assert sum(len(u.sound) for u in shard.utterances) > RATE
    assert all(p.name in PHONES for u in shard.utterances for p in u.phones)


@needs("espeak")
def test_processes_make_the_same_corpus(tmp_path: Path) -> None:
    alone = build_corpus(tmp_path / "a", 0.005, seed=5)
    with workers(2) as pool:
        shared = build_corpus(tmp_path / "b", 0.005, seed=5, pool=pool)
    assert [p.name for p in alone] == [p.name for p in shared]
    for a, b in zip(map(load_shard, alone), map(load_shard, shared), strict=True):
        assert a.voice == b.voice
        assert [[p.name for p in u.phones] for u in a.utterances] == [
            [p.name for p in u.phones] for u in b.utterances
        ]


def test_a_corpus_without_synthesisers_is_refused() -> None:
    with pytest.raises(RuntimeError, match="No synthesiser"):
        make_shard(0, 0, ())


@needs("flite")
@needs("festival")
@needs("espeak")
def test_half_of_the_shards_are_voices_of_people() -> None:
    every = installed()
    picked = [str(pick_voice(random.Random(f"0/{i}"), every)) for i in range(600)]
    robots = sum(v.startswith("espeak") for v in picked) / len(picked)
    assert robots < 0.45
    # Any beginning is a fair sample.
    start = sum(v.startswith("espeak") for v in picked[:150]) / 150
    assert abs(start - robots) < 0.12


def test_resampling_keeps_a_tone() -> None:
    t = np.arange(22050) / 22050
    tone = np.sin(2 * np.pi * 440 * t).astype(np.float32)
    want = np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE)
    got = resample(tone, 22050)
    assert abs(len(got) - RATE) <= 1
    middle = slice(1000, 15000)
    assert np.abs(got[middle] - want[middle]).max() < 0.05


@pytest.mark.parametrize("rate", [8000, 22050, 32000, 44100, 48000])
def test_resampling_does_not_move_a_click(rate: int) -> None:
    click = np.zeros(rate, np.float32)
    click[rate // 2] = 1.0
    assert abs(int(np.abs(resample(click, rate)).argmax()) - RATE // 2) <= 1


def test_resampling_by_odd_factors_is_told_by_the_length() -> None:
    for warp in (0.8123, 0.9371, 1.1937):
        click = np.zeros(2 * RATE, np.float32)
        click[RATE] = 1.0
        out = resample(click, RATE * warp)
        assert len(out) == pytest.approx(len(click) / warp, rel=0.007)
        assert abs(int(np.abs(out).argmax()) - len(out) // 2) <= 1
