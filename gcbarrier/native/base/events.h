/* base/: what every other folder stands on and what knows nothing of heaps: errors, the clock, bells, bits,
 * plug-ins, and the ring of events, whose struct this is. It includes include/ alone. From here on to
 * memory/view.h, or to world/world.h. */
#ifndef GCB_EVENTS_H
#define GCB_EVENTS_H

#include "include/event.h"

#include <stdbool.h>
#include <stddef.h>

typedef struct gcb_events {
  gcb_event *ring;
  _Atomic uint64_t next;
  size_t capacity;
  uint64_t lost;
  uint32_t cycle; /* of the collector's thread: its events carry both */
  uint32_t pause; /* number of the current pause, 0 outside */
} gcb_events;

/* Again: the same, and what was recorded is gone. */
int gcb_events_open(gcb_events *events, size_t capacity);
void gcb_events_close(gcb_events *events);
void gcb_events_add(gcb_events *events, gcb_event event);
bool gcb_events_have_room(
    const gcb_events *events); /* for what can be left out: half of it is not for that */
/* By the collector's thread: something that ends now. */
void gcb_record(gcb_events *events, gcb_event_kind kind, uint64_t start_ns, uint64_t value);
/* Moves events out, oldest first; how many. Nobody may be recording. */
size_t gcb_events_take(gcb_events *events, gcb_event *taken, size_t capacity);

#endif
