/* What the heaps that edit an object graph have in common: the mix of operations and its pace. The fresh
 * objects are in ring.h, the choice of the page that is written in sampler.h, what a checksum needs in
 * checksum.h.
 *
 * Every mutator edits a part of the heap that nobody else writes, and picks by its own random numbers, never
 * by an address or a clock: so the graph at the end depends on the seed and the number of operations alone.
 *
 * A heap calls its objects fixed or movable. Fixed objects stay what and where they are as long as the heap
 * lives; random references lead to nothing else. A movable object is held by exactly one slot (a leaf slot);
 * it may change its slot with another one or be replaced by a copy, and is garbage at once when it is. */
#ifndef GCB_EDITS_H
#define GCB_EDITS_H

#include "ring.h"
#include "sampler.h"

enum { EDITS_LARGEST_BYTES = 1 << 20 }; /* of a movable object: what the heaps' heap.py allow */

typedef struct edits {
  edits_sampler sampler;
  uint64_t move_below, replace_below; /* of 32 random bits */
  edits_fresh fresh;
} edits;

/* An entry of a table that is sorted by page: those of page p are starts[p] to starts[p + 1]. The heap may be
 * several copies of `pages` pages, all with this table; *copy says in which one. The table is not empty. */
static inline uint32_t edits_pick(gcb_mutator *m, const edits_sampler *s, const uint32_t *starts,
                                  uint32_t pages, uint32_t *copy) {
  for (int tries = 0;; tries++) {
    uint32_t page = edits_page(m, s);
    *copy = page / pages;
    page %= pages;
    /* Where hot pages with such an entry are hard to find, the next one behind a hot page has to do. */
    while (tries > 16 && starts[page] == starts[page + 1])
      page = page + 1 < pages ? page + 1 : 0;
    if (starts[page] < starts[page + 1])
      return starts[page] + gcb_random_below(m, starts[page + 1] - starts[page]);
  }
}

/* -- Leaf slots. */
static inline void edits_exchange(gcb_mutator *m, gcb_ref one, uint32_t one_slot, gcb_ref other,
                                  uint32_t other_slot) {
  gcb_ref a = gcb_load(one, one_slot), b = gcb_load(other, other_slot);
  gcb_store(m, one, one_slot, b);
  gcb_store(m, other, other_slot, a);
}

static inline void edits_replace(gcb_mutator *m, gcb_ref owner, uint32_t slot) {
  gcb_ref old = gcb_load(owner, slot);
  uint32_t references = gcb_reference_count(old);
  size_t bytes = gcb_object_bytes(old);
  if (bytes > EDITS_LARGEST_BYTES || bytes < gcb_size(references, sizeof(uint64_t)))
    gcb_fail(m, "the header of a leaf in slot %u was overwritten: its memory was given away", slot);
  size_t words = bytes / sizeof(uint64_t) - 1 - references;
  gcb_ref copy = gcb_alloc(m, references, words * sizeof(uint64_t));
  for (uint32_t i = 0; i < references; i++)
    gcb_store(m, copy, i, gcb_load(old, i));
  for (size_t i = 0; i < words; i++)
    gcb_store_raw(m, copy, i, gcb_load_raw(old, i));
  gcb_store(m, owner, slot, copy);
}

/* -- The mix. Four functions of the heap, each of the mutator alone; m->local is the heap's own. */
typedef void edits_kind(gcb_mutator *m);

static inline void edits_start(edits *e, const gcb_params *p, uint32_t pages) {
  *e = (edits){.move_below = (uint64_t)(p->move_share * 0x1p32),
               .replace_below = (uint64_t)((p->move_share + p->replace_share) * 0x1p32)};
  edits_sampler_start(&e->sampler, pages, p->hot_share, p->zipf);
}

/* Inlined into its one caller, so that the four are direct calls. */
static inline __attribute__((always_inline)) void edits_run(gcb_mutator *m, edits *e, edits_kind *redirect,
                                                            edits_kind *exchange, edits_kind *replace,
                                                            edits_kind *make_garbage) {
  const gcb_params *p = m->params;
  while (gcb_next(m)) {
    gcb_pace(m, p->rate_per_s);
    uint64_t choice = gcb_random(m) >> 32;
    if (choice < e->move_below)
      exchange(m);
    else if (choice < e->replace_below)
      replace(m);
    else
      redirect(m);
    edits_make_due(m, &e->fresh, p->garbage_per_edit, make_garbage);
  }
}

#endif
