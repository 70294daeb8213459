// What a convolutional expert sees of faces, as in jaxclnf/fitting/map_moments.py: from images to moments of its maps.
//
// Layers are taken one after the other for a few pictures, which share the layer's weights in the cache.
#pragma once

#include <stdatomic.h>
#include <stdlib.h>

#include "kernels.h"
#include "moments.h"
#include "picture.h"
#include "winograd.h"

enum { WHOLE = 16 };  // floats that channels come in multiples of

typedef struct {
  Plane picture, stem, seen[LEVELS_MOST], inner[LEVELS_MOST], coarse;
} Planes;  // of one picture

typedef struct {
  void* memory;
  Levels levels;
  Room room;
  float* grey;  // a picture, with room behind each row
  Planes pictures[SHARING];
  Plane logits;
  Layer head;
  Tallies tallies;
  Basis basis;
} Desk;

// Counts floats first (memory NULL), then hands them out, each array at a multiple of a cache line.
INLINE float* hand_out(float* memory, int64_t* used, int64_t n) {
  float* given = memory ? memory + *used : NULL;
  *used += (n + 2 * WHOLE - 1) / WHOLE * WHOLE;
  return given;
}

INLINE Plane plane(float* memory, int64_t* used, int side, int halo, int channels) {
  Plane p = {NULL, side, halo, channels};
  p.at = hand_out(memory, used, floats_of(&p));
  return p;
}

static void lay_planes(const Network* net, Planes* p, float* memory, int64_t* used) {
  const Layer* layer = net->layers;
  int side = net->side / 2, widest = 0;
  p->picture = plane(memory, used, net->side, 2, 1);
  p->stem = plane(memory, used, side, 1, layer++->n_out);
  for (int k = 0; k < net->n_down; k++) {
    const int channels = layer->n_out;
    side /= 2;
    p->seen[k] = plane(memory, used, side, 1, channels), p->inner[k] = plane(memory, used, side, 1, channels);
    if (side * side * channels > widest) widest = side * side * channels;
    layer += 1 + 2 * net->blocks[k];
  }
  p->coarse = (Plane){hand_out(memory, used, widest), 0, 0, 0};
}

INLINE int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }

static void lay_basis(const Network* net, Basis* basis, float* memory, int64_t* used) {
  int64_t kernel = 0, n_in = 0, n_out = 0;
  for (int k = 0; k < net->n_layers; k++) {
    const Layer* l = &net->layers[k];
    if (l->side != 3) continue;
    kernel = larger(kernel, (int64_t)l->n_in * l->n_out);
    n_in = larger(n_in, l->n_in), n_out = larger(n_out, l->n_out);
  }
  basis->kernel = hand_out(memory, used, POSITIONS * kernel);
  basis->in = hand_out(memory, used, POSITIONS * TILES * n_in);
  basis->out = hand_out(memory, used, POSITIONS * TILES * n_out);
  basis->nothing = hand_out(memory, used, n_out);
}

static int64_t lay_desk(const Network* net, Desk* d, int places, float* memory) {
  int64_t used = 0;
  const int side = net->side / 4, pitch = net->side + WHOLE, n = (4 * net->n_points + WHOLE - 1) / WHOLE * WHOLE;
  const Layer head = net->layers[net->n_layers - 1];
  d->grey = hand_out(memory, &used, (int64_t)net->side * pitch);
  for (int k = 0; k < places; k++) lay_planes(net, &d->pictures[k], memory, &used);
  d->logits = plane(memory, &used, side, 0, n);
  float *kernel = hand_out(memory, &used, (int64_t)head.n_in * n), *bias = hand_out(memory, &used, n);
  d->head = (Layer){kernel, bias, 1, head.n_in, n};
  for (int k = 0; k < 3; k++) d->tallies.row[k] = hand_out(memory, &used, n);
  for (int k = 0; k < N_SUMS; k++) d->tallies.sums[k] = hand_out(memory, &used, n);
  d->tallies.peak = hand_out(memory, &used, n);
  lay_basis(net, &d->basis, memory, &used);
  if (!memory) return used;
  for (int i = 0; i < head.n_in; i++)
    memcpy(kernel + i * n, head.kernel + i * head.n_out, sizeof(float) * head.n_out);
  memcpy(bias, head.bias, sizeof(float) * head.n_out);
  return used;
}

// With room for so many pictures at once.
static bool set_up(const Network* net, Desk* d, int places) {
  d->levels = levels_of(net->height, net->width, net->bytes), d->room = (Room){NULL, 0};
  const int64_t n = lay_desk(net, d, places, NULL);
  d->memory = calloc(n + WHOLE, sizeof(float));
  if (d->memory) lay_desk(net, d, places, (float*)(((uintptr_t)d->memory + 63) / 64 * 64));
  return d->memory;
}

static void clear(Desk* d) {
  free(d->room.at);
  free(d->memory);
}

// One of the two layers of a residual block, for every picture.
static void half_block(const Layer* l, const Desk* d, int n, int level, bool second) {
  const bool by_tiles = suits_tiles(l, &d->pictures->seen[level]);
  if (by_tiles) kernel_to_basis(l, &d->basis);
  for (int k = 0; k < n; k++) {
    const Plane *x = &d->pictures[k].seen[level], *inner = &d->pictures[k].inner[level];
    const Plane *in = second ? inner : x, *out = second ? x : inner;
    const Finish finish = {second ? x : NULL, true};
    if (by_tiles)
      convolve_tiles(l, &d->basis, in, out, finish);
    else
      convolve(l, in, out, 1, finish);
  }
}

