// Moments of the response maps that logits stand for, as in jaxclnf/ops/conv_network.py.
#pragma once

#include <math.h>

#include "convolve.h"

// Sums over a picture's cells, a channel each: of shares, and of these times x, y, xx, xy, yy about its middle.
enum { SHARES, X, Y, XX, XY, YY, N_SUMS };

typedef struct {
  float *peak, *row[3], *sums[N_SUMS];  // n_channels each
} Tallies;

// The largest logit of each landmark, under all four channels that are its own.
static void peaks(const Plane* logits, int n_points, float* peak) {
  for (int c = 0; c < logits->channels; c++) peak[c] = -INFINITY;
  for (int i = 0; i < logits->side * logits->side; i++)
    for (int c = 0; c < logits->channels; c += LANES) {
      const Vec v = load(logits->at + i * logits->channels + c), most = load(peak + c);
      store(peak + c, where(v > most, v, most));
    }
  for (int p = 0; p < n_points; p++) {
    float most = peak[p];
    for (int k = 1; k < 4; k++) most = fmaxf(most, peak[k * n_points + p]);
    for (int k = 0; k < 4; k++) peak[k * n_points + p] = most;
  }
}

INLINE void add(float* to, Vec v) { store(to, load(to) + v); }

static void add_row(const Plane* logits, const Tallies* t, int row, float middle) {
  const int n = logits->channels;
  for (int k = 0; k < 3; k++) memset(t->row[k], 0, sizeof(float) * n);
  for (int column = 0; column < logits->side; column++) {
    const float x = 4 * column - middle, *from = logits->at + (row * logits->side + column) * n;
    for (int c = 0; c < n; c += LANES) {
      const Vec share = exponential(at_least(load(from + c) - load(t->peak + c), -87.f));
      add(t->row[0] + c, share), add(t->row[1] + c, x * share), add(t->row[2] + c, x * x * share);
    }
  }
  const float y = 4 * row - middle;
  for (int c = 0; c < n; c += LANES) {
    const Vec shares = load(t->row[0] + c), along = load(t->row[1] + c);
    add(t->sums[SHARES] + c, shares), add(t->sums[X] + c, along), add(t->sums[XX] + c, load(t->row[2] + c));
    add(t->sums[Y] + c, y * shares), add(t->sums[XY] + c, y * along), add(t->sums[YY] + c, y * y * shares);
  }
}

// A channel's sums in double, where its cells lie `x` and `y` further than those of the first of the four.
INLINE void gather(const Tallies* t, int channel, double x, double y, double* total) {
  double s[N_SUMS];
  for (int k = 0; k < N_SUMS; k++) s[k] = t->sums[k][channel];
  total[SHARES] += s[SHARES];
  total[X] += s[X] + x * s[SHARES], total[Y] += s[Y] + y * s[SHARES];
  total[XX] += s[XX] + 2 * x * s[X] + x * x * s[SHARES];
  total[XY] += s[XY] + x * s[Y] + y * s[X] + x * y * s[SHARES];
  total[YY] += s[YY] + 2 * y * s[Y] + y * y * s[SHARES];
}

// Moments of every landmark, in pixels of the picture about its middle: x, y, xx, xy, yy.
static void moments_of(const Plane* logits, const Tallies* t, int n_points, float* moments) {
  const float middle = 2 * logits->side - 1;  // four pixels a place, two a cell: of side 4 n the middle is 2 n - 1/2
  peaks(logits, n_points, t->peak);
  for (int k = 0; k < N_SUMS; k++) memset(t->sums[k], 0, sizeof(float) * logits->channels);
  for (int row = 0; row < logits->side; row++) add_row(logits, t, row, middle);
  for (int p = 0; p < n_points; p++) {
    double total[N_SUMS] = {0};
    for (int k = 0; k < 4; k++) gather(t, k * n_points + p, 2 * (k % 2), 2 * (k / 2), total);
    for (int k = X; k < N_SUMS; k++) moments[p * (N_SUMS - 1) + k - 1] = (float)(total[k] / total[SHARES]);
  }
}
