/* Marking region by region: where the heap is large, a mark bit and an object's first line are as many misses
 * of the cache and of the TLB as there are references. So a reference only joins the others into its region,
 * and they are looked up together while that region's part of the bitmap is in the cache.
 *
 * Looking up is a bit set in `grey` and no more; a walk over the words of a region then finds what is grey
 * and not marked, marks and visits it, in the order of addresses. Whoever owns a region is the only writer of
 * its words in both bitmaps, so that no instruction is locked. Memory is bounded: where no parcel is left for
 * a reference, parcels are emptied into `grey`, which always has room. */
#include "mark/regions.h"

enum {
  BATCH = 12, /* objects whose first line is on its way; many more at once are slower */
  AT_ONCE = 4,
};

/* acquire and release: what the owner before has written to the region's words is seen. */
bool gcb_own(gcb_region *region) {
  uint32_t nobody = 0;
  return !atomic_load_explicit(&region->owned, memory_order_relaxed) &&
         atomic_compare_exchange_strong_explicit(&region->owned, &nobody, 1, memory_order_acquire,
                                                 memory_order_relaxed);
}

void gcb_disown(gcb_region *region) {
  atomic_store_explicit(&region->owned, 0, memory_order_release);
}

void gcb_set_grey(gcb_marking *marking, uint32_t granule) {
  marking->spilled = true;
  marking->grey[granule >> 6] |= UINT64_C(1) << (granule & 63);
  gcb_count_grey(&marking->regions[granule >> marking->region_shift], 1);
}

typedef struct batch {
  size_t count;
  uint32_t granules[BATCH + 64 + AT_ONCE]; /* a word of grey objects is taken whole */
} batch;

/* The granules of a word's bits. A few are written at once, whether there are so many or not: their number is
 * another branch that nobody can predict. */
static inline void expand(const gcb_blocks *blocks, size_t word, uint64_t bits, uint32_t *to) {
  do
    for (int i = 0; i < AT_ONCE; i++) {
      uint32_t granule = (uint32_t)(word << 6) + (uint32_t)__builtin_ctzll(bits | UINT64_C(1) << 63);
      __builtin_prefetch(gcb_alias_object(blocks, granule));
      *to++ = granule;
      bits &= bits - 1;
    }
  while (bits);
}

/* Takes what is to be visited from the stack, then from the region's words from `from` on. A black object's
 * references came in by stores that the barrier saw; visiting it would only repeat the rescan. Its mark bit
 * does no harm. */
static __attribute__((noinline)) void gather(gcb_marker *marker, size_t *from, size_t end, batch *found) {
  gcb_marking *marking = marker->marking;
  gcb_blocks *blocks = marking->blocks;
  size_t count = 0;
  while (marker->top > 0 && count < BATCH) {
    uint32_t granule = marker->stack[--marker->top];
    __builtin_prefetch(gcb_alias_object(blocks, granule));
    found->granules[count] = granule;
    count += !gcb_bit(blocks->black, granule);
  }
  size_t word = *from;
  for (; word < end && count < BATCH; word++) {
    uint64_t grey = marking->grey[word];
    if (!grey)
      continue;
    uint64_t mark = atomic_load_explicit(&blocks->mark[word], memory_order_relaxed);
    uint64_t fresh = grey & ~mark & ~gcb_word(blocks->black, word);
    marking->grey[word] = 0;
    atomic_store_explicit(&blocks->mark[word], mark | grey, memory_order_relaxed);
    expand(blocks, word, fresh, found->granules + count);
    count += gcb_count_bits(fresh);
  }
  *from = word;
  found->count = count;
}

static __attribute__((noinline)) void visit(gcb_marker *marker, const batch *found) {
  const gcb_blocks *blocks = marker->marking->blocks;
  uint32_t **open = marker->open;
  unsigned shift = marker->marking->region_shift;
  uint64_t bytes = 0;
  for (size_t i = 0; i < found->count; i++) {
    gcb_ref object = gcb_alias_object(blocks, found->granules[i]);
    size_t object_bytes = gcb_object_bytes(object);
    gcb_fill(blocks->mark_fill, found->granules[i], object_bytes);
    bytes += object_bytes;
    if (gcb_ages(blocks, found->granules[i]))
      marker->aged += object_bytes;
    for (uint32_t slot = 0, references = gcb_reference_count(object); slot < references; slot++) {
      /* acquire: pairs with gcb_store(), so that the target's header is visible (on x86 a plain load) */
      gcb_ref target = atomic_load_explicit(&object->slots[slot], memory_order_acquire);
      if (!target)
        continue;
      uint32_t granule = gcb_granule_of(blocks, target);
      uint32_t *end = open[granule >> shift];
      if (GCB_UNLIKELY(((uintptr_t)end & (GCB_LINE - 1)) == 0)) {
        if (((uintptr_t)end & GCB_PARCEL_MASK) == 0)
          end = gcb_next_parcel(marker, granule >> shift);
        else
          __builtin_prefetch((char *)end + GCB_LINE, 1);
      }
      *end = granule;
      open[granule >> shift] = end + 1;
    }
  }
  marker->bytes += bytes;
  marker->objects += found->count;
}

