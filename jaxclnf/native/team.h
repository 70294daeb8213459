// Pictures of a call shared among the threads that XLA lends, as far as other calls leave some idle.
#pragma once

#include <stdatomic.h>
#include <stdlib.h>

#include "kernels.h"
#include "xla.h"

#ifdef _WIN32  // where POSIX threads may be missing, a call works alone

struct Seat {
  int *next, n;
};

int next_pictures(Seat* s, int* first) {
  const int n = s->n - *s->next < SHARING ? s->n - *s->next : SHARING;
  *first = *s->next, *s->next += n;
  return n;
}

static bool see_together(const CallFrame* frame, const Kernels* kernels, const Network* net) {
  (void)frame;
  int next = 0;
  Seat alone = {&next, net->n_pictures};
  return kernels->map_moments(net, &alone);
}

#else

#include <pthread.h>

typedef struct {
  Network net;
  const Kernels* kernels;
  pthread_mutex_t lock;
  pthread_cond_t left;  // by a helper
  int next, at_once;     // pictures
  int threads;           // that XLA lends
  int working, holders;  // helpers at work; those, and the caller, that may look at this
  bool failed;
} Team;

struct Seat {
  Team* team;
  bool helps, has_left, took_some;
};

static _Atomic int at_work;  // threads in calls, and those asked to help

// One of the threads leaves where more are at work than there are.
static bool is_one_too_many(const Team* t) {
  int n = at_work;
  while (n > t->threads)
    if (atomic_compare_exchange_weak(&at_work, &n, n - 1)) return true;
  return false;
}

int next_pictures(Seat* seat, int* first) {
  Team* t = seat->team;
  pthread_mutex_lock(&t->lock);
  if (seat->helps && !seat->has_left) seat->has_left = is_one_too_many(t);
  const int rest = t->failed || seat->has_left ? 0 : t->net.n_pictures - t->next;
  const int n = rest < t->at_once ? rest : t->at_once;
  *first = t->next, t->next += n;
  seat->took_some |= n > 0;
  pthread_mutex_unlock(&t->lock);
  return n;
}

static void let_go(Team* t) {
  pthread_mutex_lock(&t->lock);
  const bool last = !--t->holders;
  pthread_mutex_unlock(&t->lock);
  if (!last) return;
  pthread_cond_destroy(&t->left), pthread_mutex_destroy(&t->lock);
  free(t);
}

// A helper that comes when all is taken must not touch the call's arrays, which may be gone.
static void help(void* data) {
  Team* t = data;
  pthread_mutex_lock(&t->lock);
  const bool late = t->failed || t->next >= t->net.n_pictures;
  t->working += !late;
  pthread_mutex_unlock(&t->lock);
  Seat seat = {.team = t, .helps = true};
  if (!late) {
    const bool done = t->kernels->map_moments(&t->net, &seat);
    pthread_mutex_lock(&t->lock);
    t->failed |= !done && seat.took_some;  // without memory for anything others do it
    t->working--;
    pthread_cond_signal(&t->left);
    pthread_mutex_unlock(&t->lock);
  }
  if (!seat.has_left) at_work--;
  let_go(t);
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

static void ask_for_help(const CallFrame* frame, Team* t, int n) {
  for (int i = 0; i < n; i++) {
    Scheduling scheduling = {sizeof scheduling, NULL, frame->context, help, t};
    pthread_mutex_lock(&t->lock);
    t->holders++;
    pthread_mutex_unlock(&t->lock);
    at_work++;
    void* error = frame->api->schedule(&scheduling);
    if (!error) continue;
    Discarding discarding = {sizeof discarding, NULL, error};
    frame->api->discard(&discarding);
    at_work--;
    let_go(t);
    return;
  }
}

static bool work_in(Team* t) {
  const bool done = t->kernels->map_moments(&t->net, &(Seat){.team = t});
  pthread_mutex_lock(&t->lock);
  t->failed |= !done;
  while (t->working) pthread_cond_wait(&t->left, &t->lock);
  const bool all = !t->failed;
  pthread_mutex_unlock(&t->lock);
  return all;
}

static int at_least_1(int n) { return n < 1 ? 1 : n; }

static bool see_together(const CallFrame* frame, const Kernels* kernels, const Network* net) {
  Team* t = malloc(sizeof *t);
  if (!t) return false;
  const int threads = net->n_pictures > 1 ? n_threads(frame) : 1, idle = threads - 1 - at_work++;
  const int at_once = idle > 0 ? at_least_1(net->n_pictures / (2 * (idle + 1))) : SHARING;
  *t = (Team){.net = *net, .kernels = kernels, .threads = threads, .holders = 1};
  t->at_once = at_once < SHARING ? at_once : SHARING;
  pthread_mutex_init(&t->lock, NULL), pthread_cond_init(&t->left, NULL);
  const int others = (net->n_pictures - 1) / t->at_once;  // that would find pictures
  ask_for_help(frame, t, idle < others ? idle : others);
  const bool done = work_in(t);
  at_work--;
  let_go(t);
  return done;
}

#endif
