/* The block table and its bitmaps: where they lie, and what becomes of them when a cycle is over. */
#include "heap/blocks.h"
#include "include/error.h"

#include <stdlib.h>
#include <string.h>

void gcb_blocks_lay_out(gcb_blocks *blocks, size_t bytes) {
  blocks->bytes = bytes;
  blocks->blocks = blocks->large_top = bytes / GCB_BLOCK;
  blocks->wanted_from = blocks->small_end = blocks->blocks;
  pthread_mutex_init(&blocks->large_lock, NULL);
  atomic_store_explicit(&blocks->trigger_bytes, UINT64_MAX, memory_order_relaxed);
}

void gcb_blocks_carve(gcb_blocks *blocks, gcb_metadata *metadata) {
  size_t bitmap = blocks->bytes / GCB_GRANULE / 8;
  blocks->live = gcb_carve(metadata, bitmap, 64);
  blocks->mark = gcb_carve(metadata, bitmap, 64);
  blocks->black = gcb_carve(metadata, bitmap, 64);
  size_t fill = blocks->blocks * sizeof *blocks->live_fill;
  blocks->live_fill = gcb_carve(metadata, fill, 64);
  blocks->mark_fill = gcb_carve(metadata, fill, 64);
  blocks->black_fill = gcb_carve(metadata, fill, 64);
  blocks->block_state = gcb_carve(metadata, blocks->blocks * sizeof *blocks->block_state, 64);
  blocks->head = gcb_carve(metadata, blocks->blocks * sizeof *blocks->head, 64);
  blocks->used = gcb_carve(metadata, blocks->blocks, 64);
  blocks->opened = gcb_carve(metadata, GCB_WORDS(blocks->blocks) * sizeof *blocks->opened, 64);
}

void gcb_blocks_open(gcb_blocks *blocks, const gcb_view *view) {
  blocks->tracked = view->tracked;
  blocks->alias = view->alias;
}

void gcb_blocks_close(gcb_blocks *blocks) {
  free(blocks->allocators);
  free(blocks->poisoned);
  pthread_mutex_destroy(&blocks->large_lock);
}

int gcb_blocks_admit(gcb_blocks *blocks, uint32_t mutators) {
  size_t bytes = mutators * sizeof *blocks->allocators;
  blocks->allocators = aligned_alloc(_Alignof(gcb_allocator), bytes);
  if (!blocks->allocators)
    return gcb_set_error("no memory for %u mutators", mutators);
  memset(blocks->allocators, 0, bytes);
  blocks->allocator_count = mutators;
  return 0;
}

static void no_places(gcb_allocator *a) {
  /* relaxed: the thread does not run yet, or is stopped */
  atomic_store_explicit(&a->small.block, GCB_NO_BLOCK, memory_order_relaxed);
  atomic_store_explicit(&a->medium.block, GCB_NO_BLOCK, memory_order_relaxed);
}

void gcb_blocks_serve(gcb_blocks *blocks, gcb_mutator *m) {
  m->allocator = &blocks->allocators[m->index];
  m->allocator->blocks = blocks;
  no_places(m->allocator);
  m->allocator->m = m;
}

static size_t allocated_from(const gcb_place *place, size_t block) {
  /* acquire, both: pair with enter() and advance() in alloc.c, where a thread leaves a block or some pages */
  if (atomic_load_explicit(&place->block, memory_order_acquire) != block)
    return SIZE_MAX;
  return atomic_load_explicit(&place->page, memory_order_acquire);
}

size_t gcb_allocated_from(const gcb_blocks *blocks, size_t block) {
  size_t least = SIZE_MAX;
  for (uint32_t i = 0; i < blocks->allocator_count; i++) {
    size_t small = allocated_from(&blocks->allocators[i].small, block),
           medium = allocated_from(&blocks->allocators[i].medium, block);
    least = small < least ? small : least;
    least = medium < least ? medium : least;
  }
  return least;
}

void gcb_blocks_built(gcb_blocks *blocks) {
  atomic_store_explicit(&blocks->wanted_from, blocks->blocks, memory_order_relaxed); /* a hint */
}

uint64_t gcb_blocks_allocated_bytes(const gcb_blocks *blocks) {
  uint64_t bytes = 0;
  for (uint32_t i = 0; i < blocks->allocator_count; i++)
    bytes += atomic_load_explicit(&blocks->allocators[i].allocated_bytes, memory_order_relaxed);
  return bytes;
}

