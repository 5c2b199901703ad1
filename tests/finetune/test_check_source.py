"""What is read of a file that nobody vouches for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.finetune.made_clips import flat, scene, write
from visavis.finetune.check import source
from visavis.finetune.check.findings import VideoRefused
from visavis.finetune.check.source import Pictures, read_facts

SOUND = (0.3 * np.sin(np.arange(32000) / 10.0)).astype(np.float32)


def refusal(path: Path) -> str:
    """Why a file is refused, by kind."""
    with pytest.raises(VideoRefused) as caught:
        read_facts(path)
    assert str(caught.value) == caught.value.finding.text
    assert caught.value.finding.level == "refused"
    return caught.value.finding.kind


def test_what_is_no_video_is_told(tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").write_bytes(b"")
    (tmp_path / "text.mp4").write_bytes(b"no video")
    for name in ("empty.mp4", "text.mp4", "missing.mp4", "."):
        assert refusal(tmp_path / name) == "unreadable"


def test_a_list_of_other_files_is_not_followed(tmp_path: Path) -> None:
    clip = write(tmp_path / "clip.ts", scene(10))
    listed = tmp_path / "list.m3u8"
    listed.write_text(
        f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{clip.as_uri()}\n#EXT-X-ENDLIST\n"
    )
    assert refusal(listed) == "unreadable"
    listed.with_suffix(".mp4").write_bytes(listed.read_bytes())
    assert refusal(listed.with_suffix(".mp4")) == "unreadable"


def test_sound_alone_is_no_video(tmp_path: Path) -> None:
    import av

    with av.open(str(tmp_path / "sound.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=16000)
        frame = av.AudioFrame.from_ndarray(SOUND[None, :1024], "fltp", "mono")
        frame.sample_rate = 16000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    assert refusal(tmp_path / "sound.mp4") == "no-video"


def test_pictures_beyond_4k_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = write(tmp_path / "clip.mp4", scene(3))
    monkeypatch.setattr(source, "MOST_PIXELS", 64 * 48 - 1)
    assert refusal(clip) == "too-large"


def test_facts(tmp_path: Path) -> None:
    facts = read_facts(write(tmp_path / "clip.mkv", scene(50), sound=SOUND, sound_start=0.3))
    assert facts.coded == (64, 48) and facts.shown == (64, 48) and facts.turns == 0
    assert np.allclose(facts.time, np.arange(50) / 25, atol=1e-3)
    assert facts.period == pytest.approx(0.04) and facts.used_s == pytest.approx(2.0)
    assert facts.sound and facts.sound_start_s == pytest.approx(0.3, abs=2e-3)
    assert (facts.depth, facts.transfer, facts.interlaced) == (8, "", False)


def test_a_phone_s_turned_hdr_video(tmp_path: Path) -> None:
    deep = [frame.astype(np.uint16) * 4 for frame in scene(3)]
    tags = {"color_trc": 18, "color_primaries": 9, "colorspace": 9}
    facts = read_facts(
        write(tmp_path / "clip.mp4", deep, pix_fmt="yuv420p10le", tags=tags, turn=-90)
    )
    assert (facts.turns, facts.shown, facts.upright) == (3, (48, 64), (48, 64))
    assert (facts.depth, facts.transfer) == (10, "HLG")


def test_half_pictures(tmp_path: Path) -> None:
    fields = {"x264-params": "interlaced=1:tff=1"}
    facts = read_facts(write(tmp_path / "clip.mkv", scene(5), options=fields))
    assert facts.interlaced and facts.upright == (64, 24) and facts.shown == (64, 48)


def test_pictures_come_in_order_with_their_times(tmp_path: Path) -> None:
    times = [0.0, 0.033, 0.1, 0.5, 0.54]
    levels = [40, 80, 120, 160, 200]
    clip = write(tmp_path / "clip.mkv", [flat(level) for level in levels], times=times)
    seen = list(Pictures(read_facts(clip)))
    assert [time for time, _ in seen] == pytest.approx(times, abs=1e-3)
    found = [int(frame.to_ndarray(format="yuv420p")[5, 5]) for _, frame in seen]
    assert np.abs(np.array(found) - levels).max() <= 2


def test_key_pictures_alone(tmp_path: Path) -> None:
    clip = write(tmp_path / "clip.mp4", scene(50), options={"g": "10", "sc_threshold": "0"})
    facts = read_facts(clip)
    assert facts.keys == 5
    keys = [time for time, _ in Pictures(facts, keys_only=True)]
    assert keys == pytest.approx([0.0, 0.4, 0.8, 1.2, 1.6], abs=1e-3)


def test_a_damaged_file_is_used_as_far_as_it_goes(tmp_path: Path) -> None:
    clip = write(tmp_path / "clip.ts", scene(50), options={"g": "10"})
    data = bytearray(clip.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 3000] = np.random.default_rng(0).bytes(3000)
    clip.write_bytes(data)
    pictures = Pictures(read_facts(clip))
    assert 20 <= len(list(pictures)) <= 50
    data = bytearray(write(tmp_path / "cut.mkv", scene(50)).read_bytes())
    (tmp_path / "cut.mkv").write_bytes(data[: len(data) // 2])
    assert 5 <= len(list(Pictures(read_facts(tmp_path / "cut.mkv")))) < 50


def test_pictures_that_change_their_size(tmp_path: Path) -> None:
    small = write(tmp_path / "small.ts", scene(10)).read_bytes()
    large = write(tmp_path / "large.ts", scene(10, width=96, height=64)).read_bytes()
    (tmp_path / "both.ts").write_bytes(small + large)
    with pytest.raises(VideoRefused, match="change their size") as caught:
        list(Pictures(read_facts(tmp_path / "both.ts")))
    assert caught.value.finding.kind == "size-changes"
