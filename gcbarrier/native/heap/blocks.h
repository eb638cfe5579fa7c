/* heap/: objects and where there is room for more. gcb_blocks is the table of blocks with the bitmaps over
 * them; sweep.c brings a block up to date after a cycle; alloc.c, and large.c for what doesn't fit a block,
 * hand out what is free. It may include memory/, base/ and include/, and knows neither who marks nor who
 * stops mutators: what it wants of them it asks through gcb_refill. Next: mark/marking.h, which fills `mark`.
 */
#ifndef GCB_BLOCKS_H
#define GCB_BLOCKS_H

#include "base/bits.h"
#include "include/gcbarrier.h"
#include "memory/metadata.h"
#include "memory/view.h"

#include <pthread.h>

#define GCB_GRANULE_SHIFT 4
#define GCB_BLOCK_SHIFT 15 /* 32 KiB: the unit that a thread claims */
#define GCB_BLOCK ((size_t)1 << GCB_BLOCK_SHIFT)
#define GCB_BLOCK_GRANULES (GCB_BLOCK / GCB_GRANULE)
#define GCB_BLOCK_WORDS (GCB_BLOCK_GRANULES / 64) /* bitmap words of a block; no word covers two blocks */
#define GCB_NO_BLOCK SIZE_MAX
/* Epochs come round. All blocks but tails are swept in each cycle, so that no block's state is of an epoch
 * that long ago; and what a tail is, no epoch decides. */
#define GCB_EPOCH_MASK ((UINT32_C(1) << 29) - 1)

/* A block's state is epoch << 3 | kind, changed by compare-and-swap. One whose epoch isn't the heap's has
 * not been swept since the last remark. */
typedef enum gcb_block_kind {
  GCB_FREE,     /* nothing live */
  GCB_PARTIAL,  /* the gaps between live objects may be claimed */
  GCB_OWNED,    /* claimed by a thread in this epoch */
  GCB_BUSY,     /* being swept */
  GCB_HEAD,     /* first block of a large object */
  GCB_TAIL,     /* the others; gcb_blocks.head says where it begins */
  GCB_SHARED,   /* PARTIAL, but for the gaps' whole pages, which have been allocated into */
  GCB_RESERVED, /* of a large object that is still being zeroed: no sweep may free it */
} gcb_block_kind;

/* What the slow path of an allocation asks of others, in the mutator's own thread. */
typedef struct gcb_refill {
  void (*trigger)(gcb_mutator *m); /* more than `trigger_bytes` were claimed */
  /* Waits until a cycle has freed memory: the one under way, or the next. How many have that looked at
   * everything and began after the first wait of this request; `since` is the request's, 0 at first. A
   * safepoint; it may unwind the thread. */
  uint64_t (*stall)(gcb_mutator *m, size_t bytes, uint64_t since[2]);
  /* Memory is about to be cleared through the tracked view; null: nobody keeps count. */
  void (*wrote)(gcb_mutator *m, const void *at, size_t bytes);
} gcb_refill;

/* A block that a mutator has claimed and allocates into. */
typedef struct gcb_place {
  /* GCB_NO_BLOCK: none. The page where its next objects go, or one before that. Others may ask for both: see
   * gcb_allocated_from(). */
  _Atomic size_t block, page;
  size_t next_granule; /* of that block: where the search for the next gap goes on */
  uint8_t part;        /* of its gaps: alloc.c tells */
} gcb_place;

/* Where a mutator allocates. */
typedef struct gcb_allocator {
  _Alignas(64) struct gcb_blocks *blocks;
  gcb_place small, medium; /* the second for larger objects, which are zeroed one by one */
  char *run_limit;         /* end of the gap that the TLAB is cut from */
  bool run_clean;          /* the gap was never used: still zero */
  char *medium_cursor, *medium_limit;
  _Atomic uint64_t black_bytes;
  _Atomic uint64_t allocated_bytes; /* handed to TLABs and large objects; written by this thread alone */
  gcb_mutator *m;                   /* whose: with the TLAB itself */
} gcb_allocator;

