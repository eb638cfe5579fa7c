/* Marking region by region: where the heap is large, a mark bit and an object's first line are as many misses
 * of the cache and of the TLB as there are references. So a reference only joins the others into its region,
 * and they are looked up together while that region's part of the bitmap is in the cache.
 *
 * Looking up is a bit set in `grey` and no more; a walk over the words of a region then finds what is grey
 * and not marked, marks and visits it, in the order of addresses. Whoever owns a region is the only writer of
 * its words in both bitmaps, so that no instruction is locked. Memory is bounded: where no parcel is left for
 * a reference, parcels are emptied into `grey`, which always has room. */
#include "core.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>

enum {
  REGION_LEAST = 17, /* 2 MiB */
  REGION_MOST = 21,  /* 32 MiB: 256 KiB of each bitmap */
  REGIONS =
      256, /* so many parcels are being filled at a time, each with a line in the cache; more above 8 GiB */
  BATCH = 12, /* objects whose first line is on its way; many more at once are slower */
  AT_ONCE = 4,
  LINE = 64,
  WORDS_FOR_ONE = 16 /* words that can be walked over in the time in which one object is visited */
};
#define PARCEL_MASK ((uintptr_t)GCB_PARCEL_BYTES - 1)

void gcb_regions_lay_out(gcb_space *space) {
  size_t granules = space->bytes / GCB_GRANULE, stack = space->bytes >> 14;
  space->region_shift = REGION_LEAST;
  while (space->region_shift < REGION_MOST && granules >> space->region_shift > REGIONS)
    space->region_shift++;
  space->region_count = ((granules - 1) >> space->region_shift) + 1;
  space->marker.capacity = stack < 256 ? 256 : stack > 8192 ? 8192 : stack;
  /* With the stack it is a little less than one bitmap: so all metadata stay below 4 %, from 1 MiB on.
   * Without any parcel nothing could be marked that the stack has no room for. */
  size_t room = space->bytes / 136, taken = space->marker.capacity * sizeof *space->marker.stack;
  space->parcel_count = room > taken ? (uint32_t)((room - taken) / GCB_PARCEL_BYTES) : 0;
  if (space->parcel_count == 0)
    space->parcel_count = 1;
}

int gcb_regions_open(gcb_space *space) {
  size_t bytes = space->region_count * sizeof *space->regions;
  space->regions = aligned_alloc(LINE, bytes);
  space->free_parcels = calloc(space->parcel_count, sizeof *space->free_parcels);
  space->marker.open = calloc(space->region_count, sizeof *space->marker.open);
  if (!space->regions || !space->free_parcels || !space->marker.open)
    return gcb_set_error("no memory for the marker's %zu regions", space->region_count);
  memset(space->regions, 0, bytes);
  space->marker.space = space;
  /* The last on top: those that are used again and again are the first of the memory. */
  for (uint32_t i = 0; i < space->parcel_count; i++)
    space->free_parcels[i] = space->parcel_count - i;
  space->free_count = space->parcel_count;
  space->metadata_bytes += bytes + space->parcel_count * sizeof *space->free_parcels +
                           space->region_count * sizeof *space->marker.open;
  return 0;
}

void gcb_regions_close(gcb_space *space) {
  free(space->regions);
  free(space->free_parcels);
  free(space->marker.open);
}

/* relaxed, here and below: only the owner writes it; others read it as a hint */
static void count_grey(gcb_region *region, size_t count) {
  uint32_t grey = atomic_load_explicit(&region->grey, memory_order_relaxed);
  /* It counts references, of which there may be more than it holds: it must not come round to none. */
  uint32_t sum = count > UINT32_MAX - grey ? UINT32_MAX : grey + (uint32_t)count;
  atomic_store_explicit(&region->grey, sum, memory_order_relaxed);
}

void gcb_set_grey(gcb_space *space, uint32_t granule) {
  space->spilled = true;
  space->grey[granule >> 6] |= UINT64_C(1) << (granule & 63);
  count_grey(&space->regions[granule >> space->region_shift], 1);
}

/* Chunks */

static gcb_parcel *parcel_at(const gcb_space *space, uint32_t number) {
  return &space->parcels[number - 1];
}

/* That which is being filled, its end being `end`. */
static gcb_parcel *parcel_of(uint32_t *end) {
  return (gcb_parcel *)(void *)((char *)(end - 1) - ((uintptr_t)(end - 1) & PARCEL_MASK));
}

