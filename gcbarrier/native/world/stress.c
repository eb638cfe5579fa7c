/* Stressed mutators (include/stress.h): collections at their safepoints, and the end of one that uses an
 * object which is gone. */
#include "base/frames.h"
#include "world/world.h"

#include <stdio.h>
#include <stdlib.h>

/* Uniform in [1, 2 * every): a fixed distance would meet the same safepoints of a loop again and again, and
 * never the others. The mutator's own random numbers stay what they are without stress (xorshift64*). */
static uint64_t distance(gcb_mutator *m) {
  uint64_t x = m->stress_state;
  x ^= x >> 12;
  x ^= x << 25;
  x ^= x >> 27;
  m->stress_state = x;
  return 1 + (x * UINT64_C(2685821657736338717) >> 20) % (2 * m->stress_every - 1);
}

void gcb_stress_admit(gcb_mutator *m, uint64_t every, uint64_t seed) {
  m->stress_every = every;
  m->stress_state = seed;
  if (every)
    m->stress_left = distance(m);
}

/* While the heap is built there is ever more to mark, and it is the same few loops that build it: the cycles
 * are ever farther apart, by a share of what lies behind. Only the thread that builds asks before it is done.
 */
static uint64_t stretched(const gcb_world *world, gcb_mutator *m) {
  enum { SHARE = 16 };
  uint64_t next = distance(m);
  if (!world->built)
    next += m->stress_seen / SHARE;
  m->stress_seen += next;
  return next;
}

/* Every other time, by chance: then the mutator goes on while the cycle is under way, and writes what the
 * barrier has to notice. Not one that is alone: what it meets is the same in every run. */
static bool goes_on(gcb_mutator *m) {
  return m->count > 1 && gcb_thread_of(m)->world->built && m->stress_state & 1;
}

/* Until a cycle that has yet to begin is over, unless the mutator goes on. */
void gcb_stress_slow(gcb_mutator *m) {
  gcb_world *world = gcb_thread_of(m)->world;
  m->stress_left = stretched(world, m);
  /* relaxed: a hint. Who ends need not be collected for. */
  if (atomic_load_explicit(&world->finish, memory_order_relaxed))
    return;
  bool waits = !goes_on(m);
  gcb_native_enter(m); /* a stop need not wait for the lock */
  pthread_mutex_lock(&world->lock);
  uint64_t cycle = world->cycles_started + 1;
  if (world->stress_cycle < cycle)
    world->stress_cycle = cycle;
  pthread_cond_signal(&world->wanted);
  while (waits && world->cycles_ended < cycle && !world->abandon)
    pthread_cond_wait(&world->served, &world->lock);
  bool abandon = world->abandon;
  pthread_mutex_unlock(&world->lock);
  gcb_native_leave(m);
  if (abandon)
    gcb_fail(m, "abandoned: the run has failed elsewhere");
}

/* gcb_fail() ends this thread; the checksum is counted in the collector's. */
void gcb_dead(gcb_ref object) {
  char callers[512];
  gcb_thread *running = gcb_running();
  gcb_describe_callers(callers, sizeof callers);
  if (!running) {
    fprintf(stderr, "an object at %p that is gone is used, in no mutator's thread:%s\n", (void *)object,
            callers);
    abort();
  }
  gcb_fail(&running->m, "mutator %u used an object that a collection has freed, by%s", running->m.index,
           callers);
}
