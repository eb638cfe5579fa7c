/* The C side of every barrier that is written in Python alone. */
#include "barrier.h"
#include "prototype.h"

#include <stdlib.h>

static int open_barrier(gcb_barrier *barrier) {
  gcb_prototype *prototype = malloc(sizeof *prototype);
  if (!prototype)
    return gcb_set_error("no memory for a prototype");
  *prototype = gcb_prototype_bound();
  barrier->state = prototype;
  return prototype->self ? 0 : gcb_set_error("a prototype barrier runs under Python only");
}

static int arm(gcb_barrier *barrier) {
  const gcb_prototype *prototype = barrier->state;
  return prototype->arm(prototype->self);
}

static int collect(gcb_barrier *barrier, bool rearm, gcb_dirty_set *dirty) {
  const gcb_prototype *prototype = barrier->state;
  if (prototype->collect(prototype->self, rearm, dirty->words, dirty->granules))
    return -1;
  for (size_t word = 0; word < (dirty->granules + 63) / 64; word++)
    if (dirty->words[word]) {
      dirty->summary[word >> 6] |= UINT64_C(1) << (word & 63);
      dirty->count += (size_t)__builtin_popcountll(dirty->words[word]);
    }
  return 0;
}

static void close_barrier(gcb_barrier *barrier) {
  free(barrier->state);
}

GCB_BARRIER = {.open = open_barrier, .arm = arm, .collect = collect, .close = close_barrier, .tracks = true};
