"""Does the tracker follow a face as OpenFace's does? Prints the figures of README.md beside it.

Needs OpenFace's general model, its sample videos and its dumped tracks in ../shared.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path

import cv2
import jax
import numpy as np

import jaxclnf
from jaxclnf.config import FitConfig
from jaxclnf.fitting.headpose import head_pose, weak_head_pose
from jaxclnf.media.detection import detect_faces, named_detector
from jaxclnf.media.images import to_grey
from jaxclnf.media.video_sources import open_video
from jaxclnf.tracking import TrackConfig, Tracked, TrackerState, step, wants_detections
from jaxclnf.tracking.host_loop import FrameLoop
from jaxclnf.tracking.smoothing import OFFLINE, ONLINE, Smoothing, smoothed
from jaxclnf.types import Camera, FaceParams, Model

SHARED = Path(__file__).resolve().parents[3] / "shared"
N_FRAMES = 200
TURNED = 17
"""Frame of multi_face.avi by which the man in front has turned to the camera."""

NONE = np.zeros((0, 4), np.float32)


def greys(name: str) -> list[np.ndarray]:
    video = open_video(str(SHARED / "samples" / name))
    return [to_grey(frame.rgb) for frame in islice(video.frames, N_FRAMES)]


def as_params(rigid: np.ndarray, shape: np.ndarray, dtype=np.float32) -> FaceParams:
    rigid = rigid.astype(dtype)
    return FaceParams(rigid[..., 0], rigid[..., 1:4], rigid[..., 4:6], shape.astype(dtype))


def as_users_get(model: Model, video: str, max_faces: int) -> list[list[Tracked]]:
    """What `jaxclnf track` says of each frame: its loop and its detector, on pictures in colour."""
    config = TrackConfig(model.settings, max_faces=max_faces)
    frames = islice(open_video(str(SHARED / "samples" / video)).frames, N_FRAMES)
    return [seen for _, seen in FrameLoop(model, config, named_detector(None)).run(frames)]


def landmarks(found: list[list[Tracked]]) -> list[dict[int, np.ndarray]]:
    """The landmarks of each face in each frame."""
    return [{t.face_id: np.asarray(t.result.landmarks) for t in seen if t.success} for seen in found]


def tracked(model: Model, config: TrackConfig, frames: list[np.ndarray]) -> list[dict[int, np.ndarray]]:
    """The landmarks that the tracker's steps give alone, from HOG's detections as OpenFace's are, on grey."""
    state, found = TrackerState(), []
    for grey in frames:
        wanted = wants_detections(config, state)
        boxes = detect_faces(np.stack([grey] * 3, -1), "hog").boxes if wanted else NONE
        state, seen = step(model, config, state, grey, boxes)
        found.append(seen)
    return landmarks(found)


def the_model_that_ships() -> None:
    """What users get of the sample videos, and what smoothing does to it."""
    model = jaxclnf.load_model()
    for video, max_faces in (("default.wmv", 1), ("multi_face.avi", 8)):
        found = as_users_get(model, video, max_faces)
        rough = landmarks(found)
        say_faces(f"{video}, the model that ships, as `jaxclnf track` follows", rough)
        if max_faces == 1 and all(rough):
            points = np.array([frame[0] for frame in rough])
            print(f"    acceleration {acceleration(points):.3f} px")
            whose_acceleration("default.wmv", greys(video), points)
            how_little_filters_leave(points)
            what_smoothing_keeps(model, found[100][0])
        if video == "multi_face.avi":
            who_turns = np.array([frame[1] for frame in rough[:TURNED] if 1 in frame])
            whose_acceleration(f"{video}, face 1, until he has turned", greys(video), who_turns)
        steadier(model, video, found)


def say_faces(what: str, rough: list[dict[int, np.ndarray]]) -> None:
    """Print the numbers of the faces, the frames in which each is seen, and its largest step between two."""
    ids = sorted({i for frame in rough for i in frame})
    print(f"{what}: {len(ids)} faces, {ids}")
    for i in ids:
        seen = [t + 1 for t, frame in enumerate(rough) if i in frame]
        middles = np.array([frame[i].mean(axis=0) for frame in rough if i in frame])
        jump = np.linalg.norm(np.diff(middles, axis=0), axis=1).max(initial=0)
        said = f"{len(seen)} of {len(rough)} frames from frame {seen[0]} on"
        print(f"    face {i}: {said}, largest step {jump:.1f} px")


