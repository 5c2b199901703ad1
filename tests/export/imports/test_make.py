"""Imports from files to a person that was tried, with a small system in a published one's place."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.export.imports import samples
from tests.export.imports.samples import SmallFace
from visavis.engines.errors import DeviationError
from visavis.engines.onnx_cpu import OnnxCpuBackend
from visavis.engines.person import Person, load_person
from visavis.engines.probe import probe_voice
from visavis.engines.verify import require, verify
from visavis.export.imports import check, make, rehearsal
from visavis.export.imports.errors import ImportRefused
from visavis.export.imports.make import Imported, import_person
from visavis.export.imports.preflight import sheet_of
from visavis.export.imports.rehearsal import Rehearsal, rehearse

Import = Callable[..., Imported]


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    path = tmp_path / "toy.pth"
    torch.save({"paint.weight": torch.zeros(1)}, path)
    return path


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "toy.person"


@pytest.fixture(scope="module")
def standard(tmp_path_factory: pytest.TempPathFactory) -> tuple[Imported, bytes, Rehearsal]:
    """The usual import: what it says, its file, and what was seen of it."""
    folder = tmp_path_factory.mktemp("standard")
    path = folder / "toy.pth"
    torch.save({"paint.weight": torch.zeros(1)}, path)
    seen: list[Rehearsal] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(make, "importer_of", lambda system: samples.importer())
        patch.setattr(check, "rehearse", lambda *given: seen.append(rehearse(*given)) or seen[-1])
        made = import_person(samples.request(path, half=True), folder / "toy.person")
    assert sheet_of(folder / "toy.person").read_bytes().startswith(b"\x89PNG")
    assert made.size == (folder / "toy.person").stat().st_size
    return made, (folder / "toy.person").read_bytes(), seen[0]


@pytest.fixture
def imports(monkeypatch: pytest.MonkeyPatch, checkpoint: Path, out: Path) -> Import:
    def run(
        face: nn.Module | None = None,
        draft: dict[str, Any] | None = None,
        seen: Rehearsal | None = None,
        **given: Any,
    ) -> Imported:
        """Import; where a rehearsal is given, without another one."""
        made = samples.importer(face, **(draft or {}))
        monkeypatch.setattr(make, "importer_of", lambda system: made)
        if seen is not None:
            monkeypatch.setattr(check, "rehearse", lambda person, voice: seen)
        return import_person(samples.request(checkpoint, **given), out)

    return run


def test_a_person_comes_out_that_verifies_and_tells_where_it_is_from(
    standard: tuple[Imported, bytes, Rehearsal],
) -> None:
    made, data, _ = standard
    person = load_person(data, trusted=True)
    assert (person.system, person.name, person.width) == ("davs", "toy", samples.FRAME)
    assert person.manifest["consent"] == samples.CONSENT
    assert person.manifest["notices"] == "The toy's own notice."
    assert not person.contains_licensed
    assert person.manifest["made_by"]["checkpoints"][0]["file"] == "toy.pth"
    verdicts = verify(person, [OnnxCpuBackend()])
    assert {verdict.graph for verdict in verdicts} == {"motion", "renderer"}
    require(verdicts)
    report = made.checked.report
    json.dumps(report, allow_nan=False)
    assert report["mouth"]["moved"] > 10 > report["mouth"]["elsewhere"]
    assert report["largest"]["renderer"]["layer"] == "paint"
    assert not made.checked.warnings
    low, high = report["ranges"]["renderer"]["y"]
    assert 16 <= low < high <= 235


def test_references_are_torch_s_and_not_the_file_s(
    standard: tuple[Imported, bytes, Rehearsal],
) -> None:
    person = load_person(standard[1], trusted=True)
    _, other = samples.renderer(Reddish(), half=False)
    parts = {**person.parts, "renderer.fp32.onnx": other["renderer.fp32.onnx"]}
    fields = {name: getattr(person, name) for name in Person.__slots__}
    with pytest.raises(DeviationError, match="renderer"):
        require(verify(Person(**{**fields, "parts": parts}), [OnnxCpuBackend()]))


def test_a_mouth_that_does_not_move_is_told_and_kept(imports: Import, out: Path) -> None:
    """The toy whose mouth moves in every frame, whatever is heard, fails where frames differ."""
    made = imports(SmallFace(gain=0.0))
    assert any("mouth does not move" in warning for warning in made.checked.warnings)
    assert out.exists()


class Reddish(SmallFace):
    def __init__(self) -> None:
        super().__init__()
        with torch.no_grad():
            self.paint.bias[0] += 0.1


class Loud(SmallFace):
    """Something within becomes larger than 16 bits hold; what comes out does not show it."""

    def __init__(self) -> None:
        super().__init__()
        self.louder = nn.Hardtanh(-1e9, 1e9)

    def forward(self, coefficients: Tensor) -> Any:
        return super().forward(self.louder(coefficients * 1e7) / 1e7)


class Broken(SmallFace):
    """Not a number where the mouth opens. As bytes it is black, and nothing in the file tells."""

    def __init__(self) -> None:
        super().__init__()
        self.pass_on = nn.Identity()

    def forward(self, coefficients: Tensor) -> Any:
        opened = torch.where(coefficients[:, :1] > 0.01, float("nan"), 0.0)
        return super().forward(coefficients + self.pass_on(opened))


def test_what_would_overflow_in_16_bits_is_told_with_its_layer(
    imports: Import, standard: tuple[Imported, bytes, Rehearsal]
) -> None:
    made = imports(Loud(), seen=standard[2])
    assert any(
        "overflow in 16-bit" in warning and "'louder'" in warning
        for warning in made.checked.warnings
    )


def nothing_was_written(out: Path) -> bool:
    return not [path for path in out.parent.iterdir() if path.suffix != ".pth"]


def test_numbers_that_are_not_finite_within_are_refused(
    imports: Import, out: Path, standard: tuple[Imported, bytes, Rehearsal]
) -> None:
    modules = {"renderer": (Broken(), ["coefficients"], ["y", "u", "v"])}
    with pytest.raises(ImportRefused, match="not finite in its layer 'pass_on'"):
        imports(draft={"modules": modules}, seen=standard[2])
    assert nothing_was_written(out)


def test_a_graph_that_gives_no_numbers_is_refused(
    imports: Import, out: Path, standard: tuple[Imported, bytes, Rehearsal]
) -> None:
    motion = standard[2].graphs["motion"]
    tract = np.array(motion.outputs["tract"])
    tract[3] = np.nan
    outputs = {**motion.outputs, "tract": tract}
    graphs = {**standard[2].graphs, "motion": dataclasses.replace(motion, outputs=outputs)}
    with pytest.raises(ImportRefused, match=r"'motion' gives values that are not finite \(tract\)"):
        imports(seen=dataclasses.replace(standard[2], graphs=graphs))
    assert nothing_was_written(out)


def test_a_file_that_differs_from_torch_is_refused(
    imports: Import, out: Path, standard: tuple[Imported, bytes, Rehearsal]
) -> None:
    """The toy that compares a network with itself, or only its shape."""
    modules = {"renderer": (Reddish(), ["coefficients"], ["y", "u", "v"])}
    with pytest.raises(ImportRefused, match="'renderer' of the file is not what torch computes"):
        imports(draft={"modules": modules}, seen=standard[2])
    assert nothing_was_written(out)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"checkpoints": ()}, "none was given"),
        ({"motion": "mine"}, "native or original"),
        ({"consent": {"given": "x" * 5000}}, "consent"),
        ({"speech": Path("/nowhere.wav")}, "nowhere.wav"),
        ({"checkpoints": (Path("/nowhere.pth"),)}, "nowhere.pth"),
    ],
)
def test_a_wrong_request_is_refused_and_nothing_written(
    imports: Import, out: Path, given: dict[str, Any], words: str
) -> None:
    with pytest.raises(ImportRefused, match=words):
        imports(**given)
    assert nothing_was_written(out)


def test_a_place_that_is_taken_is_refused_before_anything_is_read(
    out: Path, checkpoint: Path
) -> None:
    out.write_bytes(b"mine")
    with pytest.raises(ImportRefused, match="exists already"):
        import_person(samples.request(checkpoint), out)
    assert out.read_bytes() == b"mine"
    with pytest.raises(ImportRefused, match="does not exist"):
        import_person(samples.request(checkpoint), out.parent / "no" / "x.person")


def test_an_unknown_system_is_refused_with_those_there_are(checkpoint: Path, out: Path) -> None:
    with pytest.raises(ImportRefused, match=r"'wav2lip'; .* davs, headpose"):
        import_person(samples.request(checkpoint, system="wav2lip"), out)


def test_a_mouth_outside_of_the_crop_is_refused(
    imports: Import, standard: tuple[Imported, bytes, Rehearsal]
) -> None:
    with pytest.raises(ImportRefused, match="does not lie in the crop"):
        imports(draft={"mouth": (70, 70, 80, 80)}, seen=standard[2])


def test_a_draft_that_is_no_person_is_refused(imports: Import, out: Path) -> None:
    with pytest.raises(ImportRefused):
        imports(draft={"lookahead_ms": 45})
    assert nothing_was_written(out)


def test_a_licensed_person_keeps_the_reason(
    imports: Import, out: Path, standard: tuple[Imported, bytes, Rehearsal]
) -> None:
    reason = "it holds vertices of BFM 2009"
    assert imports(draft={"contains_licensed": reason}, seen=standard[2]).licensed == reason
    person = load_person(out.read_bytes(), trusted=True)
    assert person.contains_licensed
    assert person.manifest["made_by"]["licensed"] == reason
    assert reason in person.manifest["notices"]


def test_the_loudest_of_the_user_s_voice_is_heard() -> None:
    babble = np.concatenate(probe_voice(120, rehearsal.TICKS))
    silence = np.zeros(3 * 16000 // 640 * 640, np.float32)
    sounds = rehearsal._sounds(np.concatenate([silence, babble, silence]), 120)
    assert [len(sound) for sound in sounds] == [1920] + [640] * (rehearsal.TICKS - 1)
    assert np.square(np.concatenate(sounds)).sum() > 0.99 * np.square(babble).sum()


def test_a_short_voice_is_followed_by_silence() -> None:
    sounds = rehearsal._sounds(np.ones(1000, np.float32), 120)
    assert np.concatenate(sounds).sum() == 1000 and len(sounds) == rehearsal.TICKS
