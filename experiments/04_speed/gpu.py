"""Faces per second on a GPU, by batch size, against what the card reaches; needs only jax, numpy, jaxtyping.

    python experiments/04_speed/gpu.py --out gpu.json

Without --model, a model of OpenFace's sizes is made from a seed, so that no licensed file need travel.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import jax
import numpy as np
from synthetic import synthetic_faces, synthetic_model

from jaxclnf import fit_batch, load_model
from jaxclnf.bench.cases import CONFIGS, OPENFACE, OURS, SHIPPED, WILD, fit_cases, stage_cases, tracking_case
from jaxclnf.bench.counted_work import ceilings, fit_work
from jaxclnf.bench.timing import Case, time_cases
from jaxclnf.config import FitConfig
from jaxclnf.fitting.suited_settings import windows_on_networks
from jaxclnf.models.network_presets import settings_for
from jaxclnf.types import Model

N_IMAGES = 256


def main() -> None:
    options = _options()
    device = jax.devices()[0]
    windows = (11, 9, 7) if options.quick else (15, 11, 9, 7)
    model = load_model(options.model) if options.model else synthetic_model(windows)
    if windows_on_networks(model, CONFIGS[OPENFACE]):
        raise SystemExit(
            f"{options.model} has networks: expected a model of patch experts, whose fits are timed"
        )
    images, boxes = synthetic_faces(model, N_IMAGES, options.side)
    report = {"device": device.device_kind, "platform": device.platform, "jax": jax.__version__}
    report |= {"model": model.provenance.name, "image": [options.side, options.side], "dtype": "uint8"}
    print(*(f"{key}: {value}" for key, value in report.items()), sep="\n", flush=True)

    report["landmarks"] = _compared(model, images, boxes)
    figures = time_cases(_cases(model, images, boxes, options), options.rounds)
    report["figures"] = [{**f._asdict(), "faces_per_second": f.faces_per_second} for f in figures]
    for f in figures:
        print(
            f"{f.group:<50}{f.name:<18}{1e3 * f.wall_ms:>10.2f} us/face {f.faces_per_second:>12,.0f} faces/s"
        )
    report["roofline"] = _roofline(model, max(f.faces_per_second for f in figures if OPENFACE in f.group))
    print(*(f"{key}: {value:,.4g}" for key, value in report["roofline"].items()), sep="\n")
    if options.out:
        options.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


def _compared(model: Model, images: np.ndarray, boxes: np.ndarray) -> dict[str, dict[str, float]]:
    """Print how far landmarks on this device lie from those on the CPU, by each kind of fit."""
    shipped = load_model()
    kinds = {OPENFACE: (model, CONFIGS[OPENFACE])}
    kinds |= {name: (shipped, settings_for(shipped, preset)) for preset, name in SHIPPED.items()}
    apart = {}
    for name, (own, config) in kinds.items():
        apart[name] = _distances(own, images, boxes, config)
        print(f"{name}: landmarks, GPU from CPU float32, pixels:", apart[name], flush=True)
    return apart


def _cases(model: Model, images: np.ndarray, boxes: np.ndarray, options: argparse.Namespace) -> list[Case]:
    """The fits that are timed, and their stages."""
    cases = fit_cases(model, images, boxes, OPENFACE, options.batches, from_host=False)
    cases += fit_cases(model, images, boxes, OPENFACE, options.batches[-1:], from_host=True)
    shipped = jax.device_put(load_model())
    for preset, name in SHIPPED.items():
        own = settings_for(shipped, preset)
        cases += fit_cases(shipped, images, boxes, name, options.batches, from_host=False, config=own)
    if options.quick:
        return cases
    for name in (OURS, WILD):
        cases += fit_cases(model, images, boxes, name, [n for n in options.batches if n <= 1024], False)
    cases += [tracking_case(model, images, boxes)]
    return cases + stage_cases(model, images, boxes, options.batches[-1])


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", help="a converted .npz of patch experts")
    parser.add_argument("--batches", type=_numbers, default=(1, 16, 64, 256, 1024, 4096))
    parser.add_argument("--side", type=int, default=256, help="of the square images, in pixels")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--quick", action="store_true", help="OpenFace's default settings alone")
    parser.add_argument("--out", type=Path, help="JSON file of the figures")
    return parser.parse_args()


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(sorted(int(part) for part in text.split(",")))


def _distances(model: Model, images: np.ndarray, boxes: np.ndarray, config: FitConfig) -> dict[str, float]:
    """How far landmarks on this device lie from those on the CPU."""
    cpu = jax.devices("cpu")[0]
    found = []
    for device in (jax.devices()[0], cpu):
        arguments = jax.device_put((model, images, boxes, config), device)
        found.append(np.asarray(fit_batch(*arguments).landmarks))
    distance = np.linalg.norm(found[0] - found[1], axis=-1)
    kinds = {"median": np.median, "95 %": lambda d: np.percentile(d, 95), "largest": np.max}
    return {name: float(of(distance)) for name, of in kinds.items()} | {"faces": len(images)}


def _roofline(model: Model, faces_per_second: float) -> dict[str, float]:
    work = fit_work(model, CONFIGS[OPENFACE])
    plain = ceilings(size=8192, copied=1 << 30)
    fast = ceilings(size=8192, copied=1 << 30, precision="default").operations
    return {
        "float32 matrix product, operations a second": plain.operations,
        "default-precision matrix product, operations a second": fast,
        "copy, bytes a second": plain.bytes,
        "operations a face": work.performed,
        "useful operations a face": work.useful,
        "bytes a face": work.bytes,
        "best faces a second": faces_per_second,
        "share of the float32 product": faces_per_second * work.performed / plain.operations,
        "share of the default-precision product": faces_per_second * work.performed / fast,
        "share of the copy": faces_per_second * work.bytes / plain.bytes,
    }


if __name__ == "__main__":
    main()
