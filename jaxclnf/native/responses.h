// Response maps of a batch of faces: `image_responses` of jaxclnf/fitting/responses.py in one pass.
//
// Faces are taken view by view and landmark by landmark: an expert is laid out once for all faces that
// use it, and a patch is sampled, met by the neurons and smoothed while it lies in the cache.
#pragma once

#include <stdlib.h>

#include "patch.h"
#include "neurons.h"
#include "sample.h"
#include "smooth.h"

typedef struct {
  float *memory, *grid_x, *grid_y, *patch, *shifted, *sums, *squares, *norms, *maps, *smoothed;
  int pitch;
  Expert expert;
} Scratch;

// Every array with room for vectors that begin at its last value.
INLINE float* take(float** free_memory, int n) {
  float* taken = *free_memory;
  *free_memory += (n + 2 * LANES) / LANES * LANES;
  return taken;
}

static bool allocate(const Maps* call, const Layout* l, Scratch* s) {
  const int taps = call->support * call->support, k = call->n_neurons, samples = l->n_samples;
  const int shifted = call->support * shifted_size(l);
  const int columns = l->window * (l->size + LANES) + l->support;
  s->pitch = (l->area + 2 * LANES) / LANES * LANES;
  const size_t n = 3 * (size_t)samples + shifted + 2 * columns + l->area + 2 * SHARED * s->pitch + (taps + 3) * k + taps;
  s->memory = calloc(n + 16 * 3 * LANES, sizeof(float));
  if (!s->memory) return false;
  float* next = (float*)(((uintptr_t)s->memory + 63) / 64 * 64);
  s->grid_x = take(&next, samples), s->grid_y = take(&next, samples), s->patch = take(&next, samples);
  s->shifted = take(&next, shifted);
  s->sums = take(&next, columns), s->squares = take(&next, columns);
  s->norms = take(&next, l->area);
  s->maps = take(&next, SHARED * s->pitch), s->smoothed = take(&next, SHARED * s->pitch);
  s->expert.weights = take(&next, taps * k), s->expert.centred = take(&next, taps);
  s->expert.gain = take(&next, k), s->expert.steepness = take(&next, k), s->expert.offset = take(&next, k);
  for (int i = 0; i < l->n_samples; i++) {
    s->grid_x[i] = i % l->size - (l->size - 1) / 2.f;
    s->grid_y[i] = i / l->size - (l->size - 1) / 2.f;
  }
  return true;
}

// The neurons' sums of one face.
static void face_sums(const Maps* call, const Layout* l, Scratch* s, int face, int point, float* map) {
  sample(call, l, face, point, s->grid_x, s->grid_y, s->patch);
  inverse_norms(l, s->patch, s->sums, s->squares, s->norms);
  shift(l, s->patch, s->shifted);
  activations(l, &s->expert, s->shifted, s->norms, map);
}

static float* map_of(const Maps* call, const Layout* l, int face, int point) {
  return call->maps + ((int64_t)face * call->n_points + point) * l->area;
}

// Without edge terms a field's precision is 2 sum(alpha) times the identity.
static void scale(const Maps* call, Scratch* s, int64_t expert) {
  const float precision = 2 * sum_of(call->alpha + expert * call->n_neurons, call->n_neurons);
  const float variance = precision > 0 ? 1 / precision : 1;
  for (int i = 0; i < SHARED * s->pitch; i++) s->smoothed[i] = s->maps[i] * variance;
}

// One landmark of `n` faces that share a view.
static void landmark_maps(const Maps* call, const Layout* l, Scratch* s, const int* faces, int n, int view, int point) {
  const int64_t expert = (int64_t)view * call->n_points + point;
  if (!call->visibility[expert]) {
    for (int i = 0; i < n; i++) memset(map_of(call, l, faces[i], point), 0, sizeof(float) * l->area);
    return;
  }
  lay_out(call, expert, &s->expert);
  for (int first = 0; first < n; first += SHARED) {
    const int some = n - first < SHARED ? n - first : SHARED;
    for (int i = 0; i < some; i++) face_sums(call, l, s, faces[first + i], point, s->maps + i * s->pitch);
    if (call->sigma)
      smooth(call->sigma + (int64_t)call->sigma_index[expert] * l->area * l->area, l->area, s->maps, some, s->pitch,
             s->smoothed);
    else
      scale(call, s, expert);
    for (int i = 0; i < some; i++)
      lift(s->smoothed + i * s->pitch, l->area, map_of(call, l, faces[first + i], point));
  }
}

// Faces in the order of their views, each view's from a first one on, and a scratch for each thread.
typedef struct {
  const Maps* call;
  Layout layout;
  Scratch* scratches;
  int *faces, *first;
} Views;

enum { POINTS = 4 };  // landmarks of a part

INLINE int parts_of_view(const Maps* call) { return (call->n_points + POINTS - 1) / POINTS; }

static void some_landmarks(void* work, int part, int who) {
  const Views* v = work;
  const Maps* call = v->call;
  const int view = part / parts_of_view(call), n = v->first[view + 1] - v->first[view];
  const int point = part % parts_of_view(call) * POINTS;
  for (int i = point; n && i < call->n_points && i < point + POINTS; i++)
    landmark_maps(call, &v->layout, &v->scratches[who], v->faces + v->first[view], n, view, i);
}

static void order_by_view(const Views* v) {
  int n = 0;
  for (int view = 0; view < v->call->n_views; view++) {
    v->first[view] = n;
    for (int face = 0; face < v->call->n_faces; face++)
      if (v->call->view[face] == view) v->faces[n++] = face;
  }
  v->first[v->call->n_views] = n;
}

static bool response_maps(const Maps* call, Team* team) {
  const int64_t worth = (int64_t)call->n_faces * call->n_points / jaxclnf_enough_maps;
  const int hands = hands_for(team, worth < HANDS_MOST ? (int)worth : HANDS_MOST);
  Views v = {.call = call, .layout = layout_of(call)};
  v.faces = malloc(sizeof(int) * ((size_t)call->n_faces + call->n_views + 1));
  v.scratches = calloc(hands, sizeof(Scratch));
  int ready = 0;
  while (v.faces && v.scratches && ready < hands && allocate(call, &v.layout, &v.scratches[ready])) ready++;
  if (ready) {
    v.first = v.faces + call->n_faces;
    order_by_view(&v);
    together(team, some_landmarks, &v, call->n_views * parts_of_view(call), ready);
  }
  for (int i = 0; i < ready; i++) free(v.scratches[i].memory);
  free(v.scratches);
  free(v.faces);
  return ready;
}
