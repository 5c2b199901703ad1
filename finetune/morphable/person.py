"""A person's geometry with the user's face model, and what is kept of the fit.

The folder `face_model/` holds fit.npz (coefficients of the model), about.json (figures) and the
pictures for the report. It stays with the user: none of it goes into the person file.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from visavis.export.face_model_file import FaceModelFile
from visavis.finetune.geometry import Geometry
from visavis.finetune.ingest import Ingested
from visavis.finetune.morphable.fit import fit_model
from visavis.finetune.morphable.result import geometry_of
from visavis.finetune.report.fitted import fit_strip, write_strip
from visavis.finetune.track import Track
from visavis.finetune.workplace import Workplace, write_json

__all__ = ["FOLDER", "fitted_geometry", "marked", "noted"]

FOLDER = "face_model"
ABOUT = "about.json"


def fitted_geometry(
    place: Workplace,
    clip: Ingested,
    track: Track,
    face_model: FaceModelFile,
    say: Callable[[str], None],
) -> Geometry:
    """Fit the model to the clip, keep what was found, and return the geometry.

    Raises:
        PersonFileError: the model cannot be laid onto the face.
    """
    fit = fit_model(
        face_model.model,
        clip.frames,
        track,
        cuts=clip.cuts,
        device=place.settings.device,
        say=say,
    )
    geometry = geometry_of(fit, track, cuts=clip.cuts)
    with place.new_folder(FOLDER) as partial:
        motion = fit.motion
        np.savez(
            partial / "fit.npz",
            identity=fit.identity,
            colours=fit.look.colours,
            key=fit.key,
            expression=motion.expression,
            light=motion.light,
            rotation=motion.poses.rotation,
            scale=motion.poses.scale,
            shift=motion.poses.shift,
        )
        strip = fit_strip(face_model.model, fit, clip.frames, geometry, track.triangles)
        write_strip(strip, partial)
        write_json(partial / ABOUT, {**_named(face_model), **fit.figures})
    return geometry


def marked(
    about: Mapping[str, Any], notices: str, face_model: FaceModelFile
) -> tuple[dict[str, Any], str]:
    """Return `about` and `notices` of a person that was made with a model.

    What is baked are points of one person and how they moved. But the movements are combinations
    of the model's components, so whoever passes the file on must be told to look at its licence.
    """
    made_by = {
        **about["made_by"],
        "face_model": {
            **_named(face_model),
            "baked": "shape and components at the person's own points; no basis of the model",
        },
    }
    notice = (
        f"Shape and movement of the face were fitted with a face model ({face_model.kind}) that "
        "has a licence of its own; look at its terms before you pass this file on."
    )
    return {**about, "made_by": made_by, "contains_licensed": True}, f"{notices}\n{notice}"


def _named(face_model: FaceModelFile) -> dict[str, Any]:
    return {"kind": face_model.kind, "sha256": dict(face_model.sha256)}


def noted(root: Path) -> Mapping[str, Any]:
    """What the report says of the fit: nothing where no model was used."""
    path = root / FOLDER / ABOUT
    return {"face_model": json.loads(path.read_text("utf-8"))} if path.exists() else {}
