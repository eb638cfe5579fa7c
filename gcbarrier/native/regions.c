#include "core.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>

#ifndef REGION_MOST
#define REGION_MOST 17u  /* of granules */
#endif
#ifndef REGION_LEAST
#define REGION_LEAST 18u
#endif
#ifndef SL
#define SL 4
#endif
#ifndef LINEMASK
#define LINEMASK 63
#endif

void gcb_regions_lay_out(gcb_space *space) {
  size_t granules = space->bytes / GCB_GRANULE;
  unsigned shift = 18;                                  /* 4 MiB */
  while (shift < 21 && granules >> shift > 256)        /* 32 MiB */
    shift++;
#ifdef FORCE_SHIFT
  shift = FORCE_SHIFT;
#endif
  space->region_shift = shift;
  space->region_count = ((granules - 1) >> shift) + 1;
  size_t stack = space->bytes >> 14;
  space->marker.capacity = stack < 256 ? 256 : stack > 8192 ? 8192 : stack;
  space->chunk_count =
      (uint32_t)((space->bytes / 128 - space->marker.capacity * sizeof(uint32_t)) / GCB_CHUNK_BYTES);
}

int gcb_regions_open(gcb_space *space) {
  space->regions = aligned_alloc(64, space->region_count * sizeof *space->regions);
  space->marker.open = calloc(space->region_count, sizeof *space->marker.open);
  if (!space->regions || !space->marker.open)
    return gcb_set_error("no memory for the marker's %zu regions", space->region_count);
  memset(space->regions, 0, space->region_count * sizeof *space->regions);
  pthread_mutex_init(&space->chunk_lock, NULL);
  space->marker.space = space;
  space->free_chunks = 0;
  for (uint32_t i = space->chunk_count; i > 0; i--) {
    space->chunks[i - 1].next = space->free_chunks;
    space->free_chunks = i;
  }
  return 0;
}

void gcb_regions_close(gcb_space *space) {
  free(space->regions);
  free(space->marker.open);
}

void gcb_set_grey(gcb_space *space, uint32_t granule) {
  gcb_region *region = &space->regions[granule >> space->region_shift];
  space->grey[granule >> 6] |= UINT64_C(1) << (granule & 63);
  atomic_store_explicit(&region->grey, atomic_load_explicit(&region->grey, memory_order_relaxed) + 1,
                        memory_order_relaxed);
}

static gcb_chunk *chunk_at(gcb_space *space, uint32_t number) {
  return &space->chunks[number - 1];
}
static uint32_t number_of(gcb_space *space, const gcb_chunk *chunk) {
  return (uint32_t)(chunk - space->chunks) + 1;
}

static uint32_t batch(const gcb_space *space) {
  uint32_t share = space->chunk_count / (GCB_MARKERS * 16);
  return share < 1 ? 1 : share > 32 ? 32 : share;
}

static void free_chunk(gcb_marker *marker, gcb_chunk *chunk) {
  gcb_space *space = marker->space;
  chunk->next = marker->spare;
  marker->spare = number_of(space, chunk);
  if (++marker->spares < 2 * batch(space))
    return;
  uint32_t first = marker->spare, last = first;
  uint32_t given = batch(space);
  for (uint32_t i = 1; i < given; i++)
    last = chunk_at(space, last)->next;
  marker->spare = chunk_at(space, last)->next;
  marker->spares -= given;
  pthread_mutex_lock(&space->chunk_lock);
  chunk_at(space, last)->next = space->free_chunks;
  space->free_chunks = first;
  pthread_mutex_unlock(&space->chunk_lock);
}

static bool take_batch(gcb_marker *marker) {
  gcb_space *space = marker->space;
  pthread_mutex_lock(&space->chunk_lock);
  for (uint32_t i = batch(space); i > 0 && space->free_chunks; i--) {
    uint32_t number = space->free_chunks;
    space->free_chunks = chunk_at(space, number)->next;
    chunk_at(space, number)->next = marker->spare;
    marker->spare = number;
    marker->spares++;
  }
  pthread_mutex_unlock(&space->chunk_lock);
  return marker->spares > 0;
}

static inline void fetch_chunk(const gcb_chunk *chunk, bool to_write) {
  for (size_t line = 0; line < GCB_CHUNK_BYTES; line += 64)
    if (to_write)
      __builtin_prefetch((const char *)chunk + line, 1);
    else
      __builtin_prefetch((const char *)chunk + line, 0);
}

