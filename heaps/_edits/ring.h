/* Fresh objects, garbage to be: an old one, the ring, holds the last so many of each mutator's. And how a
 * mutator comes by what gcb_build() has made for it. */
#ifndef GCB_RING_H
#define GCB_RING_H

#include "gcb_params.h"

#include "checksum.h"

#include <stdlib.h>

/* Globals, one of each for every mutator: its part of the graph, its ring, its cell (edits_hand_over). */
enum { EDITS_MUTATORS = 64, EDITS_ROOT = 0, EDITS_RING = EDITS_MUTATORS, EDITS_CELL = 2 * EDITS_MUTATORS };
enum { EDITS_LIST = 8 };                /* fresh objects in a row of which each refers to the one before */
#define EDITS_FRESH (UINT64_C(1) << 63) /* in the id of an object that was made as garbage */

typedef struct edits_fresh {
  double owed;   /* objects that are due */
  uint64_t made; /* so far */
} edits_fresh;

static inline void *edits_malloc(gcb_mutator *m, size_t count, size_t bytes) {
  void *memory = calloc(count ? count : 1, bytes);
  if (!memory)
    gcb_fail(m, "no memory for the mutator's own table of %zu entries", count);
  return memory;
}

/* What gcb_build() makes for a mutator reaches it through a cell: a heap object whose raw word is the
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

/* Fresh objects stay reachable from this old one until it comes round again. */
static inline gcb_ref edits_last_fresh(gcb_mutator *m, const edits_fresh *f) {
  gcb_ref ring = gcb_global(m, EDITS_RING + m->index);
  return gcb_load(ring, (uint32_t)((f->made + gcb_reference_count(ring) - 1) % gcb_reference_count(ring)));
}
/* Whether the next fresh object is to refer to the last one; lists without an end would never be garbage. */
static inline bool edits_continues_list(const edits_fresh *f) {
  return f->made % EDITS_LIST != 0;
}
static inline void edits_keep_fresh(gcb_mutator *m, edits_fresh *f, gcb_ref object) {
  gcb_ref ring = gcb_global(m, EDITS_RING + m->index);
  gcb_store(m, ring, (uint32_t)(f->made++ % gcb_reference_count(ring)), object);
}

/* So many objects beside an operation, on average. Inlined into its one caller, where it is a direct call. */
static inline __attribute__((always_inline)) void edits_make_due(gcb_mutator *m, edits_fresh *f, double each,
                                                                 void make_garbage(gcb_mutator *m)) {
  for (f->owed += each; f->owed >= 1; f->owed--)
    make_garbage(m);
}

#endif