typedef struct gcb_blocks {
  /* Of the view, once more: the marker needs them for every reference, and here they lie beside the bitmaps.
   */
  char *tracked, *alias;
  size_t bytes, blocks;

  /* A bit per granule, set where an object starts.
   * live: after the last remark, what allocation must not touch. mark: written by the marker alone.
   * black: allocated since marking began; a word is written by the thread that owns its block alone.
   * Two writers, two bitmaps: neither needs a locked instruction. The sweep merges black into live, and where
   * marks stick it leaves in `mark`, which nobody else wants between two cycles, the objects that are old. */
  _Atomic uint64_t *live, *mark, *black;
  /* For each of the three: granules of a block that its objects take (modulo 2^16: those that begin in it),
   * written by whoever writes the bits. Hints: they say where to look for room, the bits what is free. */
  _Atomic uint16_t *live_fill, *mark_fill, *black_fill;
  _Atomic uint32_t *block_state;
  _Atomic uint32_t *head; /* of a large object's blocks: the block where it begins */
  uint8_t *used;          /* a byte per block: its memory may be other than zero */
  /* A bit per block, set when memory in it is handed out: what is young lies in these. */
  _Atomic uint64_t *opened;
  _Atomic uint32_t epoch;
  uint64_t live_bytes; /* after the last remark */
  uint32_t survivals;  /* cycles that an object lives through until it is old; 0: marks do not stick */
  /* Small objects go to wholly free blocks while there are any below small_end: a page with old objects that
   * is allocated into is dirty, and no old object was written. Otherwise, and where no
   * barrier asks for it, by address, whether free or not. */
  _Atomic bool free_first;
  uint16_t *poisoned; /* null: no stress. Objects of a block when what lies between them was poisoned, and
                         one; 0: it never was. Written by whoever sweeps it. */
  gcb_refill refill;
  gcb_allocator *allocators; /* one for each mutator; null: there are none yet */
  uint32_t allocator_count;

  /* Written by whoever allocates: on lines of their own. */
  _Alignas(64) _Atomic size_t next_block, next_free, next_shared,
      next_medium; /* where claims go on in this epoch */
  pthread_mutex_t large_lock;
  size_t large_top; /* where the search for free runs goes on in this epoch */
  /* From where on free blocks are left to larger objects: the lowest that a large one took in this epoch, and
   * in this or the last. 0, and that for good, once one found none: rows of free blocks are broken sooner
   * than mended. */
  _Atomic size_t wanted_from, small_end;
  _Alignas(64) _Atomic uint64_t claimed_bytes; /* by allocation since the last remark */
  _Atomic uint64_t trigger_bytes;
} gcb_blocks;

/* By the heap's size; then its parts of the metadata, which without memory only counts; then the rest. */
void gcb_blocks_lay_out(gcb_blocks *blocks, size_t bytes);
void gcb_blocks_carve(gcb_blocks *blocks, gcb_metadata *metadata);
void gcb_blocks_open(gcb_blocks *blocks, const gcb_view *view);
void gcb_blocks_close(gcb_blocks *blocks);
int gcb_blocks_admit(gcb_blocks *blocks, uint32_t mutators); /* so many allocators; once */
/* The mutator allocates here from now on. */
void gcb_blocks_serve(gcb_blocks *blocks, gcb_mutator *m);
/* The page of the block from which on some mutator allocates there; SIZE_MAX: none does. Asked by whoever has
 * taken the block's bit in `opened` before: nobody will, on pages before that, without setting the bit again;
 * and what was allocated black there is seen. */
size_t gcb_allocated_from(const gcb_blocks *blocks, size_t block);
/* The heap is built: what large objects lacked until now says nothing of what follows. */
void gcb_blocks_built(gcb_blocks *blocks);
/* By all mutators since the start; at any time. */
uint64_t gcb_blocks_allocated_bytes(const gcb_blocks *blocks);