static bool claim(gcb_region *region) {
  uint32_t nobody = 0;
  return atomic_load_explicit(&region->owned, memory_order_relaxed) == 0 &&
         atomic_compare_exchange_strong_explicit(&region->owned, &nobody, 1, memory_order_acquire,
                                                 memory_order_relaxed);
}
static void release(gcb_region *region) {
  atomic_store_explicit(&region->owned, 0, memory_order_release);
}

static __attribute__((noinline)) void look_up_to_stack(gcb_marker *marker, const uint32_t *granules, size_t count) {
  _Atomic uint64_t *mark = marker->space->mark;
  uint32_t *top = marker->stack + marker->top;
  for (size_t i = 0; i < count; i++) {
    uint32_t granule = granules[i];
    _Atomic uint64_t *word = &mark[granule >> 6];
    uint64_t bit = UINT64_C(1) << (granule & 63);
    uint64_t bits = atomic_load_explicit(word, memory_order_relaxed);
    atomic_store_explicit(word, bits | bit, memory_order_relaxed);
    *top = granule;
    top += !(bits & bit);
  }
  marker->top = (size_t)(top - marker->stack);
}

static __attribute__((noinline)) void look_up_to_grey(uint64_t *grey, const uint32_t *granules, size_t count) {
  for (size_t i = 0; i < count; i++) {
    uint32_t granule = granules[i];
#ifdef LP
    __builtin_prefetch(&grey[granules[i + LP < count ? i + LP : i] >> 6], 1);
#endif
    grey[granule >> 6] |= UINT64_C(1) << (granule & 63);
  }
}

static void look_up(gcb_marker *marker, gcb_region *region, const uint32_t *granules, size_t count,
                    bool to_stack) {
  if (to_stack && ((size_t)1 << (marker->space->region_shift - 6) >> SL) >= marker->top + count && marker->capacity - marker->top >= count) {
    look_up_to_stack(marker, granules, count);
    return;
  }
  look_up_to_grey(marker->space->grey, granules, count);
  atomic_store_explicit(&region->grey, atomic_load_explicit(&region->grey, memory_order_relaxed) + (uint32_t)count,
                        memory_order_relaxed);
}

static bool is_end(const uint32_t *end) {
  return ((uintptr_t)end & (GCB_CHUNK_BYTES - 1)) == 0;
}

static void publish(gcb_space *space, size_t region, gcb_chunk *chunk, size_t count) {
  _Atomic uint32_t *list = &space->regions[region].chunks;
  chunk->count = (uint32_t)count;
  chunk->next = atomic_load_explicit(list, memory_order_relaxed);
  while (!atomic_compare_exchange_weak_explicit(list, &chunk->next, number_of(space, chunk),
                                                memory_order_release, memory_order_relaxed))
    ;
}

/* What others have found. */
static void look_up_published(gcb_marker *marker, size_t which, bool to_stack) {
  gcb_space *space = marker->space;
  gcb_region *region = &space->regions[which];
  uint32_t number = atomic_exchange_explicit(&region->chunks, 0, memory_order_acquire);
  while (number) {
    gcb_chunk *chunk = chunk_at(space, number);
    number = chunk->next;
    if (number)
      fetch_chunk(chunk_at(space, number), false);
    look_up(marker, region, chunk->granules, chunk->count, to_stack);
    free_chunk(marker, chunk);
  }
}

static void look_up_own(gcb_marker *marker, size_t which, bool to_stack) {
  uint32_t *end = marker->open[which];
  if (!end)
    return;
  gcb_chunk *chunk = (gcb_chunk *)(void *)((uintptr_t)(end - 1) & ~(uintptr_t)(GCB_CHUNK_BYTES - 1));
  if (end != chunk->granules)
    look_up(marker, &marker->space->regions[which], chunk->granules, (size_t)(end - chunk->granules),
            to_stack);
  marker->open[which] = chunk->granules;
}

