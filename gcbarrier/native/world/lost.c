/* What each mutator lost to the collector, beside the pauses that all of them see: from when to when a stop
 * held it, how long it helped, how many pages it faulted on. None of it is on the path of a store, nor in a
 * pause: a held mutator takes its stamps when it has come to rest. */
#include "world/world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* By the collector's thread, which alone adds these. */
static void record(gcb_world *world, gcb_thread *t, gcb_event_kind kind, uint64_t start_ns, uint64_t end_ns,
                   uint64_t value) {
  gcb_events_add(&world->events, (gcb_event){.start_ns = start_ns,
                                             .end_ns = end_ns,
                                             .value = value,
                                             .cycle = world->events.cycle,
                                             .pause = world->events.pause,
                                             .kind = (uint16_t)kind,
                                             .thread = t->m.index + 1});
}

static void note_faults(gcb_world *world, gcb_thread *t, int64_t faults, uint64_t now_ns) {
  /* What was before the first look is nobody's: the heap was built. */
  if (t->faults_noted_ns && faults > t->faults_noted)
    record(world, t, GCB_EV_FAULTS, t->faults_noted_ns, now_ns, (uint64_t)(faults - t->faults_noted));
  t->faults_noted = faults;
  t->faults_noted_ns = now_ns;
}

/* It runs again: all that it wrote while it was held has been acquired. */
void gcb_record_held(gcb_world *world, gcb_thread *t) {
  record(world, t, GCB_EV_HELD, t->arrived_ns, t->awake_ns, 0);
  note_faults(world, t, t->faults_held, t->arrived_ns);
}

/* The tenth field of a task's stat; -1 where the thread does not exist (any more). */
static int64_t faults_of(gcb_thread *t) {
  char text[1024];
  enum { FIELDS_BETWEEN = 8 }; /* after the name, which may have anything in it, even a bracket */
  /* acquire: the thread opened its file before it left GCB_GONE */
  if (atomic_load_explicit(&t->state, memory_order_acquire) == GCB_GONE)
    return -1;
  ssize_t got = pread(t->stat_fd, text, sizeof text - 1, 0);
  if (got <= 0)
    return -1;
  text[got] = 0;
  const char *at = strrchr(text, ')');
  for (int field = 0; at && field < FIELDS_BETWEEN; field++)
    at = strchr(at + 1, ' ');
  return at ? strtoll(at + 1, NULL, 10) : -1;
}

/* Mutators run. Some microseconds for each of them, so not where the collector is in a hurry. */
void gcb_world_note_faults(gcb_world *world) {
  for (uint32_t i = 0; i < world->thread_count; i++) {
    gcb_thread *t = &world->threads[i];
    int64_t faults = faults_of(t);
    if (faults >= 0)
      note_faults(world, t, faults, gcb_now_ns());
  }
}

/* In a native region, so that no stop waits for the lock: the reader of events holds it too. Where the ring
 * fills up, several times are one event, which begins with the first of them. */
void gcb_record_help(gcb_thread *t, uint64_t start_ns) {
  gcb_world *world = t->world;
  uint64_t end_ns = gcb_now_ns();
  if (!t->helped_ns)
    t->help_start_ns = start_ns;
  t->helped_ns += end_ns - start_ns;
  pthread_mutex_lock(&world->lock);
  if (gcb_events_have_room(&world->events)) {
    gcb_events_add(&world->events, (gcb_event){.start_ns = t->help_start_ns,
                                               .end_ns = end_ns,
                                               .value = t->helped_ns,
                                               .cycle = (uint32_t)world->cycles_started,
                                               .kind = GCB_EV_HELP,
                                               .thread = t->m.index + 1});
    t->helped_ns = 0;
  }
  pthread_mutex_unlock(&world->lock);
}
