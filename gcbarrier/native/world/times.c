/* How long each operation of a mutator took: what a mutator sees, whatever the collector calls a pause.
 *
 * A stamp at the end of each operation; what has passed since the last, without what the mutator slept of its
 * own will, goes into a histogram of the phase that the collector was in. The clock is the events' own
 * (CLOCK_MONOTONIC through the vDSO), so that a slow operation can be laid beside them: a bare time-stamp
 * counter costs less and would have to be calibrated against it.
 *
 * Buckets are log-linear, 64 to each power of two: a bucket is at most 1/64 of its lower bound wide. */
#include "world/stamps.h"
#include "world/world.h"

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#define FINE_SHIFT 6
#define FINE (1u << FINE_SHIFT)
#define POWERS 36 /* up to 64 s; what takes longer is counted in the last bucket */
#define BUCKETS ((size_t)(POWERS - FINE_SHIFT + 1) * FINE)
#define SLOWEST 256

/* An operation that took less was hardly descheduled, and a look at the thread's switches costs a system
 * call. */
#define LOOK_NS UINT64_C(10000)

typedef struct gcb_timing {
  uint64_t stamp_ns, slept_ns, least_ns; /* least: what a newcomer to `slow` must exceed */
  uint32_t phase, slow_count, place;     /* place: where the next of `slow` goes */
  long preempted, blocked;
  gcb_stamps stamps;
  gcb_slow_operation slow[SLOWEST];
  uint64_t counts[GCB_PHASES][BUCKETS];
} gcb_timing;

size_t gcb_time_bucket(uint64_t ns) {
  if (ns < FINE)
    return (size_t)ns;
  uint32_t power = 63 - (uint32_t)__builtin_clzll(ns);
  if (power >= POWERS)
    return BUCKETS - 1;
  return (size_t)(power - FINE_SHIFT + 1) * FINE + (size_t)(ns >> (power - FINE_SHIFT) & (FINE - 1));
}

size_t gcb_time_buckets(void) {
  return BUCKETS;
}
size_t gcb_time_phases(void) {
  return GCB_PHASES;
}

int gcb_timing_new(gcb_mutator *m, uint32_t mutators) {
  m->timing = calloc(1, sizeof *m->timing);
  if (!m->timing)
    return gcb_set_error("no memory for the times of mutator %u", m->index);
  return gcb_stamps_new(&m->timing->stamps, GCB_STAMPS_AT_MOST / mutators);
}

void gcb_timing_free(gcb_mutator *m) {
  if (m->timing)
    gcb_stamps_free(&m->timing->stamps);
  free(m->timing);
}

/* The one that held it up most of those that it met: at its ends, and a pause also in between. */
static uint32_t phase_met(uint32_t before, uint32_t after) {
  if (before >> 8 != after >> 8)
    return GCB_IN_PAUSE;
  return (before & 0xff) > (after & 0xff) ? before & 0xff : after & 0xff;
}

/* Keeps the slowest: a newcomer takes the place of the quickest of them. */
static void keep(gcb_timing *timing, const gcb_slow_operation *operation) {
  timing->slow[timing->place] = *operation;
  if (timing->slow_count < SLOWEST)
    timing->slow_count++;
  timing->place = timing->slow_count;
  if (timing->slow_count < SLOWEST)
    return;
  timing->place = 0;
  for (uint32_t i = 1; i < SLOWEST; i++)
    if (timing->slow[i].took_ns < timing->slow[timing->place].took_ns)
      timing->place = i;
  timing->least_ns = timing->slow[timing->place].took_ns;
}

/* Context switches since the last look: nearly every one makes an operation slow enough to be looked at. */
static void look(gcb_timing *timing, gcb_slow_operation *operation) {
  struct rusage usage;
  getrusage(RUSAGE_THREAD, &usage);
  operation->preempted = (uint32_t)(usage.ru_nivcsw - timing->preempted);
  operation->blocked = (uint32_t)(usage.ru_nvcsw - timing->blocked);
  timing->preempted = usage.ru_nivcsw;
  timing->blocked = usage.ru_nvcsw;
}

