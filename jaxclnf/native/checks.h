// What the functions must be given, and a sentence about what they were given instead.
//
// Nothing is read before its dtype, rank and sizes are known to be right, and no index is used that leaves its array.
#pragma once

#include <stdbool.h>
#include <stdio.h>

#include "kernels.h"
#include "xla.h"

enum { MOST_AXES = 5, MESSAGE = 200 };
enum { FACES_MOST = 1 << 30, PIXELS_MOST = INT32_MAX, SIDE_MOST = 1 << 24, WINDOW_MOST = 181, SUPPORT_MOST = 128 };
enum { EXPERTS_MOST = 1 << 16, UNKNOWNS_MOST = 1 << 14 };

// Sizes that arrays share: the first array that has one sets it.
typedef enum { PAIR, IMAGES, HEIGHT, WIDTH, FACES, VIEWS, POINTS, NEURONS, SUPPORT, DISTINCT, AREA, WINDOW, N_SIZES } Size;

typedef struct {
  const char* name;
  int dtype, other_dtype;
  int rank;
  Size axes[MOST_AXES];
} Expected;

typedef struct {
  int64_t of[N_SIZES];  // -1: not set yet
  char message[MESSAGE];
} Check;

static const Expected MAPS_TAKES[] = {
    {"images", UINT8, FLOAT32, 3, {IMAGES, HEIGHT, WIDTH}},
    {"base", FLOAT32, FLOAT32, 3, {FACES, POINTS, PAIR}},
    {"img_from_ref", FLOAT32, FLOAT32, 3, {FACES, PAIR, PAIR}},
    {"view", INT32, INT32, 1, {FACES}},
    {"visibility", BOOL, BOOL, 2, {VIEWS, POINTS}},
    {"weights", FLOAT32, FLOAT32, 5, {VIEWS, POINTS, NEURONS, SUPPORT, SUPPORT}},
    {"norm_weights", FLOAT32, FLOAT32, 3, {VIEWS, POINTS, NEURONS}},
    {"bias", FLOAT32, FLOAT32, 3, {VIEWS, POINTS, NEURONS}},
    {"alpha", FLOAT32, FLOAT32, 3, {VIEWS, POINTS, NEURONS}},
    {"sigma_index", INT32, INT32, 2, {VIEWS, POINTS}},
    {"sigma", FLOAT32, FLOAT32, 3, {DISTINCT, AREA, AREA}},
};
static const Expected MAPS_GIVES = {"maps", FLOAT32, FLOAT32, 4, {FACES, POINTS, WINDOW, WINDOW}};
enum { MAPS_MOST = sizeof MAPS_TAKES / sizeof *MAPS_TAKES };

#define REFUSE(check, ...) (snprintf((check)->message, MESSAGE, __VA_ARGS__), false)

static bool has_sizes(Check* c, const Buffer* b, const Expected* e) {
  int64_t n = 1;
  for (int i = 0; i < e->rank; i++) {
    int64_t* size = &c->of[e->axes[i]];
    if (*size < 0) *size = b->dims[i];
    if (b->dims[i] != *size || *size < 0)
      return REFUSE(c, "%s: expected %lld along axis %d, got %lld", e->name, (long long)*size, i, (long long)b->dims[i]);
    if (__builtin_mul_overflow(n, *size, &n)) return REFUSE(c, "%s: too large", e->name);
  }
  return !n || b->data || REFUSE(c, "%s: has no data", e->name);
}

static bool is_as(Check* c, const Buffer* b, const Expected* e) {
  if (!b) return REFUSE(c, "%s: missing", e->name);
  if (b->dtype != e->dtype && b->dtype != e->other_dtype)
    return REFUSE(c, "%s: expected XLA's type %d, got %d", e->name, e->dtype, b->dtype);
  if (b->rank != e->rank) return REFUSE(c, "%s: expected %d axes, got %lld", e->name, e->rank, (long long)b->rank);
  return has_sizes(c, b, e);
}

static bool are_buffers(Check* c, const Buffers* all, int64_t least, int64_t most, const char* what) {
  if (all->size < least || all->size > most)
    return REFUSE(c, "expected %lld to %lld %s, got %lld", (long long)least, (long long)most, what, (long long)all->size);
  for (int64_t i = 0; i < all->size; i++)
    if (all->types[i] != BUFFER) return REFUSE(c, "expected %s that are arrays", what);
  return true;
}

