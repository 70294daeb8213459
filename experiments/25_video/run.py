"""Does the tracker follow a face as OpenFace's does? Prints the figures of README.md beside it.

Needs OpenFace's general model, its sample videos and its dumped tracks in ../shared.
"""

from __future__ import annotations

from functools import partial
from itertools import islice
from pathlib import Path

import jax
import numpy as np

import jaxclnf
from jaxclnf.fitting.headpose import head_pose, weak_head_pose
from jaxclnf.media.detection import detect_faces
from jaxclnf.media.images import to_grey
from jaxclnf.media.video import open_video
from jaxclnf.tracking import TrackConfig, TrackerState, step, wants_detections
from jaxclnf.types import Camera, FaceParams, FitConfig, Model

SHARED = Path(__file__).resolve().parents[3] / "shared"
N_FRAMES = 200
NONE = np.zeros((0, 4), np.float32)


def greys(name: str) -> list[np.ndarray]:
    video = open_video(str(SHARED / "samples" / name))
    return [to_grey(frame.rgb) for frame in islice(video.frames, N_FRAMES)]


def as_params(rigid: np.ndarray, shape: np.ndarray, dtype=np.float32) -> FaceParams:
    rigid = rigid.astype(dtype)
    return FaceParams(rigid[..., 0], rigid[..., 1:4], rigid[..., 4:6], shape.astype(dtype))


def tracked(model: Model, config: TrackConfig, frames: list[np.ndarray]) -> list[dict[int, np.ndarray]]:
    """The landmarks of each face in each frame."""
    state, found = TrackerState(), []
    for grey in frames:
        boxes = detect_faces(grey, "hog").boxes if wants_detections(config, state) else NONE
        state, seen = step(model, config, state, grey, boxes)
        found.append({t.face_id: np.asarray(t.result.landmarks) for t in seen if t.success})
    return found


def distances(ours: np.ndarray, theirs: np.ndarray) -> str:
    mean = np.linalg.norm(ours - theirs, axis=-1).mean(axis=1)
    return f"median {np.median(mean):.5f}, 95 % {np.quantile(mean, 0.95):.5f}, largest {mean.max():.5f} px"


def acceleration(points: np.ndarray) -> float:
    """Root mean square of the landmarks' second differences, pixels a frame squared."""
    return float(np.sqrt((np.diff(points, 2, axis=0) ** 2).sum(axis=-1).mean()))


def against_the_main_model(model: Model) -> None:
    arrays = np.load(SHARED / "golden" / "video_main_golden.npz")
    theirs = arrays["default/landmarks"].reshape(N_FRAMES, 2, 68).transpose(0, 2, 1)
    params = as_params(arrays["default/params_global"], arrays["default/params_local"])
    frames = greys("default.wmv")
    config = FitConfig.openface().tracking()
    forced = [
        jaxclnf.fit_from(model, frames[t], jax.tree.map(lambda a, t=t: a[t - 1], params), config).landmarks
        for t in range(1, N_FRAMES)
    ]
    print(f"default.wmv, each frame from OpenFace's frame before: {distances(np.array(forced), theirs[1:])}")
    own = jaxclnf.load_model()
    for name, followed, settings in (
        ("OpenFace's settings", model, FitConfig.openface()),
        ("default settings", model, FitConfig()),
        ("the model that ships", own, own.settings),
    ):
        found = tracked(followed, TrackConfig(settings, max_faces=1), frames)
        lost = sum(not frame for frame in found)
        ours = np.array([frame[0] for frame in found if frame])
        print(f"default.wmv, {name}: {N_FRAMES - lost} of {N_FRAMES} frames succeed")
        if not lost:
            print(f"    from OpenFace's track: {distances(ours, theirs)}")
            print(f"    acceleration {acceleration(ours):.3f} px, OpenFace's {acceleration(theirs):.3f} px")


def head_poses(model: Model) -> None:
    arrays = np.load(SHARED / "golden" / "video_golden.npz")
    with jax.enable_x64(True):
        pdm = model.pdm.__class__(*(np.asarray(a, np.float64) for a in jax.tree.leaves(model.pdm)))
        for name in ("default", "multi_face"):
            rigid, shape = arrays[f"{name}/params_global"], arrays[f"{name}/params_local"]
            params = as_params(rigid, shape, np.float64)
            camera = Camera.default(*map(float, arrays[f"{name}/width_height"]))
            camera = jax.tree.map(np.float64, camera)
            weak = jax.vmap(partial(weak_head_pose, camera=camera))(params)
            ours = np.concatenate([weak.translation, weak.rotation], axis=1)
            theirs = arrays[f"{name}/pose_camera"]
            error = np.abs(ours - theirs).max(axis=0) / np.abs(theirs).max(axis=0)
            full = jax.jit(jax.vmap(lambda p: head_pose(pdm, p, camera)))(params)  # noqa: B023
            apart = np.abs(full.translation - arrays[f"{name}/pose_corrected_world"][:, :3]).max()
            print(f"{name}: camera pose {error.max():.1e} relative, refined {apart:.1e} mm from solvePnP's")


def many_faces(model: Model) -> None:
    found = tracked(model, TrackConfig(FitConfig()), greys("multi_face.avi"))
    ids = sorted({i for frame in found for i in frame})
    print(f"multi_face.avi: faces {ids}")
    for i in ids:
        middles = np.array([frame[i].mean(axis=0) for frame in found if i in frame])
        jump = np.linalg.norm(np.diff(middles, axis=0), axis=1).max()
        print(f"    face {i}: {len(middles)} frames, largest step between two {jump:.1f} px")


def a_still_photo(model: Model) -> None:
    frame = greys("default.wmv")[0]
    for name, settings in (("OpenFace's settings", FitConfig.openface()), ("default settings", FitConfig())):
        found = tracked(model, TrackConfig(settings, max_faces=1), [frame] * 100)
        points = np.array([frame[0] for frame in found])
        moves = np.abs(np.diff(points, axis=0)).max(axis=(1, 2))
        steps = f"largest step {moves.max():.4f} px, after the 50th {moves[49:].max():.4f} px"
        print(f"one frame 100 times, {name}: {steps}")
        print(f"    from the first to the last {np.abs(points[-1] - points[0]).max():.4f} px")


def main() -> None:
    model = jaxclnf.convert_openface(SHARED / "openface" / "model" / "main_clnf_general.txt")
    against_the_main_model(model)
    a_still_photo(model)
    many_faces(model)
    head_poses(model)


if __name__ == "__main__":
    main()
