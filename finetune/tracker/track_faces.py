"""Face landmarks of a video, by MediaPipe Face Mesh. Runs in an interpreter of its own.

MediaPipe 0.10.21 is the last release that carries its models in the wheel, and it needs numpy below
2; visavis needs numpy 2. So this file imports nothing of visavis, and `visavis.finetune.track`
starts it with the Python of an environment made from the `requirements.txt` beside it.

Use: `track_faces.py WIDTH HEIGHT OUT.npz < frames`, where the frames are raw rgb24. It writes
  landmarks  float32[N, 468, 3]  pixels; x right, y down, z away from the camera, nan where no face
  triangles  int32[852, 3]       the mesh, with holes at the eyes and between the lips
"""

from __future__ import annotations

import sys
from collections import Counter
from itertools import combinations

import mediapipe as mp
import numpy as np

POINTS = 468  # of the mesh; ten more for the irises are not used


def triangles(connections: frozenset[tuple[int, int]], shape: np.ndarray) -> np.ndarray:
    """Return the triangles of the mesh, which MediaPipe publishes as edges alone.

    These are all cycles of three edges but for two, which go around other triangles: each of their
    edges belongs to three cycles, where an edge of the mesh has two sides at most.

    Args:
        connections: the edges.
        shape: float[468, 2+], the mesh seen from the front, to give all triangles one direction.
    """
    around: dict[int, set[int]] = {}
    for a, b in connections:
        around.setdefault(a, set()).add(b)
        around.setdefault(b, set()).add(a)
    cycles = sorted(
        (a, b, c)
        for a, near in around.items()
        for b, c in combinations(sorted(n for n in near if n > a), 2)
        if c in around[b]
    )
    sides = Counter(edge for cycle in cycles for edge in combinations(cycle, 2))
    faces = []
    for a, b, c in cycles:
        if min(sides[edge] for edge in combinations((a, b, c), 2)) > 2:
            continue
        (ux, uy), (vx, vy) = shape[b, :2] - shape[a, :2], shape[c, :2] - shape[a, :2]
        faces.append((a, b, c) if ux * vy > uy * vx else (a, c, b))
    return np.array(faces, np.int32)


def main() -> int:
    width, height, out = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    face_mesh = mp.solutions.face_mesh
    landmarks = []
    with face_mesh.FaceMesh(max_num_faces=1, refine_landmarks=True) as tracker:
        while len(raw := sys.stdin.buffer.read(width * height * 3)) == width * height * 3:
            frame = np.frombuffer(raw, np.uint8).reshape(height, width, 3)
            faces = tracker.process(frame).multi_face_landmarks
            points = np.full((POINTS, 3), np.nan)
            if faces:
                points = np.array([(p.x, p.y, p.z) for p in faces[0].landmark[:POINTS]])
                points *= (width, height, width)
            landmarks.append(points)
    if not landmarks:
        sys.exit("no frames came in")
    track = np.array(landmarks, np.float32)
    front = np.nanmean(track, axis=0)
    if np.isnan(front).any():
        sys.exit("no face was found in any frame")
    np.savez(out, landmarks=track, triangles=triangles(face_mesh.FACEMESH_TESSELATION, front))
    return 0


if __name__ == "__main__":
    sys.exit(main())
