// What the functions must be given, and a sentence about what they were given instead.
//
// Nothing is read before its dtype, rank and sizes are known to be right, and no index is used that leaves its array.
#pragma once

#include <stdbool.h>
#include <stdio.h>

#include "kernels.h"
#include "xla.h"

enum { MOST_AXES = 5, MESSAGE = 200 };
enum { FACES_MOST = 1 << 29, PIXELS_MOST = INT32_MAX, SIDE_MOST = 1 << 24, WINDOW_MOST = 181, SUPPORT_MOST = 128 };
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

// Whether images are of sizes that 32 bits can count through and floats tell apart, with as many faces on each.
static bool are_on_images(Check* c) {
  const int64_t* n = c->of;
  if (n[FACES] > FACES_MOST) return REFUSE(c, "too many faces");
  if (!n[FACES]) return true;
  if (n[HEIGHT] < 1 || n[WIDTH] < 1 || n[HEIGHT] > SIDE_MOST || n[WIDTH] > SIDE_MOST ||
      n[HEIGHT] * n[WIDTH] > PIXELS_MOST)
    return REFUSE(c, "images: expected sides of 1 to %d and at most %d pixels, got %lld x %lld", SIDE_MOST, PIXELS_MOST,
                  (long long)n[HEIGHT], (long long)n[WIDTH]);
  return (n[IMAGES] > 0 && n[FACES] % n[IMAGES] == 0) ||
         REFUSE(c, "expected an equal number of faces on each image, got %lld on %lld", (long long)n[FACES],
                (long long)n[IMAGES]);
}