// What arithmetic in 32 bits can count through, and floats can tell apart.
static bool are_countable(Check* c) {
  const int64_t *n = c->of, window = n[WINDOW], support = n[SUPPORT];
  if (n[FACES] > FACES_MOST || n[VIEWS] > FACES_MOST || n[POINTS] > FACES_MOST || n[NEURONS] > EXPERTS_MOST)
    return REFUSE(c, "too many faces, views, landmarks or neurons");
  if (window < 1 || window > WINDOW_MOST || support < 1 || support > SUPPORT_MOST)
    return REFUSE(c, "expected windows of 1 to %d and neurons of 1 to %d samples, got %lld and %lld", WINDOW_MOST,
                  SUPPORT_MOST, (long long)window, (long long)support);
  if (!n[FACES]) return true;
  if (n[HEIGHT] < 1 || n[WIDTH] < 1 || n[HEIGHT] > SIDE_MOST || n[WIDTH] > SIDE_MOST ||
      n[HEIGHT] * n[WIDTH] > PIXELS_MOST)
    return REFUSE(c, "images: expected sides of 1 to %d and at most %d pixels, got %lld x %lld", SIDE_MOST, PIXELS_MOST,
                  (long long)n[HEIGHT], (long long)n[WIDTH]);
  return (n[IMAGES] > 0 && n[FACES] % n[IMAGES] == 0) ||
         REFUSE(c, "expected an equal number of faces on each image, got %lld on %lld", (long long)n[FACES],
                (long long)n[IMAGES]);
}

static bool are_below(Check* c, const char* name, const int32_t* index, const uint8_t* used, int64_t n, int64_t limit) {
  for (int64_t i = 0; i < n; i++)
    if ((!used || used[i]) && (index[i] < 0 || index[i] >= limit))
      return REFUSE(c, "%s: expected indices from 0 to below %lld, got %d", name, (long long)limit, index[i]);
  return true;
}

// Whether a call of jaxclnf_response_maps can be done; if not, `message` says why.
static bool can_map(Check* c, const CallFrame* frame) {
  for (int i = 0; i < N_SIZES; i++) c->of[i] = -1;
  c->of[PAIR] = 2;
  if (!are_buffers(c, &frame->arguments, MAPS_MOST - 1, MAPS_MOST, "arguments") ||
      !are_buffers(c, &frame->results, 1, 1, "results"))
    return false;
  Buffer** in = frame->arguments.buffers;
  const bool smoothed = frame->arguments.size == MAPS_MOST;
  if (!is_as(c, frame->results.buffers[0], &MAPS_GIVES)) return false;
  for (int i = 0; i < frame->arguments.size; i++)
    if (!is_as(c, in[i], &MAPS_TAKES[i])) return false;
  if (!are_countable(c)) return false;
  if (smoothed && c->of[AREA] != c->of[WINDOW] * c->of[WINDOW])
    return REFUSE(c, "sigma: expected matrices of %lld rows, got %lld", (long long)(c->of[WINDOW] * c->of[WINDOW]),
                  (long long)c->of[AREA]);
  return are_below(c, "view", in[3]->data, NULL, c->of[FACES], c->of[VIEWS]) &&
         (!smoothed ||
          are_below(c, "sigma_index", in[9]->data, in[4]->data, c->of[VIEWS] * c->of[POINTS], c->of[DISTINCT]));
}

static bool same_batch(const Buffer* a, const Buffer* b, int64_t axes) {
  for (int64_t i = 0; i < axes; i++)
    if (a->dims[i] != b->dims[i] || a->dims[i] < 0) return false;
  return true;
}

// Whether a call of jaxclnf_solve can be done.
static bool can_solve(Check* c, const CallFrame* frame) {
  if (!are_buffers(c, &frame->arguments, 2, 2, "arguments") || !are_buffers(c, &frame->results, 1, 1, "results"))
    return false;
  const Buffer *hessian = frame->arguments.buffers[0], *side = frame->arguments.buffers[1];
  const Buffer* solution = frame->results.buffers[0];
  if (!hessian || !side || !solution) return REFUSE(c, "an array is missing");
  if (hessian->dtype != FLOAT32 || side->dtype != FLOAT32 || solution->dtype != FLOAT32)
    return REFUSE(c, "expected float32 arrays");
  const int64_t axes = side->rank;
  if (axes < 1 || hessian->rank != axes + 1 || solution->rank != axes || !same_batch(hessian, side, axes) ||
      !same_batch(solution, side, axes) || hessian->dims[axes] != side->dims[axes - 1])
    return REFUSE(c, "expected matrices (..., k, k), sides (..., k) and solutions (..., k)");
  int64_t n = 1;
  for (int64_t i = 0; i <= axes; i++)
    if (__builtin_mul_overflow(n, hessian->dims[i], &n)) return REFUSE(c, "too many systems");
  if (side->dims[axes - 1] > UNKNOWNS_MOST) return REFUSE(c, "expected at most %d unknowns", UNKNOWNS_MOST);
  return !n || (hessian->data && side->data && solution->data) || REFUSE(c, "an array has no data");
}
