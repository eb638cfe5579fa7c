/* The event ring: what happened when, with CLOCK_MONOTONIC stamps. Written by any thread, emptied by the
 * collector's thread between cycles. */
#include "base/events.h"
#include "include/error.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

int gcb_events_open(gcb_events *events, size_t capacity) {
  free(events->ring);
  events->ring = calloc(capacity, sizeof *events->ring);
  events->capacity = events->ring ? capacity : 0;
  return events->ring ? 0 : gcb_set_error("no memory for %zu events", capacity);
}

void gcb_events_close(gcb_events *events) {
  free(events->ring);
}

void gcb_events_add(gcb_events *events, gcb_event event) {
  /* relaxed: the index only makes slots distinct; the reader takes events when their writers have been
   * stopped or joined, or has written them itself (mutators' stalls are written under the service's lock). */
  uint64_t at = atomic_fetch_add_explicit(&events->next, 1, memory_order_relaxed);
  if (at < events->capacity)
    events->ring[at] = event;
}

bool gcb_events_have_room(const gcb_events *events) {
  return atomic_load_explicit(&events->next, memory_order_relaxed) < events->capacity / 2; /* a hint */
}

void gcb_record(gcb_events *events, gcb_event_kind kind, uint64_t start_ns, uint64_t value) {
  gcb_events_add(events, (gcb_event){.start_ns = start_ns,
                                     .end_ns = gcb_now_ns(),
                                     .value = value,
                                     .cycle = events->cycle,
                                     .pause = events->pause,
                                     .kind = (uint16_t)kind});
}

size_t gcb_events_take(gcb_events *events, gcb_event *taken, size_t capacity) {
  uint64_t written = atomic_load_explicit(&events->next, memory_order_relaxed);
  uint64_t kept = written < events->capacity ? written : events->capacity;
  events->lost += written - kept;
  size_t count = kept < capacity ? kept : capacity;
  if (count > 0) {
    memcpy(taken, events->ring, count * sizeof *events->ring);
    memmove(events->ring, events->ring + count, (kept - count) * sizeof *events->ring);
  }
  atomic_store_explicit(&events->next, kept - count, memory_order_relaxed);
  return count;
}
