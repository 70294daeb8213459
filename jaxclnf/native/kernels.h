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

// A thread's place among those that work on a call's pictures.
typedef struct Seat Seat;

// Hands a thread its next pictures: the first one's number, and how many; 0 when there are none for it.
int next_pictures(Seat*, int* first);

typedef struct {
  bool (*response_maps)(const Maps*);
  bool (*solve)(const Systems*);
  bool (*map_moments)(const Network*, Seat*);
} Kernels;