static void clear_marks(const gcb_blocks *blocks, _Atomic uint64_t *bitmap, _Atomic uint16_t *fill) {
  memset((void *)bitmap, 0, blocks->bytes / GCB_GRANULE / 8);
  memset((void *)fill, 0, blocks->blocks * sizeof *fill);
}

void gcb_blocks_unmark(gcb_blocks *blocks) {
  clear_marks(blocks, blocks->mark, blocks->mark_fill);
  gcb_blocks_keep_marks(blocks);
}

void gcb_blocks_keep_marks(gcb_blocks *blocks) {
  for (uint32_t i = 0; i < blocks->allocator_count; i++)
    atomic_store_explicit(&blocks->allocators[i].black_bytes, 0, memory_order_relaxed);
}

void gcb_blocks_unblacken(gcb_blocks *blocks) {
  clear_marks(blocks, blocks->black, blocks->black_fill);
}

static void retire_tlabs(gcb_blocks *blocks) {
  for (uint32_t i = 0; i < blocks->allocator_count; i++) {
    gcb_allocator *a = &blocks->allocators[i];
    a->m->cursor = a->m->limit = a->run_limit = a->medium_cursor = a->medium_limit = NULL;
    no_places(a);
  }
}

/* Room is looked for from the first block on again; under stress only once the search has come far on its way
 * to `end`, so that what was freed is not handed out at once: it would be an object again, and nobody saw
 * that it had been none. relaxed: the mutators that read this are stopped, and the resume releases */
static void begin_again(const gcb_blocks *blocks, _Atomic size_t *next, size_t end) {
  size_t far = blocks->poisoned ? end - end / 4 : 0;
  if (atomic_load_explicit(next, memory_order_relaxed) >= far)
    atomic_store_explicit(next, 0, memory_order_relaxed);
}

/* Where free blocks end that small objects may take before they look for gaps. Under stress no higher than
 * half of the heap: each of a great many cycles has some objects in a fresh block, which keeps it from being
 * free for as long as one of them lives, and soon no row of free blocks would be left for a large object. */
static size_t small_end(const gcb_blocks *blocks) {
  size_t end = atomic_load_explicit(&blocks->wanted_from, memory_order_relaxed), half = blocks->blocks / 2;
  return blocks->poisoned && end > half ? half : end;
}

void gcb_blocks_flip(gcb_blocks *blocks, uint64_t marked_bytes) {
  _Atomic uint64_t *spent = blocks->live;
  blocks->live = blocks->mark;
  blocks->mark = spent;
  _Atomic uint16_t *fill = blocks->live_fill;
  blocks->live_fill = blocks->mark_fill;
  blocks->mark_fill = fill;
  retire_tlabs(blocks);
  blocks->live_bytes = marked_bytes;
  for (uint32_t i = 0; i < blocks->allocator_count; i++)
    blocks->live_bytes += atomic_load_explicit(&blocks->allocators[i].black_bytes, memory_order_relaxed);
  size_t wanted_from = atomic_load_explicit(&blocks->wanted_from, memory_order_relaxed);
  size_t end = small_end(blocks);
  begin_again(blocks, &blocks->next_block, blocks->blocks);
  begin_again(blocks, &blocks->next_free, end > 0 ? end : blocks->blocks);
  begin_again(blocks, &blocks->next_shared, blocks->blocks);
  begin_again(blocks, &blocks->next_medium, blocks->blocks);
  /* relaxed: as in begin_again() */
  atomic_store_explicit(&blocks->claimed_bytes, 0, memory_order_relaxed);
  atomic_store_explicit(&blocks->small_end, end, memory_order_relaxed);
  if (wanted_from > 0) /* see gcb_blocks */
    atomic_store_explicit(&blocks->wanted_from, blocks->blocks, memory_order_relaxed);
  if (!blocks->poisoned ||
      blocks->large_top < blocks->blocks / 2) /* as in begin_again(), from the other end */
    blocks->large_top = blocks->blocks;
  uint32_t epoch = atomic_load_explicit(&blocks->epoch, memory_order_relaxed);
  atomic_store_explicit(&blocks->epoch, (epoch + 1) & GCB_EPOCH_MASK, memory_order_release);
}
