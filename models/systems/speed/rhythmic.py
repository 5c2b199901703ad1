"""`rhythmic` with everything computed for every frame, and with a person's references inside."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from visavis.models.systems.rhythmic import flow
from visavis.models.systems.rhythmic import generator as rhythmic
from visavis.models.systems.rhythmic.person import PersonGenerator, PersonReferences
from visavis.models.systems.speed.original_rhythmic import WholeGenerator
from visavis.models.systems.speed.workload import SIDE, Workload, drawn, examples, filled

__all__ = ["rhythmic_workloads"]


def rhythmic_workloads(shots: int) -> Callable[[int], Iterator[Workload]]:
    """Return what makes the networks with so many reference pictures, given a scale."""

    def make(scale: int) -> Iterator[Workload]:
        size = max(SIDE // scale, 64)
        widths = [width // scale for width in rhythmic.WIDTHS]
        flows = [width // scale for width in flow.FLOW_WIDTHS]
        generator = rhythmic.Generator(shots, widths, flow_widths=flows)
        filled(generator)
        references = PersonReferences(
            _smooth(shots, size),
            drawn((shots, 1, size, size)).round(),
            _smooth(shots, size),
            drawn((shots, 3)),
        )
        _tame(generator, references)
        whole = WholeGenerator(generator, references).eval()
        ours = PersonGenerator(generator, references).eval().requires_grad_(False)
        inputs: dict[str, tuple[int, ...]] = {"planes": (1, size, size)}
        if shots > 1:
            inputs["pose"] = (6,)
        _settle(generator.to_picture, lambda: ours(*examples(inputs, 1).values()))
        yield Workload(
            "picture",
            whole,
            ours,
            inputs,
            inputs,
            ("picture",),
            compared=WholeGenerator(generator, references, render=False).eval(),
            note=(
                "ours warps no rendered face, which the original may leave out, too; "
                "its motion is ours: no network from sound to landmarks was published"
            ),
        )

    return make


def _tame(generator: rhythmic.Generator, references: PersonReferences) -> None:
    """Let made weights be of a usual size: what they are made of is summed over all pixels."""
    encoder, maker = generator.encoder, generator.weight_maker
    with torch.no_grad():
        known = generator.references(references.images, references.sketches)
        shares = generator.attended(known, references.sketches[:1])
        matrices = generator.combination(*encoder(known, shares))
        for level in range(rhythmic.MADE):
            rows = matrices[level + 1]
            for heads in (maker.first, maker.second, maker.side, maker.embedding):
                head = heads[level]
                assert isinstance(head, nn.Sequential)
                last = head[-1]
                assert isinstance(last, nn.Linear)
                factor = 0.5 / (float(head(rows).std()) * maker.widths[level] ** 0.5)
                last.weight.mul_(factor)
                last.bias.mul_(factor)


def _settle(last: nn.Conv2d, run: Callable[[], object]) -> None:
    """Give the layer before a tanh a size at which that tells values apart."""
    seen: list[Tensor] = []
    hook = last.register_forward_hook(lambda _, __, made: seen.append(made))
    with torch.no_grad():
        run()
        hook.remove()
        factor = 1.0 / float(seen[0].std())
        last.weight.mul_(factor)
        if last.bias is not None:
            last.bias.mul_(factor)


def _smooth(count: int, size: int) -> Tensor:
    """Pictures f32[count, 3, S, S], -1 to 1, that a flow may move without tearing them."""
    coarse = drawn((count, 3, 4, 4)) * 2.0 - 1.0
    return nn.functional.interpolate(coarse, size=size, mode="bilinear", align_corners=True)
