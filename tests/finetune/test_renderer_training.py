"""The renderer's examples, loss, training loop and scores."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.finetune import presenter_clip
from visavis.export.native import load_renderer
from visavis.finetune.parts import picture_parts
from visavis.finetune.renderer import train as training
from visavis.finetune.renderer.dataset import NONE, Augmentation, Examples
from visavis.finetune.renderer.evaluate import evaluate, luma, score, table
from visavis.finetune.renderer.losses import picture_loss, weights
from visavis.models.renderer import PLANES, Renderer, drawn

HALF = 16


@pytest.fixture(scope="module")
def examples() -> Examples:
    frames, geometry = presenter_clip.frames(), presenter_clip.geometry()
    parts = picture_parts(frames, geometry, presenter_clip.appearance())
    return Examples(frames, geometry, parts)


def test_examples_show_the_clip(examples: Examples) -> None:
    rows = np.array([5, 40, 80])
    planes, pictures = examples.batch(rows, np.random.default_rng(0), NONE)
    for index, picture in zip(rows.tolist(), luma(pictures), strict=True):
        left, top = examples.origins[index]
        wanted = presenter_clip.frames()[index][top : top + 192, left : left + 192]
        assert np.array_equal(picture, wanted)
    visible = planes[:, 24] == 0
    for row in range(3):
        assert np.array_equal(planes[row, 18:24, visible[row]], pictures[row, :, visible[row]])


def test_other_surroundings_hide_what_the_mouth_does(examples: Examples) -> None:
    rows = np.arange(20, 50)
    how = Augmentation(other_surroundings=1.0, coarse=0.0, noise=0.0, shift=0)
    own, pictures = examples.batch(rows, np.random.default_rng(0), NONE)
    other, same = examples.batch(rows, np.random.default_rng(0), how)
    assert np.array_equal(pictures, same)  # what is wanted is still the frame itself
    assert np.array_equal(own[:, :18], other[:, :18])
    difference = np.abs(own[:, 18:22] - other[:, 18:22])[:, :, own[0, 24] == 0] * 128
    assert 0.3 < difference.mean() < 6.0  # another moment, of nearly the same pose


def test_moving_the_crop_moves_everything_together(examples: Examples) -> None:
    how = Augmentation(other_surroundings=0.0, coarse=0.0, noise=0.0, shift=3)
    index = np.array([30])
    still, picture = examples.batch(index, np.random.default_rng(0), NONE)
    random = np.random.default_rng(2)
    moved, moved_picture = examples.batch(index, random, how)
    dx, dy = (np.random.default_rng(2).integers(-3, 4, 2)).tolist()
    assert (dx, dy) != (0, 0)

    def common(planes: np.ndarray, x: int, y: int) -> np.ndarray:
        return planes[..., 10 + y : 80 + y, 10 + x : 80 + x]

    assert np.array_equal(common(picture, dx, dy), common(moved_picture, 0, 0))
    texture = np.abs(common(still[0, :6], dx, dy) - common(moved[0, :6], 0, 0))
    assert np.quantile(texture, 0.99) < 0.02


class Small:
    """Examples that a small network learns: what is wanted is brighter than what is drawn."""

    openness = np.linspace(0, 1, 10)
    voiced = True

    def __len__(self) -> int:
        return 10

    def batch(
        self,
        indices: np.ndarray,
        random: np.random.Generator,
        how: Augmentation,
        *,
        voice: bool = False,
    ) -> tuple[np.ndarray, np.ndarray]:
        planes = np.zeros((len(indices), PLANES, HALF, HALF), np.float32)
        planes[:, :18] = indices[:, None, None, None] / 20
        planes[:, 24] = 1.0
        planes[:, 25:29] = -1.0
        pictures = drawn(torch.from_numpy(planes)).numpy() + 0.3
        return planes, pictures


def run(folder: Path, steps: int, examples: Small | None = None, **plan: Any) -> Renderer:
    made = training.Plan(steps, **{"save_every": 5, **plan})
    return training.train(examples or Small(), folder, made, widths=(4, 8))


def parameters(net: Renderer) -> torch.Tensor:
    return torch.cat([value.detach().flatten() for value in net.parameters()])


def test_training_learns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "WARM_UP", 1)
    monkeypatch.setattr(training, "AVERAGE", 0.9)
    planes, pictures = (torch.from_numpy(a) for a in Small().batch(np.arange(8), None, NONE))  # type: ignore[arg-type]
    net = run(tmp_path, 60)
    with torch.no_grad():
        before = picture_loss(drawn(planes), pictures, planes)
        after = picture_loss(net(planes), pictures, planes)
    assert after < 0.5 * before


@pytest.mark.parametrize("plan", [{}, {"adversarial_from": 4}])
def test_training_goes_on_where_it_was_interrupted(tmp_path: Path, plan: dict[str, int]) -> None:
    class Interrupted(Small):
        calls = 0

        def batch(self, *args: Any, **how: Any) -> tuple[np.ndarray, np.ndarray]:
            self.calls += 1
            if self.calls == 8:
                raise KeyboardInterrupt
            return super().batch(*args, **how)

    whole = run(tmp_path / "whole", 12, **plan)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "parts", 12, Interrupted(), **plan)
    resumed = run(tmp_path / "parts", 12, **plan)
    assert torch.equal(parameters(whole), parameters(resumed))
    assert not torch.equal(parameters(whole), parameters(run(tmp_path / "short", 5)))


def test_frames_that_were_left_out_come_in_late(tmp_path: Path) -> None:
    drawn_from: list[set[int]] = []

    class Watched(Small):
        def batch(
            self, indices: np.ndarray, *args: Any, **how: Any
        ) -> tuple[np.ndarray, np.ndarray]:
            drawn_from.append(set(indices.tolist()))
            return super().batch(indices, *args, **how)

    plan = training.Plan(30, whole_from=20)
    frames = np.arange(4)
    last = training.train(Watched(), tmp_path, plan, frames=frames, widths=(4, 8))
    assert set().union(*drawn_from[:20]) == {0, 1, 2, 3}
    assert set().union(*drawn_from[20:]) > {0, 1, 2, 3}
    path = training.held_out_path(tmp_path)
    assert path is not None
    assert not torch.equal(parameters(load_renderer(path)), parameters(last))
    assert training.held_out_path(tmp_path / "elsewhere") is None


def test_only_the_hidden_part_counts_and_the_mouth_most() -> None:
    planes = torch.zeros(1, PLANES, HALF, HALF)
    planes[:, 24, 4:12, 4:12] = 1.0
    planes[:, 25:29] = -1.0
    planes[:, 25:29, 7:9, 7:9] = 0.5
    full, half = weights(planes)
    assert full.shape[-1] == 2 * HALF and half.shape[-1] == HALF
    assert half[0, 0, 0, 0] == 0 and half[0, 0, 5, 5] == 1 and half[0, 0, 7, 7] == 8
    wanted = torch.zeros(1, 6, HALF, HALF)
    outside, skin, mouth = (wanted.clone() for _ in range(3))
    outside[..., 0, 0] = skin[..., 5, 5] = mouth[..., 7, 7] = 1.0
    losses = [float(picture_loss(made, wanted, planes)) for made in (outside, skin, mouth)]
    assert losses[1] < 0.4 * losses[2]
    assert losses[0] < 0.1 * losses[1]


def test_scores_cannot_be_had_with_blur_or_noise() -> None:
    from scipy import ndimage

    random = np.random.default_rng(0)
    real = ndimage.gaussian_filter(random.normal(128, 60, (4, 64, 64)), (0, 0.8, 0.8))
    hidden, boxes = np.ones((64, 64), bool), [(slice(8, 56), slice(8, 56))] * 4
    blur = np.stack([ndimage.gaussian_filter(picture, 1.5) for picture in real])
    noise = blur + random.normal(0, 18, blur.shape)
    same, blurred, noisy = (score(made, real, hidden, boxes) for made in (real, blur, noise))
    assert same["ssim_mouth"] == pytest.approx(1) and same["coherence_mouth"] == pytest.approx(1)
    assert blurred["sharpness_mouth"] < 0.3
    assert noisy["sharpness_mouth"] > 0.5 > noisy["coherence_mouth"]


def test_the_table_has_what_is_compared(examples: Examples) -> None:
    scores = evaluate(Renderer((4, 8)), examples, np.arange(30, 36))
    # Untrained, the renderer is what is drawn without it, up to rounding.
    untrained, alone = scores["renderer"], scores["drawn without a network"]
    assert untrained["psnr"] == pytest.approx(alone["psnr"], abs=0.25)
    text = table(scores)
    assert text.count("\n") == 5 and "| next frame | " in text
