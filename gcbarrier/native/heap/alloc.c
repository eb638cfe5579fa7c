/* Allocation: threads claim blocks, cut TLABs from the gaps between live objects, and bump a cursor in them.
 * There are no free lists: the live bitmap of the last remark is the free list, and nothing is written into
 * free memory. */
#include "core.h"

#include <sched.h>
#include <string.h>

/* The sweep of one block: black joins live, and the block is free if no object starts in it. */
static size_t sweep_small(gcb_space *space, size_t block) {
  uint64_t any = 0;
  for (size_t word = block * GCB_BLOCK_WORDS; word < (block + 1) * GCB_BLOCK_WORDS; word++) {
    uint64_t fresh = gcb_word(space->black, word), live = gcb_word(space->live, word) | fresh;
    if (fresh) {
      /* relaxed: published by the block's state */
      atomic_store_explicit(&space->live[word], live, memory_order_relaxed);
      atomic_store_explicit(&space->black[word], 0, memory_order_relaxed);
    }
    any |= live;
  }
  return any == 0;
}

/* Takes the right to sweep or to use a block: only one thread's compare-and-swap succeeds.
 * acquire: sees the bitmap words that the sweep before it wrote; release: publishes this thread's. */
static bool take(gcb_space *space, size_t block, uint32_t from, uint32_t to) {
  return atomic_compare_exchange_strong_explicit(&space->block_state[block], &from, to, memory_order_acq_rel,
                                                 memory_order_relaxed);
}

static void put(gcb_space *space, size_t block, uint32_t state) {
  atomic_store_explicit(&space->block_state[block], state, memory_order_release);
}

/* Brings a block of an earlier epoch up to date; returns how many became free. Large objects are swept as
 * one, from their first block, and only by the collector's thread (a tail is reached through its head). */
static size_t sweep_block(gcb_space *space, size_t block, bool large_too) {
  uint32_t epoch = atomic_load_explicit(&space->epoch, memory_order_acquire);
  uint32_t state = atomic_load_explicit(&space->block_state[block], memory_order_acquire);
  gcb_block_kind kind = gcb_kind(state);
  if (state >> 3 == epoch || kind == GCB_BUSY || kind == GCB_TAIL || kind == GCB_RESERVED ||
      (kind == GCB_HEAD && !large_too))
    return 0;
  if (!take(space, block, state, gcb_state(epoch, GCB_BUSY)))
    return 0;
  size_t freed = sweep_small(space, block);
  if (kind != GCB_HEAD) {
    put(space, block, gcb_state(epoch, freed ? GCB_FREE : GCB_PARTIAL));
    return freed;
  }
  if (!freed) {
    put(space, block, gcb_state(epoch, GCB_HEAD));
    return 0;
  }
  size_t tail = block + 1;
  for (; tail < space->blocks; tail++) {
    /* relaxed twice: a tail was published with the head, and only this thread sweeps it */
    if (gcb_kind(atomic_load_explicit(&space->block_state[tail], memory_order_relaxed)) != GCB_TAIL ||
        atomic_load_explicit(&space->head[tail], memory_order_relaxed) != block)
      break;
    put(space, tail, gcb_state(epoch, GCB_FREE));
  }
  put(space, block, gcb_state(epoch, GCB_FREE));
  return tail - block;
}

/* The block's state once a sweep by another thread is over. A sweep has no safepoint in it and takes a
 * microsecond, unless its thread has lost its processor. */
static uint32_t settled(gcb_space *space, size_t block) {
  for (;;) {
    /* acquire: pairs with put() */
    uint32_t state = atomic_load_explicit(&space->block_state[block], memory_order_acquire);
    if (gcb_kind(state) != GCB_BUSY)
      return state;
    sched_yield();
  }
}

size_t gcb_sweep_blocks(gcb_space *space) {
  size_t freed = 0;
  for (size_t block = 0; block < space->blocks; block++) {
    freed += sweep_block(space, block, true);
    /* Also of the blocks that a mutator is sweeping just now: were a cycle to begin before their `black` is
     * empty, the marker would take objects of the cycle before for black ones and pass them by. */
    (void)settled(space, block);
  }
  return freed;
}

/* The next block with room, or GCB_NO_BLOCK. Each block is offered once an epoch to each cursor. */
static size_t claim(gcb_space *space, _Atomic size_t *cursor, bool free_only) {
  for (;;) {
    size_t block = atomic_fetch_add_explicit(cursor, 1, memory_order_relaxed);
    if (block >= space->blocks) {
      atomic_store_explicit(cursor, space->blocks, memory_order_relaxed); /* no wrapping round after years */
      return GCB_NO_BLOCK;
    }
    sweep_block(space, block, false);
    uint32_t state =
        settled(space, block); /* or its room would be out of this cursor's reach until the flip */
    uint32_t epoch = atomic_load_explicit(&space->epoch, memory_order_relaxed);
    bool room = gcb_kind(state) == GCB_FREE || (gcb_kind(state) == GCB_PARTIAL && !free_only);
    if (room && state >> 3 == epoch && take(space, block, state, gcb_state(epoch, GCB_OWNED)))
      return block;
  }
}