void gcb_return_spare(gcb_marker *marker, uint32_t kept) {
  gcb_space *space = marker->space;
  pthread_mutex_lock(&space->parcel_lock);
  while (marker->spares > kept)
    space->free_parcels[space->free_count++] = marker->spare[--marker->spares];
  pthread_mutex_unlock(&space->parcel_lock);
}

static void free_parcel(gcb_marker *marker, uint32_t number) {
  marker->spare[marker->spares++] = number;
  if (marker->spares == GCB_SPARE)
    gcb_return_spare(marker, GCB_SPARE / 2);
}

static bool take_spare(gcb_marker *marker) {
  gcb_space *space = marker->space;
  pthread_mutex_lock(&space->parcel_lock);
  while (space->free_count > 0 && marker->spares < GCB_SPARE / 2)
    marker->spare[marker->spares++] = space->free_parcels[--space->free_count];
  pthread_mutex_unlock(&space->parcel_lock);
  return marker->spares > 0;
}

/* acquire and release: what the owner before has written to the region's words is seen. */
static bool own(gcb_region *region) {
  uint32_t nobody = 0;
  return !atomic_load_explicit(&region->owned, memory_order_relaxed) &&
         atomic_compare_exchange_strong_explicit(&region->owned, &nobody, 1, memory_order_acquire,
                                                 memory_order_relaxed);
}

static void disown(gcb_region *region) {
  atomic_store_explicit(&region->owned, 0, memory_order_release);
}

static void publish(gcb_space *space, size_t which, gcb_parcel *parcel, size_t count) {
  gcb_region *region = &space->regions[which];
  uint32_t number = (uint32_t)(parcel - space->parcels) + 1;
  parcel->count = (uint32_t)count;
  atomic_fetch_add_explicit(&region->published, (uint32_t)count, memory_order_relaxed);
  uint32_t first = atomic_load_explicit(&region->parcels, memory_order_relaxed);
  /* release: whoever takes the list sees what is in the parcel. Lists are taken whole, so that none can have
   * changed and look the same. */
  do
    parcel->next = first;
  while (!atomic_compare_exchange_weak_explicit(&region->parcels, &first, number, memory_order_release,
                                                memory_order_relaxed));
}

/* Looking up */

static void mark_and_push(gcb_marker *marker, const uint32_t *granules, size_t count) {
  _Atomic uint64_t *mark = marker->space->mark;
  uint32_t *top = marker->stack + marker->top;
  for (size_t i = 0; i < count; i++) {
    uint64_t bit = UINT64_C(1) << (granules[i] & 63);
    /* relaxed: the region's owner is the only writer */
    uint64_t bits = atomic_load_explicit(&mark[granules[i] >> 6], memory_order_relaxed);
    atomic_store_explicit(&mark[granules[i] >> 6], bits | bit, memory_order_relaxed);
    *top = granules[i];
    top += !(bits & bit); /* not a branch: nobody can predict it */
  }
  marker->top = (size_t)(top - marker->stack);
}

/* `most`: how full the stack may become. A few go there, and no walk is needed to find them. */
static void look_up(gcb_marker *marker, gcb_region *region, const uint32_t *granules, size_t count,
                    size_t most) {
  if (marker->top + count <= most) {
    mark_and_push(marker, granules, count);
    return;
  }
  uint64_t *grey = marker->space->grey;
  for (size_t i = 0; i < count; i++)
    grey[granules[i] >> 6] |= UINT64_C(1) << (granules[i] & 63);
  count_grey(region, count);
}

static void look_up_published(gcb_marker *marker, size_t which, size_t most) {
  gcb_space *space = marker->space;
  gcb_region *region = &space->regions[which];
  if (!atomic_load_explicit(&region->parcels, memory_order_relaxed))
    return;
  uint32_t number = atomic_exchange_explicit(&region->parcels, 0, memory_order_acquire);
  uint32_t seen = 0;
  while (number) {
    gcb_parcel *parcel = parcel_at(space, number);
    uint32_t next = parcel->next;
    for (size_t line = 0; next && line < GCB_PARCEL_BYTES; line += LINE)
      __builtin_prefetch((const char *)parcel_at(space, next) + line);
    look_up(marker, region, parcel->granules, parcel->count, most);
    seen += parcel->count;
    free_parcel(marker, number);
    number = next;
  }
  atomic_fetch_sub_explicit(&region->published, seen, memory_order_relaxed);
}

