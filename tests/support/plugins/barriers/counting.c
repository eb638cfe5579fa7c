/* Counts the stores of the only mutator, and tracks nothing. */
#include "barrier.h"

static int open_barrier(gcb_barrier *barrier) {
  barrier->tallies[0] = (gcb_tally){.what = "stores"};
  return 0;
}
static int nothing(gcb_barrier *barrier) {
  (void)barrier;
  return 0;
}
static int attach(gcb_barrier *barrier, uintptr_t *words, uint32_t mutator) {
  (void)mutator;
  words[0] = (uintptr_t)&barrier->tallies[0].count;
  return 0;
}
static int collect(gcb_barrier *barrier, bool rearm, gcb_dirty_set *dirty) {
  (void)barrier, (void)rearm, (void)dirty;
  return 0;
}
static void close_nothing(gcb_barrier *barrier) {
  (void)barrier;
}

GCB_BARRIER = {
    .open = open_barrier, .arm = nothing, .collect = collect, .close = close_nothing, .attach = attach};