/* The first gap of the thread's block at or behind next_granule that holds `bytes`; null when there is none.
 */
static char *next_gap(gcb_thread *t, size_t bytes) {
  gcb_space *space = t->space;
  size_t end = (t->block + 1) * GCB_BLOCK_GRANULES, at = t->next_granule;
  while (at < end) {
    if (gcb_bit(space->live, at)) {
      at += gcb_object_bytes(gcb_alias_object(space, at)) >> GCB_GRANULE_SHIFT;
      continue;
    }
    size_t word = at >> 6, stop = end;
    uint64_t bits = gcb_word(space->live, word) & (~UINT64_C(0) << (at & 63));
    while (!bits && ++word < end >> 6)
      bits = gcb_word(space->live, word);
    if (bits)
      stop = (word << 6) + (size_t)__builtin_ctzll(bits);
    if ((stop - at) << GCB_GRANULE_SHIFT >= bytes) {
      t->next_granule = stop;
      t->run_limit = space->tracked + (stop << GCB_GRANULE_SHIFT);
      return space->tracked + (at << GCB_GRANULE_SHIFT);
    }
    at = stop;
  }
  t->next_granule = end;
  return NULL;
}

static void count(gcb_thread *t, size_t bytes) {
  /* relaxed: a statistic, written by this thread alone and read at any time */
  atomic_store_explicit(&t->allocated_bytes,
                        atomic_load_explicit(&t->allocated_bytes, memory_order_relaxed) + bytes,
                        memory_order_relaxed);
  uint64_t claimed = atomic_fetch_add_explicit(&t->space->claimed_bytes, bytes, memory_order_relaxed) + bytes;
  if (GCB_UNLIKELY(claimed >= atomic_load_explicit(&t->space->trigger_bytes, memory_order_relaxed)))
    gcb_service_trigger(t->space);
}

static void clear(gcb_thread *t, char *at, size_t bytes) {
  if (t->space->oracle && t->space->ops && !t->space->ops->stores_only)
    gcb_log_write(&t->m, at, bytes);
  memset(at, 0, bytes);
}

/* Gives [at, at + bytes) to the caller and makes the TLAB of what follows in the gap. `fresh`: where the part
 * of the gap begins that was not in the TLAB before. */
static char *cut(gcb_thread *t, char *at, char *fresh, size_t bytes) {
  size_t room = (size_t)(t->run_limit - at);
  size_t tlab = bytes > GCB_TLAB_BYTES ? bytes : GCB_TLAB_BYTES < room ? GCB_TLAB_BYTES : room;
  size_t more = (size_t)(at + tlab - fresh);
  if (!t->run_clean)
    clear(t, fresh, more);
  count(t, more);
  t->m.cursor = at + bytes;
  t->m.limit = at + tlab;
  return at;
}

/* A wholly free block as the thread's second TLAB, for objects too big to throw the first one away for. */
static char *alloc_medium(gcb_thread *t, size_t bytes) {
  if (bytes > (size_t)(t->medium_limit - t->medium_cursor)) {
    size_t block = claim(t->space, &t->space->next_free, true);
    if (block == GCB_NO_BLOCK)
      return NULL;
    t->medium_cursor = t->space->tracked + block * GCB_BLOCK;
    t->medium_limit = t->medium_cursor + GCB_BLOCK;
    t->space->used[block] = 1;
  }
  char *at = t->medium_cursor;
  clear(t, at, bytes);
  count(t, bytes);
  t->medium_cursor += bytes;
  return at;
}

static char *alloc_small(gcb_thread *t, size_t bytes) {
  gcb_space *space = t->space;
  if (t->m.limit < t->run_limit && bytes <= (size_t)(t->run_limit - t->m.cursor)) /* more of the same gap */
    return cut(t, t->m.cursor, t->m.limit, bytes);
  if (bytes > GCB_MEDIUM_BYTES) {
    char *at = alloc_medium(t, bytes);
    if (at)
      return at;
  }
  for (;;) {
    if (t->block != GCB_NO_BLOCK) {
      char *at = next_gap(t, bytes);
      if (at)
        return cut(t, at, at, bytes);
    }
    t->block = claim(space, &space->next_block, false);
    if (t->block == GCB_NO_BLOCK)
      return NULL;
    t->next_granule = t->block * GCB_BLOCK_GRANULES;
    t->run_clean = !space->used[t->block];
    space->used[t->block] = 1;
  }
}

