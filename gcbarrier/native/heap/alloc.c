/* Allocation: threads claim blocks, cut TLABs from the gaps between live objects, and bump a cursor in them.
 * There are no free lists: the live bitmap of the last remark is the free list, and nothing is written into
 * free memory. */
#include "heap/blocks.h"

#include <string.h>

#define GCB_LARGE_BYTES (GCB_BLOCK / 2) /* larger objects get blocks of their own */
#define GCB_MEDIUM_BYTES ((size_t)512)  /* larger ones don't abandon a TLAB they don't fit into */
#define GCB_TLAB_BYTES                                                                                       \
  ((size_t)8192) /* zeroed at a time, so that it is still in the cache when it is used                       \
                  */

/* The next block with room, or GCB_NO_BLOCK. Each block is offered once an epoch to each cursor. */
static size_t claim(gcb_blocks *blocks, _Atomic size_t *cursor, bool free_only) {
  for (;;) {
    size_t block = atomic_fetch_add_explicit(cursor, 1, memory_order_relaxed);
    if (block >= blocks->blocks) {
      atomic_store_explicit(cursor, blocks->blocks, memory_order_relaxed); /* no wrapping round after years */
      return GCB_NO_BLOCK;
    }
    gcb_sweep_block(blocks, block, false);
    uint32_t state =
        gcb_settled(blocks, block); /* or its room would be out of this cursor's reach until the flip */
    uint32_t epoch = atomic_load_explicit(&blocks->epoch, memory_order_relaxed);
    bool room = gcb_kind(state) == GCB_FREE || (gcb_kind(state) == GCB_PARTIAL && !free_only);
    if (room && state >> 3 == epoch && gcb_take_block(blocks, block, state, gcb_state(epoch, GCB_OWNED)))
      return block;
  }
}

/* The thread allocates in a block from now on, and no longer in the one before. */
static void enter(gcb_blocks *blocks, _Atomic size_t *place, size_t block) {
  /* release: who finds that the thread has left a block finds what it has allocated black there */
  atomic_store_explicit(place, block, memory_order_release);
  /* release, and after the store above: who takes the bit finds the thread in the block, or beyond it */
  if (block != GCB_NO_BLOCK)
    gcb_open_block(blocks, block);
}

static size_t block_of(const gcb_allocator *a) {
  return atomic_load_explicit(&a->block, memory_order_relaxed); /* this thread writes it */
}

/* The first gap of the thread's block at or behind next_granule that holds `bytes`; null when there is none.
 */
static char *next_gap(gcb_allocator *a, size_t bytes) {
  gcb_blocks *blocks = a->blocks;
  size_t end = (block_of(a) + 1) * GCB_BLOCK_GRANULES, at = a->next_granule;
  while (at < end) {
    if (gcb_bit(blocks->live, at)) {
      at += gcb_object_bytes(gcb_alias_object(blocks, at)) >> GCB_GRANULE_SHIFT;
      continue;
    }
    size_t word = at >> 6, stop = end;
    uint64_t bits = gcb_word(blocks->live, word) & (~UINT64_C(0) << (at & 63));
    while (!bits && ++word < end >> 6)
      bits = gcb_word(blocks->live, word);
    if (bits)
      stop = (word << 6) + (size_t)__builtin_ctzll(bits);
    if ((stop - at) << GCB_GRANULE_SHIFT >= bytes) {
      a->next_granule = stop;
      a->run_limit = blocks->tracked + (stop << GCB_GRANULE_SHIFT);
      return blocks->tracked + (at << GCB_GRANULE_SHIFT);
    }
    at = stop;
  }
  a->next_granule = end;
  return NULL;
}

static void count(gcb_allocator *a, size_t bytes) {
  /* relaxed: a statistic, written by this thread alone and read at any time */
  atomic_store_explicit(&a->allocated_bytes,
                        atomic_load_explicit(&a->allocated_bytes, memory_order_relaxed) + bytes,
                        memory_order_relaxed);
  uint64_t claimed =
      atomic_fetch_add_explicit(&a->blocks->claimed_bytes, bytes, memory_order_relaxed) + bytes;
  if (GCB_UNLIKELY(claimed >= atomic_load_explicit(&a->blocks->trigger_bytes, memory_order_relaxed)))
    a->blocks->refill.trigger(a->m);
}

static void clear(gcb_allocator *a, char *at, size_t bytes) {
  if (a->blocks->refill.wrote)
    a->blocks->refill.wrote(a->m, at, bytes);
  memset(at, 0, bytes);
}

/* Gives [at, at + bytes) to the caller and makes the TLAB of what follows in the gap. `fresh`: where the part
 * of the gap begins that was not in the TLAB before. */
static char *cut(gcb_allocator *a, char *at, char *fresh, size_t bytes) {
  size_t room = (size_t)(a->run_limit - at);
  size_t tlab = bytes > GCB_TLAB_BYTES ? bytes : GCB_TLAB_BYTES < room ? GCB_TLAB_BYTES : room;
  size_t more = (size_t)(at + tlab - fresh);
  if (!a->run_clean)
    clear(a, fresh, more);
  count(a, more);
  a->m->cursor = at + bytes;
  a->m->limit = at + tlab;
  return at;
}

