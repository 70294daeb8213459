// Calls the native functions as XLA does, with arrays of random kinds that are exactly as large as they say.
//
//   fuzz SEED CALLS
//
// Sound calls must be done, and write every value of their results; calls with a wrong dtype, rank, number of
// arrays or index must be refused by a sentence. Sizes are changed as well: then either may happen, but no value
// beyond an array may be touched, which the sanitizers that this is compiled with watch.
#include <math.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "xla.h"

extern void *jaxclnf_response_maps(CallFrame*), *jaxclnf_solve(CallFrame*), *jaxclnf_map_moments(CallFrame*);
extern int jaxclnf_most_lanes, jaxclnf_enough_maps;

enum { MOST_ARRAYS = 40, MOST_FORM = 4, MOST_AXES = 6, UNWRITTEN = 0x7fc0dead };
typedef enum { MAPS, SYSTEMS, LOOKS } Function;
static const char* FUNCTIONS[] = {"response_maps", "solve", "map_moments"};
static void* (*const CALLED[])(CallFrame*) = {jaxclnf_response_maps, jaxclnf_solve, jaxclnf_map_moments};
typedef enum { SOUND, DTYPE, RANK, COUNT, INDEX, NO_DATA, MISSING, SIZE, N_FAULTS } Fault;
static const char* FAULTS[] = {"sound", "dtype", "rank", "count", "index", "no data", "missing", "size"};

static uint64_t state;

static unsigned below(unsigned n) {  // xorshift64*
  state ^= state >> 12, state ^= state << 25, state ^= state >> 27;
  return (unsigned)((state * 2685821657736338717u) >> 33) % n;
}

static bool one_in(unsigned n) { return below(n) == 0; }

static float some_float(float size) {
  static const float odd[] = {0, -0.f, 1e-30f, 1e30f, -1e30f, INFINITY, -INFINITY, NAN};
  return one_in(40) ? odd[below(8)] : size * (below(20001) / 10000.f - 1);
}

typedef struct {
  int dtype, rank;
  int64_t dims[MOST_AXES];
  int limit;    // of indices
  float size;   // of floats
} Array;

typedef struct {
  Array arrays[MOST_ARRAYS];  // the last one is the result
  int n;
  int32_t form[MOST_FORM];  // of a network: what its fourth array must hold
} Call;

static size_t bytes_each(int dtype) {
  switch (dtype) {
    case 1: case 2: case 6: return 1;
    case 3: case 7: case 10: return 2;
    case 5: case 9: case 12: return 8;
    default: return 4;
  }
}

static size_t values_of(const Array* a) {
  size_t n = 1;
  for (int i = 0; i < a->rank; i++) n *= a->dims[i] > 0 ? a->dims[i] : 0;
  return n;
}

static void fill(const Array* a, void* data, size_t n) {
  for (size_t i = 0; i < n; i++) switch (a->dtype) {
      case BOOL: ((uint8_t*)data)[i] = !one_in(5); break;
      case UINT8: ((uint8_t*)data)[i] = below(256); break;
      case INT32: ((int32_t*)data)[i] = a->limit ? (int)below(a->limit) : 0; break;
      case FLOAT32: ((float*)data)[i] = some_float(a->size); break;
      default: memset((char*)data + i * bytes_each(a->dtype), below(256), bytes_each(a->dtype));
    }
}

static Call response_maps(void) {
  static const int windows[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 13}, supports[] = {1, 2, 3, 4, 5, 7, 11};
  const int images = below(4), tries = 1 + below(4), faces = images * tries, height = 1 + below(one_in(4) ? 3 : 40);
  const int width = 1 + below(one_in(4) ? 5 : 40), views = 1 + below(4), points = 1 + below(4), neurons = below(10);
  const int window = windows[below(11)], support = supports[below(7)], distinct = 1 + below(4), area = window * window;
  const float reach = height + width;
  Call c = {.arrays = {
      {one_in(2) ? UINT8 : FLOAT32, 3, {images, height, width}, 0, 255},
      {FLOAT32, 3, {faces, points, 2}, 0, reach},
      {FLOAT32, 3, {faces, 2, 2}, 0, 3},
      {INT32, 1, {faces}, views, 0},
      {BOOL, 2, {views, points}, 0, 0},
      {FLOAT32, 5, {views, points, neurons, support, support}, 0, 2},
      {FLOAT32, 3, {views, points, neurons}, 0, 20},
      {FLOAT32, 3, {views, points, neurons}, 0, 8},
      {FLOAT32, 3, {views, points, neurons}, 0, 2},
      {INT32, 2, {views, points}, distinct, 0},
  }, .n = 10};
  if (one_in(2)) c.arrays[c.n++] = (Array){FLOAT32, 3, {distinct, area, area}, 0, 1};
  c.arrays[c.n++] = (Array){FLOAT32, 4, {faces, points, window, window}, 0, 0};
  return c;
}

