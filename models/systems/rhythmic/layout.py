"""What the files of `rhythmic` call the tensors of our modules, after `spectral.folded`."""

from __future__ import annotations

from visavis.models.systems.rhythmic.generator import FUSED, MADE, SOURCES, WIDTHS
from visavis.models.systems.rhythmic.references import ATTENDED
from visavis.models.systems.state import StateLayout

__all__ = ["generator_layout"]


def generator_layout(shots: int | None, levels: int = len(WIDTHS)) -> StateLayout:
    """Return the layout of `<epoch>_net_G.pth` for `generator.Generator`.

    Args:
        shots: as of the generator; None for the older layout.
        levels: how many sizes there are, the full one included.
    """
    steps = range(levels - 1)
    renames = {
        "netG.conv_img": "to_picture",
        "netG.label_embedding.conv_first": "sketch_embedding.encoder.first",
        "warp.flow_network_ref": "reference_flow",
        "warp.flow_network_ani": "render_flow",
        **_attention(),
        **_encoder(shots, levels),
        **{f"netG.up_{level}": f"up.{level}" for level in range(levels)},
    }
    for step in steps:
        renames[f"netG.comb_encoder.ref_img_up_{step}"] = f"combination.image_up.{step}"
        renames[f"netG.comb_encoder.ref_label_up_{step}"] = f"combination.sketch_up.{step}"
        renames[f"netG.label_embedding.down_{step}"] = f"sketch_embedding.encoder.down.{step}"
    for step in steps[MADE:]:
        renames[f"netG.label_embedding.up_{step}"] = f"sketch_embedding.up.{step - MADE}"
    for theirs, ours in (("ref", "reference"), ("ani", "render")):
        renames[f"img_{theirs}_embedding.conv_first"] = f"{ours}_embedding.first"
        for step in steps:
            renames[f"img_{theirs}_embedding.down_{step}"] = f"{ours}_embedding.down.{step}"
    for theirs, ours in (("0", "first"), ("1", "second"), ("s", "side"), ("e", "embedding")):
        for level in range(MADE):
            renames[f"netG.weight_gen.fc_spade_{theirs}_{level}"] = f"weight_maker.{ours}.{level}"
    if shots is not None:
        for level in range(FUSED):
            for norm in ("bn_0", "bn_1"):
                for source in range(SOURCES):
                    theirs = f"netG.up_{level}.{norm}_{source}"
                    renames[theirs] = f"up.{level}.{norm}.{source}"
    return StateLayout(renames=renames)


def _attention() -> dict[str, str]:
    renames = {}
    for part in ("query", "key"):
        renames[f"netG.atten_gen.atn_{part}_first"] = f"attention.{part}_first"
        for step in range(ATTENDED):
            renames[f"netG.atten_gen.atn_{part}_{step}"] = f"attention.{part}.{step}"
    return renames


def _encoder(shots: int | None, levels: int) -> dict[str, str]:
    """The older layout has an encoder for pictures and one for sketches, the newer one for both."""
    renames = {}
    for theirs, number, old, ours in (
        ("img", 1, "image", "image"),
        ("lmark", 2, "lmark", "sketch"),
    ):
        if shots is None:
            first, down = f"netG.{old}_encoder.conv1", f"netG.{old}_encoder.ref_down"
        else:
            first, down = f"netG.encoder.conv{number}", f"netG.encoder.ref_down_{theirs}"
            renames[f"netG.encoder.fusion{number}"] = f"encoder.{ours}_fusion"
            renames[f"netG.encoder.atten{number}"] = f"encoder.{ours}_all"
        renames[first] = f"encoder.{ours}_first"
        for step in range(levels - 1):
            renames[f"{down}_{step}"] = f"encoder.{ours}_down.{step}"
    if shots is not None:
        renames["netG.encoder.fusion"] = "encoder.fusion"
    return renames
