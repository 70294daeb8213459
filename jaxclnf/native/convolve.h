// Convolutions of planes of channels, as in jaxclnf/ops/conv_network.py.
//
// A plane has its channels side by side and zeros round it, so that a kernel's row meets one run of numbers and never
// the border. A tile of places by vectors of output channels stays in registers while a kernel passes over it.
#pragma once

#include "kernels.h"
#include "vectors.h"

#if LANES == 16
#define WIDE 8  // places of a tile, with two vectors of channels; in narrow planes fewer, with more vectors
#define NARROW 4
#define VECTORS_MOST 4
#else
#define WIDE 4
#define NARROW 2
#define VECTORS_MOST 4
#endif

typedef struct {
  float* at;  // (side + 2 halo)**2 places of `channels`
  int side, halo, channels;
} Plane;

INLINE int row_of(const Plane* p) { return (p->side + 2 * p->halo) * p->channels; }

INLINE float* place(const Plane* p, int y, int x) {
  return p->at + (y + p->halo) * row_of(p) + (x + p->halo) * p->channels;
}

INLINE int64_t floats_of(const Plane* p) { return (int64_t)row_of(p) * (p->side + 2 * p->halo); }

// What becomes of a layer's sums: added to another plane's numbers, or not; through the activation, or not.
typedef struct {
  const Plane* added;
  bool activated;
} Finish;

INLINE Vec silu(Vec x) { return x / (1.f + exponential(at_most(at_least(-x, -87.f), 87.f))); }

INLINE void put(Vec sum, const Finish* finish, const float* added, float* to) {
  if (added) sum += load(added);
  store(to, finish->activated ? silu(sum) : sum);
}

INLINE void tile(const Layer* l, const float* from, int row, int step, int first, int places, int vectors,
                 const Finish* finish, const float* added, float* to) {
  Vec sums[WIDE][VECTORS_MOST];
  const int reach = l->side * l->n_in;
  for (int p = 0; p < places; p++)
    for (int v = 0; v < vectors; v++) sums[p][v] = load(l->bias + first + v * LANES);
  const float* weights = l->kernel + first;
  for (int i = 0; i < l->side; i++, from += row) {
    for (int j = 0; j < reach; j++, weights += l->n_out) {
      Vec weight[VECTORS_MOST];
      for (int v = 0; v < vectors; v++) weight[v] = load(weights + v * LANES);
      for (int p = 0; p < places; p++)
        for (int v = 0; v < vectors; v++) sums[p][v] += from[p * step + j] * weight[v];
    }
  }
  for (int p = 0; p < places; p++, to += l->n_out)
    for (int v = 0; v < vectors; v++) {
      const int at = first + v * LANES;
      put(sums[p][v], finish, added ? added + p * l->n_out + at : NULL, to + at);
    }
}

// All places of a plane, for so many output channels from `first` on.
INLINE void sweep(const Layer* l, const Plane* in, const Plane* out, int stride, int first, int places, int vectors,
                  const Finish* finish) {
  const int before = (l->side - stride) / 2;
  for (int y = 0; y < out->side; y++)
    for (int x = 0; x < out->side; x += places) {
      const float* from = place(in, y * stride - before, x * stride - before);
      const float* added = finish->added ? place(finish->added, y, x) : NULL;
      tile(l, from, row_of(in), stride * in->channels, first, places, vectors, finish, added, place(out, y, x));
    }
}

// As many output channels as fit a tile of so many places, from `first` on; returns the first that is left.
INLINE int sweeps(const Layer* l, const Plane* in, const Plane* out, int stride, int first, int places, int vectors,
                  const Finish* finish) {
  for (; first + vectors * LANES <= l->n_out; first += vectors * LANES)
    sweep(l, in, out, stride, first, places, vectors, finish);
  return first;
}

// `out` may be the plane that is added.
static void convolve(const Layer* l, const Plane* in, const Plane* out, int stride, Finish finish) {
  int first = 0;
  if (out->side % WIDE == 0) {
    first = sweeps(l, in, out, stride, first, WIDE, 2, &finish);
    sweeps(l, in, out, stride, first, WIDE, 1, &finish);
  } else if (out->side % NARROW == 0) {
    first = sweeps(l, in, out, stride, first, NARROW, 4, &finish);
    first = sweeps(l, in, out, stride, first, NARROW, 2, &finish);
    sweeps(l, in, out, stride, first, NARROW, 1, &finish);
  } else {
    sweeps(l, in, out, stride, first, 1, 1, &finish);
  }
}
