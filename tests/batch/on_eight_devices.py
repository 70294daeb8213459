"""Run by test_devices.py in a process whose JAX sees eight CPU devices: prints what it found as JSON."""

from __future__ import annotations

import json
from contextlib import nullcontext

import jax
import numpy as np
from engine import box_of, quick_config, synthetic_face, synthetic_model
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from jaxclnf import fit, fit_batch, fit_faces
from jaxclnf.batch.devices import fit_sharded


def main() -> None:
    model, config = synthetic_model(np.float32), quick_config()
    faces = [synthetic_face(seed, np.float32) for seed in range(16)]
    images = np.stack([image for image, _ in faces])
    boxes = np.stack([box_of(model, params) for _, params in faces]).astype(np.float32)
    single = np.asarray(fit_batch(model, images, boxes, config).landmarks)
    sharded = fit_sharded(model, list(images), list(boxes), config).landmarks
    streamed = fit_faces(model, list(images[:11]), list(boxes[:11]), config)
    told = {
        "devices": jax.device_count(),
        "shards": sorted(shard.data.shape[0] for shard in sharded.addressable_shards),
        "sharded": float(np.abs(np.asarray(sharded) - single).max()),
        "streamed": float(np.abs(streamed.landmarks - single[:11]).max()),
        "status": streamed.status.tolist(),
    }
    try:
        fit_sharded(model, images[:9], boxes[:9], config)
    except ValueError as error:
        told["error"] = str(error)
    mesh = jax.make_mesh((8,), ("any",), axis_types=(AxisType.Explicit,))
    spread, their_boxes = jax.device_put((images, boxes), NamedSharding(mesh, PartitionSpec("any")))
    explicit = fit_batch(model, spread, their_boxes, config).landmarks
    told["explicit"] = float(np.abs(np.asarray(explicit) - single).max())
    told["explicit_shards"] = sorted(s.data.shape[0] for s in explicit.addressable_shards)
    told["explicit_errors"] = []
    for within, function in (
        (nullcontext(), jax.vmap(fit, (None, 0, 0, None))),
        (nullcontext(), jax.jit(fit_batch)),
        (jax.set_mesh(mesh), fit_batch),
    ):
        try:
            with within:
                function(model, spread, their_boxes, config)
        except ValueError as error:
            told["explicit_errors"].append(str(error))
    print(json.dumps(told))


if __name__ == "__main__":
    main()
