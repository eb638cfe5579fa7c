/* The sweep: block by block, by whoever needs one, and the rest by the collector's thread. */
#include "heap/blocks.h"

#include <sched.h>

/* The sweep of one block: black joins live, and the block is free if no object starts in it. */
static size_t sweep_small(gcb_blocks *blocks, size_t block) {
  uint64_t any = 0;
  for (size_t word = block * GCB_BLOCK_WORDS; word < (block + 1) * GCB_BLOCK_WORDS; word++) {
    uint64_t fresh = gcb_word(blocks->black, word), live = gcb_word(blocks->live, word) | fresh;
    if (fresh) {
      /* relaxed: published by the block's state */
      atomic_store_explicit(&blocks->live[word], live, memory_order_relaxed);
      atomic_store_explicit(&blocks->black[word], 0, memory_order_relaxed);
    }
    any |= live;
  }
  return any == 0;
}

size_t gcb_sweep_block(gcb_blocks *blocks, size_t block, bool large_too) {
  uint32_t epoch = atomic_load_explicit(&blocks->epoch, memory_order_acquire);
  uint32_t state = atomic_load_explicit(&blocks->block_state[block], memory_order_acquire);
  gcb_block_kind kind = gcb_kind(state);
  if (state >> 3 == epoch || kind == GCB_BUSY || kind == GCB_TAIL || kind == GCB_RESERVED ||
      (kind == GCB_HEAD && !large_too))
    return 0;
  if (!gcb_take_block(blocks, block, state, gcb_state(epoch, GCB_BUSY)))
    return 0;
  size_t freed = sweep_small(blocks, block);
  if (kind != GCB_HEAD) {
    gcb_put_block(blocks, block, gcb_state(epoch, freed ? GCB_FREE : GCB_PARTIAL));
    return freed;
  }
  if (!freed) {
    gcb_put_block(blocks, block, gcb_state(epoch, GCB_HEAD));
    return 0;
  }
  size_t tail = block + 1;
  for (; tail < blocks->blocks; tail++) {
    /* relaxed twice: a tail was published with the head, and only this thread sweeps it */
    if (gcb_kind(atomic_load_explicit(&blocks->block_state[tail], memory_order_relaxed)) != GCB_TAIL ||
        atomic_load_explicit(&blocks->head[tail], memory_order_relaxed) != block)
      break;
    gcb_put_block(blocks, tail, gcb_state(epoch, GCB_FREE));
  }
  gcb_put_block(blocks, block, gcb_state(epoch, GCB_FREE));
  return tail - block;
}

/* A sweep has no safepoint in it and takes a microsecond, unless its thread has lost its processor. */
uint32_t gcb_settled(gcb_blocks *blocks, size_t block) {
  for (;;) {
    /* acquire: pairs with gcb_put_block() */
    uint32_t state = atomic_load_explicit(&blocks->block_state[block], memory_order_acquire);
    if (gcb_kind(state) != GCB_BUSY)
      return state;
    sched_yield();
  }
}

size_t gcb_sweep_blocks(gcb_blocks *blocks) {
  size_t freed = 0;
  for (size_t block = 0; block < blocks->blocks; block++) {
    freed += gcb_sweep_block(blocks, block, true);
    /* Also of the blocks that a mutator is sweeping just now: were a cycle to begin before their `black` is
     * empty, the marker would take objects of the cycle before for black ones and pass them by. */
    (void)gcb_settled(blocks, block);
  }
  return freed;
}
