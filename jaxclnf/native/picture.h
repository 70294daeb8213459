// Pictures of faces, sampled from images or from their averaged halves, as in jaxclnf/ops/pyramid.py.
//
// Only what a picture shows of a reduced image is ever averaged.
#pragma once

#include <math.h>
#include <stdlib.h>

#include "kernels.h"
#include "sample.h"

enum { REDUCTIONS = 6, SMALLEST = 32 };  // as ops/pyramid.py has them

// An image and the sides of its halves.
typedef struct {
  const void* pixels;
  bool bytes;
  int n, height[REDUCTIONS], width[REDUCTIONS];
} Levels;

// The part of a level that lies in memory, row by row.
typedef struct {
  const void* pixels;
  Reading reading;
  int height, width;  // of the whole level
  int top, left, rows, columns;
} Region;

typedef struct {
  float* at;
  size_t n;
} Room;

static Levels levels_of(int height, int width, bool bytes) {
  Levels l = {.bytes = bytes, .n = 1, .height = {height}, .width = {width}};
  for (; l.n < REDUCTIONS && height >= 2 * SMALLEST && width >= 2 * SMALLEST; l.n++) {
    l.height[l.n] = height = (height + 1) / 2;
    l.width[l.n] = width = (width + 1) / 2;
  }
  return l;
}

INLINE int smaller(int a, int b) { return a < b ? a : b; }

// Means of two by two of the pixels of two rows, of which `there` are; a last one that has no neighbour counts twice.
#define HALVES(type, name)                                                                              \
  static void name(const type* above, const type* below, int there, int n, float* out) {                \
    const int pairs = smaller(n, there / 2);                                                            \
    for (int i = 0; i < pairs; i++)                                                                     \
      out[i] = ((float)above[2 * i] + above[2 * i + 1] + (float)below[2 * i] + below[2 * i + 1]) * 0.25f; \
    if (pairs < n) out[pairs] = ((float)above[2 * pairs] + below[2 * pairs]) * 0.5f;                     \
  }
HALVES(uint8_t, halves_of_bytes)
HALVES(float, halves_of_floats)

// `n` pixels of a row of a level from column `first` on; `room` is for rows of the levels below.
static void reduced_row(const Levels* l, int level, int row, int first, int n, float* out, float* room) {
  const int width = l->width[level - 1], above = 2 * row, below = smaller(above + 1, l->height[level - 1] - 1);
  const int there = smaller(2 * n, width - 2 * first);
  const int64_t up = (int64_t)above * width + 2 * first, low = (int64_t)below * width + 2 * first;
  if (level == 1 && l->bytes) {
    const uint8_t* pixels = l->pixels;
    halves_of_bytes(pixels + up, pixels + low, there, n, out);
  } else if (level == 1) {
    const float* pixels = l->pixels;
    halves_of_floats(pixels + up, pixels + low, there, n, out);
  } else {
    reduced_row(l, level - 1, above, 2 * first, there, room, room + 4 * n);
    reduced_row(l, level - 1, below, 2 * first, there, room + 2 * n, room + 4 * n);
    halves_of_floats(room, room + 2 * n, there, n, out);
  }
}

static bool has_room(Room* room, size_t n) {
  if (room->n >= n) return true;
  free(room->at);
  room->at = malloc(n * sizeof(float)), room->n = room->at ? n : 0;
  return room->at;
}

INLINE float within(float x, int length) { return fminf(fmaxf(x, 0), length - 1); }

// First and last pixel that is read along a side of `length`, where places go from `low` to `high`.
INLINE void pixels_read(float low, float high, int length, int* first, int* n) {
  *first = smaller((int)within(low, length), before_last(length));
  *n = smaller((int)within(high, length) + 2, length) - *first;
}

// What of a level is read within `reach` about a place; false if memory ran out.
static bool load_region(const Levels* l, int level, const float* centre, const float* reach, Room* room, Region* r) {
  r->height = l->height[level], r->width = l->width[level];
  if (!level) {
    const bool words = l->bytes && HAS_WORDS && (int64_t)r->width * r->height >= 4;
    r->pixels = l->pixels, r->reading = !l->bytes ? FLOATS : words ? WORDS : BYTES;
    r->top = r->left = 0, r->rows = r->height, r->columns = r->width;
    return true;
  }
  pixels_read(centre[0] - reach[0] - 1, centre[0] + reach[0] + 1, r->width, &r->left, &r->columns);
  pixels_read(centre[1] - reach[1] - 1, centre[1] + reach[1] + 1, r->height, &r->top, &r->rows);
  const size_t pixels = (size_t)r->rows * r->columns;
  if (!has_room(room, pixels + 4 * (size_t)r->columns * ((1u << level) - 1) + LANES)) return false;
  for (int row = 0; row < r->rows; row++)
    reduced_row(l, level, r->top + row, r->left, r->columns, room->at + (size_t)row * r->columns, room->at + pixels);
  r->pixels = room->at, r->reading = FLOATS;
  return true;
}