static bool are_countable(Check* c) {
  const int64_t *n = c->of, window = n[WINDOW], support = n[SUPPORT];
  if (n[VIEWS] > FACES_MOST || n[POINTS] > FACES_MOST || n[NEURONS] > EXPERTS_MOST)
    return REFUSE(c, "too many views, landmarks or neurons");
  if (window < 1 || window > WINDOW_MOST || support < 1 || support > SUPPORT_MOST)
    return REFUSE(c, "expected windows of 1 to %d and neurons of 1 to %d samples, got %lld and %lld", WINDOW_MOST,
                  SUPPORT_MOST, (long long)window, (long long)support);
  return are_on_images(c);
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

static const Expected LOOKS_TAKES[] = {
    {"images", UINT8, FLOAT32, 3, {IMAGES, HEIGHT, WIDTH}},
    {"centre", FLOAT32, FLOAT32, 2, {FACES, PAIR}},
    {"img_from_ref", FLOAT32, FLOAT32, 3, {FACES, PAIR, PAIR}},
    {"form", INT32, INT32, 1, {WINDOW}},
};
static const Expected MOMENTS_GIVES = {"moments", FLOAT32, FLOAT32, 4, {FACES, VIEWS, POINTS, AREA}};

// How the layers of a network follow one another.
typedef struct {
  int side, n_down, n_layers;
} Form;

enum { NET_SIDE_MOST = 512, CHANNELS_MOST = 1 << 12, BLOCKS_MOST = 16, CHANNELS_EACH = 16, MOMENTS = 5 };
enum { FIRST_LAYER = sizeof LOOKS_TAKES / sizeof *LOOKS_TAKES };

static bool is_layer(Check* c, Buffer** pair, int side, int64_t n_in, int64_t n_out) {
  const Buffer *kernel = pair[0], *bias = pair[1];
  if (!kernel || !bias || kernel->dtype != FLOAT32 || bias->dtype != FLOAT32 || kernel->rank != 4 || bias->rank != 1)
    return REFUSE(c, "layers: expected a kernel of 4 axes and a bias of 1, float32");
  const int64_t* d = kernel->dims;
  if (d[0] != side || d[1] != side || d[2] != n_in || d[3] != n_out || bias->dims[0] != n_out)
    return REFUSE(c, "layers: expected a kernel of %d x %d x %lld x %lld and as many biases, got %lld x %lld x %lld x %lld",
                  side, side, (long long)n_in, (long long)n_out, (long long)d[0], (long long)d[1], (long long)d[2],
                  (long long)d[3]);
  return (kernel->data && bias->data) || REFUSE(c, "layers: a layer has no data");
}

// The channels that a layer gives out, which must be whole vectors.
static bool gives(Check* c, const Buffer* kernel, int64_t* n_out) {
  if (!kernel || kernel->rank != 4) return REFUSE(c, "layers: expected kernels of 4 axes");
  *n_out = kernel->dims[3];
  return (*n_out > 0 && *n_out <= CHANNELS_MOST && *n_out % CHANNELS_EACH == 0) ||
         REFUSE(c, "layers: expected channels in multiples of %d up to %d, got %lld", CHANNELS_EACH, CHANNELS_MOST,
                (long long)*n_out);
}

// The form: a picture's side, then the residual blocks of each level, down and up again.
static bool has_form(Check* c, Form* form, const CallFrame* frame) {
  const Buffer* given = frame->arguments.buffers[FIRST_LAYER - 1];
  const int32_t* numbers = given->data;
  const int64_t n = given->dims[0];
  if (n % 2 || n < 4 || n > 2 * LEVELS_MOST)
    return REFUSE(c, "form: expected a side and one number a level down and up again, got %lld", (long long)n);
  *form = (Form){numbers[0], n / 2, 2};
  for (int i = 1; i < n; i++) {
    if (numbers[i] < 0 || numbers[i] > BLOCKS_MOST)
      return REFUSE(c, "form: expected 0 to %d blocks a level, got %d", BLOCKS_MOST, numbers[i]);
    form->n_layers += 1 + 2 * numbers[i];
  }
  if (form->side < 1 || form->side > NET_SIDE_MOST || form->side % (2 << form->n_down))
    return REFUSE(c, "form: expected a side that can be halved %d times, at most %d, got %d", form->n_down + 1,
                  NET_SIDE_MOST, form->side);
  return (form->n_layers <= LAYERS_MOST && frame->arguments.size == FIRST_LAYER + 2 * form->n_layers) ||
         REFUSE(c, "expected a kernel and a bias for each of %d layers, at most %d, got %lld arrays", form->n_layers,
                LAYERS_MOST, (long long)frame->arguments.size - FIRST_LAYER);
}

static bool is_level(Check* c, Buffer*** next, int side, int64_t n_in, int64_t n_out, int n_blocks) {
  if (!is_layer(c, *next, side, n_in, n_out)) return false;
  *next += 2;
  for (int i = 0; i < 2 * n_blocks; i++, *next += 2)
    if (!is_layer(c, *next, 3, n_out, n_out)) return false;
  return true;
}

static bool are_layers(Check* c, const Form* form, const CallFrame* frame, int64_t n_points) {
  Buffer** next = frame->arguments.buffers + FIRST_LAYER;
  const int32_t* blocks = (const int32_t*)frame->arguments.buffers[FIRST_LAYER - 1]->data + 1;
  int64_t channels[LEVELS_MOST + 1];
  if (!gives(c, next[0], channels) || !is_layer(c, next, 6, 1, channels[0])) return false;
  next += 2;
  for (int k = 0; k < form->n_down; k++)
    if (!gives(c, next[0], &channels[k + 1]) || !is_level(c, &next, 4, channels[k], channels[k + 1], blocks[k]))
      return false;
  for (int k = form->n_down - 1; k > 0; k--)
    if (!is_level(c, &next, 1, channels[k + 1], channels[k], blocks[2 * form->n_down - 1 - k])) return false;
  return is_layer(c, next, 1, channels[1], 4 * n_points);
}

// Whether a call of jaxclnf_map_moments can be done.
static bool can_see(Check* c, Form* form, const CallFrame* frame) {
  for (int i = 0; i < N_SIZES; i++) c->of[i] = -1;
  c->of[PAIR] = 2, c->of[AREA] = MOMENTS;
  if (!are_buffers(c, &frame->arguments, FIRST_LAYER, FIRST_LAYER + 2 * LAYERS_MOST, "arguments") ||
      !are_buffers(c, &frame->results, 1, 1, "results") || !is_as(c, frame->results.buffers[0], &MOMENTS_GIVES))
    return false;
  for (int i = 0; i < FIRST_LAYER; i++)
    if (!is_as(c, frame->arguments.buffers[i], &LOOKS_TAKES[i])) return false;
  const int64_t n_ways = c->of[VIEWS], n_points = c->of[POINTS];
  if (n_ways < 1 || n_ways > 2 || n_points < 1 || n_points > CHANNELS_MOST / 4)
    return REFUSE(c, "moments: expected 1 or 2 ways and 1 to %d landmarks, got %lld and %lld", CHANNELS_MOST / 4,
                  (long long)n_ways, (long long)n_points);
  return are_on_images(c) && has_form(c, form, frame) && are_layers(c, form, frame, n_points);
}
