/* What the files that allocate share: alloc.c for objects that share blocks, large.c for those that don't. */
#ifndef GCB_ALLOC_H
#define GCB_ALLOC_H

#include "heap/blocks.h"

enum { GCB_AT_ONCE = 512 }; /* blocks that are looked at between two safepoints */

/* Granules of the block that are taken; fewer while it is being swept. A hint. */
static inline size_t gcb_filled(const gcb_blocks *blocks, size_t block) {
  /* acquire: pairs with the sweep, which empties black_fill first */
  size_t live = atomic_load_explicit(&blocks->live_fill[block], memory_order_acquire);
  return live + atomic_load_explicit(&blocks->black_fill[block], memory_order_relaxed);
}

/* Larger objects took or wanted free blocks from this one on: small ones leave them alone, in this epoch and
 * the next. */
static inline void gcb_leave_free(gcb_blocks *blocks, size_t block) {
  /* relaxed: hints, which the flip writes while all are stopped; where two write at a time, one is lost */
  if (block < atomic_load_explicit(&blocks->wanted_from, memory_order_relaxed))
    atomic_store_explicit(&blocks->wanted_from, block, memory_order_relaxed);
  if (block < atomic_load_explicit(&blocks->small_end, memory_order_relaxed))
    atomic_store_explicit(&blocks->small_end, block, memory_order_relaxed);
}

/* alloc.c */
void gcb_count_allocated(gcb_allocator *a, size_t bytes); /* and tells the collector when it is enough */
void gcb_clear(gcb_allocator *a, char *at, size_t bytes);

/* large.c */
char *gcb_alloc_large(gcb_allocator *a, size_t bytes); /* null: there is no room. A safepoint. */

#endif
