// How a patch and its map lie in memory.
#pragma once

#include "kernels.h"
#include "vectors.h"

// A patch of `size` samples a side, and its map of `area` places, which are taken LANES at a time.
typedef struct {
  int window, support, size, n_samples, area, vectors;
} Layout;

INLINE Layout layout_of(const Maps* call) {
  const int window = call->window, size = window + call->support - 1, area = window * window;
  return (Layout){window, call->support, size, size * size, area, (area + LANES - 1) / LANES};
}
