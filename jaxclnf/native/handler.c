// The functions that XLA calls: each hands its arrays to the kernel for this processor.
#include "checks.h"
#include "kernels.h"
#include "team.h"
#include "xla.h"

#define VISIBLE __attribute__((visibility("default")))

// Vectors of more floats are left alone, for tests of the others.
VISIBLE int jaxclnf_most_lanes = 16;

// A helper is not worth its asking for fewer, but in tests.
VISIBLE int jaxclnf_enough_maps = 400;

extern const Kernels kernels_baseline;

#if defined(__x86_64__)
#include <cpuid.h>

extern const Kernels kernels_avx2, kernels_avx512;

enum { AVX2 = 1 << 5, FMA = 1 << 12, OSXSAVE = 1 << 27, AVX512 = 1 << 16 | 1 << 17 | 1 << 30 | 1 << 31 };
enum { YMM = 0x6, ZMM = 0xe6 };

static int lanes_here(void) {
  unsigned a, b, c, d, basic = 0, saved = 0, high;
  if (__get_cpuid(1, &a, &b, &basic, &d) && basic & OSXSAVE) __asm__("xgetbv" : "=a"(saved), "=d"(high) : "c"(0));
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) b = 0;
  if (!(b & AVX2 && basic & FMA && (saved & YMM) == YMM)) return 4;
  return (b & AVX512) == (unsigned)AVX512 && (saved & ZMM) == ZMM ? 16 : 8;
}

static const Kernels* kernels(void) {
  static _Atomic int here;  // asked for once: a virtual machine takes microseconds to answer
  if (!here) here = lanes_here();
  const int lanes = here < jaxclnf_most_lanes ? here : jaxclnf_most_lanes;
  return lanes >= 16 ? &kernels_avx512 : lanes >= 8 ? &kernels_avx2 : &kernels_baseline;
}
#else
static const Kernels* kernels(void) { return &kernels_baseline; }
#endif

static Maps maps_of(const CallFrame* frame) {
  Buffer** in = frame->arguments.buffers;
  const Buffer *images = in[0], *base = in[1], *weights = in[5], *maps = frame->results.buffers[0];
  return (Maps){
      .images = images->data,
      .base = base->data,
      .img_from_ref = in[2]->data,
      .view = in[3]->data,
      .visibility = in[4]->data,
      .weights = weights->data,
      .norm_weights = in[6]->data,
      .bias = in[7]->data,
      .alpha = in[8]->data,
      .sigma_index = in[9]->data,
      .sigma = frame->arguments.size > 10 ? in[10]->data : NULL,
      .maps = maps->data,
      .height = images->dims[1],
      .width = images->dims[2],
      .n_faces = base->dims[0],
      .n_tries = images->dims[0] ? base->dims[0] / images->dims[0] : 0,
      .n_views = weights->dims[0],
      .n_points = weights->dims[1],
      .n_neurons = weights->dims[2],
      .support = weights->dims[3],
      .window = maps->dims[2],
      .bytes = images->dtype == UINT8,
  };
}

static Systems systems_of(const CallFrame* frame) {
  Buffer **in = frame->arguments.buffers, *solutions = frame->results.buffers[0];
  const int64_t last = solutions->rank - 1;
  Systems systems = {in[0]->data, in[1]->data, solutions->data, 1, solutions->dims[last]};
  for (int64_t i = 0; i < last; i++) systems.n *= solutions->dims[i];
  return systems;
}

static Network network_of(const CallFrame* frame, const Form* form) {
  Buffer** in = frame->arguments.buffers;
  const Buffer *images = in[0], *centre = in[1], *moments = frame->results.buffers[0];
  Network net = {
      .images = images->data,
      .centre = centre->data,
      .img_from_ref = in[2]->data,
      .blocks = (const int32_t*)in[3]->data + 1,
      .moments = moments->data,
      .height = images->dims[1],
      .width = images->dims[2],
      .n_tries = images->dims[0] ? centre->dims[0] / images->dims[0] : 0,
      .n_ways = moments->dims[1],
      .n_pictures = centre->dims[0] * moments->dims[1],
      .side = form->side,
      .n_down = form->n_down,
      .n_layers = form->n_layers,
      .n_points = moments->dims[2],
      .bytes = images->dtype == UINT8,
  };
  for (int i = 0; i < form->n_layers; i++) {
    const Buffer *kernel = in[FIRST_LAYER + 2 * i], *bias = in[FIRST_LAYER + 1 + 2 * i];
    net.layers[i] = (Layer){kernel->data, bias->data, kernel->dims[0], kernel->dims[2], kernel->dims[3]};
  }
  return net;
}

// XLA asks once which version of its interface a function speaks.
static bool asked_for_version(CallFrame* frame) {
  if (!frame->extensions || frame->extensions->type != METADATA) return false;
  Version* version = &((MetadataExtension*)frame->extensions)->metadata->api_version;
  version->major = MAJOR, version->minor = MINOR;
  return true;
}

static void* refusal(const CallFrame* frame, int code, const char* message) {
  Complaint complaint = {sizeof complaint, NULL, message, code};
  return frame->api->error(&complaint);
}

static void* outcome(const CallFrame* frame, bool done) {
  return done ? NULL : refusal(frame, RESOURCE_EXHAUSTED, "jaxclnf: no memory left for scratch arrays");
}

VISIBLE void* jaxclnf_response_maps(CallFrame* frame) {
  if (asked_for_version(frame)) return NULL;
  Check check;
  if (!can_map(&check, frame)) return refusal(frame, INVALID_ARGUMENT, check.message);
  const Maps call = maps_of(frame);
  Team team = begin(frame);
  const bool done = kernels()->response_maps(&call, &team);
  end();
  return outcome(frame, done);
}

VISIBLE void* jaxclnf_solve(CallFrame* frame) {
  if (asked_for_version(frame)) return NULL;
  Check check;
  if (!can_solve(&check, frame)) return refusal(frame, INVALID_ARGUMENT, check.message);
  const Systems systems = systems_of(frame);
  return outcome(frame, kernels()->solve(&systems));
}

VISIBLE void* jaxclnf_map_moments(CallFrame* frame) {
  if (asked_for_version(frame)) return NULL;
  Check check;
  Form form;
  if (!can_see(&check, &form, frame)) return refusal(frame, INVALID_ARGUMENT, check.message);
  const Network net = network_of(frame, &form);
  Team team = begin(frame);
  const bool done = kernels()->map_moments(&net, &team);
  end();
  return outcome(frame, done);
}
