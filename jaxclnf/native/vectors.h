// Vectors of floats as wide as the processor's, with the few functions that response maps need.
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#if defined(__AVX512F__)
#define LANES 16
#elif defined(__AVX2__)
#define LANES 8
#else
#define LANES 4
#endif

#define INLINE static inline __attribute__((always_inline))

typedef float Vec __attribute__((vector_size(LANES * 4)));
typedef int32_t Ints __attribute__((vector_size(LANES * 4)));

INLINE Vec load(const float* from) {
  Vec v;
  memcpy(&v, from, sizeof v);
  return v;
}

INLINE void store(float* to, Vec v) { memcpy(to, &v, sizeof v); }

INLINE Vec all(float x) { return x - (Vec){0}; }

INLINE Vec where(Ints yes, Vec a, Vec b) { return (Vec)((yes & (Ints)a) | (~yes & (Ints)b)); }

// Both keep what is no number.
INLINE Vec at_least(Vec v, float low) { return where(v < low, all(low), v); }
INLINE Vec at_most(Vec v, float high) { return where(v > high, all(high), v); }

// e**x to a float's precision where -87 <= x <= 88.
INLINE Vec exponential(Vec x) {
  const float to_whole = 12582912.f;  // 1.5 * 2**23: a sum with it has no fraction
  const Vec shifted = x * 1.44269504f + to_whole;
  const Vec n = shifted - to_whole;
  const Vec r = x - n * 0.693359375f + n * 2.12194440e-4f;  // log(2) in two parts
  Vec series = 1.f / 5040 * r + 1.f / 720;
  series = series * r + 1.f / 120;
  series = series * r + 1.f / 24;
  series = series * r + 1.f / 6;
  series = series * r + 0.5f;
  series = series * r * r + r + 1.f;
  const Ints power_of_2 = ((Ints)shifted - (Ints)all(to_whole) + 127) << 23;
  return series * (Vec)power_of_2;
}

// The sum of a vector's values.
INLINE float sum_across(Vec v) {
  float values[LANES];
  memcpy(values, &v, sizeof v);
  for (int n = LANES / 2; n; n /= 2)
    for (int k = 0; k < n; k++) values[k] += values[k + n];
  return values[0];
}

INLINE float sum_over(const float* x, int n, bool squared) {
  Vec sums[2] = {{0}};
  float total = 0;
  int i = 0;
  for (; i + LANES <= n; i += LANES) {
    const Vec v = load(x + i);
    sums[i / LANES % 2] += squared ? v * v : v;
  }
  for (; i < n; i++) total += squared ? x[i] * x[i] : x[i];
  return total + sum_across(sums[0] + sums[1]);
}

static inline float sum_of(const float* x, int n) { return sum_over(x, n, false); }
static inline float squares_of(const float* x, int n) { return sum_over(x, n, true); }
