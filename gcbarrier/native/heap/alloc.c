/* Allocation: threads claim blocks, cut TLABs from the gaps between live objects, and bump a cursor in them.
 * There are no free lists: the live bitmap of the last remark is the free list, and nothing is written into
 * free memory. */
#include "heap/alloc.h"
#include "include/barrier.h"

#include <string.h>

#define GCB_LARGE_BYTES (GCB_BLOCK / 2) /* larger objects get blocks of their own */
#define GCB_MEDIUM_BYTES ((size_t)512)  /* larger ones don't abandon a TLAB they don't fit into */
#define GCB_TLAB_BYTES                                                                                       \
  ((size_t)8192) /* zeroed at a time, so that it is still in the cache when it is used                       \
                  */

enum { PAGE_GRANULES = GCB_PAGE / GCB_GRANULE };

/* Of a gap between live objects: the pages on which nothing lives, which the barrier need not watch; or what
 * is left of it, on pages that it does, so that a store there is one to an old page. */
typedef enum part { ALL, WHOLE_PAGES, SHARED_PAGES } part;

/* Room in a block, and where the search for more of it goes on. */
typedef struct gap {
  size_t block, next_granule;
  part part;
  char *at, *limit;
} gap;

/* The first object at or behind granule `at`; `end`: none before that. */
static size_t next_object(const gcb_blocks *blocks, size_t at, size_t end) {
  if (at == end)
    return end;
  size_t word = at >> 6;
  uint64_t bits = gcb_word(blocks->live, word) & (~UINT64_C(0) << (at & 63));
  while (!bits && ++word < end >> 6)
    bits = gcb_word(blocks->live, word);
  return bits ? (word << 6) + (size_t)__builtin_ctzll(bits) : end;
}

/* The thread allocates in a block from now on, and no longer in the one before. */
static void enter(gcb_blocks *blocks, gcb_place *place, size_t block) {
  /* relaxed: published by the next, or by the bit. A page of the block before would be asked for in vain. */
  atomic_store_explicit(&place->page, 0, memory_order_relaxed);
  /* release: who finds that the thread has left a block finds what it has allocated black there */
  atomic_store_explicit(&place->block, block, memory_order_release);
  /* release, and after the store above: who takes the bit finds the thread in the block, or beyond it */
  gcb_open_block(blocks, block);
}

/* Nothing will be allocated in the block before `at` any more. */
static void advance(const gcb_blocks *blocks, gcb_place *place, const char *at) {
  /* release: as in enter() */
  atomic_store_explicit(&place->page, (size_t)(at - blocks->tracked) / GCB_PAGE, memory_order_release);
}

/* The first stretch at or behind `at`, which is no object, and before `stop`, which is one or the end, that
 * is of this part; its end. None: it is empty. */
static size_t stretch(part part, size_t *at, size_t stop) {
  size_t up = (*at + PAGE_GRANULES - 1) & ~(size_t)(PAGE_GRANULES - 1),
         down = stop & ~(size_t)(PAGE_GRANULES - 1);
  if (part == ALL || (part == SHARED_PAGES && up >= stop))
    return stop;
  if (part == WHOLE_PAGES)
    return *at = up < stop ? up : stop, down > *at ? down : *at;
  if (*at < up)
    return up;
  *at = down;
  return stop;
}

/* The first gap of found->block at or behind its next_granule that holds `bytes`; false: there is none. The
 * block may be another's: it has been swept, and until the flip nobody changes what is live. */
static bool find_gap(const gcb_blocks *blocks, gap *found, size_t bytes) {
  size_t end = (found->block + 1) * GCB_BLOCK_GRANULES, wanted = bytes >> GCB_GRANULE_SHIFT;
  for (size_t at = found->next_granule, stop; at < end;) {
    bool taken = gcb_bit(blocks->live, at);
    stop = next_object(blocks, taken ? at + 1 : at, end);
    if (taken) {
      /* Nobody reads an object's header that could not have room behind it, whatever its size. */
      at = stop - at > wanted ? at + (gcb_object_bytes(gcb_alias_object(blocks, at)) >> GCB_GRANULE_SHIFT)
                              : stop;
      continue;
    }
    size_t to = stretch(found->part, &at, stop);
    if (at + wanted <= to) {
      found->next_granule = found->part == SHARED_PAGES ? to : stop;
      found->at = blocks->tracked + (at << GCB_GRANULE_SHIFT);
      found->limit = blocks->tracked + (to << GCB_GRANULE_SHIFT);
      return true;
    }
    at = found->part == SHARED_PAGES ? to : stop;
  }
  return false;
}

typedef enum wanted { FREE = 1, PARTIAL = 2, SHARED = 4 } wanted;

/* A block that is worth a look has room for more than a small object, if all of it were in one piece. */
static size_t most_filled(wanted kinds, size_t bytes) {
  size_t room = bytes > GCB_MEDIUM_BYTES ? bytes : GCB_MEDIUM_BYTES;
  return kinds == FREE ? 0 : (GCB_BLOCK - room) >> GCB_GRANULE_SHIFT;
}

