// Convolutions of 3 x 3 places with 16 products for 4 places in place of 36 (Winograd's F(2 x 2, 3 x 3), as in
// Lavin and Gray, Fast Algorithms for Convolutional Neural Networks, 2016, section 4.1).
//
// The 4 x 4 places that tiles of 2 x 2 come from are taken, as the kernels are, to a basis in which convolving is a
// product of numbers at each of 16 positions: at each, the tiles' channels by a matrix of the kernel's.
#pragma once

#include "convolve.h"

enum { POSITIONS = 16, TILES = 16 };  // tiles that are taken together, so that what is made of them stays in the cache

typedef struct {
  float *kernel, *in, *out;  // position, n_in, n_out; position, tile, n_in; position, tile, n_out
  float* nothing;            // n_out zeros
} Basis;

INLINE bool suits_tiles(const Layer* l, const Plane* out) { return l->side == 3 && out->side % 8 == 0; }

// Of a row or column of four places.
INLINE void to_basis(const Vec d[4], Vec* to, int step) {
  to[0] = d[0] - d[2], to[step] = d[1] + d[2], to[2 * step] = d[2] - d[1], to[3 * step] = d[1] - d[3];
}

// Of a row or column of three weights.
INLINE void weights_to_basis(Vec a, Vec b, Vec c, Vec* to, int step) {
  const Vec even = 0.5f * (a + c), odd = 0.5f * b;
  to[0] = a, to[step] = even + odd, to[2 * step] = even - odd, to[3 * step] = c;
}

static void kernel_to_basis(const Layer* l, const Basis* basis) {
  const int64_t n = (int64_t)l->n_in * l->n_out;
  for (int64_t i = 0; i < n; i += LANES) {
    Vec rows[4][3], whole[POSITIONS];
    for (int x = 0; x < 3; x++) {
      const float* from = l->kernel + x * n + i;
      Vec column[4];
      weights_to_basis(load(from), load(from + 3 * n), load(from + 6 * n), column, 1);
      for (int y = 0; y < 4; y++) rows[y][x] = column[y];
    }
    for (int y = 0; y < 4; y++) weights_to_basis(rows[y][0], rows[y][1], rows[y][2], whole + 4 * y, 1);
    for (int k = 0; k < POSITIONS; k++) store(basis->kernel + k * n + i, whole[k]);
  }
}

static void tiles_to_basis(const Plane* in, int first, const Basis* basis) {
  const int across = in->side / 2, n = in->channels, row = row_of(in);
  for (int t = 0; t < TILES; t++) {
    const float* corner = place(in, (first + t) / across * 2 - 1, (first + t) % across * 2 - 1);
    for (int c = 0; c < n; c += LANES) {
      Vec rows[POSITIONS], whole[POSITIONS];
      for (int y = 0; y < 4; y++) {
        Vec d[4];
        for (int x = 0; x < 4; x++) d[x] = load(corner + y * row + x * n + c);
        to_basis(d, rows + y, 4);
      }
      for (int x = 0; x < 4; x++) to_basis(rows + 4 * x, whole + x, 4);
      for (int k = 0; k < POSITIONS; k++) store(basis->in + (k * TILES + t) * n + c, whole[k]);
    }
  }
}

INLINE int products(const Layer* l, const Basis* basis, int k, int first, int vectors) {
  const Finish plain = {NULL, false};
  for (; first + vectors * LANES <= l->n_out; first += vectors * LANES)
    for (int t = k * TILES; t < (k + 1) * TILES; t += WIDE)
      tile(l, basis->in + t * l->n_in, 0, l->n_in, first, WIDE, vectors, &plain, NULL, basis->out + t * l->n_out);
  return first;
}

static void multiply(const Layer* l, const Basis* basis) {
  for (int k = 0; k < POSITIONS; k++) {
    const Layer at = {basis->kernel + (int64_t)k * l->n_in * l->n_out, basis->nothing, 1, l->n_in, l->n_out};
    products(&at, basis, k, products(&at, basis, k, 0, 2), 1);
  }
}

static void tiles_from_basis(const Layer* l, const Basis* basis, int first, const Plane* out, const Finish* finish) {
  const int across = out->side / 2, n = l->n_out;
  for (int t = 0; t < TILES; t++)
    for (int c = 0; c < n; c += LANES) {
      Vec rows[2][4];
      for (int x = 0; x < 4; x++) {
        Vec m[4];
        for (int y = 0; y < 4; y++) m[y] = load(basis->out + ((4 * y + x) * TILES + t) * n + c);
        rows[0][x] = m[0] + m[1] + m[2], rows[1][x] = m[1] - m[2] - m[3];
      }
      const Vec bias = load(l->bias + c);
      for (int y = 0; y < 2; y++) {
        const int down = (first + t) / across * 2 + y, right = (first + t) % across * 2;
        const Vec pair[2] = {rows[y][0] + rows[y][1] + rows[y][2], rows[y][1] - rows[y][2] - rows[y][3]};
        for (int x = 0; x < 2; x++) {
          const float* added = finish->added ? place(finish->added, down, right + x) + c : NULL;
          put(pair[x] + bias, finish, added, place(out, down, right + x) + c);
        }
      }
    }
}

// As `convolve`, with the layer's kernel in the basis; `out` may be the plane that is added, but not `in`.
static void convolve_tiles(const Layer* l, const Basis* basis, const Plane* in, const Plane* out, Finish finish) {
  for (int first = 0; first < out->side * out->side / 4; first += TILES) {
    tiles_to_basis(in, first, basis);
    multiply(l, basis);
    tiles_from_basis(l, basis, first, out, &finish);
  }
}
