/* No barrier: mutators pay nothing, and only a stopped world can be marked. */
#include "barrier.h"

static int nothing(gcb_barrier *barrier) {
  (void)barrier;
  return 0;
}
static int collect(gcb_barrier *barrier, bool rearm, gcb_dirty_set *dirty) {
  (void)barrier, (void)rearm, (void)dirty;
  return 0;
}
static void close_nothing(gcb_barrier *barrier) {
  (void)barrier;
}

GCB_BARRIER = {.open = nothing, .arm = nothing, .collect = collect, .close = close_nothing};