/* All of them, or none. */
static bool reserve_run(gcb_space *space, size_t first, size_t wanted, uint32_t epoch) {
  for (size_t taken = 0; taken < wanted; taken++)
    if (!take(space, first + taken, gcb_state(epoch, GCB_FREE), gcb_state(epoch, GCB_RESERVED))) {
      while (taken-- > 0)
        put(space, first + taken, gcb_state(epoch, GCB_FREE));
      return false;
    }
  return true;
}

/* `wanted` free blocks in a row below `top`, now RESERVED; GCB_NO_BLOCK: there are none. Large objects grow
 * down from the heap's end, away from the blocks that TLABs claim. */
static size_t reserve_below(gcb_space *space, size_t top, size_t wanted) {
  uint32_t epoch = atomic_load_explicit(&space->epoch, memory_order_acquire);
  size_t run = 0;
  for (size_t block = top; block-- > 0;) {
    sweep_block(space, block, false);
    uint32_t state = settled(space, block);
    run = state == gcb_state(epoch, GCB_FREE) ? run + 1 : 0;
    if (run == wanted) {
      if (reserve_run(space, block, wanted, epoch))
        return space->large_top = block;
      run = 0;
    }
  }
  return GCB_NO_BLOCK;
}

static char *alloc_large(gcb_thread *t, size_t bytes) {
  gcb_space *space = t->space;
  size_t wanted = (bytes + GCB_BLOCK - 1) / GCB_BLOCK;
  pthread_mutex_lock(&space->large_lock);
  size_t first = reserve_below(space, space->large_top, wanted);
  if (first == GCB_NO_BLOCK)
    first = reserve_below(space, space->blocks, wanted);
  pthread_mutex_unlock(&space->large_lock);
  if (first == GCB_NO_BLOCK)
    return NULL;
  for (size_t block = first; block < first + wanted; block++) {
    if (space->used[block])
      clear(t, space->tracked + block * GCB_BLOCK, GCB_BLOCK);
    space->used[block] = 1;
    /* A stop need not wait for all of a large object to be zeroed: RESERVED blocks are nobody's business. */
    gcb_poll(&t->m);
  }
  /* No safepoint from here on: a sweep would free an object that is not marked yet. */
  uint32_t epoch = atomic_load_explicit(&space->epoch, memory_order_acquire);
  for (size_t block = first; block < first + wanted; block++) {
    atomic_store_explicit(&space->head[block], (uint32_t)first, memory_order_relaxed);
    put(space, block, gcb_state(epoch, block == first ? GCB_HEAD : GCB_TAIL));
  }
  count(t, wanted * GCB_BLOCK);
  return space->tracked + first * GCB_BLOCK;
}

/* How many collections a thread waits for before it calls the heap full. One is not enough: what was
 * allocated while it ran survived it. Where the last one left much more than is asked for, other threads were
 * quicker than this one, and it waits again; not for ever, since what is left may be in pieces. */
static int patience(const gcb_space *space, size_t bytes) {
  if (bytes > space->bytes)
    return 0;
  return space->live_bytes < space->bytes && (space->bytes - space->live_bytes) / 8 > bytes ? 20 : 2;
}

char *gcb_alloc_slow(gcb_mutator *m, size_t bytes) {
  gcb_thread *t = gcb_thread_of(m);
  for (int collections = 0;; collections++) {
    char *at = bytes > GCB_LARGE_BYTES ? alloc_large(t, bytes) : alloc_small(t, bytes);
    if (at)
      return at;
    if (collections >= patience(t->space, bytes))
      gcb_fail(m,
               "out of memory: the heap of %zu bytes, with %llu bytes live after a collection, has no room "
               "for an object of %zu bytes",
               t->space->bytes, (unsigned long long)t->space->live_bytes, bytes);
    gcb_service_stall(t, bytes);
  }
}

void gcb_alloc_black(gcb_mutator *m, gcb_ref object) {
  gcb_thread *t = gcb_thread_of(m);
  uint32_t granule = gcb_granule_of(t->space, object);
  _Atomic uint64_t *word = &t->space->black[granule >> 6];
  /* Not a read-modify-write: the block is this thread's, and no word covers two blocks.
   * release: whoever sees the bit sees the header. The object's first stores come later in program order, so
   * a rescan that a fault on one of them asked for finds the bit set. */
  uint64_t bits = atomic_load_explicit(word, memory_order_relaxed);
  atomic_store_explicit(word, bits | UINT64_C(1) << (granule & 63), memory_order_release);
  size_t bytes = gcb_object_bytes(object);
  /* relaxed: a statistic */
  atomic_store_explicit(&t->black_bytes, atomic_load_explicit(&t->black_bytes, memory_order_relaxed) + bytes,
                        memory_order_relaxed);
}

void gcb_retire_tlabs(gcb_space *space) {
  for (uint32_t i = 0; i < space->thread_count; i++) {
    gcb_thread *t = &space->threads[i];
    t->m.cursor = t->m.limit = t->run_limit = t->medium_cursor = t->medium_limit = NULL;
    t->block = GCB_NO_BLOCK;
  }
}
