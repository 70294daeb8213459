// Solutions of symmetric positive definite systems, as in jaxclnf/ops/gauss_newton.py.
#pragma once

#include <stdlib.h>

#include "kernels.h"
#include "vectors.h"

// Takes each unknown out of the equations below. What lies under the diagonal is not kept up: it would be what
// lies above it.
INLINE void eliminate(int k, int pitch, float* rows) {
  for (int i = 0; i < k; i++) {
    const float *pivot = rows + i * pitch, inverse = 1 / pivot[i];
    for (int r = i + 1; r < k; r++) {
      float* row = rows + r * pitch;
      const Vec factor = all(pivot[r] * inverse);
      for (int c = r / LANES * LANES; c < pitch; c += LANES) store(row + c, load(row + c) - factor * load(pivot + c));
    }
  }
}

INLINE void substitute(int k, int pitch, const float* rows, float* solution) {
  memset(solution, 0, sizeof(float) * pitch);
  for (int i = k - 1; i >= 0; i--) {
    const float* row = rows + i * pitch;
    Vec known = {0};
    for (int c = i / LANES * LANES; c < pitch; c += LANES) known += load(row + c) * load(solution + c);
    solution[i] = (row[k] - sum_across(known)) / row[i];
  }
}

static bool solve(const Systems* s) {
  const int k = s->k, pitch = (k + LANES) / LANES * LANES;
  float* rows = calloc((size_t)(k + 1) * pitch, sizeof(float));
  if (!rows) return false;
  for (int64_t i = 0; i < s->n; i++) {
    for (int r = 0; r < k; r++) {
      memcpy(rows + r * pitch, s->matrices + (i * k + r) * k, sizeof(float) * k);
      rows[r * pitch + k] = s->sides[i * k + r];
      // What the last system left there may be no number, which stays one when it is multiplied by 0.
      for (int c = k + 1; c < pitch; c++) rows[r * pitch + c] = 0;
    }
    eliminate(k, pitch, rows);
    substitute(k, pitch, rows, rows + k * pitch);
    memcpy(s->solutions + i * k, rows + k * pitch, sizeof(float) * k);
  }
  free(rows);
  return true;
}
