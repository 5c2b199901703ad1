"""Faces in single pictures, by MediaPipe. Runs in the interpreter of `track_faces.py`.

Use: `find_faces.py WIDTH HEIGHT < pictures`, where the pictures are raw rgb24, of any moments. Each
is answered by a line of JSON before the next one is read: a list of at most three faces, the
largest first; a face is a list of 468 points [x, y, z] in pixels; x right, y down, z away from the
camera.

Face Mesh alone overlooks faces with eyes nearer together than a sixteenth of the picture. So faces
are looked for in squares that overlap, by the detector for distant faces, and the mesh is laid on
what was found.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import mediapipe as mp
import numpy as np

MOST_FACES = 3
POINTS = 468  # of the mesh; ten more for the irises are not used
EYE_RIGHT, EYE_LEFT = 33, 263  # outer corners
AROUND = 1.2  # half a side of what the mesh is laid on, in widths of the face
SURE = 0.7  # a hand looks like a face at times: so sure must be what is found beside the surest


def squares(width: int, height: int) -> list[tuple[int, int, int]]:
    """Return left, top and side of squares that cover a picture, each half over the next."""
    side, longest = min(width, height), max(width, height)
    count = 1 + -(-2 * (longest - side) // side)
    starts = np.linspace(0, longest - side, count).astype(int).tolist()
    return [(s, 0, side) if width >= height else (0, s, side) for s in starts]


def boxes(detector: Any, picture: np.ndarray) -> list[tuple[float, float, float]]:
    """Return middle and width of the faces in a picture, the surest first, each once."""
    height, width = picture.shape[:2]
    found = []
    for left, top, side in squares(width, height):
        part = np.ascontiguousarray(picture[top : top + side, left : left + side])
        for face in detector.process(part).detections or []:
            box = face.location_data.relative_bounding_box
            x = left + (box.xmin + box.width / 2) * side
            y = top + (box.ymin + box.height / 2) * side
            found.append((face.score[0], x, y, box.width * side))
    kept: list[tuple[float, float, float]] = []
    for sure, x, y, size in sorted(found, reverse=True):
        apart = all(np.hypot(x - a, y - b) > 0.6 * max(size, c) for a, b, c in kept)
        if apart and (sure > SURE or not kept):
            kept.append((x, y, size))
    return kept[:MOST_FACES]


def mesh(finder: Any, picture: np.ndarray, x: float, y: float, size: float) -> np.ndarray | None:
    """Return the mesh of the face at a place, float64[468, 3]; None where it does not fit."""
    height, width = picture.shape[:2]
    left, top = int(max(x - AROUND * size, 0)), int(max(y - AROUND * size, 0))
    right, bottom = int(min(x + AROUND * size, width)), int(min(y + AROUND * size, height))
    part = np.ascontiguousarray(picture[top:bottom, left:right])
    if min(part.shape) == 0:
        return None
    faces = finder.process(part).multi_face_landmarks
    if not faces:
        return None
    points = np.array([(p.x, p.y, p.z) for p in faces[0].landmark[:POINTS]])
    return points * (right - left, bottom - top, right - left) + (left, top, 0)


def main() -> int:
    width, height = int(sys.argv[1]), int(sys.argv[2])
    size = width * height * 3
    detector = mp.solutions.face_detection.FaceDetection(model_selection=1)
    finder = mp.solutions.face_mesh.FaceMesh(
        static_image_mode=True, max_num_faces=1, refine_landmarks=True
    )
    while len(raw := sys.stdin.buffer.read(size)) == size:
        picture = np.frombuffer(raw, np.uint8).reshape(height, width, 3)
        meshes = (mesh(finder, picture, *box) for box in boxes(detector, picture))
        faces = [points for points in meshes if points is not None]
        faces.sort(key=lambda face: -np.linalg.norm(face[EYE_LEFT] - face[EYE_RIGHT]))
        print(json.dumps([face.round(2).tolist() for face in faces]), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