/* poison.c */
int gcb_blocks_stress(gcb_blocks *blocks); /* from now on */
/* Of a block that was of this kind, and that the caller is sweeping: what is free in it, if there is stress.
 */
void gcb_poison_block(gcb_blocks *blocks, size_t block, gcb_block_kind kind);

/* sweep.c */
/* Brings a block of an earlier epoch up to date; returns how many became free. Large objects are swept as
 * one: a tail is with its head. */
size_t gcb_sweep_block(gcb_blocks *blocks, size_t block);
/* The block's state once a sweep by another thread is over. */
uint32_t gcb_settled(gcb_blocks *blocks, size_t block);
size_t gcb_sweep_blocks(gcb_blocks *blocks, size_t first, size_t end); /* by the collector's thread */
/* Nothing is marked; allocation goes on as it was. */
void gcb_blocks_unmark(gcb_blocks *blocks);
/* The old objects are marked, once every block is swept; allocation goes on as it was. */
void gcb_blocks_keep_marks(gcb_blocks *blocks);
void gcb_blocks_unblacken(gcb_blocks *blocks);
/* The mark bitmap becomes what allocation must not touch; every block waits for its sweep. Mutators are
 * stopped. `marked_bytes`: without what was allocated black. */
void gcb_blocks_flip(gcb_blocks *blocks, uint64_t marked_bytes);

static inline uint32_t gcb_granule_of(const gcb_blocks *blocks, const void *tracked) {
  return (uint32_t)((size_t)((const char *)tracked - blocks->tracked) >> GCB_GRANULE_SHIFT);
}
/* An object as the collector sees it. */
static inline gcb_ref gcb_alias_object(const gcb_blocks *blocks, size_t granule) {
  return (gcb_ref)(void *)(blocks->alias + (granule << GCB_GRANULE_SHIFT));
}
static inline void gcb_open_block(gcb_blocks *blocks, size_t block) {
  /* release: see enter() in alloc.c */
  atomic_fetch_or_explicit(&blocks->opened[block >> 6], UINT64_C(1) << (block & 63), memory_order_release);
}
static inline bool gcb_is_live(const gcb_blocks *blocks, size_t granule) {
  return gcb_bit(blocks->mark, granule) || gcb_bit(blocks->black, granule);
}
/* An object of the block is one of those that `fill` counts: called by the only writer. relaxed: a hint */
static inline void gcb_fill(_Atomic uint16_t *fill, size_t granule, size_t bytes) {
  _Atomic uint16_t *of_block = &fill[granule / GCB_BLOCK_GRANULES];
  uint16_t before = atomic_load_explicit(of_block, memory_order_relaxed);
  atomic_store_explicit(of_block, (uint16_t)(before + (bytes >> GCB_GRANULE_SHIFT)), memory_order_relaxed);
}
static inline gcb_block_kind gcb_kind(uint32_t state) {
  return (gcb_block_kind)(state & 7);
}
static inline uint32_t gcb_state(uint32_t epoch, gcb_block_kind kind) {
  return epoch << 3 | (uint32_t)kind;
}
/* Takes the right to sweep or to use a block: only one thread's compare-and-swap succeeds.
 * acquire: sees the bitmap words that the sweep before it wrote; release: publishes this thread's. */
static inline bool gcb_take_block(gcb_blocks *blocks, size_t block, uint32_t from, uint32_t to) {
  return atomic_compare_exchange_strong_explicit(&blocks->block_state[block], &from, to, memory_order_acq_rel,
                                                 memory_order_relaxed);
}
static inline void gcb_put_block(gcb_blocks *blocks, size_t block, uint32_t state) {
  atomic_store_explicit(&blocks->block_state[block], state, memory_order_release);
}

#endif
