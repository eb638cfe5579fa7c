/* The kernel's copy-on-write: there is nothing to arm and nothing to collect, the core forks
 * (native/cycle/fork.c).
 */
#include "barrier.h"

static int open_barrier(gcb_barrier *barrier) {
  (void)barrier;
  return 0;
}
static int arm(gcb_barrier *barrier) {
  (void)barrier;
  return gcb_set_error("the barrier fork-cow reports nothing: it needs a collector that forks");
}
static int collect(gcb_barrier *barrier, bool rearm, gcb_dirty_set *dirty) {
  (void)rearm, (void)dirty;
  return arm(barrier);
}
static void close_nothing(gcb_barrier *barrier) {
  (void)barrier;
}

GCB_BARRIER = {.open = open_barrier,
               .arm = arm,
               .collect = collect,
               .close = close_nothing,
               .tracks = true,
               .snapshot = true,
               .fork = true};
