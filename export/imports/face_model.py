"""The face model of an import, and whether what it gives may be given on."""

from __future__ import annotations

from visavis.engines.errors import ConfigError
from visavis.export.face_model_file import read_face_model
from visavis.export.imports.errors import ImportRefused
from visavis.export.imports.request import Request
from visavis.models.face_model import FaceModel

__all__ = ["read_face"]


def read_face(request: Request) -> tuple[FaceModel, str | None]:
    """Read the face model that a request names.

    Returns:
        the model, and why a person with it must not be given on. A model in which neither shape nor
        colour differs from person to person is of one person alone, and nobody else's; of every
        other it must be assumed that its licence forbids to give it on.

    Raises:
        ImportRefused: there is none, or it cannot be read.
    """
    if request.face_model is None:
        raise ImportRefused(
            f"{request.system} draws a face model: name BFM_model_front.mat, or one of that "
            "layout, with --face-model."
        )
    try:
        found = read_face_model(request.face_model, request.expression_model)
    except ConfigError as error:
        raise ImportRefused(str(error)) from error
    model = found.model
    if not bool(model.identity.any()) and not bool(model.colours.any()):
        return model, None
    return model, f"It holds the geometry of a licensed face model ({found.kind})."