static Call solve(void) {
  const int n = below(5), more = 1 + below(3), k = 1 + below(70);
  return (Call){.arrays = {{FLOAT32, 4, {n, more, k, k}, 0, 2},
                           {FLOAT32, 3, {n, more, k}, 0, 2},
                           {FLOAT32, 3, {n, more, k}, 0, 0}},
                .n = 3};
}

static void add_layer(Call* c, int side, int n_in, int n_out) {
  c->arrays[c->n++] = (Array){FLOAT32, 4, {side, side, n_in, n_out}, 0, 1};
  c->arrays[c->n++] = (Array){FLOAT32, 1, {n_out}, 0, 1};
}

static void add_level(Call* c, int side, int n_in, int n_out, int blocks) {
  add_layer(c, side, n_in, n_out);
  for (int i = 0; i < 2 * blocks; i++) add_layer(c, 3, n_out, n_out);
}

static Call looks(void) {
  const int images = below(3), tries = 1 + below(3), n = images * tries, points = 1 + below(6), ways = 1 + below(2);
  const int height = 1 + below(one_in(4) ? 3 : 150), width = 1 + below(one_in(4) ? 5 : 150), side = 8 * (1 + below(one_in(4) ? 8 : 4));
  const int stem = 16 * (1 + below(2)), fine = 16 * (1 + below(2)), coarse = 16 * (1 + below(4));
  Call c = {.arrays = {
      {one_in(2) ? UINT8 : FLOAT32, 3, {images, height, width}, 0, 255},
      {FLOAT32, 2, {n, 2}, 0, height + width},
      {FLOAT32, 3, {n, 2, 2}, 0, one_in(3) ? 40 : 3},
      {INT32, 1, {MOST_FORM}, 3, 0},
  }, .n = 4, .form = {side, below(2), below(3), below(2)}};
  add_layer(&c, 6, 1, stem);
  add_level(&c, 4, stem, fine, c.form[1]);
  add_level(&c, 4, fine, coarse, c.form[2]);
  add_level(&c, 1, coarse, fine, c.form[3]);
  add_layer(&c, 1, fine, 4 * points);
  c.arrays[c.n++] = (Array){FLOAT32, 4, {n, ways, points, 5}, 0, 0};
  return c;
}

// Makes one array, or the call, what it must not be; what cannot be done here is another fault.
static Fault spoil(Call* c, Fault fault, Function function, int* victim) {
  const bool maps = function == MAPS;
  static const int dtypes[] = {2, 3, 5, 7, 8, 9, 10, 12, 16};
  Array* a = &c->arrays[*victim = below(c->n)];
  if (fault == INDEX) a = &c->arrays[*victim = one_in(2) ? 3 : 9];
  if (fault == INDEX && (!maps || !values_of(a) || (*victim == 9 && c->n < 12))) fault = DTYPE, a = c->arrays;
  if (fault == NO_DATA && !values_of(a)) fault = RANK;
  switch (fault) {
    case DTYPE: a->dtype = dtypes[below(9)]; break;
    case RANK: a->rank == 1 || one_in(2) ? (a->dims[a->rank++] = 1) : a->rank--; break;
    case COUNT: c->n > 3 && one_in(2) ? (c->n -= 2 + (maps && c->n == 12)) : (c->n = 1 + maps); break;
    case SIZE: a->dims[below(a->rank)] += one_in(8) ? -1000000 : (int)below(5) - 2; break;
    default: break;
  }
  return fault;
}

static const char* refused;

static void* take_error(Complaint* complaint) {
  if (!strlen(complaint->message)) abort();
  refused = "refused";
  return complaint;
}

enum { MOST_HELPERS = 8 };
static pthread_t helpers[MOST_HELPERS];
static Scheduling asked[MOST_HELPERS];
static int n_helpers;

