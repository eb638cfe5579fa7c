/* A pair is made of two objects. The first is in a local alone while the second is allocated. */
#include "gcb_params.h"
#include "gcbarrier.h"

static uint32_t entries(gcb_mutator *m) {
  return (uint32_t)((const gcb_params *)m->params)->entries;
}

void gcb_build(gcb_mutator *m) {
  for (uint32_t i = 0; i < m->count; i++)
    gcb_set_global(m, i, gcb_alloc(m, entries(m), 0));
}

uint64_t gcb_checksum(gcb_mutator *m) {
  uint64_t sum = 0;
  for (uint32_t i = 0; i < m->count; i++)
    for (uint32_t k = 0; k < entries(m); k++) {
      gcb_ref pair = gcb_load(gcb_global(m, i), k);
      sum = sum * 31 + (pair ? gcb_load_raw(pair, 0) : 1);
    }
  return sum;
}

void gcb_mutate(gcb_mutator *m) {
  while (gcb_next(m)) {
    gcb_ref first = gcb_alloc(m, 1, 16);
    gcb_ref second = gcb_alloc(m, 0, 16); /* a safepoint: `first` may be gone */
    gcb_store(m, first, 0, second);
    gcb_store_raw(m, first, 0, m->operations);
    gcb_store(m, gcb_global(m, m->index), gcb_random_below(m, entries(m)), first);
  }
}