static void relieve(gcb_marker *marker) {
  gcb_space *space = marker->space;
  for (size_t i = 0; i < space->region_count; i++) {
    gcb_region *region = &space->regions[i];
    if (!atomic_load_explicit(&region->chunks, memory_order_relaxed))
      continue;
    if (i == marker->region)
      look_up_published(marker, i, false);
    else if (claim(region)) {
      look_up_published(marker, i, false);
      release(region);
    }
  }
}

static __attribute__((noinline)) uint32_t *next_chunk(gcb_marker *marker, size_t which) {
  gcb_space *space = marker->space;
  uint32_t *end = marker->open[which];
  if (end && which == marker->region) {
    look_up_own(marker, which, true);
    return marker->open[which];
  }
  if (end) {
    gcb_chunk *full = (gcb_chunk *)(void *)(end - GCB_CHUNK_BYTES / 4);
    publish(space, which, full, GCB_CHUNK_REFERENCES);
    marker->open[which] = NULL;
  }
  while (!marker->spare && !take_batch(marker)) {
    relieve(marker);
    if (!marker->spare)
      sched_yield();
  }
  gcb_chunk *chunk = chunk_at(space, marker->spare);
  marker->spare = chunk->next;
  marker->spares--;
  __builtin_prefetch(chunk, 1);
  __builtin_prefetch((char *)chunk + 64, 1);
  return chunk->granules;
}

static void flush_open(gcb_marker *marker) {
  gcb_space *space = marker->space;
  for (size_t i = 0; i < space->region_count; i++) {
    uint32_t *end = marker->open[i];
    if (!end)
      continue;
    gcb_chunk *chunk = (gcb_chunk *)(void *)((uintptr_t)(end - 1) & ~(uintptr_t)(GCB_CHUNK_BYTES - 1));
    if (end == chunk->granules)
      free_chunk(marker, chunk);
    else
      publish(space, i, chunk, (size_t)(end - chunk->granules));
    marker->open[i] = NULL;
  }
}

/* Without a branch that nobody can predict, and without an instruction that not every processor has. */
static inline uint32_t count_bits(uint64_t bits) {
  bits -= bits >> 1 & UINT64_C(0x5555555555555555);
  bits = (bits & UINT64_C(0x3333333333333333)) + (bits >> 2 & UINT64_C(0x3333333333333333));
  return (uint32_t)(((bits + (bits >> 4)) & UINT64_C(0x0f0f0f0f0f0f0f0f)) * UINT64_C(0x0101010101010101) >> 56);
}

enum { AT_ONCE = 4, MOST_OF_A_WORD = 64 + AT_ONCE };

/* Takes words of grey objects from a region, in the order of their addresses, until `wanted` are there or the
 * region's end; `granules` has room for a word's more. */
static size_t take_grey(gcb_space *space, size_t *from, size_t end, uint32_t *granules,
                        size_t held, size_t wanted) {
  uint64_t *grey = space->grey;
  _Atomic uint64_t *mark = space->mark;
  size_t word = *from;
  for (; word < end && held < wanted; word++) {
    uint64_t met = grey[word];
    if (!met)
      continue;
    grey[word] = 0;
    uint64_t marked = atomic_load_explicit(&mark[word], memory_order_relaxed), bits = met & ~marked;
    atomic_store_explicit(&mark[word], marked | met, memory_order_relaxed);
    bits &= ~gcb_word(space->black, word);
    uint32_t count = count_bits(bits), base = (uint32_t)(word << 6);
    uint32_t *to = granules + held;
    held += count;
    for (;;) {
      for (int i = 0; i < AT_ONCE; i++) {
        uint32_t granule = base + (uint32_t)__builtin_ctzll(bits | UINT64_C(1) << 63);
        __builtin_prefetch(gcb_alias_object(space, granule));
        to[i] = granule;
        bits &= bits - 1;
      }
      if (GCB_LIKELY(!bits))
        break;
      to += AT_ONCE;
    }
  }
  *from = word;
  return held;
}

#ifndef BATCH
#define BATCH 32
#endif

typedef struct batch_ { size_t count; uint32_t granules[BATCH + MOST_OF_A_WORD]; } batch_;
static __attribute__((noinline)) size_t gather(gcb_marker *marker, size_t *from, size_t end, batch_ *to) {
  gcb_space *space = marker->space;
  size_t held = 0;
  while (marker->top > 0 && held < BATCH) {
    uint32_t granule = marker->stack[--marker->top];
    __builtin_prefetch(gcb_alias_object(space, granule));
    to->granules[held] = granule;
    held += !gcb_bit(space->black, granule);
  }
  return to->count = take_grey(space, from, end, to->granules, held, BATCH);
}