def steadier(model: Model, video: str, found: list[list[Tracked]]) -> None:
    """Print what smoothing does to faces that are in view for long."""
    rough = landmarks(found)
    for i in sorted({i for frame in rough for i in frame}):
        run = longest_run([i in frame for frame in rough])
        if len(run) >= 60:
            print(f"{video}, face {i}, {len(run)} frames: {compared(model, found, i, run)}")


def compared(model: Model, found: list[list[Tracked]], face: int, run: range) -> str:
    """A face's acceleration without and with smoothing, how late that comes, and how far off."""
    rough = np.array([landmarks(found)[t][face] for t in run])
    said = f"acceleration {acceleration(rough):.3f} px"
    for name, how in (("online", ONLINE), ("offline", OFFLINE)):
        after = landmarks([seen for _, seen in smoothed(model, enumerate(found), how)])
        smooth = np.array([after[t][face] for t in run])
        share = acceleration(smooth) / acceleration(rough)
        off = np.sqrt(((smooth - rough) ** 2).sum(-1).mean())
        said += f"; {name} {share:.2f} of it, late by {lag(rough, smooth):.1f}, off by {off:.2f} px"
    return said


def bound(points: np.ndarray, look_ahead: int = 1, taps: int = 20, late: float = 1.0) -> tuple[float, float]:
    """The least share of the acceleration that fixed weights of frames leave, which come so much late.

    Also how far they put landmarks from where these were. Weights are of ``taps`` frames, the last of which
    is ``look_ahead`` frames ahead.
    """
    series, n = points.reshape(len(points), -1), len(points) - taps + 1
    frames = np.stack([series[taps - 1 - k :][:n] for k in range(taps)])
    bends = np.diff(frames, 2, axis=1).reshape(taps, -1)
    cost, ones, lags = bends @ bends.T, np.ones(taps), np.arange(taps) - look_ahead
    held = np.linalg.solve(cost, np.stack([ones, lags], 1))
    weights = held @ np.linalg.solve(np.stack([ones, lags]) @ held, [1.0, late])
    off = np.tensordot(weights, frames, 1) - frames[look_ahead]
    share = np.sqrt(weights @ cost @ weights / cost[look_ahead, look_ahead])
    return float(share), float(np.sqrt(2 * (off**2).mean()))


def motion_by_flow(frames: list[np.ndarray], points: np.ndarray) -> np.ndarray:
    """How the middle of the landmarks moves from frame to frame by the optical flow of the face alone."""
    moves = []
    for before, after, own in zip(frames[:-1], frames[1:], points.astype(np.float32), strict=False):
        face = cv2.fillConvexPoly(np.zeros_like(before), cv2.convexHull(own).astype(int), 255)
        corners = cv2.goodFeaturesToTrack(before, 200, 0.005, 3, mask=face)
        moved, ok, _ = cv2.calcOpticalFlowPyrLK(before, after, corners, None)
        back, also, _ = cv2.calcOpticalFlowPyrLK(after, before, moved, None)
        sure = (ok & also)[:, 0].astype(bool) & (np.abs(back - corners).max(axis=(1, 2)) < 0.5)
        to, _ = cv2.estimateAffinePartial2D(corners[sure], moved[sure], ransacReprojThreshold=2)
        moves.append((own @ to[:, :2].T + to[:, 2] - own).mean(axis=0))
    return np.array(moves)


LIDS, LIPS = [37, 38, 43, 44], [*range(6, 11), *range(55, 60), *range(65, 68)]