/* The gap is found before the block is claimed: one that is claimed and given up is lost to all until the
 * flip. */
static bool claim_gap(gcb_blocks *blocks, size_t block, wanted kinds, part part, size_t bytes, gap *found) {
  gcb_sweep_block(blocks, block);
  uint32_t state =
      gcb_settled(blocks, block); /* or its room would be out of this cursor's reach until the flip */
  uint32_t epoch = atomic_load_explicit(&blocks->epoch, memory_order_relaxed);
  gcb_block_kind kind = gcb_kind(state);
  bool room = (kind == GCB_FREE && kinds & FREE) || (kind == GCB_PARTIAL && kinds & PARTIAL) ||
              (kind == GCB_SHARED && kinds & SHARED);
  if (!room || state >> 3 != epoch)
    return false;
  *found = (gap){.block = block,
                 .next_granule = block * GCB_BLOCK_GRANULES,
                 .part = kind == GCB_SHARED ? SHARED_PAGES : part};
  return find_gap(blocks, found, bytes) && gcb_take_block(blocks, block, state, gcb_state(epoch, GCB_OWNED));
}

/* The next block of these kinds before `end` with a gap of `bytes`; false: there is none. Each block is
 * offered once an epoch to each cursor. A safepoint. */
static bool claim(gcb_allocator *a, _Atomic size_t *cursor, size_t end, wanted kinds, part part, size_t bytes,
                  gap *found) {
  size_t most = most_filled(kinds, bytes);
  gcb_blocks *blocks = a->blocks;
  for (;;) {
    /* The flip may come here, and all cursors begin again: nothing that is known of blocks is kept over it.
     */
    gcb_poll(a->m);
    size_t from = atomic_load_explicit(cursor, memory_order_relaxed), block = from;
    if (from >= end)
      return false;
    size_t last = end - from > GCB_AT_ONCE ? from + GCB_AT_ONCE : end;
    while (block < last && gcb_filled(blocks, block) > most)
      block++;
    /* relaxed: it only makes those who claim distinct */
    if (atomic_compare_exchange_strong_explicit(cursor, &from, block < last ? block + 1 : last,
                                                memory_order_relaxed, memory_order_relaxed) &&
        block < last && claim_gap(blocks, block, kinds, part, bytes, found))
      return true;
  }
}

void gcb_count_allocated(gcb_allocator *a, size_t bytes) {
  /* relaxed: a statistic, written by this thread alone and read at any time */
  atomic_store_explicit(&a->allocated_bytes,
                        atomic_load_explicit(&a->allocated_bytes, memory_order_relaxed) + bytes,
                        memory_order_relaxed);
  uint64_t claimed =
      atomic_fetch_add_explicit(&a->blocks->claimed_bytes, bytes, memory_order_relaxed) + bytes;
  if (GCB_UNLIKELY(claimed >= atomic_load_explicit(&a->blocks->trigger_bytes, memory_order_relaxed)))
    a->blocks->refill.trigger(a->m);
}

void gcb_clear(gcb_allocator *a, char *at, size_t bytes) {
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
    gcb_clear(a, fresh, more);
  gcb_count_allocated(a, more);
  advance(a->blocks, &a->small, at);
  a->m->cursor = at + bytes;
  a->m->limit = at + tlab;
  return at;
}

/* Up to here free blocks go first. */
static size_t free_end(const gcb_blocks *blocks) {
  /* relaxed, both: hints */
  bool first = atomic_load_explicit(&blocks->free_first, memory_order_relaxed);
  return first ? atomic_load_explicit(&blocks->small_end, memory_order_relaxed) : 0;
}

static bool more_in(const gcb_blocks *blocks, const gcb_place *place, size_t bytes, gap *found) {
  /* relaxed: this thread writes it */
  size_t block = atomic_load_explicit(&place->block, memory_order_relaxed);
  *found = (gap){.block = block, .next_granule = place->next_granule, .part = (part)place->part};
  return block != GCB_NO_BLOCK && find_gap(blocks, found, bytes);
}

/* Out of the block for small objects, TLAB and all: from here on nothing is allocated there. Where it has
 * given out its whole pages, what is left, on pages with old objects, is for whoever comes last. */
static void leave(gcb_allocator *a) {
  gcb_blocks *blocks = a->blocks;
  size_t block = atomic_load_explicit(&a->small.block, memory_order_relaxed);
  a->m->cursor = a->m->limit = a->run_limit = NULL;
  if (block == GCB_NO_BLOCK)
    return;
  if (a->small.part == WHOLE_PAGES)
    gcb_put_block(blocks, block,
                  gcb_state(atomic_load_explicit(&blocks->epoch, memory_order_relaxed), GCB_SHARED));
  atomic_store_explicit(&a->small.block, GCB_NO_BLOCK, memory_order_release); /* see enter() */
}

static void come(gcb_blocks *blocks, gcb_place *place, const gap *found) {
  enter(blocks, place, found->block);
  place->part = (uint8_t)found->part;
}

