"""`rhythmic`: its generator in small, the names of its files, its head motion."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from visavis.models.systems.rhythmic import head_motion, spectral
from visavis.models.systems.rhythmic.blocks import FusedResidual, MadeModulation, ModulatedResidual
from visavis.models.systems.rhythmic.embedding import SketchEmbedding
from visavis.models.systems.rhythmic.flow import resampled
from visavis.models.systems.rhythmic.generator import Generator, Source
from visavis.models.systems.rhythmic.layout import generator_layout
from visavis.models.systems.rhythmic.made_weights import MadeLevel, WeightMaker
from visavis.models.systems.state import StateMismatch, build, load_strictly

WIDTHS = (2, 4, 8, 16, 32, 24)
SIZE = 64


@pytest.fixture(autouse=True)
def _no_gradients() -> object:
    with torch.no_grad():
        yield


def randomised(network: nn.Module) -> nn.Module:
    """With statistics and scales that are not those of an untrained network."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d | nn.BatchNorm1d):
            module.running_mean = torch.randn(module.num_features) * 0.1
            module.running_var = torch.rand(module.num_features) + 0.5
            if module.affine:
                nn.init.normal_(module.weight, 1.0, 0.2)
                nn.init.normal_(module.bias, 0.0, 0.2)
    return network.eval()


def generator(shots: int | None) -> Generator:
    torch.manual_seed(5)
    network = Generator(shots, WIDTHS)
    randomised(network)
    # Torch's own start is so small that a sketch or a person hardly shows in the picture.
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight)
    for layer in (
        network.to_picture,
        network.reference_flow.conv_flow,
        network.render_flow.conv_flow,
    ):
        for weight in layer.parameters():
            weight *= 0.02
    return network


def sketches(count: int) -> Tensor:
    return (torch.rand(count, 1, SIZE, SIZE) > 0.9).float()


def pictures(count: int) -> Tensor:
    return torch.rand(count, 3, SIZE, SIZE) * 2 - 1


def apart(a: Tensor, b: Tensor) -> float:
    """How far apart two pictures are, for their size."""
    return float(torch.linalg.norm(a - b) / torch.linalg.norm(b))


def test_one_reference_holds_for_every_frame() -> None:
    """What makes it worth keeping: the person's weights are the same whatever the sketch."""
    network = generator(1)
    references = network.references(pictures(1), sketches(1))
    frames = sketches(2)
    assert network.attended(references, frames[:1]) is None
    appearance = network.appearance(references, None)
    source = Source(sketches(1).expand(2, -1, -1, -1), pictures(1).expand(2, -1, -1, -1))
    warp, render = network.warped_reference(frames, source), network.warped_render(frames, source)
    both = network(appearance, frames, warp, render)
    assert both.shape == (2, 3, SIZE, SIZE) and apart(both[0], both[1]) > 0.05
    alone = Source(source.sketch[:1], source.image[:1])
    for k in range(2):
        sketch = frames[k : k + 1]
        warps = network.warped_reference(sketch, alone), network.warped_render(sketch, alone)
        assert apart(network(appearance, sketch, *warps)[0], both[k]) < 1e-3
    other = network.appearance(network.references(pictures(1), sketches(1)), None)
    assert apart(network(other, frames, warp, render), both) > 0.01
    assert apart(network(appearance, frames, warp), both) > 0.05
    assert apart(network(appearance, frames, None, render), both) > 0.05