static const Layer* residual_blocks(const Layer* layer, int n_blocks, const Desk* d, int n, int level) {
  for (int i = 0; i < 2 * n_blocks; i++) half_block(layer++, d, n, level, i % 2);
  return layer;
}

// Every place of the coarser plane as two by two, added to what the finer level saw.
static void add_twice(const Plane* coarse, const Plane* seen) {
  for (int y = 0; y < seen->side; y++)
    for (int x = 0; x < seen->side; x++) {
      const float* from = place(coarse, y / 2, x / 2);
      float* to = place(seen, y, x);
      for (int c = 0; c < seen->channels; c += LANES) store(to + c, silu(load(from + c) + load(to + c)));
    }
}

// The picture of a look, or its mirror image; -1: memory ran out, 0: it has no place.
static int draw_picture(const Network* net, Desk* d, int nth, const Plane* to) {
  const int look = nth / net->n_ways, pitch = net->side + WHOLE;
  const int64_t pixels = (int64_t)(look / net->n_tries) * net->height * net->width;
  const bool mirrored = nth % net->n_ways;
  d->levels.pixels = (const char*)net->images + pixels * (net->bytes ? 1 : sizeof(float));
  const int drawn =
      sample_picture(&d->levels, net->centre + 2 * (int64_t)look, net->img_from_ref + 4 * (int64_t)look, net->side, &d->room, d->grey, pitch);
  if (drawn <= 0) return drawn;
  normalise(d->grey, net->side, pitch);
  for (int y = 0; y < net->side; y++)
    for (int x = 0; x < net->side; x++)
      place(to, y, 0)[x] = d->grey[y * pitch + (mirrored ? net->side - 1 - x : x)];
  return 1;
}

static bool see(const Network* net, Desk* d, int first, int n) {
  int drawn[SHARING];
  const Planes* all = d->pictures;
  const Layer* layer = net->layers;
  const Finish active = {NULL, true}, plain = {NULL, false};
  for (int k = 0; k < n; k++) {
    if ((drawn[k] = draw_picture(net, d, first + k, &all[k].picture)) < 0) return false;
    convolve(layer, &all[k].picture, &all[k].stem, 2, active);
  }
  layer++;
  for (int level = 0; level < net->n_down; level++) {
    for (int k = 0; k < n; k++)
      convolve(layer, level ? &all[k].seen[level - 1] : &all[k].stem, &all[k].seen[level], 2, active);
    layer = residual_blocks(layer + 1, net->blocks[level], d, n, level);
  }
  for (int level = net->n_down - 2; level >= 0; level--) {
    for (int k = 0; k < n; k++) {
      const Plane *below = &all[k].seen[level + 1], *seen = &all[k].seen[level];
      const Plane coarse = {all[k].coarse.at, below->side, 0, seen->channels};
      convolve(layer, below, &coarse, 1, plain);
      add_twice(&coarse, seen);
    }
    layer = residual_blocks(layer + 1, net->blocks[2 * net->n_down - 2 - level], d, n, level);
  }
  for (int k = 0; k < n; k++) {
    convolve(&d->head, &all[k].seen[0], &d->logits, 1, plain);
    const int64_t n_moments = (int64_t)net->n_points * (N_SUMS - 1);
    float* moments = net->moments + (first + k) * n_moments;
    moments_of(&d->logits, &d->tallies, net->n_points, moments);
    for (int64_t i = 0; !drawn[k] && i < n_moments; i++) moments[i] = NAN;
  }
  return true;
}

// A few pictures after others, and a desk for each thread, which sets it up itself: it is then in its own memory.
typedef struct {
  const Network* net;
  Desk* desks;
  bool* left;  // parts for whose thread there was no memory
  int at_once;
  _Atomic bool failed;
} Turns;

static void see_some(void* work, int part, int who) {
  Turns* turns = work;
  Desk* desk = &turns->desks[who];
  const int first = part * turns->at_once, n = smaller(turns->at_once, turns->net->n_pictures - first);
  if (turns->failed) return;
  turns->left[part] = !desk->memory && !set_up(turns->net, desk, turns->at_once);
  if (!turns->left[part] && !see(turns->net, desk, first, n)) turns->failed = true;
}

static bool map_moments(const Network* net, Team* team) {
  if (!net->n_pictures) return true;
  const int hands = hands_for(team, smaller(net->n_pictures, HANDS_MOST)), fair = net->n_pictures / (2 * hands);
  const int at_once = smaller(hands < 2 ? net->n_pictures : fair < 1 ? 1 : fair, SHARING);
  const int n_parts = (net->n_pictures + at_once - 1) / at_once;
  Turns turns = {net, calloc(hands, sizeof(Desk)), calloc(n_parts, sizeof(bool)), at_once, false};
  bool done = turns.desks && turns.left;
  if (done) together(team, see_some, &turns, n_parts, hands);
  for (int part = 0; done && part < n_parts; part++) {
    if (turns.left[part]) see_some(&turns, part, 0);
    done = !turns.left[part] && !turns.failed;
  }
  for (int i = 0; turns.desks && i < hands; i++) clear(&turns.desks[i]);
  free(turns.desks);
  free(turns.left);
  return done;
}
