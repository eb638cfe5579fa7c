/* Large objects: blocks of their own, in a row, down from the heap's end. */
#include "heap/alloc.h"

#include <sched.h>

/* All of them, or none. */
static bool reserve_run(gcb_blocks *blocks, size_t first, size_t wanted, uint32_t epoch) {
  for (size_t taken = 0; taken < wanted; taken++)
    if (!gcb_take_block(blocks, first + taken, gcb_state(epoch, GCB_FREE), gcb_state(epoch, GCB_RESERVED))) {
      while (taken-- > 0)
        gcb_put_block(blocks, first + taken, gcb_state(epoch, GCB_FREE));
      return false;
    }
  return true;
}

/* Without sleeping: whoever has it may wait for a processor, and a stop would wait for both. */
static void lock_large(gcb_allocator *a) {
  while (pthread_mutex_trylock(&a->blocks->large_lock)) {
    gcb_poll(a->m);
    sched_yield();
  }
}

static bool is_free(gcb_blocks *blocks, size_t block, uint32_t epoch) {
  if (gcb_filled(blocks, block) > 0)
    return false;
  gcb_sweep_block(blocks, block);
  return gcb_settled(blocks, block) == gcb_state(epoch, GCB_FREE);
}

/* `wanted` free blocks in a row below `top`, now RESERVED; GCB_NO_BLOCK: there are none. Large objects grow
 * down from the heap's end, away from the blocks that TLABs claim. A safepoint, without the lock. */
static size_t reserve_below(gcb_allocator *a, size_t top, size_t wanted) {
  gcb_blocks *blocks = a->blocks;
  uint32_t epoch = atomic_load_explicit(&blocks->epoch, memory_order_acquire);
  size_t run = 0, looked_at = 0;
  for (size_t block = top; block-- > 0;) {
    if (++looked_at % GCB_AT_ONCE == 0) {
      pthread_mutex_unlock(&blocks->large_lock);
      gcb_poll(a->m);
      lock_large(a);
      uint32_t now = atomic_load_explicit(&blocks->epoch, memory_order_acquire);
      if (now != epoch) { /* nothing is as it was */
        epoch = now;
        block = blocks->blocks;
        run = 0;
        continue;
      }
    }
    run = is_free(blocks, block, epoch) ? run + 1 : 0;
    if (run == wanted) {
      if (reserve_run(blocks, block, wanted, epoch))
        return blocks->large_top = block;
      block += run; /* once more: somebody has claimed one of them meanwhile */
      run = 0;
    }
  }
  return GCB_NO_BLOCK;
}

char *gcb_alloc_large(gcb_allocator *a, size_t bytes) {
  gcb_blocks *blocks = a->blocks;
  size_t wanted = (bytes + GCB_BLOCK - 1) / GCB_BLOCK;
  lock_large(a);
  size_t first = reserve_below(a, blocks->large_top, wanted);
  if (first == GCB_NO_BLOCK)
    first = reserve_below(a, blocks->blocks, wanted);
  gcb_leave_free(blocks, first == GCB_NO_BLOCK ? 0 : first);
  pthread_mutex_unlock(&blocks->large_lock);
  if (first == GCB_NO_BLOCK)
    return NULL;
  for (size_t block = first; block < first + wanted; block++) {
    if (blocks->used[block])
      gcb_clear(a, blocks->tracked + block * GCB_BLOCK, GCB_BLOCK);
    blocks->used[block] = 1;
    /* A stop need not wait for all of a large object to be zeroed: RESERVED blocks are nobody's business. */
    gcb_poll(a->m);
  }
  /* No safepoint from here on: a sweep would free an object that is not marked yet. */
  uint32_t epoch = atomic_load_explicit(&blocks->epoch, memory_order_acquire);
  for (size_t block = first; block < first + wanted; block++) {
    atomic_store_explicit(&blocks->head[block], (uint32_t)first, memory_order_relaxed);
    gcb_put_block(blocks, block, gcb_state(epoch, block == first ? GCB_HEAD : GCB_TAIL));
  }
  gcb_open_block(blocks, first);
  gcb_count_allocated(a, wanted * GCB_BLOCK);
  return blocks->tracked + first * GCB_BLOCK;
}