def what_smoothing_keeps(model: Model, still: Tracked) -> None:
    """Print the shares that smoothing keeps of what lids, lips and the head of a face are made to do."""
    points = np.asarray(still.result.landmarks)
    eyes, width = float(np.linalg.norm(points[36] - points[45])), float(np.ptp(points[:, 0]))
    time = np.arange(90)
    motions = {"a blink of 3 frames": (LIDS, [0, 1], 0.05 * eyes * ((time >= 40) & (time < 43)))}
    for period in (10, 6):
        opened = 0.05 * eyes * (1 - np.cos(2 * np.pi * time / period))
        motions[f"lips, every {period} frames"] = (LIPS, [0, 1], opened)
    for share, period in ((0.1, 15), (0.03, 10)):
        gone = share * width * np.sin(2 * np.pi * time / period)
        motions[f"the head, {share:.0%} of its width each way, every {period} frames"] = (
            slice(None),
            [1, 0],
            gone,
        )
    for motion, (which, way, by) in motions.items():
        frames = [(t, [moved(still, which, np.array(way) * step)]) for t, step in enumerate(by)]
        kept = [kept_by(model, frames, how, which, np.array(way), by) for how in (ONLINE, OFFLINE)]
        print(f"smoothing, {motion}: online keeps {kept[0]:.2f}, offline {kept[1]:.2f}")


def kept_by(model: Model, frames: list, how: Smoothing, which, way: np.ndarray, by: np.ndarray) -> float:
    """The range of some landmarks' motion in a direction that smoothing leaves, of that which there is."""
    seen = [
        np.asarray(faces[0].result.landmarks)[which].mean(axis=0) @ way
        for _, faces in smoothed(model, frames, how)
    ]
    return float(np.ptp(seen[20:-20]) / np.ptp(by[20:-20]))


def moved(face: Tracked, which: list[int] | slice, off: np.ndarray) -> Tracked:
    """A face some of whose landmarks are elsewhere; if all are, so is the head."""
    points = np.array(face.result.landmarks)
    points[which] += off
    params = face.result.params
    if which == slice(None):
        params = replace(params, translation=np.asarray(params.translation) + off.astype(np.float32))
    return face._replace(result=replace(face.result, landmarks=points, params=params))


def whose_acceleration(what: str, frames: list[np.ndarray], points: np.ndarray) -> None:
    """Print how much of the landmarks' acceleration is the face's own."""
    flow = np.diff(motion_by_flow(frames[: len(points)], points), axis=0)
    fits = np.diff(points.mean(axis=1), 2, axis=0)
    own, by_fits, apart = (np.sqrt((a**2).sum(-1).mean()) for a in (flow, fits, fits - flow))
    said = f"by fits {by_fits:.2f} px, by the pixels' flow {own:.2f}, their difference {apart:.2f}"
    print(f"{what}, acceleration of the landmarks' middle: {said}")


def how_little_filters_leave(points: np.ndarray) -> None:
    """Print how little of the acceleration any fixed weights of frames leave."""
    for late in (0.0, 1.0):
        share, off = bound(points, late=late)
        print(f"    20 frames weighed, late by {late:.0f}: at least {share:.2f} of it, off by {off:.1f} px")


def longest_run(there: list[bool]) -> range:
    """Of frames in a row."""
    ends = np.flatnonzero(np.diff([0, *there, 0])).reshape(-1, 2)
    start, end = max(ends, key=lambda pair: pair[1] - pair[0])
    return range(start, end)


def lag(rough: np.ndarray, smooth: np.ndarray) -> float:
    """Frames by which the rough landmarks must be delayed to be nearest to the smooth ones."""
    times = np.arange(len(rough))[3:-3]
    rough, smooth = (points.reshape(len(points), -1) for points in (rough, smooth))
    shifts = np.arange(-1, 3, 0.1)

    def apart(shift: float) -> float:
        late = [np.interp(times - shift, np.arange(len(rough)), column) for column in rough.T]
        return float(((np.array(late).T - smooth[3:-3]) ** 2).mean())

    return float(min(shifts, key=apart))


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
    for name, settings in (("OpenFace's settings", FitConfig.openface()), ("default settings", FitConfig())):
        found = tracked(model, TrackConfig(settings, max_faces=1), frames)
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
    say_faces("multi_face.avi, OpenFace's model and HOG", found)


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
    the_model_that_ships()


if __name__ == "__main__":
    main()