/* Until nothing is left to visit in a region that this marker owns. */
static void visit_region(gcb_marker *marker, size_t which) {
  gcb_marking *marking = marker->marking;
  gcb_region *region = &marking->regions[which];
  size_t words = (size_t)1 << (marking->region_shift - 6),
         all = GCB_WORDS(marking->blocks->bytes / GCB_GRANULE), first = which * words,
         end = first + words < all ? first + words : all;
  size_t most = gcb_most_on_stack(marker);
  marker->region = which;
  gcb_look_up_published(marker, which, most);
  gcb_look_up_own(marker, which, most);
  do {
    /* Two, in turn: one is visited while the lines of the other are on their way. */
    batch batches[2], *now = &batches[0], *next = &batches[1];
    size_t from = atomic_load_explicit(&region->grey, memory_order_relaxed) ? first : end;
    atomic_store_explicit(&region->grey, 0, memory_order_relaxed); /* it counts what is set from here on */
    gather(marker, &from, end, now);
    while (now->count > 0) {
      gather(marker, &from, end, next);
      visit(marker, now);
      batch *done = now;
      now = next;
      next = done;
      if (now->count == 0) {
        gcb_look_up_own(marker, which, most);
        gather(marker, &from, end, now);
      }
    }
  } while (atomic_load_explicit(&region->grey, memory_order_relaxed));
  marker->region = GCB_NO_REGION;
}

static uint32_t pending(const gcb_region *region) {
  return atomic_load_explicit(&region->published, memory_order_relaxed) +
         atomic_load_explicit(&region->grey, memory_order_relaxed);
}

static bool has_work(const gcb_marker *marker, size_t which) {
  uint32_t *end = marker->open[which];
  return pending(&marker->marking->regions[which]) || (end && end != gcb_parcel_of(end)->granules);
}

bool gcb_visit_regions(gcb_marker *marker, size_t start) {
  gcb_marking *marking = marker->marking;
  uint64_t before = marker->objects;
  for (size_t i = 0; i < marking->region_count; i++) {
    size_t which = start + i < marking->region_count ? start + i : start + i - marking->region_count;
    if (has_work(marker, which) && gcb_own(&marking->regions[which])) {
      visit_region(marker, which);
      gcb_disown(&marking->regions[which]);
    }
  }
  return marker->objects - before > 2 * marking->region_count;
}

bool gcb_regions_wait(const gcb_marking *marking) {
  size_t waiting = 0;
  for (size_t which = 0; which < marking->region_count; which++)
    if (!atomic_load_explicit(&marking->regions[which].owned, memory_order_relaxed))
      waiting += pending(&marking->regions[which]);
  return waiting > 4 * marking->region_count;
}

void gcb_spill_stack(gcb_marking *marking) {
  gcb_marker *marker = &marking->marker;
  while (marker->top > 0) {
    uint32_t granule = marker->stack[--marker->top];
    _Atomic uint64_t *word = &marking->blocks->mark[granule >> 6];
    /* Grey is what may still have to be marked. */
    uint64_t bits = atomic_load_explicit(word, memory_order_relaxed);
    atomic_store_explicit(word, bits & ~(UINT64_C(1) << (granule & 63)), memory_order_relaxed);
    gcb_set_grey(marking, granule);
  }
}

void gcb_look_up_rest(gcb_marking *marking) {
  for (size_t which = 0; which < marking->region_count; which++)
    gcb_look_up_published(&marking->marker, which, marking->marker.capacity);
  marking->spilled = false;
  for (size_t which = 0; which < marking->region_count; which++)
    marking->spilled |= atomic_load_explicit(&marking->regions[which].grey, memory_order_relaxed) > 0;
}
