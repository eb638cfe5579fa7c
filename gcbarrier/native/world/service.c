/* The service between mutators and the collector's thread: triggers, waits for memory, the end. */
#include "world/world.h"

#include <errno.h>
#include <time.h>

#define FOREVER_NS (UINT64_C(1) << 60)

void gcb_service_open(gcb_world *world) {
  pthread_mutex_init(&world->lock, NULL);
  pthread_condattr_t monotonic;
  pthread_condattr_init(&monotonic);
  pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
  pthread_cond_init(&world->wanted, &monotonic);
  pthread_cond_init(&world->served, NULL);
  pthread_condattr_destroy(&monotonic);
}

void gcb_service_close(gcb_world *world) {
  pthread_mutex_destroy(&world->lock);
  pthread_cond_destroy(&world->wanted);
  pthread_cond_destroy(&world->served);
}

/* Under the lock: every mutator ends, and none waits for a collector's thread that will not come. */
void gcb_service_abandon_locked(gcb_world *world) {
  world->abandon = true;
  atomic_store_explicit(&world->finish, 1, memory_order_relaxed);
  gcb_announce_armed(world);
  pthread_cond_broadcast(&world->served);
}

void gcb_service_finish(gcb_world *world) {
  atomic_store_explicit(&world->finish, 1, memory_order_relaxed);
  gcb_announce_armed(world); /* for those who wait for it */
}

/* Ends the run from outside: mutators come to an end at their next operation, those that wait for memory
 * fail. */
void gcb_service_abandon(gcb_world *world) {
  pthread_mutex_lock(&world->lock);
  gcb_service_abandon_locked(world);
  pthread_mutex_unlock(&world->lock);
}

void gcb_service_set_trigger(gcb_world *world, _Atomic uint64_t *threshold, uint64_t bytes) {
  pthread_mutex_lock(&world->lock);
  world->trigger_seen = false;
  atomic_store_explicit(threshold, bytes, memory_order_relaxed);
  pthread_mutex_unlock(&world->lock);
}

void gcb_service_trigger(gcb_world *world, _Atomic uint64_t *threshold) {
  pthread_mutex_lock(&world->lock);
  world->trigger_seen = true;
  /* once: until the collector sets it again */
  atomic_store_explicit(threshold, UINT64_MAX, memory_order_relaxed);
  pthread_cond_signal(&world->wanted);
  pthread_mutex_unlock(&world->lock);
}

/* Waits until memory has been freed: by the cycle under way, unless it has done so, or else by the next. The
 * one under way may have passed by what is garbage now, so that it does not count as a whole one; how many
 * have since the wait that set `since`. */
uint64_t gcb_service_stall(gcb_mutator *m, size_t bytes, uint64_t since[2]) {
  gcb_world *world = gcb_thread_of(m)->world;
  uint64_t start_ns = gcb_now_ns();
  gcb_native_enter(m);
  pthread_mutex_lock(&world->lock);
  if (since[0] == 0) {
    since[0] = world->cycles_started + 1;
    since[1] =
        world->minors_served; /* a minor one that is under way counts against those to come: no matter */
  }
  uint64_t before = world->cycles_served;
  if (bytes > world->stalled_bytes)
    world->stalled_bytes = bytes;
  pthread_cond_signal(&world->wanted);
  while (world->cycles_served == before && !world->abandon)
    pthread_cond_wait(&world->served, &world->lock);
  uint64_t served = world->cycles_served, minors = world->minors_served - since[1];
  gcb_events_add(&world->events, (gcb_event){.start_ns = start_ns,
                                             .end_ns = gcb_now_ns(),
                                             .value = bytes,
                                             .cycle = (uint32_t)served,
                                             .kind = GCB_EV_STALL,
                                             .thread = m->index + 1});
  bool abandon = world->abandon;
  pthread_mutex_unlock(&world->lock);
  gcb_native_leave(m);
  if (abandon)
    gcb_fail(m, "abandoned: the run has failed elsewhere");
  return served + 1 < since[0] + minors ? 0 : served + 1 - since[0] - minors;
}

void gcb_service_cycle_begins(gcb_world *world) {
  pthread_mutex_lock(&world->lock);
  world->events.cycle = (uint32_t)++world->cycles_started;
  world->waited_for = world->stalled_bytes > 0;
  world->stalled_bytes = 0;
  world->trigger_seen = false;
  pthread_mutex_unlock(&world->lock);
}

/* Whoever waits for memory looks for itself: what it needs it sweeps. */
void gcb_service_freed(gcb_world *world, bool minor) {
  pthread_mutex_lock(&world->lock);
  if (world->cycles_served < world->cycles_started) {
    world->cycles_served = world->cycles_started;
    world->minors_served += minor;
    world->stalled_bytes = 0; /* who finds nothing asks again */
    pthread_cond_broadcast(&world->served);
  }
  pthread_mutex_unlock(&world->lock);
}

void gcb_service_ended(gcb_world *world) {
  pthread_mutex_lock(&world->lock);
  world->cycles_ended = world->cycles_started;
  pthread_cond_broadcast(&world->served);
  pthread_mutex_unlock(&world->lock);
}

int gcb_service_wait(gcb_world *world, uint64_t timeout_ns) {
  uint64_t until_ns = gcb_now_ns() + (timeout_ns < FOREVER_NS ? timeout_ns : FOREVER_NS);
  struct timespec until = {.tv_sec = (time_t)(until_ns / 1000000000u),
                           .tv_nsec = (long)(until_ns % 1000000000u)};
  int wanted = 0, timed_out = 0;
  pthread_mutex_lock(&world->lock);
  for (;;) {
    /* Built first: what happens afterwards, however soon, belongs to the run and not to the building. */
    if (world->built && !world->built_seen)
      wanted = 3;
    else if (world->ended == world->started)
      wanted = 4;
    else if (world->stalled_bytes)
      wanted = 2;
    else if (world->stress_cycle > world->cycles_started)
      wanted = 5;
    else if (world->trigger_seen)
      wanted = 1;
    if (wanted || timed_out == ETIMEDOUT)
      break;
    timed_out = pthread_cond_timedwait(&world->wanted, &world->lock, &until);
  }
  if (wanted == 3)
    world->built_seen = true;
  pthread_mutex_unlock(&world->lock);
  return wanted;
}

/* Under the lock, since a mutator's stall is recorded under it. */
size_t gcb_service_take_events(gcb_world *world, gcb_event *taken, size_t capacity) {
  pthread_mutex_lock(&world->lock);
  size_t count = gcb_events_take(&world->events, taken, capacity);
  pthread_mutex_unlock(&world->lock);
  return count;
}
