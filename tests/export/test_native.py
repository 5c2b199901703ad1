"""From a clip to a person file that runs: every step but the tracker and the hours of training."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.engines import tiny_person
from tests.export import tiny_folder
from tests.finetune import made_face, presenter_clip
from visavis.engines.errors import PersonFileError
from visavis.engines.info import describe, lines
from visavis.engines.npy import dump_array
from visavis.engines.person import Person, load_person, read_person, write_person
from visavis.engines.pipeline import Pipeline, Work
from visavis.export.face_model_file import FaceModelFile
from visavis.export.native import export_person, load_renderer, person_bytes, save_renderer
from visavis.finetune.morphable.person import marked
from visavis.finetune.parts import picture_parts
from visavis.finetune.person import write_folder
from visavis.finetune.renderer.dataset import Examples, calibration
from visavis.models.renderer import PLANES, Renderer

ABOUT = {
    "name": "made",
    "display_name": "Made",
    "consent": {"subject": "synthetic person"},
    "licence": "Apache-2.0",
    "made_by": {"tool": "tests"},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as finetune writes it, with a small motion network."""
    place = tmp_path_factory.mktemp("person")
    frames, geometry = presenter_clip.frames(), presenter_clip.geometry()
    parts = picture_parts(frames, geometry, presenter_clip.appearance())
    planes = calibration(Examples(frames, geometry, parts))
    torch.manual_seed(0)
    renderer = Renderer((8, 8))
    write_folder(place, frames, geometry, parts, planes, renderer, about=ABOUT, notices="none")
    tiny_folder.write_small_motion(place / "motion", geometry.coefficients.shape[1])
    return place


@pytest.fixture(scope="module")
def file(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out") / "made.person"
    assert export_person(folder, out).size == out.stat().st_size
    return out


def test_the_file_loads_and_runs(file: Path) -> None:
    person = load_person(file, trusted=True)
    assert (person.name, person.width, person.height, person.system) == ("made", 512, 512, "native")
    assert set(person.graphs["renderer"].variants) == {"fp32", "int8"}
    assert person.preview is not None and len(person.poster) > 5000
    pipeline = Pipeline(person, variant="fp32")
    state = pipeline.initial_state(1)
    voice = tiny_person.voice(1.0)
    pictures = []
    for start in range(0, 9600, 640):
        work = Work(state, voice[start : start + 640])
        pipeline.advance([work])
        assert work.error is None and work.i420 is not None
        pictures.append(work.i420)
    assert pictures[0].shape == (768, 512)
    # A face: mostly what the clip shows, changing only where the mouth is.
    choice = pipeline._stages.background.picture(work.choice)
    changed = np.abs(pictures[-1][:512].astype(int) - choice[:512]) > 12
    rows, columns = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
    left, top = work.choice.origin
    assert changed.any()
    assert top <= rows[0] and rows[-1] < top + 192
    assert left <= columns[0] and columns[-1] < left + 192


def test_the_appearance_stays_in_bytes_and_is_what_is_shown(folder: Path, file: Path) -> None:
    person = load_person(file, trusted=True)
    assert person.stages["raster"].op == "planes@2"
    raster, wanted = person.stage_parts("raster"), presenter_clip.appearance().parts()
    for role, dtype in (("mean", np.uint8), ("basis", np.int8), ("scale", np.float32)):
        stored = raster[f"appearance_{role}"]
        assert stored.dtype == dtype and np.array_equal(stored, wanted[f"appearance_{role}"])
    brighter = wanted["appearance_mean"] // 2 + 100
    parts = {**person.parts, "raster/appearance_mean.npy": dump_array(brighter)}
    assert parts.keys() == person.parts.keys()
    other = read_person(write_person(person.manifest, parts))
    assert other.stage_parts("raster")["appearance_basis"].dtype == np.int8
    first, second = (shown(one) for one in (person, other))
    # Untrained, the renderer shows the appearance: under the mask, and nowhere else.
    left, top = first.choice.origin
    mask = np.zeros((512, 512), bool)
    mask[top : top + 192, left : left + 192] = person.stage_parts("composite")["mask"] == 255
    assert first.i420 is not None and second.i420 is not None
    y, bright = (picture[:512][mask].astype(float) for picture in (first.i420, second.i420))
    assert np.corrcoef(y, bright)[0, 1] > 0.9
    assert np.polyfit(y, bright, 1)[0] == pytest.approx(0.5, abs=0.1)


def shown(person: Person) -> Work:
    """The first picture."""
    pipeline = Pipeline(person, variant="fp32")
    work = Work(pipeline.initial_state(1), np.zeros(640, np.float32))
    pipeline.advance([work])
    assert work.error is None
    return work


def test_equal_folders_give_equal_files(folder: Path, file: Path, tmp_path: Path) -> None:
    export_person(folder, tmp_path / "again.person")
    again, once = (
        load_person(tmp_path / "again.person", trusted=True),
        load_person(file, trusted=True),
    )
    differing = [name for name in once.parts if once.parts[name] != again.parts[name]]
    assert differing == []


def test_what_is_missing_is_named(folder: Path, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(folder, tmp_path / "person")
    (tmp_path / "person" / "poster.jpg").unlink()
    with pytest.raises(PersonFileError, match=r"poster\.jpg"):
        export_person(tmp_path / "person", tmp_path / "out.person")


def test_what_was_made_with_a_licensed_model_says_so(
    folder: Path, file: Path, tmp_path: Path
) -> None:
    import shutil

    model = FaceModelFile(made_face.model(), "BFM 2009", {"front.mat": "0" * 64})
    about, notices = marked(ABOUT, "none", model)
    made = tmp_path / "person"
    shutil.copytree(folder, made)
    (made / "about.json").write_text(json.dumps(about))
    (made / "notices.txt").write_text(notices)
    said = "\n".join(lines(describe(read_person(person_bytes(made, compared=False)))))
    assert "licensed    yes, see the notices" in said
    assert "BFM 2009" in said and "look at its terms" in said
    plain = "\n".join(lines(describe(load_person(file, trusted=True))))
    assert "licensed    no" in plain


def test_a_renderer_is_kept_with_its_shape(tmp_path: Path) -> None:
    torch.manual_seed(2)
    net = Renderer((4, 6, 10))
    torch.nn.init.normal_(net.leave.weight)
    save_renderer(net, tmp_path / "renderer.pt")
    again = load_renderer(tmp_path / "renderer.pt")
    planes = torch.rand(1, PLANES, 16, 16)
    assert again.widths == (4, 6, 10) and torch.equal(net(planes), again(planes))
