// Sums of the neurons' activations on a patch, as in jaxclnf/ops/ccnf.py.
#pragma once

#include <float.h>
#include <math.h>

#include "patch.h"

#define MIN_ALPHA 1e-4f  // neurons of less are left out
#define TOGETHER 8       // neurons that share a pass over the patch
#if LANES == 16 || defined(__aarch64__)
#define VECTORS 3  // of places that do: what fits the registers
#else
#define VECTORS 1
#endif
#define STEEPEST 40.f  // beyond which the logistic function is 0 or 1 to a float, and e**x squared still finite

// The neurons of a landmark, weight by weight of all of them.
typedef struct {
  float *weights, *gain, *steepness, *offset;  // support**2 by stride; n
  float* centred;                              // support**2, to work in
  int n, stride;
} Expert;

static void lay_out(const Maps* call, int64_t expert, Expert* e) {
  const int taps = call->support * call->support;
  e->n = 0, e->stride = call->n_neurons;
  for (int64_t neuron = expert * call->n_neurons; neuron < (expert + 1) * call->n_neurons; neuron++) {
    if (!(call->alpha[neuron] > MIN_ALPHA)) continue;
    const float* weights = call->weights + neuron * taps;
    const float mean = sum_of(weights, taps) / taps;
    for (int t = 0; t < taps; t++) e->centred[t] = weights[t] - mean;
    const float squares = squares_of(e->centred, taps), scale = squares > 0 ? 1 / sqrtf(squares) : 1;
    for (int t = 0; t < taps; t++) e->weights[t * e->stride + e->n] = e->centred[t] * scale;
    e->gain[e->n] = 2 * call->alpha[neuron];
    e->steepness[e->n] = call->norm_weights[neuron];
    e->offset[e->n++] = call->bias[neuron];
  }
}

INLINE int shifted_size(const Layout* l) { return (l->size * l->window + 2 * LANES) / LANES * LANES; }

// Sums over `support` rows from every row of the map on, of LANES columns and of their squares. The rows below
// an anchor and those above it are added up once for all windows that hold them.
INLINE void column_sums(const Layout* l, const float* patch, int wide, float* sums, float* squares) {
  for (int first = 0; first < l->window; first += l->support) {
    const int anchor = first + l->support - 1, last = anchor < l->window ? anchor : l->window - 1;
    Vec sum = {0}, square = {0};
    for (int row = anchor; row >= first; row--) {
      const Vec v = load(patch + row * l->size);
      sum += v, square += v * v;
      if (row <= last) store(sums + row * wide, sum), store(squares + row * wide, square);
    }
    sum = square = (Vec){0};
    for (int row = first + 1; row <= last; row++) {
      const Vec v = load(patch + (row + l->support - 1) * l->size);
      sum += v, square += v * v;
      store(sums + row * wide, load(sums + row * wide) + sum);
      store(squares + row * wide, load(squares + row * wide) + square);
    }
  }
}

// 1 / the norm of every window about its mean; 0 where it is flat but for rounding.
static void inverse_norms(const Layout* l, const float* patch, float* sums, float* squares, float* norms) {
  const int n = l->support * l->support, wide = (l->size + LANES - 1) / LANES * LANES;
  for (int c = 0; c < wide; c += LANES) column_sums(l, patch + c, wide, sums + c, squares + c);
  const float noise = 8 * FLT_EPSILON * n * (squares_of(patch, l->n_samples) / l->n_samples);
  for (int row = 0; row < l->window; row++) {
    for (int first = 0; first < l->window; first += LANES) {
      Vec sum = {0}, square = {0}, inverse;
      for (int c = first; c < first + l->support; c++) {
        sum += load(sums + row * wide + c), square += load(squares + row * wide + c);
      }
      const Vec variance = square - sum * sum * (1.f / n);
      for (int k = 0; k < LANES; k++) inverse[k] = 1 / sqrtf(variance[k]);
      // What goes beyond the row is overwritten by the next one.
      store(norms + row * l->window + first, where(variance <= noise, (Vec){0}, inverse));
    }
  }
}

