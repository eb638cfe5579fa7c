/* What the files of the marker share: regions, their owners, and references on their way into one. */
#ifndef GCB_REGIONS_H
#define GCB_REGIONS_H

#include "mark/marking.h"

enum { GCB_LINE = 64 };
#define GCB_PARCEL_MASK ((uintptr_t)GCB_PARCEL_BYTES - 1)

/* relaxed: only the owner writes it; others read it as a hint */
static inline void gcb_count_grey(gcb_region *region, size_t count) {
  uint32_t grey = atomic_load_explicit(&region->grey, memory_order_relaxed);
  /* It counts references, of which there may be more than it holds: it must not come round to none. */
  uint32_t sum = count > UINT32_MAX - grey ? UINT32_MAX : grey + (uint32_t)count;
  atomic_store_explicit(&region->grey, sum, memory_order_relaxed);
}

/* The parcel that is being filled, its end being `end`. */
static inline gcb_parcel *gcb_parcel_of(uint32_t *end) {
  return (gcb_parcel *)(void *)((char *)(end - 1) - ((uintptr_t)(end - 1) & GCB_PARCEL_MASK));
}

/* regions.c */
void gcb_set_grey(gcb_marking *marking,
                  uint32_t granule); /* by the collector's thread, nobody else marking */
bool gcb_own(gcb_region *region);    /* false: somebody else does */
void gcb_disown(gcb_region *region);
/* Of any marker: a turn round the regions that have work and no owner, beginning anywhere; whether it was
 * worth it. */
bool gcb_visit_regions(gcb_marker *marker, size_t start);
bool gcb_regions_wait(const gcb_marking *marking); /* for an owner, and there is enough to do */
/* Of the collector's thread, with nobody else marking. */
void gcb_spill_stack(gcb_marking *marking);
void gcb_look_up_rest(gcb_marking *marking); /* empties all parcels; `spilled` says whether that was all */

/* parcels.c, of any marker */
void gcb_publish_open(gcb_marker *marker); /* gives away all that it holds */
/* Where the next reference into a region is written, its parcel being full, or none being open. */
uint32_t *gcb_next_parcel(gcb_marker *marker, size_t which);
/* Of a region that it owns: what has been published, and what it has gathered itself and not published.
 * `most`: how full the stack may become. */
void gcb_look_up_published(gcb_marker *marker, size_t which, size_t most);
void gcb_look_up_own(gcb_marker *marker, size_t which, size_t most);
size_t gcb_most_on_stack(const gcb_marker *marker);

#endif
