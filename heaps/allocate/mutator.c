/* Allocation, and nothing else: a mutator's live objects are built once, each held by a table; then it
 * allocates objects of the same size, and a handle holds the last one. */
#include "gcb_params.h"
#include "gcbarrier.h"

enum { TABLE = 1000 }; /* references of a table; heap.py has the same number */

static uint32_t references_of(const gcb_params *p) {
  return (uint32_t)p->references;
}
static size_t raw_bytes_of(const gcb_params *p) {
  return (size_t)p->object_bytes - sizeof(uint64_t) * (1 + (size_t)p->references);
}
static gcb_ref make(gcb_mutator *m) {
  const gcb_params *p = m->params;
  return gcb_alloc(m, references_of(p), raw_bytes_of(p));
}

void gcb_build(gcb_mutator *m) {
  const gcb_params *p = m->params;
  for (uint32_t mutator = 0; mutator < m->count; mutator++) {
    gcb_ref all = gcb_alloc(m, (uint32_t)p->tables, 0);
    gcb_set_global(m, mutator, all);
    for (uint32_t i = 0; i < p->tables; i++) {
      gcb_ref table = gcb_alloc(m, TABLE, 0);
      gcb_store(m, all, i, table);
      for (uint32_t entry = 0; entry < TABLE; entry++) {
        for (int64_t gap = 0; gap < p->gap; gap++)
          (void)make(m);
        gcb_ref object = make(m);
        if (raw_bytes_of(p) >= sizeof(uint64_t))
          gcb_store_raw(m, object, 0, (uint64_t)i * TABLE + entry);
        gcb_store(m, table, entry, object);
      }
    }
  }
}

void gcb_mutate(gcb_mutator *m) {
  const gcb_params *p = m->params;
  uint32_t references = references_of(p), last = gcb_push(m, NULL);
  size_t raw_bytes = raw_bytes_of(p);
  while (gcb_next(m))
    for (int64_t i = 0; i < p->batch; i++)
      gcb_set(m, last, gcb_alloc(m, references, raw_bytes));
  gcb_pop(m, last);
}

/* Of the headers and numbers of all that lives. */
uint64_t gcb_checksum(gcb_mutator *m) {
  const gcb_params *p = m->params;
  uint64_t sum = 0;
  for (uint32_t mutator = 0; mutator < m->count; mutator++) {
    gcb_ref all = gcb_global(m, mutator);
    for (uint32_t i = 0; i < p->tables; i++) {
      gcb_ref table = gcb_load(all, i);
      for (uint32_t entry = 0; entry < TABLE; entry++) {
        gcb_ref object = gcb_load(table, entry);
        uint64_t header = atomic_load_explicit(&object->header, memory_order_relaxed);
        uint64_t number = raw_bytes_of(p) >= sizeof(uint64_t) ? gcb_load_raw(object, 0) : 0;
        sum = (sum ^ header ^ number) * UINT64_C(0x9e3779b97f4a7c15);
        sum ^= sum >> 29;
      }
    }
  }
  return sum;
}
