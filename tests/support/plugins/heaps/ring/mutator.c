/* Each mutator has a ring. An operation makes an object, gives it what a random entry held, whose own
 * reference is dropped, and puts it into another random entry: what moves is reachable through one slot only.
 */
#include "gcb_params.h"
#include "gcbarrier.h"

static uint32_t entries(gcb_mutator *m) {
  return (uint32_t)((const gcb_params *)m->params)->entries;
}

void gcb_build(gcb_mutator *m) {
  for (uint32_t i = 0; i < m->count; i++)
    gcb_set_global(m, i, gcb_alloc(m, entries(m), 0));
}

void gcb_mutate(gcb_mutator *m) {
  const gcb_params *p = m->params;
  gcb_ref ring = gcb_global(m, m->index);
  while (gcb_next(m)) {
    gcb_ref fresh = gcb_alloc(m, 2, (size_t)p->raw_bytes);
    gcb_store_raw(m, fresh, 0, m->operations);
    uint32_t from = gcb_random_below(m, entries(m));
    gcb_ref moved = gcb_load(ring, from);
    if (moved && !p->keep)
      gcb_store(m, moved, 0, NULL);
    gcb_store(m, fresh, 0, moved);
    gcb_store(m, ring, from, NULL);
    gcb_store(m, ring, p->keep ? from : gcb_random_below(m, entries(m)), fresh);
  }
}

uint64_t gcb_checksum(gcb_mutator *m) {
  uint64_t sum = 0;
  for (uint32_t i = 0; i < m->count; i++)
    for (uint32_t k = 0; k < entries(m); k++) {
      gcb_ref object = gcb_load(gcb_global(m, i), k), behind = object ? gcb_load(object, 0) : NULL;
      sum = sum * 31 + (object ? gcb_load_raw(object, 0) : 1);
      sum = sum * 31 + (behind ? gcb_load_raw(behind, 0) : 1);
    }
  return sum;
}
