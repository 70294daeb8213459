"""Streams many small crops through fit_stream and tells what memory it has held so far: see README.md."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from itertools import islice

import numpy as np
from synthetic import synthetic_faces, synthetic_model

from jaxclnf import FitConfig, fit_stream, load_model
from jaxclnf.bench.fit_process import peak_bytes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--faces", type=int, default=100_000)
    parser.add_argument("--side", type=int, default=128, help="of the square crops, in pixels")
    parser.add_argument("--model", help="a converted .npz; without it, one of its sizes from a seed")
    options = parser.parse_args()
    model = load_model(options.model) if options.model else synthetic_model()
    images, boxes = synthetic_faces(model, 64, options.side)
    results = fit_stream(model, _crops(images, boxes, options.faces), FitConfig.openface())
    every, done, start = max(options.faces // 10, 1), 0, time.perf_counter()
    while part := sum(1 for _ in islice(results, every)):
        done += part
        peak = peak_bytes()
        held = f"{peak / 1e6:,.0f} MB" if peak else "an unknown number of MB"
        print(
            f"{done} faces, {done / (time.perf_counter() - start):,.0f} a second; at most {held}", flush=True
        )


def _crops(images: np.ndarray, boxes: np.ndarray, n: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for i in range(n):
        yield images[i % len(images)].copy(), boxes[i % len(boxes)]


if __name__ == "__main__":
    main()