/* What this marker has gathered for a region that it owns, without publishing it. */
static void look_up_own(gcb_marker *marker, size_t which, size_t most) {
  uint32_t *end = marker->open[which];
  if (!end)
    return;
  gcb_parcel *parcel = parcel_of(end);
  look_up(marker, &marker->space->regions[which], parcel->granules, (size_t)(end - parcel->granules), most);
  marker->open[which] = parcel->granules;
}

/* There is no parcel left: those of all regions that can be had become grey bits. Some can always be had: a
 * marker that waits here owns at most the region that it visits, and looks up that one's parcels itself. */
static void make_room(gcb_marker *marker) {
  gcb_space *space = marker->space;
  for (size_t which = 0; which < space->region_count; which++) {
    gcb_region *region = &space->regions[which];
    if (which == marker->region)
      look_up_published(marker, which, 0);
    else if (atomic_load_explicit(&region->parcels, memory_order_relaxed) && own(region)) {
      look_up_published(marker, which, 0);
      disown(region);
    }
  }
}

static size_t most_on_stack(const gcb_marker *marker) {
  size_t words = (size_t)1 << (marker->space->region_shift - 6), most = words / WORDS_FOR_ONE;
  return most < marker->capacity ? most : marker->capacity;
}

/* Where the next reference into a region is written, its parcel being full, or none being open. */
static __attribute__((noinline)) uint32_t *next_parcel(gcb_marker *marker, size_t which) {
  gcb_space *space = marker->space;
  uint32_t *end = marker->open[which];
  if (end && which == marker->region) {
    look_up_own(marker, which, most_on_stack(marker));
    return marker->open[which];
  }
  if (end) {
    publish(space, which, parcel_of(end), GCB_PARCEL_REFERENCES);
    marker->open[which] = NULL;
  }
  while (marker->spares == 0 && !take_spare(marker)) {
    make_room(marker);
    if (marker->spares == 0)
      sched_yield();
  }
  gcb_parcel *parcel = parcel_at(space, marker->spare[--marker->spares]);
  __builtin_prefetch(parcel, 1);
  __builtin_prefetch((char *)parcel + LINE, 1);
  return parcel->granules;
}

void gcb_publish_open(gcb_marker *marker) {
  gcb_space *space = marker->space;
  for (size_t which = 0; which < space->region_count; which++) {
    uint32_t *end = marker->open[which];
    if (!end)
      continue;
    gcb_parcel *parcel = parcel_of(end);
    size_t count = (size_t)(end - parcel->granules);
    if (count > 0)
      publish(space, which, parcel, count);
    else
      free_parcel(marker, (uint32_t)(parcel - space->parcels) + 1);
    marker->open[which] = NULL;
  }
  gcb_return_spare(marker, 0);
}

/* Visiting */

typedef struct batch {
  size_t count;
  uint32_t granules[BATCH + 64 + AT_ONCE]; /* a word of grey objects is taken whole */
} batch;

/* Without an instruction that not every processor has. */
static inline uint32_t count_bits(uint64_t bits) {
  bits -= bits >> 1 & UINT64_C(0x5555555555555555);
  bits = (bits & UINT64_C(0x3333333333333333)) + (bits >> 2 & UINT64_C(0x3333333333333333));
  bits = (bits + (bits >> 4)) & UINT64_C(0x0f0f0f0f0f0f0f0f);
  return (uint32_t)(bits * UINT64_C(0x0101010101010101) >> 56);
}

/* The granules of a word's bits. A few are written at once, whether there are so many or not: their number is
 * another branch that nobody can predict. */
static inline void expand(const gcb_space *space, size_t word, uint64_t bits, uint32_t *to) {
  do
    for (int i = 0; i < AT_ONCE; i++) {
      uint32_t granule = (uint32_t)(word << 6) + (uint32_t)__builtin_ctzll(bits | UINT64_C(1) << 63);
      __builtin_prefetch(gcb_alias_object(space, granule));
      *to++ = granule;
      bits &= bits - 1;
    }
  while (bits);
}

/* Takes what is to be visited from the stack, then from the region's words from `from` on. A black object's
 * references came in by stores that the barrier saw; visiting it would only repeat the rescan. Its mark bit
 * does no harm. */
