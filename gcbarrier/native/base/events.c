/* The event ring: what happened when, with CLOCK_MONOTONIC stamps. Written by any thread, emptied by the
 * collector's thread between cycles. */
#include "core.h"
#include "api.h"

#include <string.h>

void gcb_record_full(gcb_space *space, gcb_event event) {
  /* relaxed: the index only makes slots distinct; the reader takes events when their writers have been
   * stopped or joined, or has written them itself (mutators' stalls are written under service_lock). */
  uint64_t at = atomic_fetch_add_explicit(&space->event_next, 1, memory_order_relaxed);
  if (at < space->event_capacity)
    space->events[at] = event;
}

void gcb_record(gcb_space *space, gcb_event_kind kind, uint64_t start_ns, uint64_t value) {
  gcb_record_full(space, (gcb_event){.start_ns = start_ns,
                                     .end_ns = gcb_now_ns(),
                                     .value = value,
                                     .cycle = space->cycle,
                                     .pause = space->pause,
                                     .kind = (uint16_t)kind});
}

size_t gcb_take_events(gcb_space *space, void *events, size_t capacity) {
  pthread_mutex_lock(&space->service_lock);
  uint64_t written = atomic_load_explicit(&space->event_next, memory_order_relaxed);
  uint64_t kept = written < space->event_capacity ? written : space->event_capacity;
  space->events_lost += written - kept;
  size_t count = kept < capacity ? kept : capacity;
  if (count > 0) {
    memcpy(events, space->events, count * sizeof *space->events);
    memmove(space->events, space->events + count, (kept - count) * sizeof *space->events);
  }
  atomic_store_explicit(&space->event_next, kept - count, memory_order_relaxed);
  pthread_mutex_unlock(&space->service_lock);
  return count;
}