/* A wholly free block as the thread's second TLAB, for objects too big to throw the first one away for. */
static char *alloc_medium(gcb_allocator *a, size_t bytes) {
  if (bytes > (size_t)(a->medium_limit - a->medium_cursor)) {
    size_t block = claim(a->blocks, &a->blocks->next_free, true);
    if (block == GCB_NO_BLOCK)
      return NULL;
    enter(a->blocks, &a->medium_block, block);
    a->medium_cursor = a->blocks->tracked + block * GCB_BLOCK;
    a->medium_limit = a->medium_cursor + GCB_BLOCK;
    a->blocks->used[block] = 1;
  }
  char *at = a->medium_cursor;
  clear(a, at, bytes);
  count(a, bytes);
  a->medium_cursor += bytes;
  return at;
}

static char *alloc_small(gcb_allocator *a, size_t bytes) {
  gcb_blocks *blocks = a->blocks;
  if (a->m->limit < a->run_limit && bytes <= (size_t)(a->run_limit - a->m->cursor)) /* more of the same gap */
    return cut(a, a->m->cursor, a->m->limit, bytes);
  if (bytes > GCB_MEDIUM_BYTES) {
    char *at = alloc_medium(a, bytes);
    if (at)
      return at;
  }
  for (;;) {
    if (block_of(a) != GCB_NO_BLOCK) {
      char *at = next_gap(a, bytes);
      if (at)
        return cut(a, at, at, bytes);
    }
    size_t block = claim(blocks, &blocks->next_block, false);
    enter(blocks, &a->block, block);
    if (block == GCB_NO_BLOCK)
      return NULL;
    a->next_granule = block * GCB_BLOCK_GRANULES;
    a->run_clean = !blocks->used[block];
    blocks->used[block] = 1;
  }
}

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

/* `wanted` free blocks in a row below `top`, now RESERVED; GCB_NO_BLOCK: there are none. Large objects grow
 * down from the heap's end, away from the blocks that TLABs claim. */
static size_t reserve_below(gcb_blocks *blocks, size_t top, size_t wanted) {
  uint32_t epoch = atomic_load_explicit(&blocks->epoch, memory_order_acquire);
  size_t run = 0;
  for (size_t block = top; block-- > 0;) {
    gcb_sweep_block(blocks, block, false);
    uint32_t state = gcb_settled(blocks, block);
    run = state == gcb_state(epoch, GCB_FREE) ? run + 1 : 0;
    if (run == wanted) {
      if (reserve_run(blocks, block, wanted, epoch))
        return blocks->large_top = block;
      run = 0;
    }
  }
  return GCB_NO_BLOCK;
}

static char *alloc_large(gcb_allocator *a, size_t bytes) {
  gcb_blocks *blocks = a->blocks;
  size_t wanted = (bytes + GCB_BLOCK - 1) / GCB_BLOCK;
  pthread_mutex_lock(&blocks->large_lock);
  size_t first = reserve_below(blocks, blocks->large_top, wanted);
  if (first == GCB_NO_BLOCK)
    first = reserve_below(blocks, blocks->blocks, wanted);
  pthread_mutex_unlock(&blocks->large_lock);
  if (first == GCB_NO_BLOCK)
    return NULL;
  for (size_t block = first; block < first + wanted; block++) {
    if (blocks->used[block])
      clear(a, blocks->tracked + block * GCB_BLOCK, GCB_BLOCK);
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
  count(a, wanted * GCB_BLOCK);
  return blocks->tracked + first * GCB_BLOCK;
}

/* How many collections a thread waits for before it calls the heap full. One is not enough: what was
 * allocated while it ran survived it. Where the last one left much more than is asked for, other threads were
 * quicker than this one, and it waits again; not for ever, since what is left may be in pieces. */
static int patience(const gcb_blocks *blocks, size_t bytes) {
  if (bytes > blocks->bytes)
    return 0;
  return blocks->live_bytes < blocks->bytes && (blocks->bytes - blocks->live_bytes) / 8 > bytes ? 20 : 2;
}

char *gcb_alloc_slow(gcb_mutator *m, size_t bytes) {
  gcb_allocator *a = m->allocator;
  for (int collections = 0;; collections++) {
    char *at = bytes > GCB_LARGE_BYTES ? alloc_large(a, bytes) : alloc_small(a, bytes);
    if (at)
      return at;
    if (collections >= patience(a->blocks, bytes))
      gcb_fail(m,
               "out of memory: the heap of %zu bytes, with %llu bytes live after a collection, has no room "
               "for an object of %zu bytes",
               a->blocks->bytes, (unsigned long long)a->blocks->live_bytes, bytes);
    a->blocks->refill.stall(m, bytes);
  }
}

void gcb_alloc_black(gcb_mutator *m, gcb_ref object) {
  gcb_allocator *a = m->allocator;
  uint32_t granule = gcb_granule_of(a->blocks, object);
  _Atomic uint64_t *word = &a->blocks->black[granule >> 6];
  /* Not a read-modify-write: the block is this thread's, and no word covers two blocks.
   * release: whoever sees the bit sees the header. The object's first stores come later in program order, so
   * a rescan that a fault on one of them asked for finds the bit set. */
  uint64_t bits = atomic_load_explicit(word, memory_order_relaxed);
  atomic_store_explicit(word, bits | UINT64_C(1) << (granule & 63), memory_order_release);
  size_t bytes = gcb_object_bytes(object);
  /* Once more, since nobody is in it who would be seen: whoever took the bit before found nothing alive. */
  if (GCB_UNLIKELY(bytes > GCB_LARGE_BYTES))
    gcb_open_block(a->blocks, granule / GCB_BLOCK_GRANULES);
  /* relaxed: a statistic */
  atomic_store_explicit(&a->black_bytes, atomic_load_explicit(&a->black_bytes, memory_order_relaxed) + bytes,
                        memory_order_relaxed);
}
