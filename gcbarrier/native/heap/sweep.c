/* The sweep: block by block, by whoever needs one, and the rest by the collector's thread. */
#include "heap/blocks.h"

#include <sched.h>

/* Leaves in `mark` what is old after the last cycle, before black joins live. `live` has that cycle's marks,
 * `mark` what was live when it began: the flip has exchanged the two. What was allocated black may be marked
 * or not, and has lived through nothing. relaxed, all stores: published by the block's state */
static void keep_old(gcb_blocks *blocks, size_t block) {
  bool all = true;
  size_t fill = 0;
  for (size_t word = block * GCB_BLOCK_WORDS; word < (block + 1) * GCB_BLOCK_WORDS; word++) {
    uint64_t marks = gcb_word(blocks->live, word) & ~gcb_word(blocks->black, word), old = marks;
    if (blocks->survivals > 1)
      old &= gcb_word(blocks->mark, word);
    atomic_store_explicit(&blocks->mark[word], old, memory_order_relaxed);
    all &= old == marks;
  }
  for (size_t word = block * GCB_BLOCK_WORDS; !all && word < (block + 1) * GCB_BLOCK_WORDS; word++)
    for (uint64_t bits = gcb_word(blocks->mark, word); bits; bits &= bits - 1)
      fill += gcb_object_bytes(gcb_alias_object(blocks, (word << 6) + (size_t)__builtin_ctzll(bits))) >>
              GCB_GRANULE_SHIFT;
  if (all)
    fill = atomic_load_explicit(&blocks->live_fill[block], memory_order_relaxed);
  atomic_store_explicit(&blocks->mark_fill[block], (uint16_t)fill, memory_order_relaxed);
}

/* black joins live; whether no object starts in the block. */
static bool sweep_small(gcb_blocks *blocks, size_t block) {
  uint64_t any = 0;
  if (blocks->survivals > 0)
    keep_old(blocks, block);
  for (size_t word = block * GCB_BLOCK_WORDS; word < (block + 1) * GCB_BLOCK_WORDS; word++) {
    uint64_t fresh = gcb_word(blocks->black, word), live = gcb_word(blocks->live, word) | fresh;
    if (fresh) {
      /* relaxed: published by the block's state */
      atomic_store_explicit(&blocks->live[word], live, memory_order_relaxed);
      atomic_store_explicit(&blocks->black[word], 0, memory_order_relaxed);
    }
    any |= live;
  }
  uint16_t fresh = atomic_load_explicit(&blocks->black_fill[block], memory_order_relaxed);
  if (fresh) {
    uint16_t old = atomic_load_explicit(&blocks->live_fill[block], memory_order_relaxed);
    /* In this order, and the second a release: see gcb_filled(), that must not count black twice. */
    atomic_store_explicit(&blocks->black_fill[block], 0, memory_order_relaxed);
    atomic_store_explicit(&blocks->live_fill[block], (uint16_t)(old + fresh), memory_order_release);
  }
  return any == 0;
}

/* Frees the blocks behind a large object's first one, which this thread is sweeping; how many. Until it is
 * done nobody else can have the first one, and so no other block refers to it. */
static size_t free_tails(gcb_blocks *blocks, size_t head, uint32_t epoch) {
  size_t tail = head + 1;
  for (; tail < blocks->blocks; tail++) {
    /* acquire: pairs with gcb_put_block(), for `head`. A stop lies between the object's allocation and its
     * sweep, so all of its tails are seen; behind them somebody may be making another object. */
    uint32_t state = atomic_load_explicit(&blocks->block_state[tail], memory_order_acquire);
    if (gcb_kind(state) != GCB_TAIL ||
        atomic_load_explicit(&blocks->head[tail], memory_order_relaxed) != head)
      break;
    gcb_poison_block(blocks, tail, GCB_TAIL);
    gcb_put_block(blocks, tail, gcb_state(epoch, GCB_FREE));
  }
  return tail - head - 1;
}

size_t gcb_sweep_block(gcb_blocks *blocks, size_t block) {
  uint32_t epoch = atomic_load_explicit(&blocks->epoch, memory_order_acquire);
  uint32_t state = atomic_load_explicit(&blocks->block_state[block], memory_order_acquire);
  if (gcb_kind(state) == GCB_TAIL) {
    /* relaxed: published by the tail's state. It may be another object's by now: that is swept as well. */
    block = atomic_load_explicit(&blocks->head[block], memory_order_relaxed);
    state = atomic_load_explicit(&blocks->block_state[block], memory_order_acquire);
  }
  gcb_block_kind kind = gcb_kind(state);
  if (state >> 3 == epoch || kind == GCB_BUSY || kind == GCB_TAIL || kind == GCB_RESERVED)
    return 0;
  if (!gcb_take_block(blocks, block, state, gcb_state(epoch, GCB_BUSY)))
    return 0;
  bool dead = sweep_small(blocks, block);
  gcb_poison_block(blocks, block, kind);
  size_t freed = dead;
  if (dead && kind == GCB_HEAD)
    freed += free_tails(blocks, block, epoch);
  gcb_put_block(blocks, block, gcb_state(epoch, dead ? GCB_FREE : kind == GCB_HEAD ? GCB_HEAD : GCB_PARTIAL));
  return freed;
}

/* A sweep has no safepoint in it and takes a microsecond, unless its thread has lost its processor. */
uint32_t gcb_settled(gcb_blocks *blocks, size_t block) {
  for (;;) {
    /* acquire: pairs with gcb_put_block() */
    uint32_t state = atomic_load_explicit(&blocks->block_state[block], memory_order_acquire);
    bool busy = gcb_kind(state) == GCB_BUSY;
    if (gcb_kind(state) == GCB_TAIL) { /* one that is about to be freed, or has just been */
      size_t head = atomic_load_explicit(&blocks->head[block], memory_order_relaxed);
      busy = gcb_kind(atomic_load_explicit(&blocks->block_state[head], memory_order_acquire)) == GCB_BUSY ||
             atomic_load_explicit(&blocks->block_state[block], memory_order_relaxed) != state;
    }
    if (!busy)
      return state;
    sched_yield();
  }
}

size_t gcb_sweep_blocks(gcb_blocks *blocks, size_t first, size_t end) {
  size_t freed = 0;
  for (size_t block = first; block < end; block++) {
    freed += gcb_sweep_block(blocks, block);
    /* Also of the blocks that a mutator is sweeping just now: were a cycle to begin before their `black` is
     * empty, the marker would take objects of the cycle before for black ones and pass them by. */
    (void)gcb_settled(blocks, block);
  }
  return freed;
}
