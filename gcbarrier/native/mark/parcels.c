/* References on their way into a region: gathered in parcels, published, and looked up by the region's owner.
 */
#include "mark/regions.h"

#include <sched.h>

enum { WORDS_FOR_ONE = 16 /* words that can be walked over in the time in which one object is visited */ };

static gcb_parcel *parcel_at(const gcb_marking *marking, uint32_t number) {
  return &marking->parcels[number - 1];
}

static void return_spare(gcb_marker *marker, uint32_t kept) {
  gcb_marking *marking = marker->marking;
  pthread_mutex_lock(&marking->parcel_lock);
  while (marker->spares > kept)
    marking->free_parcels[marking->free_count++] = marker->spare[--marker->spares];
  pthread_mutex_unlock(&marking->parcel_lock);
}

static void free_parcel(gcb_marker *marker, uint32_t number) {
  marker->spare[marker->spares++] = number;
  if (marker->spares == GCB_SPARE)
    return_spare(marker, GCB_SPARE / 2);
}

static bool take_spare(gcb_marker *marker) {
  gcb_marking *marking = marker->marking;
  pthread_mutex_lock(&marking->parcel_lock);
  while (marking->free_count > 0 && marker->spares < GCB_SPARE / 2)
    marker->spare[marker->spares++] = marking->free_parcels[--marking->free_count];
  pthread_mutex_unlock(&marking->parcel_lock);
  return marker->spares > 0;
}

static void publish(gcb_marking *marking, size_t which, gcb_parcel *parcel, size_t count) {
  gcb_region *region = &marking->regions[which];
  uint32_t number = (uint32_t)(parcel - marking->parcels) + 1;
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

static void mark_and_push(gcb_marker *marker, const uint32_t *granules, size_t count) {
  _Atomic uint64_t *mark = marker->marking->blocks->mark;
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
  uint64_t *grey = marker->marking->grey;
  for (size_t i = 0; i < count; i++)
    grey[granules[i] >> 6] |= UINT64_C(1) << (granules[i] & 63);
  gcb_count_grey(region, count);
}

void gcb_look_up_published(gcb_marker *marker, size_t which, size_t most) {
  gcb_marking *marking = marker->marking;
  gcb_region *region = &marking->regions[which];
  if (!atomic_load_explicit(&region->parcels, memory_order_relaxed))
    return;
  uint32_t number = atomic_exchange_explicit(&region->parcels, 0, memory_order_acquire);
  uint32_t seen = 0;
  while (number) {
    gcb_parcel *parcel = parcel_at(marking, number);
    uint32_t next = parcel->next;
    for (size_t line = 0; next && line < GCB_PARCEL_BYTES; line += GCB_LINE)
      __builtin_prefetch((const char *)parcel_at(marking, next) + line);
    look_up(marker, region, parcel->granules, parcel->count, most);
    seen += parcel->count;
    free_parcel(marker, number);
    number = next;
  }
  atomic_fetch_sub_explicit(&region->published, seen, memory_order_relaxed);
}

void gcb_look_up_own(gcb_marker *marker, size_t which, size_t most) {
  uint32_t *end = marker->open[which];
  if (!end)
    return;
  gcb_parcel *parcel = gcb_parcel_of(end);
  look_up(marker, &marker->marking->regions[which], parcel->granules, (size_t)(end - parcel->granules), most);
  marker->open[which] = parcel->granules;
}

/* There is no parcel left: those of all regions that can be had become grey bits. Some can always be had: a
 * marker that waits here owns at most the region that it visits, and looks up that one's parcels itself. */
static void make_room(gcb_marker *marker) {
  gcb_marking *marking = marker->marking;
  for (size_t which = 0; which < marking->region_count; which++) {
    gcb_region *region = &marking->regions[which];
    if (which == marker->region)
      gcb_look_up_published(marker, which, 0);
    else if (atomic_load_explicit(&region->parcels, memory_order_relaxed) && gcb_own(region)) {
      gcb_look_up_published(marker, which, 0);
      gcb_disown(region);
    }
  }
}

size_t gcb_most_on_stack(const gcb_marker *marker) {
  size_t words = (size_t)1 << (marker->marking->region_shift - 6), most = words / WORDS_FOR_ONE;
  return most < marker->capacity ? most : marker->capacity;
}

uint32_t *gcb_next_parcel(gcb_marker *marker, size_t which) {
  gcb_marking *marking = marker->marking;
  uint32_t *end = marker->open[which];
  if (end && which == marker->region) {
    gcb_look_up_own(marker, which, gcb_most_on_stack(marker));
    return marker->open[which];
  }
  if (end) {
    publish(marking, which, gcb_parcel_of(end), GCB_PARCEL_REFERENCES);
    marker->open[which] = NULL;
  }
  while (marker->spares == 0 && !take_spare(marker)) {
    make_room(marker);
    if (marker->spares == 0)
      sched_yield();
  }
  gcb_parcel *parcel = parcel_at(marking, marker->spare[--marker->spares]);
  __builtin_prefetch(parcel, 1);
  __builtin_prefetch((char *)parcel + GCB_LINE, 1);
  return parcel->granules;
}

void gcb_publish_open(gcb_marker *marker) {
  gcb_marking *marking = marker->marking;
  for (size_t which = 0; which < marking->region_count; which++) {
    uint32_t *end = marker->open[which];
    if (!end)
      continue;
    gcb_parcel *parcel = gcb_parcel_of(end);
    size_t count = (size_t)(end - parcel->granules);
    if (count > 0)
      publish(marking, which, parcel, count);
    else
      free_parcel(marker, (uint32_t)(parcel - marking->parcels) + 1);
    marker->open[which] = NULL;
  }
  return_spare(marker, 0);
}
