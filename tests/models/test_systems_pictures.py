"""What the published systems draw and paint: networks at small size, masks, textures, faces."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.ndimage
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from torch.nn import functional as F

from visavis.models.face_model import FaceModel
from visavis.models.systems import interpolation, regions
from visavis.models.systems.davs import decoder, identity, mouth
from visavis.models.systems.headpose import face, generator, memory
from visavis.models.systems.style_avatar import drawing, texture
from visavis.models.systems.style_avatar import generator as style_generator

MASKS = hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=12))


@given(MASKS)
@settings(max_examples=60, deadline=None)
def test_regions_are_those_of_scipy(mask: NDArray[np.bool_]) -> None:
    filled = scipy.ndimage.binary_fill_holes(mask)
    np.testing.assert_array_equal(regions.holes(mask), filled & ~mask)
    levels = np.where(mask, 0, 7).astype(np.uint8)
    labels, _ = scipy.ndimage.label(mask, np.ones((3, 3)))
    np.testing.assert_array_equal(drawing.background(levels[..., None]), labels == 1)


def small_generator() -> generator.Generator:
    torch.manual_seed(1)
    return generator.Generator((4, 6, 8, 8)).eval().requires_grad_(False)


def inputs(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(2)
    return torch.rand(count, 9, 16, 16) * 2 - 1, F.normalize(torch.randn(count, 512), dim=1)


def test_a_person_can_be_folded_in_and_others_then_change_nothing() -> None:
    network = small_generator()
    frames, features = inputs(2)
    with torch.no_grad():
        colours, keep = network(frames, features)
        alone = network(frames[:1], features[:1])
        other = network(frames[:1], features[1:])
        parameters = sum(p.numel() for p in network.parameters())
        generator.fold(network, features[:1])
        folded = network(frames[:1], features[1:])
    assert colours.shape == (2, 3, 16, 16) and keep.shape == (2, 1, 16, 16)
    torch.testing.assert_close(colours[:1], alone[0], atol=1e-5, rtol=1e-5)
    assert (other[0] - alone[0]).abs().max() > 1e-3
    assert torch.equal(folded[0], alone[0]) and torch.equal(folded[1], alone[1])
    assert sum(p.numel() for p in network.parameters()) < parameters / 2


def test_the_generator_is_its_description() -> None:
    """Layer by layer, with torch's own instance norm in place of ours."""
    network = small_generator()
    frames, features = inputs(1)
    with torch.no_grad():
        numbers = list(torch.split(network.style(features)[0], [2 * n for n in (6, 8, 8, 6, 4, 4)]))
        e1 = network.downs[0](frames)

        def restyled(x: torch.Tensor) -> torch.Tensor:
            offset, scale = numbers.pop(0).chunk(2)
            return F.instance_norm(x) * scale[:, None, None] + offset[:, None, None]

        e2 = restyled(network.downs[1](F.leaky_relu(e1, 0.2)))
        e3 = restyled(network.downs[2](F.leaky_relu(e2, 0.2)))
        e4 = network.downs[3](F.leaky_relu(e3, 0.2))
        d1 = restyled(network.ups[0](F.relu(e4)))
        d2 = restyled(network.ups[1](F.relu(torch.cat((d1, e3), 1))))
        d3 = restyled(network.ups[2](F.relu(torch.cat((d2, e2), 1))))
        d4 = F.relu(restyled(network.ups[3](F.relu(torch.cat((d3, e1), 1)))))
        colours, keep = network(frames, features)
    torch.testing.assert_close(colours, torch.tanh(network.colour(d4)), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(keep, torch.sigmoid(network.keep(d4)), atol=1e-4, rtol=1e-4)


def test_what_is_kept_is_the_newest_frame() -> None:
    pictures = torch.tensor([0, 100, 255], dtype=torch.uint8)[:, None, None, None].expand(
        3, 2, 2, 3
    )
    frames = generator.normalised(pictures).flatten(0, 1)[None]
    assert frames.shape == (1, 9, 2, 2) and frames[0, 0, 0, 0] == -1 and frames[0, 8, 0, 0] == 1
    half = torch.full((1, 1, 2, 2), 0.25)
    shown = generator.composite(frames, torch.zeros(1, 3, 2, 2), half)
    assert torch.equal(shown, torch.full((1, 3, 2, 2), 0.25))


def test_the_memory_gives_the_nearest_row() -> None:
    torch.manual_seed(0)
    keys = F.normalize(torch.randn(50, 512), dim=1)
    values, frames = torch.randn(50, 512), torch.arange(50.0)
    kept = memory.Memory(keys, values, torch.zeros(50), frames)
    asked = F.normalize(keys[[31, 7]] + 0.01 * torch.randn(2, 512), dim=1)
    assert torch.equal(kept.feature(asked), values[[31, 7]])
    scores, rows = kept.nearest(asked, 3)
    assert rows[:, 0].tolist() == [31, 7] and (scores.diff(dim=1) <= 0).all()
    white = memory.normalised(torch.full((2, 2, 3), 255, dtype=torch.uint8))
    torch.testing.assert_close(
        white[:, 0, 0], torch.tensor([2.2489, 2.4286, 2.6400]), atol=1e-4, rtol=0
    )


def test_shapes_of_the_large_networks() -> None:
    with torch.device("meta"):
        picture = torch.rand(2, 3, 256, 256)
        vector, level_map = identity.IdentityEncoder()(picture)
        assert vector.shape == (2, 256) and level_map.shape == (2, 160, 32, 32)
        feature = mouth.MouthEncoder()(picture)
        assert feature.shape == (2, 256)
        assert decoder.Decoder()(vector, level_map, feature).shape == (2, 3, 256, 256)
        query, found = memory.MemoryNetwork()(picture)
        assert query.shape == found.shape == (2, 512)
        neural = texture.TextureEncoder()(torch.rand(2, 9, 256, 256))
        assert neural.shape == (2, 16, 64, 64)
        assert texture.TextureEncoder(1)(torch.rand(1, 3, 256, 256)).shape == (1, 16, 64, 64)
        seen = texture.sampled(neural, torch.rand(2, 224, 224, 2))
        assert style_generator.Generator()(seen).shape == (2, 3, 224, 224)


def test_the_fine_generator_has_a_coarse_one_inside() -> None:
    torch.manual_seed(0)
    network = style_generator.Generator(4, 4).eval()
    seen = torch.randn(1, 4, 32, 32)
    with torch.no_grad():
        whole = network(seen)
        network.coarse.ups[-1][2].weight.zero_()
        flat = network(seen)
    assert whole.shape == (1, 3, 32, 32) and whole.abs().max() <= 1
    assert (whole - flat).abs().max() > 1e-3
    outside = torch.zeros(32, 32, dtype=torch.bool)
    outside[:16] = True
    grey = style_generator.masked(whole, outside)
    assert (grey[..., :16, :] == 0).all() and torch.equal(grey[..., 16:, :], whole[..., 16:, :])


@given(st.integers(0, 1000))
@settings(max_examples=10, deadline=None)
def test_a_texture_is_the_mean_of_what_falls_on_it(seed: int) -> None:
    rng = np.random.default_rng(seed)
    picture = rng.integers(0, 256, (6, 5, 3), np.uint8)
    levels = rng.integers(0, 3, (6, 5, 2), np.uint8)
    made = texture.scattered(picture, levels)
    for v in range(4):
        for u in range(4):
            here = picture[(levels[..., 0] == u) & (levels[..., 1] == v)]
            wanted = np.rint(here.mean(0, dtype=np.float64)) if len(here) else np.zeros(3)
            np.testing.assert_array_equal(made[v, u], wanted)
    assert made.shape == (256, 256, 3) and not made[4:].any() and not made[:, 4:].any()


def test_coordinates_across_come_first() -> None:
    neural = torch.zeros(1, 1, 64, 64)
    neural[0, 0, 10, 50] = 1.0
    at = torch.tensor([[[[50.5 / 64, 10.5 / 64], [10.5 / 64, 50.5 / 64]]]])
    torch.testing.assert_close(texture.sampled(neural, at)[0, 0, 0], torch.tensor([1.0, 0.0]))
    picture = torch.tensor([0, 128, 255], dtype=torch.uint8).expand(256, 256, 3)
    ready = texture.prepared(picture)[0, :, 0, 0].tolist()
    assert ready == [-1.0, 0.0, 127 / 128] * 3


def square() -> tuple[NDArray[np.int32], NDArray[np.float32], NDArray[np.int64]]:
    """One triangle over the lower row of a picture of two."""
    ids = np.array([[0, 0], [-1, -1]], np.int32)
    barycentric = np.zeros((2, 2, 3), np.float32)
    barycentric[0] = [[1, 0, 0], [0.25, 0.25, 0.5]]
    return ids, barycentric, np.array([[2, 0, 1]])


def test_values_between_corners() -> None:
    ids, barycentric, triangles = square()
    values = np.array([[4.0], [8.0], [-16.0]], np.float32)
    found = interpolation.interpolated(ids, barycentric, triangles, values, 9.0)
    np.testing.assert_array_equal(found[..., 0], [[-16.0, 1.0], [9.0, 9.0]])
    uv = np.array([[0.0, 1.0], [1.0, 0.5], [0.5, 0.5]], np.float32)
    coordinates = drawing.drawn(ids, barycentric, triangles, uv)
    np.testing.assert_array_equal(coordinates[0], 0.0)
    np.testing.assert_allclose(coordinates[1], [[127.5, 127.5], [159.375, 159.375]])
    np.testing.assert_array_equal(drawing.levels(coordinates)[1, 0], [128, 128])  # half to even


def test_a_face_is_drawn_upright_and_black_colours_count_as_nothing() -> None:
    ids, barycentric, triangles = square()
    colours = np.array([[255, 0, 51], [255, 0, 51], [-1, -2, -3]], np.float32)
    found = face.drawn(ids, barycentric, triangles, colours)
    np.testing.assert_array_equal(found[0], 0.0)
    np.testing.assert_array_equal(found[1, 0], 0.0)
    assert found[1, 1, 3] == 1.0 and found[1, 1, 0] == pytest.approx(0.75 - 0.25 / 255)


@given(st.integers(-12, 12), st.integers(-12, 12), st.floats(-0.49, 0.49))
@settings(max_examples=25, deadline=None)
def test_a_shift_is_to_whole_pixels(dx: int, dy: int, part: float) -> None:
    picture = np.random.default_rng(0).integers(1, 256, (9, 8, 2), np.uint8)
    wide = np.pad(picture, ((20, 20), (20, 20), (0, 0)))
    wanted = wide[20 - dy : 29 - dy, 20 - dx : 28 - dx]
    np.testing.assert_array_equal(face.shifted(picture, dx + part, dy + part), wanted)


def test_an_open_mouth_is_black_and_the_rest_shines_through() -> None:
    drawn = np.zeros((7, 7, 4), np.uint8)
    drawn[1:6, 1:6] = (10, 20, 30, 255)
    drawn[3, 3] = 0
    over = face.laid_over(drawn, np.full((7, 7, 3), 200, np.uint8))
    assert (over[0] == 200).all() and (over[1, 1] == (10, 20, 30)).all()
    assert (over[3, 3] == 0).all()


def tetrahedron() -> FaceModel:
    """A model of four vertices whose middle is not the origin; y is down and z away."""
    rng = np.random.default_rng(5)
    mean = torch.tensor([[1.0, 0, 0], [-1, 0, 0], [0, -1.5, 0], [0, 0, -1]]).double() * 0.5 + 3.0

    def basis(count: int) -> torch.Tensor:
        return torch.from_numpy(rng.normal(0, 0.01, (count, 4, 3)))

    return FaceModel(
        mean=mean,
        identity=basis(80),
        expression=basis(64),
        colour=torch.full((4, 3), 100.0).double(),
        colours=basis(80),
        triangles=torch.tensor([[0, 2, 3], [2, 1, 3], [1, 0, 3], [0, 1, 2]]),
        landmarks=torch.zeros(68, dtype=torch.int64),
    )


def test_a_face_stands_where_its_coefficients_say() -> None:
    model = tetrahedron()
    coefficients = torch.zeros(257).double()
    still = face.posed(model, coefficients)
    torch.testing.assert_close(still.vertices.mean(0), torch.zeros(3).double())
    assert still.vertices[2, 1] > 0 > still.vertices[:2, 1].max()  # up is up
    # With ambient light alone every channel shows the albedo as much as it is lit.
    torch.testing.assert_close(
        still.colours, torch.full((4, 3), 100 * 0.8 * np.pi / (4 * np.pi) ** 0.5).double()
    )
    coefficients[224:227] = torch.tensor([0.3, -0.5, 1.1])
    coefficients[254:257] = torch.tensor([0.1, 0.2, -0.3])
    coefficients[227 + 9 + 2] = 0.7  # light from the viewer, of green alone
    moved = face.posed(model, coefficients)
    (sx, sy, sz), (cx, cy, cz) = np.sin([0.3, -0.5, 1.1]), np.cos([0.3, -0.5, 1.1])
    about_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    wanted = still.vertices.numpy() @ (about_z @ about_y @ about_x).T + [0.1, 0.2, -0.3]
    np.testing.assert_allclose(moved.vertices, wanted, atol=1e-6)
    np.testing.assert_allclose(moved.colours[:, [0, 2]], still.colours[:, [0, 2]])
    lit = np.sign((moved.colours - still.colours)[:, 1].numpy())
    np.testing.assert_array_equal(lit, np.sign(moved.normals[:, 2].numpy()))


def test_pixels_are_those_that_the_camera_sees() -> None:
    vertices = torch.tensor([[0.0, 0, 0], [0.5, 0.25, 0.4], [-0.7, -0.3, -0.2]]).double()
    points = face.pixels(vertices)
    for matrix in (face.CAMERA, drawing.CAMERA):
        clip = face.clip_space(vertices, matrix)
        seen = clip[:, :2] / clip[:, 3:]
        wanted = torch.stack((112 + 112 * seen[:, 0], 112 - 112 * seen[:, 1]), 1)
        torch.testing.assert_close(points, wanted, atol=2e-3, rtol=0)
    depth = face.clip_space(vertices)[:, 2] / face.clip_space(vertices)[:, 3]
    assert depth[0] == pytest.approx(1.0) and depth[1] < 1.0 < depth[2]  # behind 0 is cut
    behind = face.clip_space(vertices, drawing.CAMERA)
    assert (behind[:, 2] < behind[:, 3]).all()
