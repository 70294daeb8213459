// The parts of a call's work shared among the threads that XLA lends, as far as other calls leave some idle.
#pragma once

#include <stdatomic.h>
#include <stdlib.h>

#include "kernels.h"
#include "xla.h"

struct Team {
  const CallFrame* frame;
  int threads;  // that XLA lends
};

static void do_alone(Part part, void* work, int n) {
  for (int i = 0; i < n; i++) part(work, i, 0);
}

#ifdef _WIN32  // where POSIX threads may be missing, a call works alone

int hands_for(Team* t, int most) { return (void)t, (void)most, 1; }

void together(Team* t, Part part, void* work, int n, int hands) {
  (void)t, (void)hands;
  do_alone(part, work, n);
}

static Team begin(const CallFrame* frame) { return (Team){frame, 1}; }

static void end(void) {}

#else

#include <pthread.h>

typedef struct {
  pthread_mutex_t lock;
  pthread_cond_t left;  // by a helper
  Part part;
  void* work;
  int n_parts, next, threads;
  int working, seats, holders;  // helpers at work; that came; those, and the caller, that may look at this
} Work;

static _Atomic int at_work;  // threads in calls, and those asked to help

// One of the threads leaves where more are at work than there are.
static bool is_one_too_many(const Work* w) {
  int n = at_work;
  while (n > w->threads)
    if (atomic_compare_exchange_weak(&at_work, &n, n - 1)) return true;
  return false;
}

static int next_part(Work* w) {
  pthread_mutex_lock(&w->lock);
  const int part = w->next < w->n_parts ? w->next++ : -1;
  pthread_mutex_unlock(&w->lock);
  return part;
}

static void let_go(Work* w) {
  pthread_mutex_lock(&w->lock);
  const bool last = !--w->holders;
  pthread_mutex_unlock(&w->lock);
  if (!last) return;
  pthread_cond_destroy(&w->left), pthread_mutex_destroy(&w->lock);
  free(w);
}

// A helper that comes when all is taken must not touch the call's arrays, which may be gone.
static void help(void* data) {
  Work* w = data;
  bool has_left = false;
  pthread_mutex_lock(&w->lock);
  const bool late = w->next >= w->n_parts;
  const int who = late ? 0 : ++w->seats;
  w->working += !late;
  pthread_mutex_unlock(&w->lock);
  if (!late) {
    for (int part; !(has_left = is_one_too_many(w)) && (part = next_part(w)) >= 0;) w->part(w->work, part, who);
    pthread_mutex_lock(&w->lock);
    w->working--;
    pthread_cond_signal(&w->left);
    pthread_mutex_unlock(&w->lock);
  }
  if (!has_left) at_work--;
  let_go(w);
}

static int n_threads(const CallFrame* frame) {
  const Api* api = frame->api;
  if (api->struct_size < offsetof(Api, n_threads) + sizeof api->n_threads) return 1;
  int64_t n = 1;
  Counting counting = {sizeof counting, NULL, frame->context, &n};
  void* error = api->n_threads(&counting);
  if (!error) return n < 1 ? 1 : n < 1024 ? (int)n : 1024;
  Discarding discarding = {sizeof discarding, NULL, error};
  api->discard(&discarding);
  return 1;
}

static void ask_for_help(const CallFrame* frame, Work* w, int n) {
  for (int i = 0; i < n; i++) {
    Scheduling scheduling = {sizeof scheduling, NULL, frame->context, help, w};
    pthread_mutex_lock(&w->lock);
    w->holders++;
    pthread_mutex_unlock(&w->lock);
    at_work++;
    void* error = frame->api->schedule(&scheduling);
    if (!error) continue;
    Discarding discarding = {sizeof discarding, NULL, error};
    frame->api->discard(&discarding);
    at_work--;
    let_go(w);
    return;
  }
}

static Team begin(const CallFrame* frame) {
  at_work++;
  return (Team){frame, 1};
}

static void end(void) { at_work--; }

int hands_for(Team* t, int most) {
  if (most < 2) return 1;
  t->threads = n_threads(t->frame);
  const int idle = t->threads - at_work;
  return idle < 1 ? 1 : idle < most ? idle + 1 : most;
}

void together(Team* t, Part part, void* work, int n, int hands) {
  Work* w = hands > 1 && n > 1 ? malloc(sizeof *w) : NULL;
  if (!w) return do_alone(part, work, n);
  *w = (Work){.part = part, .work = work, .n_parts = n, .threads = t->threads, .holders = 1};
  pthread_mutex_init(&w->lock, NULL), pthread_cond_init(&w->left, NULL);
  ask_for_help(t->frame, w, (hands < n ? hands : n) - 1);
  for (int mine; (mine = next_part(w)) >= 0;) part(work, mine, 0);
  pthread_mutex_lock(&w->lock);
  while (w->working) pthread_cond_wait(&w->left, &w->lock);
  pthread_mutex_unlock(&w->lock);
  let_go(w);
}

#endif