static __attribute__((noinline)) void gather(gcb_marker *marker, size_t *from, size_t end, batch *found) {
  gcb_space *space = marker->space;
  size_t count = 0;
  while (marker->top > 0 && count < BATCH) {
    uint32_t granule = marker->stack[--marker->top];
    __builtin_prefetch(gcb_alias_object(space, granule));
    found->granules[count] = granule;
    count += !gcb_bit(space->black, granule);
  }
  size_t word = *from;
  for (; word < end && count < BATCH; word++) {
    uint64_t grey = space->grey[word];
    if (!grey)
      continue;
    uint64_t mark = atomic_load_explicit(&space->mark[word], memory_order_relaxed);
    uint64_t fresh = grey & ~mark & ~gcb_word(space->black, word);
    space->grey[word] = 0;
    atomic_store_explicit(&space->mark[word], mark | grey, memory_order_relaxed);
    expand(space, word, fresh, found->granules + count);
    count += count_bits(fresh);
  }
  *from = word;
  found->count = count;
}

static __attribute__((noinline)) void visit(gcb_marker *marker, const batch *found) {
  const gcb_space *space = marker->space;
  uint32_t **open = marker->open;
  unsigned shift = space->region_shift;
  uint64_t bytes = 0;
  for (size_t i = 0; i < found->count; i++) {
    gcb_ref object = gcb_alias_object(space, found->granules[i]);
    bytes += gcb_object_bytes(object);
    for (uint32_t slot = 0, references = gcb_reference_count(object); slot < references; slot++) {
      /* acquire: pairs with gcb_store(), so that the target's header is visible (on x86 a plain load) */
      gcb_ref target = atomic_load_explicit(&object->slots[slot], memory_order_acquire);
      if (!target)
        continue;
      uint32_t granule = gcb_granule_of(space, target);
      uint32_t *end = open[granule >> shift];
      if (GCB_UNLIKELY(((uintptr_t)end & (LINE - 1)) == 0)) {
        if (((uintptr_t)end & PARCEL_MASK) == 0)
          end = next_parcel(marker, granule >> shift);
        else
          __builtin_prefetch((char *)end + LINE, 1);
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
  gcb_space *space = marker->space;
  gcb_region *region = &space->regions[which];
  size_t words = (size_t)1 << (space->region_shift - 6), all = GCB_WORDS(space->bytes / GCB_GRANULE),
         first = which * words, end = first + words < all ? first + words : all;
  size_t most = most_on_stack(marker);
  marker->region = which;
  look_up_published(marker, which, most);
  look_up_own(marker, which, most);
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
        look_up_own(marker, which, most);
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
  return pending(&marker->space->regions[which]) || (end && end != parcel_of(end)->granules);
}

bool gcb_visit_regions(gcb_marker *marker, size_t start) {
  gcb_space *space = marker->space;
  uint64_t before = marker->objects;
  for (size_t i = 0; i < space->region_count; i++) {
    size_t which = start + i < space->region_count ? start + i : start + i - space->region_count;
    if (has_work(marker, which) && own(&space->regions[which])) {
      visit_region(marker, which);
      disown(&space->regions[which]);
    }
  }
  return marker->objects - before > 2 * space->region_count;
}

bool gcb_regions_wait(const gcb_space *space) {
  size_t waiting = 0;
  for (size_t which = 0; which < space->region_count; which++)
    if (!atomic_load_explicit(&space->regions[which].owned, memory_order_relaxed))
      waiting += pending(&space->regions[which]);
  return waiting > 4 * space->region_count;
}

void gcb_spill_stack(gcb_space *space) {
  gcb_marker *marker = &space->marker;
  while (marker->top > 0) {
    uint32_t granule = marker->stack[--marker->top];
    _Atomic uint64_t *word = &space->mark[granule >> 6];
    /* Grey is what may still have to be marked. */
    uint64_t bits = atomic_load_explicit(word, memory_order_relaxed);
    atomic_store_explicit(word, bits & ~(UINT64_C(1) << (granule & 63)), memory_order_relaxed);
    gcb_set_grey(space, granule);
  }
}

void gcb_look_up_rest(gcb_space *space) {
  for (size_t which = 0; which < space->region_count; which++)
    look_up_published(&space->marker, which, space->marker.capacity);
  space->spilled = false;
  for (size_t which = 0; which < space->region_count; which++)
    space->spilled |= atomic_load_explicit(&space->regions[which].grey, memory_order_relaxed) > 0;
}

void gcb_forget_grey(gcb_space *space) {
  space->marker.top = 0;
  memset(space->marker.waiting, 0, sizeof space->marker.waiting);
  /* A child that was killed has left bits of which this process has no count. */
  if (!space->spilled && !space->child)
    return;
  memset(space->grey, 0, space->bytes / GCB_GRANULE / 8);
  space->spilled = false;
  for (size_t which = 0; which < space->region_count; which++)
    atomic_store_explicit(&space->regions[which].grey, 0, memory_order_relaxed);
}
