/* The marker's memory: how large its parts are, where they lie, and how it begins anew. */
#include "mark/marking.h"

enum {
  REGION_LEAST = 17, /* 2 MiB */
  REGION_MOST = 21,  /* 32 MiB: 256 KiB of each bitmap */
  REGIONS =
      256, /* so many parcels are being filled at a time, each with a line in the cache; more above 8 GiB */
};

void gcb_marking_lay_out(gcb_marking *marking, gcb_blocks *blocks, gcb_watch *watch) {
  size_t granules = blocks->bytes / GCB_GRANULE, stack = blocks->bytes >> 14;
  marking->blocks = blocks;
  marking->watch = watch;
  pthread_mutex_init(&marking->parcel_lock, NULL);
  marking->region_shift = REGION_LEAST;
  while (marking->region_shift < REGION_MOST && granules >> marking->region_shift > REGIONS)
    marking->region_shift++;
  marking->region_count = ((granules - 1) >> marking->region_shift) + 1;
  marking->marker.capacity = stack < 256 ? 256 : stack > 8192 ? 8192 : stack;
  /* With the stack it is a little less than one bitmap: so all metadata stay below 4 %, from 1 MiB on.
   * Without any parcel nothing could be marked that the stack has no room for. */
  size_t room = blocks->bytes / 136, taken = marking->marker.capacity * sizeof *marking->marker.stack;
  marking->parcel_count = room > taken ? (uint32_t)((room - taken) / GCB_PARCEL_BYTES) : 0;
  if (marking->parcel_count == 0)
    marking->parcel_count = 1;
}

void gcb_marking_carve(gcb_marking *marking, gcb_metadata *metadata) {
  marking->grey = gcb_carve(metadata, marking->blocks->bytes / GCB_GRANULE / 8, 64);
  /* Last, since it is the only part that is rarely used to its end. With the four bitmaps it is less than 4 %
   * of the heap. */
  marking->marker.stack =
      gcb_carve(metadata, (marking->marker.capacity + GCB_WAITING) * sizeof *marking->marker.stack, 64);
  marking->parcels = gcb_carve(metadata, marking->parcel_count * sizeof *marking->parcels, GCB_PARCEL_BYTES);
}

/* The first parcels are used again and again, the last ones seldom. */
size_t gcb_marking_seldom_bytes(const gcb_marking *marking) {
  return marking->parcel_count * sizeof *marking->parcels / 8 * 7;
}

int gcb_marking_open(gcb_marking *marking) {
  size_t bytes = marking->region_count * sizeof *marking->regions;
  marking->regions = aligned_alloc(_Alignof(gcb_region), bytes);
  marking->free_parcels = calloc(marking->parcel_count, sizeof *marking->free_parcels);
  marking->marker.open = calloc(marking->region_count, sizeof *marking->marker.open);
  if (!marking->regions || !marking->free_parcels || !marking->marker.open)
    return gcb_set_error("no memory for the marker's %zu regions", marking->region_count);
  memset(marking->regions, 0, bytes);
  marking->marker.marking = marking;
  /* The last on top: those that are used again and again are the first of the memory. */
  for (uint32_t i = 0; i < marking->parcel_count; i++)
    marking->free_parcels[i] = marking->parcel_count - i;
  marking->free_count = marking->parcel_count;
  marking->metadata_bytes = bytes + marking->parcel_count * sizeof *marking->free_parcels +
                            marking->region_count * sizeof *marking->marker.open;
  return 0;
}

void gcb_marking_close(gcb_marking *marking) {
  gcb_crew_free(marking);
  gcb_rescan_close(&marking->rescan);
  free(marking->regions);
  free(marking->free_parcels);
  free(marking->marker.open);
  pthread_mutex_destroy(&marking->parcel_lock);
}

void gcb_marking_forget(gcb_marking *marking) {
  marking->marker.objects = marking->marker.bytes = marking->marker.aged = 0;
  marking->marker.top = 0;
  marking->logs_visits = false;
  memset(marking->marker.waiting, 0, sizeof marking->marker.waiting);
  /* A child that was killed has left bits of which this process has no count. */
  if (!marking->spilled && !marking->forks)
    return;
  memset(marking->grey, 0, marking->blocks->bytes / GCB_GRANULE / 8);
  marking->spilled = false;
  for (size_t which = 0; which < marking->region_count; which++)
    atomic_store_explicit(&marking->regions[which].grey, 0, memory_order_relaxed);
}
