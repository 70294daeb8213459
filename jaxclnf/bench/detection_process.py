"""Reads a photo and detects its faces in a separate process; prints the time that it took, as JSON.

    python -m jaxclnf.bench.detection_process PHOTO

The imports count, too: this is the work of `jaxclnf fit` beside JAX.
"""

import json
import sys
import time

start = time.perf_counter()


def main(path: str) -> None:
    from jaxclnf.media.detection import detect_faces
    from jaxclnf.media.images import read_photo

    detect_faces(read_photo(path))
    print(json.dumps({"seconds": time.perf_counter() - start}))


if __name__ == "__main__":
    main(sys.argv[1])
