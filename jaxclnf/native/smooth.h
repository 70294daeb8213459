// Smoothing of response maps by the random field, as in jaxclnf/ops/ccnf.py.
#pragma once

#include "vectors.h"

#define SHARED 8  // maps that share a pass over a smoothing matrix
#if LANES == 16 || defined(__aarch64__)
#define COLUMNS 3  // vectors of its columns that do: what fits the registers
#else
#define COLUMNS 1
#endif

INLINE void smooth_columns(const float* sigma, int area, int first, int vectors, const float* maps, int n, int pitch,
                           float* smoothed) {
  Vec sums[SHARED][COLUMNS] = {{{0}}};
  for (int j = 0; j < area; j++) {
    const float* row = sigma + j * area + first;
    for (int b = 0; b < vectors; b++)
      for (int i = 0; i < n; i++) sums[i][b] += maps[i * pitch + j] * load(row + b * LANES);
  }
  for (int i = 0; i < n; i++)
    for (int b = 0; b < vectors; b++) store(smoothed + i * pitch + first + b * LANES, sums[i][b]);
}

// The last columns come with some before them: no load may leave the matrix.
INLINE void smooth_by(const float* sigma, int area, int vectors, const float* maps, int n, int pitch, float* smoothed) {
  const int step = vectors * LANES;
  for (int first = 0; first < area; first += step)
    smooth_columns(sigma, area, first + step <= area ? first : area - step, vectors, maps, n, pitch, smoothed);
}

INLINE void smooth_n(const float* sigma, int area, const float* maps, int n, int pitch, float* smoothed) {
  if (area >= COLUMNS * LANES) {
    smooth_by(sigma, area, COLUMNS, maps, n, pitch, smoothed);
  } else if (area >= LANES) {
    smooth_by(sigma, area, 1, maps, n, pitch, smoothed);
  } else {
    for (int i = 0; i < n * area; i++) {
      float sum = 0;
      for (int j = 0; j < area; j++) sum += sigma[i % area * area + j] * maps[i / area * pitch + j];
      smoothed[i / area * pitch + i % area] = sum;
    }
  }
}

// `n` maps, `pitch` floats apart, times a symmetric matrix.
static void smooth(const float* sigma, int area, const float* maps, int n, int pitch, float* smoothed) {
  switch (n) {
    case 1: smooth_n(sigma, area, maps, 1, pitch, smoothed); break;
    case 2: smooth_n(sigma, area, maps, 2, pitch, smoothed); break;
    case 3: smooth_n(sigma, area, maps, 3, pitch, smoothed); break;
    case 4: smooth_n(sigma, area, maps, 4, pitch, smoothed); break;
    case 5: smooth_n(sigma, area, maps, 5, pitch, smoothed); break;
    case 6: smooth_n(sigma, area, maps, 6, pitch, smoothed); break;
    case 7: smooth_n(sigma, area, maps, 7, pitch, smoothed); break;
    default: smooth_n(sigma, area, maps, SHARED, pitch, smoothed);
  }
}

// Subtracts the least value where it is negative; a map with a value that is no number has no other.
static void lift(const float* map, int area, float* lifted) {
  float least = 0;
  const float sum = sum_of(map, area);
  for (int i = 0; i < area; i++) least = map[i] < least ? map[i] : least;
  if (sum != sum) least = sum;
  for (int i = 0; i < area; i++) lifted[i] = map[i] - least;
}
