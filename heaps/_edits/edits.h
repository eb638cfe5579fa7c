/* What the heaps that edit an object graph have in common: the mix of operations and its pace, the ring of
 * fresh objects; the choice of the page that is written is in sampler.h, what a checksum needs in checksum.h.
 *
 * Every mutator edits a part of the heap that nobody else writes, and picks by its own random numbers, never
 * by an address or a clock: so the graph at the end depends on the seed and the number of operations alone.
 *
 * A heap calls its objects fixed or movable. Fixed objects stay what and where they are as long as the heap
 * lives; random references lead to nothing else. A movable object is held by exactly one slot (a leaf slot);
 * it may change its slot with another one or be replaced by a copy, and is garbage at once when it is. */
#ifndef GCB_EDITS_H
#define GCB_EDITS_H

#include "gcb_params.h"

#include "checksum.h"
#include "sampler.h"

#include <stdlib.h>

/* Globals, one of each for every mutator: its part of the graph, its ring, its cell (edits_hand_over). */
enum { EDITS_MUTATORS = 64, EDITS_ROOT = 0, EDITS_RING = EDITS_MUTATORS, EDITS_CELL = 2 * EDITS_MUTATORS };
enum { EDITS_LIST = 8 };                /* fresh objects in a row of which each refers to the one before */
enum { EDITS_LARGEST_BYTES = 1 << 20 }; /* of a movable object: what the heaps' heap.py allow */
#define EDITS_FRESH (UINT64_C(1) << 63) /* in the id of an object that was made as garbage */

typedef struct edits {
  edits_sampler sampler;
  uint64_t move_below, replace_below; /* of 32 random bits */
  double owed;                        /* fresh objects that are due */
  uint64_t fresh;                     /* made so far */
} edits;

static inline void *edits_malloc(gcb_mutator *m, size_t count, size_t bytes) {
  void *memory = calloc(count ? count : 1, bytes);
  if (!memory)
    gcb_fail(m, "no memory for the mutator's own table of %zu entries", count);
  return memory;
}

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

/* -- What gcb_build() makes for a mutator reaches it through a cell: a heap object whose raw word is the
 * address. A static variable would be shared by all heaps of the process. */
static inline void edits_hand_over(gcb_mutator *m, uint32_t mutator, void *own) {
  gcb_ref cell = gcb_alloc(m, 0, sizeof(uint64_t));
  gcb_store_raw(m, cell, 0, (uint64_t)(uintptr_t)own);
  gcb_set_global(m, EDITS_CELL + mutator, cell);
  gcb_set_global(m, EDITS_RING + mutator, gcb_alloc(m, (uint32_t)((const gcb_params *)m->params)->ring, 0));
}
static inline void *edits_take_over(gcb_mutator *m) {
  return m->local = (void *)(uintptr_t)gcb_load_raw(gcb_global(m, EDITS_CELL + m->index), 0);
}

/* -- The ring: fresh objects stay reachable from this old one until it comes round again. */
static inline gcb_ref edits_last_fresh(gcb_mutator *m, const edits *e) {
  gcb_ref ring = gcb_global(m, EDITS_RING + m->index);
  return gcb_load(ring, (uint32_t)((e->fresh + gcb_reference_count(ring) - 1) % gcb_reference_count(ring)));
}
/* Whether the next fresh object is to refer to the last one; lists without an end would never be garbage. */
static inline bool edits_continues_list(const edits *e) {
  return e->fresh % EDITS_LIST != 0;
}
static inline void edits_keep_fresh(gcb_mutator *m, edits *e, gcb_ref object) {
  gcb_ref ring = gcb_global(m, EDITS_RING + m->index);
  gcb_store(m, ring, (uint32_t)(e->fresh++ % gcb_reference_count(ring)), object);
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
    for (e->owed += p->garbage_per_edit; e->owed >= 1; e->owed--)
      make_garbage(m);
  }
}

#endif
