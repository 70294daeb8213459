// Patches of an image, as in jaxclnf/ops/sample.py.
#pragma once

#include "patch.h"

#if defined(__AVX512F__)
#include <immintrin.h>
#endif

typedef struct {
  Vec here, right, below, beyond;
} Corners;

#define CORNERS_ONE_BY_ONE(type)                                                                 \
  Corners c = {{0}, {0}, {0}, {0}};                                                              \
  for (int k = 0; k < LANES; k++) {                                                              \
    const type* p = (const type*)image + place[k];                                               \
    c.here[k] = p[0], c.right[k] = p[right], c.below[k] = p[down], c.beyond[k] = p[down + right]; \
  }                                                                                              \
  return c

INLINE Corners corners_of_floats(const void* image, Ints place, int right, int down) { CORNERS_ONE_BY_ONE(float); }

INLINE Corners corners_of_bytes(const void* image, Ints place, int right, int down) { CORNERS_ONE_BY_ONE(uint8_t); }

#if defined(__AVX512F__)
// Four bytes from each place on; those at an image's end are read from where four are left.
INLINE Ints four_bytes(const void* image, Ints place, int last) {
  const Ints first = (Ints)_mm512_min_epi32((__m512i)place, _mm512_set1_epi32(last));
  const __m512i words = _mm512_i32gather_epi32((__m512i)first, image, 1);
  return (Ints)_mm512_srlv_epi32(words, (__m512i)((place - first) << 3));
}

INLINE Corners corners_of_words(const void* image, Ints place, int right, int down, int last) {
  const Ints above = four_bytes(image, place, last), below = four_bytes(image, place + down, last);
  return (Corners){
      __builtin_convertvector(above & 255, Vec), __builtin_convertvector(above >> 8 * right & 255, Vec),
      __builtin_convertvector(below & 255, Vec), __builtin_convertvector(below >> 8 * right & 255, Vec)};
}
#define HAS_WORDS true
#else
INLINE Corners corners_of_words(const void* image, Ints place, int right, int down, int last) {
  (void)last;
  return corners_of_bytes(image, place, right, down);
}
#define HAS_WORDS false
#endif

typedef enum { FLOATS, BYTES, WORDS } Reading;

INLINE Corners corners(Reading reading, const void* image, Ints place, int right, int down, int last) {
  switch (reading) {
    case FLOATS: return corners_of_floats(image, place, right, down);
    case BYTES: return corners_of_bytes(image, place, right, down);
    default: return corners_of_words(image, place, right, down, last);
  }
}

INLINE Vec inside(Vec x, int length) { return at_most(at_least(where(x != x, (Vec){0}, x), 0), length - 1); }

INLINE int before_last(int length) { return length > 1 ? length - 2 : 0; }

// A patch about the centre, less its mean. `grid_x` and `grid_y` are the samples' places in reference
// pixels; arrays are used up to the next multiple of LANES.
INLINE void sample_by(Reading reading, const Maps* call, const Layout* l, const void* image, const float* centre,
                      const float* img_from_ref, const float* grid_x, const float* grid_y, float* patch) {
  const int right = call->width > 1, down = call->height > 1 ? call->width : 0;
  const int last_word = call->width * call->height - 4;
  for (int i = 0; i < l->n_samples; i += LANES) {
    const Vec u = load(grid_x + i), v = load(grid_y + i);
    const Vec x = inside(centre[0] + (img_from_ref[0] * u + img_from_ref[1] * v), call->width);
    const Vec y = inside(centre[1] + (img_from_ref[2] * u + img_from_ref[3] * v), call->height);
    const Ints column = __builtin_convertvector(at_most(x, before_last(call->width)), Ints);
    const Ints row = __builtin_convertvector(at_most(y, before_last(call->height)), Ints);
    const Vec dx = x - __builtin_convertvector(column, Vec), dy = y - __builtin_convertvector(row, Vec);
    const Ints place = row * call->width + column;
    const Corners c = corners(reading, image, place, right, down, last_word);
    const Vec left_side = c.here + dy * (c.below - c.here), right_side = c.right + dy * (c.beyond - c.right);
    store(patch + i, left_side + dx * (right_side - left_side));
  }
  const float mean = sum_of(patch, l->n_samples) / l->n_samples;
  for (int i = 0; i < l->n_samples; i += LANES) store(patch + i, load(patch + i) - mean);
}

static void sample(const Maps* call, const Layout* l, int face, int point, const float* grid_x, const float* grid_y,
                   float* patch) {
  const int64_t place = (int64_t)(face / call->n_tries) * call->height * call->width;
  const void* image = (const char*)call->images + place * (call->bytes ? 1 : sizeof(float));
  const float* centre = call->base + ((int64_t)face * call->n_points + point) * 2;
  const float* img_from_ref = call->img_from_ref + (int64_t)face * 4;
  if (!call->bytes)
    sample_by(FLOATS, call, l, image, centre, img_from_ref, grid_x, grid_y, patch);
  else if (HAS_WORDS && call->width * call->height >= 4)
    sample_by(WORDS, call, l, image, centre, img_from_ref, grid_x, grid_y, patch);
  else
    sample_by(BYTES, call, l, image, centre, img_from_ref, grid_x, grid_y, patch);
}