/* From a second place to allocate, so that the TLAB isn't thrown away for objects that are too big for it: a
 * wholly free block, or where there is none the gaps of another. */
static char *alloc_medium(gcb_allocator *a, size_t bytes) {
  gcb_blocks *blocks = a->blocks;
  gap found;
  if (bytes > (size_t)(a->medium_limit - a->medium_cursor)) {
    if (!more_in(blocks, &a->medium, bytes, &found)) {
      if (!claim(a, &blocks->next_free, blocks->blocks, FREE, ALL, bytes, &found)) {
        gcb_leave_free(blocks, 0);
        if (!claim(a, &blocks->next_medium, blocks->blocks, PARTIAL | SHARED, ALL, bytes, &found))
          return NULL;
      }
      come(blocks, &a->medium, &found);
    }
    a->medium.next_granule = found.next_granule;
    a->medium_cursor = found.at;
    a->medium_limit = found.limit;
    blocks->used[found.block] = 1;
  }
  char *at = a->medium_cursor;
  advance(blocks, &a->medium, at);
  gcb_clear(a, at, bytes);
  gcb_count_allocated(a, bytes);
  a->medium_cursor += bytes;
  return at;
}

/* Free blocks first, then free pages of others, then gaps on pages with old objects; last the free blocks
 * that were left to larger objects. Where larger objects found none: by address, away from where they are
 * looked for. */
static bool claim_small(gcb_allocator *a, size_t bytes, gap *found) {
  gcb_blocks *blocks = a->blocks;
  size_t end = free_end(blocks);
  if (end == 0)
    return claim(a, &blocks->next_block, blocks->blocks, FREE | PARTIAL, ALL, bytes, found) ||
           claim(a, &blocks->next_shared, blocks->blocks, FREE | PARTIAL | SHARED, ALL, bytes, found);
  return claim(a, &blocks->next_free, end, FREE, ALL, bytes, found) ||
         claim(a, &blocks->next_block, blocks->blocks, PARTIAL, WHOLE_PAGES, bytes, found) ||
         claim(a, &blocks->next_shared, blocks->blocks, PARTIAL | SHARED, ALL, bytes, found) ||
         claim(a, &blocks->next_free, blocks->blocks, FREE, ALL, bytes, found);
}

static char *alloc_small(gcb_allocator *a, size_t bytes) {
  gcb_blocks *blocks = a->blocks;
  gap found;
  if (a->m->limit < a->run_limit && bytes <= (size_t)(a->run_limit - a->m->cursor)) /* more of the same gap */
    return cut(a, a->m->cursor, a->m->limit, bytes);
  if (bytes > GCB_MEDIUM_BYTES)
    return alloc_medium(a, bytes);
  if (!more_in(blocks, &a->small, bytes, &found)) {
    leave(a);
    if (!claim_small(a, bytes, &found))
      return NULL;
    come(blocks, &a->small, &found);
    a->run_clean = !blocks->used[found.block];
    blocks->used[found.block] = 1;
  }
  a->small.next_granule = found.next_granule;
  a->run_limit = found.limit;
  return cut(a, found.at, found.at, bytes);
}

/* How many collections a thread waits for before it calls the heap full. One is not enough: what was
 * allocated while it ran survived it. Where the last one left much more than is asked for, other threads were
 * quicker than this one, and it waits again; not for ever, since what is left may be in pieces. */
static uint64_t patience(const gcb_blocks *blocks, size_t bytes) {
  if (bytes > blocks->bytes)
    return 0;
  return blocks->live_bytes < blocks->bytes && (blocks->bytes - blocks->live_bytes) / 8 > bytes ? 20 : 2;
}

char *gcb_alloc_slow(gcb_mutator *m, size_t bytes) {
  gcb_allocator *a = m->allocator;
  uint64_t collections = 0, since[2] = {0};
  for (;;) {
    char *at = bytes > GCB_LARGE_BYTES ? gcb_alloc_large(a, bytes) : alloc_small(a, bytes);
    if (at)
      return at;
    if (collections >= patience(a->blocks, bytes))
      gcb_fail(m,
               "out of memory: the heap of %zu bytes, with %llu bytes live after a collection, has no room "
               "for an object of %zu bytes",
               a->blocks->bytes, (unsigned long long)a->blocks->live_bytes, bytes);
    collections = a->blocks->refill.stall(m, bytes, since);
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
  gcb_fill(a->blocks->black_fill, granule, bytes);
  /* Once more, since nobody is in it who would be seen: whoever took the bit before found nothing alive. */
  if (GCB_UNLIKELY(bytes > GCB_LARGE_BYTES))
    gcb_open_block(a->blocks, granule / GCB_BLOCK_GRANULES);
  /* relaxed: a statistic */
  atomic_store_explicit(&a->black_bytes, atomic_load_explicit(&a->black_bytes, memory_order_relaxed) + bytes,
                        memory_order_relaxed);
}