INLINE void sample_row(Reading reading, const Region* r, const float* from, const float* step, int side, float* row) {
  const int right = r->width > 1, down = r->height > 1 ? r->columns : 0, last = r->rows * r->columns - 4;
  const float most_column = r->left + r->columns - 1 - right, most_row = r->top + r->rows - 1 - (r->height > 1);
  Vec lane;
  for (int k = 0; k < LANES; k++) lane[k] = k;
  for (int i = 0; i < side; i += LANES) {
    const Vec along = lane + (float)i;
    const Vec x = inside(from[0] + step[0] * along, r->width), y = inside(from[1] + step[1] * along, r->height);
    const Ints column = __builtin_convertvector(at_least(at_most(x, most_column), r->left), Ints);
    const Ints line = __builtin_convertvector(at_least(at_most(y, most_row), r->top), Ints);
    const Vec dx = x - __builtin_convertvector(column, Vec), dy = y - __builtin_convertvector(line, Vec);
    const Ints place = (line - r->top) * r->columns + (column - r->left);
    const Corners c = corners(reading, r->pixels, place, right, down, last);
    const Vec first = c.here + dy * (c.below - c.here), second = c.right + dy * (c.beyond - c.right);
    store(row + i, first + dx * (second - first));
  }
}

// The level whose pixels are nearest to a picture's in size.
static int level_for(const Levels* l, const float* way) {
  const float size = sqrtf(fabsf(way[0] * way[3] - way[1] * way[2]));
  const float level = rintf(log2f(size > 0 && size < INFINITY ? size : 1));
  return level < 0 ? 0 : level < l->n ? (int)level : l->n - 1;
}

// A picture of `side` rows, `pitch` apart, with room for a vector behind each. -1: memory ran out, 0: its place
// is no place.
static int sample_picture(const Levels* l, const float* centre, const float* way, int side, Room* room, float* picture,
                          int pitch) {
  const int level = level_for(l, way);
  const float scale = 1.f / (1 << level), half = (side - 1) / 2.f;
  const float to_x[2] = {way[0] * scale, way[2] * scale}, to_y[2] = {way[1] * scale, way[3] * scale};
  float middle[2], reach[2];
  for (int k = 0; k < 2; k++) {
    middle[k] = (centre[k] + 0.5f) * scale - 0.5f;
    reach[k] = half * (fabsf(to_x[k]) + fabsf(to_y[k]));
    if (!isfinite(middle[k]) || !isfinite(reach[k]) || !isfinite(middle[k] + reach[k])) return 0;
  }
  Region region;
  if (!load_region(l, level, middle, reach, room, &region)) return -1;
  for (int row = 0; row < side; row++) {
    const float y = row - half;
    const float from[2] = {middle[0] - half * to_x[0] + y * to_y[0], middle[1] - half * to_x[1] + y * to_y[1]};
    float* to = picture + (int64_t)row * pitch;
    switch (region.reading) {
      case FLOATS: sample_row(FLOATS, &region, from, to_x, side, to); break;
      case WORDS: sample_row(WORDS, &region, from, to_x, side, to); break;
      default: sample_row(BYTES, &region, from, to_x, side, to);
    }
  }
  return 1;
}

// Grey of mean 0 and deviation about 1 from grey 0..255, as `normalised` of ops/conv_network.py.
static void normalise(float* picture, int side, int pitch) {
  double sum = 0, square = 0;
  for (int row = 0; row < side; row++) sum += sum_of(picture + row * pitch, side);
  const float mean = (float)(sum / ((double)side * side));
  for (int row = 0; row < side; row++)
    for (int i = 0; i < side; i++) picture[row * pitch + i] = (picture[row * pitch + i] - mean) * (1 / 255.f);
  for (int row = 0; row < side; row++) square += squares_of(picture + row * pitch, side);
  const float gain = 1 / (sqrtf((float)(square / ((double)side * side)) + 1e-8f) + 0.05f);
  for (int row = 0; row < side; row++)
    for (int i = 0; i < side; i++) picture[row * pitch + i] *= gain;
}