def test_the_older_layout_takes_references_in_any_number_and_order() -> None:
    network = generator(None)
    images, drawn, sketch = pictures(3), sketches(3), sketches(1)
    references = network.references(images, drawn)
    attention = network.attended(references, sketch)
    assert attention is not None and attention.shape == (1, 3, SIZE // 4, SIZE // 4)
    assert torch.allclose(attention.sum(dim=1), torch.ones(1, SIZE // 4, SIZE // 4))
    assert attention.std() > 0.01
    start = network.appearance(references, attention).start
    turned = network.references(images.flip(0), drawn.flip(0))
    again = network.appearance(turned, network.attended(turned, sketch)).start
    assert torch.allclose(again, start, atol=1e-5)
    # One picture three times says what it says once.
    same = network.references(images[:1].repeat(3, 1, 1, 1), drawn[:1].repeat(3, 1, 1, 1))
    once = network.appearance(network.references(images[:1], drawn[:1]), None).start
    thrice = network.appearance(same, network.attended(same, sketch)).start
    assert torch.allclose(thrice, once, atol=1e-5)
    assert not torch.allclose(once, start, atol=1e-3)


@pytest.mark.parametrize("shots", [3, None])
def test_frames_of_a_batch_attend_each_for_itself(shots: int | None) -> None:
    network = generator(shots)
    references = network.references(pictures(3), sketches(3))
    frames = sketches(2)
    source = Source(sketches(1).expand(2, -1, -1, -1), pictures(1).expand(2, -1, -1, -1))

    def shown(sketch: Tensor, source: Source) -> Tensor:
        appearance = network.appearance(references, network.attended(references, sketch))
        return network(appearance, sketch, network.warped_reference(sketch, source))

    both = shown(frames, source)
    alone = Source(source.sketch[:1], source.image[:1])
    for k in range(2):
        assert apart(shown(frames[k : k + 1], alone)[0], both[k]) < 1e-3
    # What a frame attends to counts: with the other frame's attention it is another picture.
    swapped = network.appearance(references, network.attended(references, frames.flip(0)))
    other = network(swapped, frames, network.warped_reference(frames, source))
    assert apart(other, both) > 3e-3


def test_the_newer_layout_is_for_one_number_of_references() -> None:
    network = generator(3)
    sketch = sketches(1)
    references = network.references(pictures(3), sketches(3))
    attention = network.attended(references, sketch)
    assert network.appearance(references, attention).start.shape == (1, WIDTHS[-1], 2, 2)
    with pytest.raises(ValueError, match="2 reference pictures; the weights are for 3"):
        network.references(pictures(2), sketches(2))
    with pytest.raises(ValueError, match="3 reference pictures need attention"):
        network.appearance(references, None)


@pytest.mark.parametrize(
    ("shots", "keys", "normed"), [(1, 1062, 131), (None, 1026, 131), (8, 1124, 138)]
)
def test_published_files_are_taken_by_their_names(
    shots: int | None, keys: int, normed: int
) -> None:
    """Every name of ours is one of the file's; where spectral norm is, three of the file's."""
    with torch.device("meta"):
        network = Generator(shots)
    layout = generator_layout(shots)
    back = {ours: theirs for theirs, ours in layout.renames.items()}

    def of_the_file(name: str) -> str:
        parts = name.split(".")
        for count in range(len(parts), 0, -1):
            if ".".join(parts[:count]) in back:
                return ".".join([back[".".join(parts[:count])], *parts[count:]])
        return name

    state = {of_the_file(name): tensor for name, tensor in network.state_dict().items()}
    assert len(state) == keys - 2 * normed
    for key, shape in {
        "netG.comb_encoder.ref_label_up_4.conv.weight": (512, 1024, 3, 3),
        "netG.atten_gen.atn_key_first.conv.weight": (32, 1, 3, 3),
        "netG.weight_gen.fc_spade_e_3.2.weight": (257, 512),
        "netG.weight_gen.fc_spade_s_0.2.bias": (66,),
        "netG.label_embedding.up_4.0.weight": (1024, 512, 3, 3),
        "netG.up_4.bn_s.mlp_gamma.weight": (1024, 512, 1, 1),
        "netG.up_0.bn_s.mlp_beta4.weight": (64, 32, 1, 1),
        "netG.up_3.bn_1.batch_norm.running_var": (256,),
        "netG.conv_img.weight": (3, 32, 3, 3),
        "warp.flow_network_ani.up_flow.7.0.weight": (32, 64, 3, 3),
        "warp.flow_network_ref.res_flow.5.bn_1.weight": (256,),
        "img_ani_embedding.down_4.0.weight": (1024, 512, 3, 3),
        **(
            {"netG.lmark_encoder.conv1.conv.weight": (32, 1, 3, 3)}
            if shots is None
            else {"netG.encoder.ref_down_lmark_4.bn.weight": (1024,)}
        ),
        **({"netG.encoder.atten2.conv.weight": (128, 1024, 3, 3)} if shots == 8 else {}),
        **(
            {"netG.up_1.bn_0.mlp_gamma2.weight": (128, 64, 1, 1)}
            if shots is None
            else {"netG.up_1.bn_0_3.mlp_gamma.weight": (128, 64, 1, 1)}
        ),
    }.items():
        assert tuple(state[key].shape) == shape, key
    assert "netG.up_1.bn_0_0.mlp_gamma.weight" not in state
    load_strictly(network, state, layout)
    with pytest.raises(StateMismatch, match=r"extra netG\.up_9\.x"):
        load_strictly(network, {**state, "netG.up_9.x": torch.zeros(1)}, layout)


def test_spectral_norm_is_folded_as_torch_applies_it() -> None:
    torch.manual_seed(0)
    original = nn.Sequential(
        nn.utils.spectral_norm(nn.Conv2d(3, 5, 3)), nn.utils.spectral_norm(nn.Conv2d(5, 2, 1))
    )
    for _ in range(5):
        original(torch.randn(1, 3, 6, 6))
    original.eval()
    state = original.state_dict()
    values = spectral.singular_values(state)
    assert list(values) == ["0", "1"]
    assert values["0"] == pytest.approx(
        float(torch.linalg.matrix_norm(state["0.weight_orig"].flatten(1), 2)), rel=0.05
    )
    plain = build(
        lambda: nn.Sequential(nn.Conv2d(3, 5, 3), nn.Conv2d(5, 2, 1)), spectral.folded(state)
    )
    x = torch.randn(2, 3, 6, 6)
    assert torch.allclose(plain(x), original(x), atol=1e-6)


def test_spectral_norm_without_its_vectors_is_refused() -> None:
    weight, left, right = torch.eye(2), torch.tensor([1.0, 0.0]), torch.tensor([1.0, 0.0])
    whole = {"a.weight_orig": weight, "a.weight_u": left, "a.weight_v": right}
    assert torch.equal(spectral.folded(whole)["a.weight"], weight)
    for change, message in (
        ({"a.weight_v": None}, r"lacks a\.weight_v"),
        ({"a.weight_orig": None}, r"a\.weight_u belongs to no weight"),
        ({"a.weight_u": torch.ones(3)}, "3 and 2 numbers"),
        ({"a.weight_u": -left}, "is -1"),
        ({"a.weight_u": left * float("nan")}, "is nan"),
    ):
        broken = {key: value for key, value in (whole | change).items() if value is not None}
        with pytest.raises(StateMismatch, match=message):
            spectral.folded(broken)


def test_the_branches_that_are_there_are_averaged() -> None:
    torch.manual_seed(2)
    block = FusedResidual(6, 4, 3, 4)
    randomised(block)
    x, labels = torch.randn(1, 6, 8, 8), [torch.randn(1, 3, 8, 8) for _ in range(4)]
    made = tuple(MadeModulation(torch.randn(n, 3), torch.randn(n, 3)) for n in (6, 4, 6))
    given: list[Tensor] = []
    block.conv_0.register_forward_pre_hook(lambda _, inputs: given.append(inputs[0]))
    for there in ((0, 1, 2, 3), (0, 1, 2), (0, 2), (0,)):
        given.clear()
        block(x, [label if k in there else None for k, label in enumerate(labels)], made)
        branches = []
        for k in there:
            norm = block.bn_0[k]
            plain = F.batch_norm(x, norm.batch_norm.running_mean, norm.batch_norm.running_var)
            if k:
                scale, shift = norm.mlp_gamma(labels[k]), norm.mlp_beta(labels[k])
            else:
                scale = torch.einsum("oc,nchw->nohw", made[0].scale, labels[0])
                shift = torch.einsum("oc,nchw->nohw", made[0].shift, labels[0])
            branches.append(F.leaky_relu(plain * (1 + scale) + shift, 0.2))
        assert torch.allclose(given[0], sum(branches) / len(there), atol=1e-5)


def test_a_modulation_that_is_not_given_is_missed() -> None:
    block = ModulatedResidual(4, 4, 3, ()).eval()
    with pytest.raises(ValueError, match="modulation 1 is neither learnt nor given"):
        block(torch.zeros(1, 4, 2, 2), [torch.zeros(1, 3, 2, 2)])


def test_made_weights_fit_widths_that_double() -> None:
    with pytest.raises(ValueError, match="4 channels, then 6: weights are made for twice as many"):
        Generator(None, (2, 4, 6, 12, 24, 24))


def test_how_made_weights_lie_in_what_is_made() -> None:
    """Scale, its bias, shift, its bias; the rows of the matrix follow each other."""
    maker = WeightMaker((2, 4), 1)
    for layers in (maker.first[0], maker.embedding[0]):
        for layer in layers:
            nn.init.zeros_(layer.weight)
        nn.init.eye_(layers[0].weight), nn.init.eye_(layers[1].weight)
        nn.init.constant_(layers[2].weight[:, 0], 100.0)
        layers[2].bias.copy_(torch.arange(len(layers[2].bias)))
        for layer in layers[:2]:
            nn.init.zeros_(layer.bias)
    rows = torch.zeros(4, 4)
    rows[:, 0] = torch.arange(1.0, 5.0)  # row r gives 100 r, 100 r + 1 and so on
    (level,) = maker([torch.zeros(2, 2), rows])
    assert level.modulations[0].scale.tolist() == [
        [100, 101], [102, 103], [104, 105], [200, 201]
    ]  # fmt: skip
    assert level.modulations[0].shift.tolist() == [
        [300, 301], [302, 303], [304, 305], [400, 401]
    ]  # fmt: skip
    assert level.embedding.tolist() == [[100, 101], [102, 200], [201, 202], [300, 301]]
    assert level.embedding_bias.tolist() == [302, 400]


def test_made_embeddings_are_transposed_convolutions() -> None:
    torch.manual_seed(1)
    network = SketchEmbedding(WIDTHS, 4).eval()
    none = MadeModulation(torch.zeros(0), torch.zeros(0))
    levels = [
        MadeLevel((none, none, none), torch.randn(b, a), torch.randn(a))
        for a, b in zip(WIDTHS[:4], WIDTHS[1:], strict=False)
    ]
    maps = network(sketches(2), levels)
    assert [tuple(m.shape) for m in maps] == [
        (2, width, SIZE >> k, SIZE >> k) for k, width in enumerate(WIDTHS)
    ]
    for k, level in enumerate(levels):
        wanted = F.conv_transpose2d(
            maps[k + 1],
            level.embedding[:, :, None, None],
            level.embedding_bias,
            stride=2,
            output_padding=1,
        )
        assert torch.allclose(maps[k], wanted, atol=1e-4)


def test_flow_says_where_a_colour_comes_from() -> None:
    torch.manual_seed(0)
    picture = torch.randn(1, 2, 8, 12)
    flow = torch.zeros(1, 2, 8, 12)
    assert torch.allclose(resampled(picture, flow, align_corners=True), picture, atol=1e-5)
    # The published environment reads the grid otherwise: no flow is not quite nothing.
    assert not torch.allclose(resampled(picture, flow), picture, atol=0.05)
    flow[:, 0], flow[:, 1] = 2.0, -1.0  # from two pixels to the right and one above
    moved = resampled(picture, flow, align_corners=True)
    assert torch.allclose(moved[..., 1:, :-2], picture[..., :-1, 2:], atol=1e-5)
    assert torch.allclose(moved[..., 1:, -1], picture[..., :-1, -1], atol=1e-5)  # past the edge


def test_a_frame_hears_itself_and_three_frames_around() -> None:
    samples = torch.arange(1.0, 640 * 5 + 1)
    rows = head_motion.audio_rows(samples, 1, 2)
    assert rows.shape == (2, 7, 640)
    assert rows[0, :, 0].tolist() == [0, 0, 1, 641, 1281, 1921, 2561]
    assert rows[1, :, 639].tolist() == [0, 640, 1280, 1920, 2560, 3200, 0]
    assert (head_motion.audio_rows(samples, 40, 1) == 0).all()
    assert torch.equal(head_motion.audio_rows(samples, 2, 1)[0], rows[1])


def test_audio_is_embedded_from_two_frames_around() -> None:
    torch.manual_seed(0)
    with torch.device("meta"):
        network = head_motion.AudioEmbedding()
    network.to_empty(device="cpu")
    for parameter in network.parameters():  # 47 million numbers take long to draw
        parameter.copy_((torch.randn(parameter.shape[1:]) * 0.02).expand(parameter.shape))
    randomised(network)
    windows = torch.randn(1, 5, 7, 640)
    embedded = network(windows)
    assert embedded.shape == (1, 5, 256)
    windows[0, 4] += 1.0
    changed = (network(windows) - embedded).abs().amax(dim=2)[0]
    assert (changed[:2] == 0).all() and (changed[2:] > 1e-4).all()


def test_motion_is_an_affine_map_made_from_the_past() -> None:
    torch.manual_seed(0)
    history, decoder = head_motion.MotionHistory(), head_motion.MotionDecoder()
    randomised(history)
    motion, audio = torch.randn(2, 64, 6), torch.randn(2, 64, 256)
    past = history(motion, audio)
    assert past.shape == (2, 512) and not torch.allclose(past[0], past[1], atol=1e-2)
    assert torch.allclose(history(motion[1:], audio[1:]), past[1:], atol=1e-5)
    matrix, added = decoder(past)
    assert matrix.shape == (2, 256, 6) and added.shape == (2, 6)
    # The file's layer gives the six numbers of the first audio channel first, what is added last.
    values = decoder.l(past)
    assert torch.equal(matrix[:, 0], values[:, :6]) and torch.equal(added, values[:, -6:])
