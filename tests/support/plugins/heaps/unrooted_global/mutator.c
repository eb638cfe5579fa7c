/* The last pair is remembered outside of the heap. The table forgets it sooner or later. */
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
  gcb_ref *last = (gcb_ref *)&m->local; /* no root: the core does not know of it */
  while (gcb_next(m)) {
    uint32_t top = gcb_top(m), handle = gcb_push(m, gcb_alloc(m, 1, 16));
    gcb_store_raw(m, gcb_get(m, handle), 0, *last ? gcb_load_raw(*last, 0) + 1 : 0);
    if (m->operations % 64 == 0)
      *last = gcb_get(m, handle);
    gcb_store(m, gcb_global(m, m->index), gcb_random_below(m, entries(m)), gcb_get(m, handle));
    gcb_pop(m, top);
  }
}
