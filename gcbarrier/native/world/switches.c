/* Who loses a processor around a stop, by involuntary context switches: such a pause is longer than the
 * collector made it, and is flagged. */
#include "world/world.h"

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

int64_t gcb_own_switches_and_faults(int64_t *faults) {
  struct rusage usage;
  getrusage(RUSAGE_THREAD, &usage);
  *faults = usage.ru_minflt;
  return usage.ru_nivcsw;
}

int64_t gcb_own_switches(void) {
  int64_t faults;
  return gcb_own_switches_and_faults(&faults);
}

/* Involuntary context switches of a mutator so far; GCB_SWITCHES_UNKNOWN where the thread does not exist (any
 * more). */
static int64_t switches_of(gcb_thread *t) {
  char text[4096];
  /* acquire: the thread opened its file before it left GCB_GONE */
  if (atomic_load_explicit(&t->state, memory_order_acquire) == GCB_GONE)
    return GCB_SWITCHES_UNKNOWN;
  ssize_t got = pread(t->status_fd, text, sizeof text - 1, 0);
  if (got <= 0)
    return GCB_SWITCHES_UNKNOWN;
  text[got] = 0;
  const char *line = strstr(text, "\nnonvoluntary_ctxt_switches:");
  return line ? strtoll(strchr(line, ':') + 1, NULL, 10) : GCB_SWITCHES_UNKNOWN;
}

/* Before the request: what each mutator that it waits for has lost so far.
 *
 * Reading /proc takes tens of microseconds, in which mutators write what has to be rescanned in the pause. So
 * where they were asked in time they have told; and of one that has not come by a safepoint since, no more is
 * known than of the stop before. */
void gcb_note_switches(gcb_world *world) {
  uint32_t asked = atomic_load_explicit(&world->asked, memory_order_relaxed); /* this thread writes it */
  for (uint32_t i = 0; i < world->thread_count; i++) {
    gcb_thread *t = &world->threads[i];
    /* relaxed: one that comes out of a native region from here on is held at once */
    t->waited_for = atomic_load_explicit(&t->state, memory_order_relaxed) == GCB_RUNNING;
    if (!t->waited_for)
      continue;
    if (!world->prepared)
      t->switches_before = switches_of(t);
    else if (atomic_load_explicit(&t->told, memory_order_acquire) ==
             asked) /* acquire: pairs with gcb_tell_switches() */
      t->switches_before = t->switches_told;
  }
  world->prepared = false;
  world->switches_before = gcb_own_switches();
}

/* Whether a thread that took part has lost its processor: this one in the stop, a mutator that was waited for
 * since it last told, any that was held until it ran again. One in a native region holds nothing up. */
bool gcb_lost_processor(gcb_world *world, uint32_t stop) {
  bool lost = gcb_own_switches() != world->switches_before;
  for (uint32_t i = 0; i < world->thread_count; i++) {
    gcb_thread *t = &world->threads[i];
    /* relaxed: await_mutators() has acquired what the mutator wrote while it was held */
    if (atomic_load_explicit(&t->held_by, memory_order_relaxed) != stop)
      continue;
    lost |= t->switches_released != t->switches_held;
    lost |=
        t->waited_for && t->switches_before != GCB_SWITCHES_UNKNOWN && t->switches_held != t->switches_before;
    t->switches_before = t->switches_released;
  }
  return lost;
}

/* Once each time that it is asked. */
void gcb_tell_switches(gcb_thread *t) {
  /* relaxed: one that is older than the bit only makes it come again; and only this thread writes `told` */
  uint32_t asked = atomic_load_explicit(&t->world->asked, memory_order_relaxed);
  if (atomic_load_explicit(&t->told, memory_order_relaxed) == asked)
    return;
  t->switches_told = gcb_own_switches();
  /* release: publishes it */
  atomic_store_explicit(&t->told, asked, memory_order_release);
}