static __attribute__((noinline)) void visit_batch(gcb_marker *marker, const uint32_t *granules, size_t count) {
  gcb_space *space = marker->space;
  const char *alias = space->alias, *tracked = space->tracked;
  unsigned shift = space->region_shift;
  uint32_t **open = marker->open;
  uint64_t bytes = 0;
  for (size_t i = 0; i < count; i++) {
    gcb_ref object = (gcb_ref)(uintptr_t)(alias + ((size_t)granules[i] << GCB_GRANULE_SHIFT));
    uint64_t header = atomic_load_explicit(&object->header, memory_order_relaxed);
    bytes += (size_t)(uint32_t)header;
    uint32_t references = (uint32_t)(header >> 32);
    for (uint32_t slot = 0; slot < references; slot++) {
      gcb_ref target = atomic_load_explicit(&object->slots[slot], memory_order_acquire);
      if (!target)
        continue;
      uint32_t granule = (uint32_t)((size_t)((const char *)target - tracked) >> GCB_GRANULE_SHIFT);
      size_t into = granule >> shift;
      uint32_t *end = open[into];
      if (GCB_UNLIKELY(((uintptr_t)end & LINEMASK) == 0)) {
        if (is_end(end))
          end = next_chunk(marker, into);
        else
          __builtin_prefetch(end + 16, 1);
      }
      *end = granule;
      open[into] = end + 1;
    }
  }
  marker->bytes += bytes * GCB_GRANULE;
  marker->objects += count;
}

static void visit_region(gcb_marker *marker, size_t which) {
  gcb_space *space = marker->space;
  gcb_region *region = &space->regions[which];
  marker->region = which;
  look_up_published(marker, which, true);
  look_up_own(marker, which, true);
  unsigned shift = space->region_shift;
  size_t words = (size_t)1 << (shift - 6), first_word = which * words,
         all = GCB_WORDS(space->bytes / GCB_GRANULE);
  batch_ batches[2];
  size_t last = first_word + words < all ? first_word + words : all;
  do {
    size_t from = atomic_load_explicit(&region->grey, memory_order_relaxed) ? first_word : last;
    size_t turn = 0;
    atomic_store_explicit(&region->grey, 0, memory_order_relaxed);
    gather(marker, &from, last, &batches[0]);
    while (batches[turn].count > 0) {
      gather(marker, &from, last, &batches[!turn]);
      visit_batch(marker, batches[turn].granules, batches[turn].count);
      turn = !turn;
      if (batches[turn].count == 0) {
        look_up_own(marker, which, true);
        gather(marker, &from, last, &batches[turn]);
      }
    }
  } while (atomic_load_explicit(&region->grey, memory_order_relaxed));
  marker->region = SIZE_MAX;
}

static bool has_work(const gcb_marker *marker, size_t which) {
  const gcb_region *region = &marker->space->regions[which];
  const uint32_t *end = marker->open[which];
  return atomic_load_explicit(&region->chunks, memory_order_relaxed) ||
         atomic_load_explicit(&region->grey, memory_order_relaxed) ||
         (end && ((uintptr_t)end & (GCB_CHUNK_BYTES - 1)) != 8);
}

void gcb_mark_by_regions(gcb_space *space) {
  gcb_marker *marker = &space->marker;
  while (marker->top > 0) {
    uint32_t granule = marker->stack[--marker->top];
    atomic_store_explicit(&space->mark[granule >> 6],
                          atomic_load_explicit(&space->mark[granule >> 6], memory_order_relaxed) &
                              ~(UINT64_C(1) << (granule & 63)),
                          memory_order_relaxed);
    gcb_set_grey(space, granule);
  }
  uint64_t before;
  do {
    before = marker->objects;
    for (size_t i = 0; i < space->region_count; i++)
      if (has_work(marker, i) && claim(&space->regions[i])) {
        visit_region(marker, i);
        release(&space->regions[i]);
      }
  } while (marker->objects - before > 2 * space->region_count);
  flush_open(marker);
  for (size_t i = 0; i < space->region_count; i++)
    look_up_published(marker, i, true);
}