// For every column of the neurons the samples that it meets, as many in a row as the map has places: then any
// places of the map that follow one another meet samples that do.
static void shift(const Layout* l, const float* patch, float* shifted) {
  for (int j = 0; j < l->support; j++) {
    float* to = shifted + j * shifted_size(l);
    for (int row = 0; row < l->size; row++)
      for (int c = 0; c < l->window; c += LANES)
        store(to + row * l->window + c, load(patch + row * l->size + j + c));
  }
}

INLINE Vec denominator(const Expert* e, int neuron, Vec ncc) {
  const Vec x = e->steepness[neuron] * at_most(at_least(ncc, -1), 1) + e->offset[neuron];
  return 1.f + exponential(at_most(at_least(-x, -STEEPEST), STEEPEST));
}

// Adds the activations of `neurons` neurons from `first` on, in `vectors` vectors of the map; both numbers are known
// when compiled.
INLINE void add_activations(const Layout* l, const Expert* e, int first, int neurons, int place, int vectors,
                            const float* shifted, const float* norms, float* map) {
  Vec sums[VECTORS][TOGETHER] = {{{0}}};
  const float* weights = e->weights + first;
  for (int i = 0; i < l->support; i++) {
    const float* at = shifted + i * l->window + place;
    for (int j = 0; j < l->support; j++, weights += e->stride, at += shifted_size(l)) {
      for (int k = 0; k < neurons; k++)
        for (int v = 0; v < vectors; v++) sums[v][k] += load(at + v * LANES) * weights[k];
    }
  }
  for (int v = 0; v < vectors; v++, place += LANES) {
    const Vec norm = load(norms + place);
    Vec sum = load(map + place);
    for (int k = 0; k + 1 < neurons; k += 2) {  // one division for two
      const Vec a = denominator(e, first + k, sums[v][k] * norm);
      const Vec b = denominator(e, first + k + 1, sums[v][k + 1] * norm);
      sum += (e->gain[first + k] * b + e->gain[first + k + 1] * a) / (a * b);
    }
    if (neurons % 2) sum += e->gain[first + neurons - 1] / denominator(e, first + neurons - 1, sums[v][neurons - 1] * norm);
    store(map + place, sum);
  }
}

INLINE void add_neurons(const Layout* l, const Expert* e, int first, int neurons, const float* shifted,
                        const float* norms, float* map) {
  const int end = l->vectors * LANES;
  int place = 0;
#if VECTORS > 1
  for (; place + VECTORS * LANES <= end && place + (VECTORS + 1) * LANES != end; place += VECTORS * LANES)
    add_activations(l, e, first, neurons, place, VECTORS, shifted, norms, map);
  for (; place + 2 * LANES <= end; place += 2 * LANES)
    add_activations(l, e, first, neurons, place, 2, shifted, norms, map);
#endif
  for (; place < end; place += LANES) add_activations(l, e, first, neurons, place, 1, shifted, norms, map);
}

// The sum of all neurons' activations: a map, with room for the rest of its last vector.
static void activations(const Layout* l, const Expert* e, const float* shifted, const float* norms, float* map) {
  memset(map, 0, sizeof(float) * l->vectors * LANES);
  for (int first = 0; first < e->n; first += TOGETHER) {
    switch (e->n - first) {
      case 1: add_neurons(l, e, first, 1, shifted, norms, map); break;
      case 2: add_neurons(l, e, first, 2, shifted, norms, map); break;
      case 3: add_neurons(l, e, first, 3, shifted, norms, map); break;
      case 4: add_neurons(l, e, first, 4, shifted, norms, map); break;
      case 5: add_neurons(l, e, first, 5, shifted, norms, map); break;
      case 6: add_neurons(l, e, first, 6, shifted, norms, map); break;
      case 7: add_neurons(l, e, first, 7, shifted, norms, map); break;
      default: add_neurons(l, e, first, TOGETHER, shifted, norms, map);
    }
  }
}