static void* in_thread(void* data) {
  const Scheduling* s = data;
  s->task(s->data);
  return NULL;
}

static void* schedule(Scheduling* s) {
  if (n_helpers == MOST_HELPERS) return s;
  if (one_in(4)) return s->task(s->data), NULL;  // as XLA may
  asked[n_helpers] = *s;
  if (pthread_create(&helpers[n_helpers], NULL, in_thread, &asked[n_helpers])) return s;
  n_helpers++;
  return NULL;
}

static void discard(Discarding* d) {
  if (!d->error) abort();
}

static void* n_threads(Counting* counting) {
  *counting->n = below(12);
  return one_in(4) ? counting : NULL;
}

static void join(void) {
  while (n_helpers) pthread_join(helpers[--n_helpers], NULL);
}

static int written(const float* values, size_t n) {
  for (size_t i = 0; i < n; i++) {
    uint32_t bits;
    memcpy(&bits, values + i, sizeof bits);
    if (bits == UNWRITTEN) return false;
  }
  return true;
}

static void try(Function function, Fault fault) {
  Call c = function == MAPS ? response_maps() : function == SYSTEMS ? solve() : looks();
  int victim = -1, types[MOST_ARRAYS];
  fault = spoil(&c, fault, function, &victim);
  Buffer buffers[MOST_ARRAYS], *pointers[MOST_ARRAYS];
  void* owned[MOST_ARRAYS];
  for (int i = 0; i < c.n; i++) {
    Array* a = &c.arrays[i];
    const size_t n = values_of(a);
    owned[i] = malloc(n * bytes_each(a->dtype));
    fill(a, owned[i], n);
    if (function == LOOKS && i == 3 && a->dtype == INT32)
      memcpy(owned[i], c.form, sizeof(int32_t) * (n < MOST_FORM ? n : MOST_FORM));
    if (i == c.n - 1 && a->dtype == FLOAT32)
      for (size_t k = 0; k < n; k++) ((uint32_t*)owned[i])[k] = UNWRITTEN;
    buffers[i] = (Buffer){sizeof(Buffer), NULL, a->dtype, fault == NO_DATA && i == victim ? NULL : owned[i], a->rank, a->dims};
    pointers[i] = fault == MISSING && i == victim ? NULL : &buffers[i];
    types[i] = BUFFER;
  }
  if (fault == INDEX) {
    int32_t* index = owned[victim];
    if (victim == 9) memset(owned[4], 1, values_of(&c.arrays[4]));
    index[below(values_of(&c.arrays[victim]))] = one_in(2) ? -1 - (int)below(1 << 30) : c.arrays[victim].limit + (int)below(1 << 30);
  }
  const Api api = {
      .struct_size = one_in(4) ? offsetof(Api, schedule) : sizeof api,  // as of an older XLA
      .error = take_error,
      .discard = discard,
      .schedule = schedule,
      .n_threads = n_threads,
  };
  CallFrame frame = {sizeof frame, NULL, &api, NULL, 3, {0}, {0}};
  frame.arguments = (Buffers){sizeof(Buffers), NULL, c.n - 1, types, pointers};
  frame.results = (Buffers){sizeof(Buffers), NULL, 1, types, pointers + c.n - 1};
  jaxclnf_most_lanes = 4 << below(3);
  jaxclnf_enough_maps = 1 + below(6);
  refused = NULL;
  CALLED[function](&frame);
  const int late = below(2);  // helpers that are only waited for when the arrays are gone
  if (!late) join();
  const Array* result = &c.arrays[c.n - 1];
  const bool right = fault == SOUND ? !refused : fault == SIZE || refused;
  if (!right || (!refused && !written(owned[c.n - 1], values_of(result)))) {
    fprintf(stderr, "%s call, fault %s of array %d: %s\n", FUNCTIONS[function], FAULTS[fault], victim,
            !right ? (refused ? "refused" : "not refused") : "result not written");
    exit(1);
  }
  for (int i = 0; i < c.n; i++) free(owned[i]);
  join();
}

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  state = strtoull(argv[1], NULL, 10) * 2 + 1;
  const int calls = atoi(argv[2]);
  for (int i = 0; i < calls; i++) try(one_in(3) ? LOOKS : one_in(3) ? SYSTEMS : MAPS, one_in(2) ? SOUND : (Fault)below(N_FAULTS));
  printf("%d calls\n", calls);
}