static void count(gcb_mutator *m, gcb_timing *timing, uint64_t now_ns, uint32_t phase) {
  /* What it slept can't exceed what has passed, but clocks are read apart. */
  uint64_t passed_ns = now_ns - timing->stamp_ns, slept_ns = m->slept_ns - timing->slept_ns;
  gcb_slow_operation operation = {.start_ns = timing->stamp_ns,
                                  .end_ns = now_ns,
                                  .took_ns = passed_ns > slept_ns ? passed_ns - slept_ns : 0,
                                  .mutator = m->index,
                                  .phase = phase_met(timing->phase, phase)};
  timing->counts[operation.phase][gcb_time_bucket(operation.took_ns)]++;
  gcb_stamps_keep(&timing->stamps, operation.took_ns, now_ns);
  if (GCB_LIKELY(operation.took_ns < LOOK_NS && !slept_ns))
    return;
  look(timing, &operation);
  if (slept_ns && operation.blocked)
    operation.blocked--; /* the sleep itself */
  if (operation.took_ns >= LOOK_NS && operation.took_ns > timing->least_ns)
    keep(timing, &operation);
}

void gcb_time_operation(gcb_mutator *m) {
  gcb_timing *timing = m->timing;
  if (!timing) /* the same program, in the heap of the reference */
    return;
  /* relaxed: a label (gcb_enter_phase()) */
  uint32_t phase = atomic_load_explicit(&gcb_thread_of(m)->world->phase, memory_order_relaxed);
  uint64_t now_ns = gcb_now_ns();
  if (timing->stamp_ns) {
    count(m, timing, now_ns, phase);
    if (now_ns - timing->stamp_ns >= LOOK_NS)
      now_ns = gcb_now_ns(); /* the look is nobody's time */
  } else {
    gcb_slow_operation unused;
    look(timing, &unused); /* what came before the first operation is not its own */
    now_ns = gcb_now_ns();
    timing->stamps.first_ns = timing->stamps.end_ns = now_ns;
  }
  timing->stamp_ns = now_ns;
  timing->slept_ns = m->slept_ns;
  timing->phase = phase;
}

void gcb_world_operation_times(const gcb_world *world, uint64_t *counts) {
  for (size_t i = 0; i < GCB_PHASES * BUCKETS; i++)
    counts[i] = 0;
  for (uint32_t i = 0; i < world->thread_count; i++)
    for (size_t at = 0; world->threads[i].m.timing && at < GCB_PHASES * BUCKETS; at++)
      counts[at] += world->threads[i].m.timing->counts[at / BUCKETS][at % BUCKETS];
}

size_t gcb_world_slow_operations(const gcb_world *world, gcb_slow_operation *slow, size_t capacity) {
  size_t found = 0;
  for (uint32_t i = 0; i < world->thread_count; i++) {
    const gcb_timing *timing = world->threads[i].m.timing;
    for (uint32_t at = 0; timing && at < timing->slow_count && found < capacity; at++)
      slow[found++] = timing->slow[at];
  }
  return found;
}

size_t gcb_world_stamps(const gcb_world *world, uint32_t mutator, uint64_t *first_ns, gcb_stamp *stamps) {
  const gcb_timing *timing = mutator < world->thread_count ? world->threads[mutator].m.timing : NULL;
  if (!timing || timing->stamps.lost)
    return 0;
  *first_ns = timing->stamps.first_ns;
  if (stamps)
    memcpy(stamps, timing->stamps.kept, timing->stamps.count * sizeof *stamps);
  return timing->stamps.count;
}

static int by_value(const void *a, const void *b) {
  double one = *(const double *)a, other = *(const double *)b;
  return (one > other) - (one < other);
}

double gcb_timing_cost_ns(void) {
  enum { TURNS = 31, EACH = 1000 };
  static double costs[TURNS];
  gcb_world *world = calloc(1, sizeof *world);
  gcb_thread *t = calloc(1, sizeof *t);
  if (world && t && gcb_timing_new(&t->m, 1) == 0) {
    t->world = world;
    for (int turn = 0; turn < TURNS; turn++) {
      uint64_t start_ns = gcb_now_ns();
      for (int i = 0; i < EACH; i++)
        gcb_time_operation(&t->m);
      costs[turn] = (double)(gcb_now_ns() - start_ns) / EACH;
    }
    qsort(costs, TURNS, sizeof *costs, by_value);
  }
  if (t)
    gcb_timing_free(&t->m);
  free(t);
  free(world);
  return costs[TURNS / 2];
}
