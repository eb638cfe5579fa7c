/* What a sweep frees under stress: every word of it becomes GCB_POISON, through the collector's view, so that
 * no barrier sees it. Whoever allocates there clears it, as ever. */
#include "heap/blocks.h"
#include "include/error.h"

#include <stdlib.h>

int gcb_blocks_stress(gcb_blocks *blocks) {
  blocks->poisoned = calloc(blocks->blocks, sizeof *blocks->poisoned);
  return blocks->poisoned ? 0 : gcb_set_error("no memory to poison the blocks of a heap");
}

static void poison(const gcb_blocks *blocks, size_t granule, size_t end) {
  _Atomic uint64_t *word = (_Atomic uint64_t *)(void *)(blocks->alias + (granule << GCB_GRANULE_SHIFT));
  size_t words = (end - granule) * (GCB_GRANULE / sizeof *word);
  /* relaxed: published by the block's state. Atomic, since a mutator may be reading it by mistake. */
  for (size_t i = 0; i < words; i++)
    atomic_store_explicit(&word[i], GCB_POISON, memory_order_relaxed);
}

static size_t objects_in(const gcb_blocks *blocks, size_t block) {
  size_t count = 0;
  for (size_t word = block * GCB_BLOCK_WORDS; word < (block + 1) * GCB_BLOCK_WORDS; word++)
    count += (size_t)__builtin_popcountll(gcb_word(blocks->live, word));
  return count;
}

/* Behind what lives. */
static void poison_gaps(const gcb_blocks *blocks, size_t block) {
  size_t end = (block + 1) * GCB_BLOCK_GRANULES;
  for (size_t at = block * GCB_BLOCK_GRANULES, gap = at; at < end;) {
    if (!gcb_bit(blocks->live, at)) {
      if (++at == end)
        poison(blocks, gap, end);
      continue;
    }
    if (gap < at)
      poison(blocks, gap, at);
    at += gcb_object_bytes(gcb_alias_object(blocks, at)) >> GCB_GRANULE_SHIFT;
    gap = at;
  }
}

void gcb_poison_block(gcb_blocks *blocks, size_t block, gcb_block_kind kind) {
  if (!blocks->poisoned || !blocks->used[block])
    return;
  /* Nobody has allocated here since: as many objects are the same ones, and what lies between is poisoned. */
  uint16_t objects = (uint16_t)objects_in(blocks, block);
  bool unclaimed = kind == GCB_FREE || kind == GCB_PARTIAL;
  if (!(unclaimed && blocks->poisoned[block] == objects + 1) && !(kind == GCB_HEAD && objects))
    poison_gaps(blocks, block);
  blocks->poisoned[block] = (uint16_t)(objects + 1);
}
