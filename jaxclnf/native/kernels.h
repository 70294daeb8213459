// What a call brings to each function, and the functions of a set of instructions. False: no memory was left.
#pragma once

#include <stdbool.h>
#include <stdint.h>

typedef struct {
  const void* images;         // n_images, height, width; bytes or floats
  const float* base;          // n_faces, n_points, 2
  const float* img_from_ref;  // n_faces, 2, 2
  const int32_t* view;        // n_faces
  const uint8_t* visibility;  // n_views, n_points
  const float* weights;       // n_views, n_points, n_neurons, support, support
  const float *norm_weights, *bias, *alpha;  // n_views, n_points, n_neurons
  const int32_t* sigma_index;                // n_views, n_points
  const float* sigma;                        // n_distinct, area, area; or NULL
  float* maps;                               // n_faces, n_points, window, window
  int height, width, n_faces, n_tries, n_views, n_points, n_neurons, support, window;
  bool bytes;  // of the images
} Maps;

typedef struct {
  const float* matrices;  // n, k, k
  const float* sides;     // n, k
  float* solutions;       // n, k
  int64_t n;
  int k;
} Systems;

typedef struct {
  const float *kernel, *bias;  // side, side, n_in, n_out; n_out
  int side, n_in, n_out;
} Layer;

enum { LEVELS_MOST = 8, LAYERS_MOST = 128 };

typedef struct {
  const void* images;         // n_images, height, width; bytes or floats
  const float* centre;        // n_looks, 2: of the picture in the image
  const float* img_from_ref;  // n_looks, 2, 2
  const int32_t* blocks;      // of each level on the way down, then up
  float* moments;             // n_looks, n_ways, n_points, 5
  Layer layers[LAYERS_MOST];
  int height, width, n_tries, n_ways, n_pictures, side, n_down, n_layers, n_points;
  bool bytes;  // of the images
} Network;

enum { SHARING = 4 };  // pictures at most that a thread takes at once, which share a layer's weights in the cache

enum { HANDS_MOST = 64 };  // threads at most that work together

extern int jaxclnf_enough_maps;  // for each of those who share a call's response maps

// A call that threads may share.
typedef struct Team Team;

// One part of a piece of work, done by the thread of a number, from 0 on.
typedef void (*Part)(void* work, int part, int who);

// How many threads, at most so many, are there for a call's work: the caller, and those that are idle.
int hands_for(Team*, int most);

// Has all parts of a piece of work done by at most so many threads, and waits for them; once a call.
void together(Team*, Part, void* work, int n_parts, int hands);

typedef struct {
  bool (*response_maps)(const Maps*, Team*);
  bool (*solve)(const Systems*);
  bool (*map_moments)(const Network*, Team*);
} Kernels;
