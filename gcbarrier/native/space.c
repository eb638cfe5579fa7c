/* A heap as a whole: its memory, the metadata beside it, its barrier; and the error that a call leaves. */
#include "core.h"
#include "api.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

static _Thread_local char last_error[512];

int gcb_set_error(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(last_error, sizeof last_error, format, arguments);
  va_end(arguments);
  return -1;
}

const char *gcb_error(void) {
  return last_error;
}

uint64_t gcb_now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* Hands out consecutive, cache-line aligned parts of the metadata; with a null base it only adds them up. */
static void *carve(char *base, size_t *used, size_t bytes) {
  size_t at = *used;
  *used = (at + bytes + 63) & ~(size_t)63;
  return base ? base + at : NULL;
}

/* Whether a child marks for it: then that needs the bitmaps too. */
static bool forks(const gcb_space *space) {
  return space->ops && space->ops->fork;
}

static size_t lay_out(gcb_space *space, char *base) {
  size_t used = 0, bitmap = space->bytes / GCB_GRANULE / 8;
  space->child = forks(space) ? carve(base, &used, sizeof *space->child) : NULL;
  space->live = carve(base, &used, bitmap);
  space->mark = carve(base, &used, bitmap);
  space->black = carve(base, &used, bitmap);
  space->block_state = carve(base, &used, space->blocks * sizeof *space->block_state);
  space->head = carve(base, &used, space->blocks * sizeof *space->head);
  space->used = carve(base, &used, space->blocks);
  space->grey = carve(base, &used, bitmap);
  /* Last, since it is the only part that is rarely used to its end. With the four bitmaps it is less than 4 %
   * of the heap. */
  space->marker.stack =
      carve(base, &used, (space->marker.capacity + GCB_WAITING) * sizeof *space->marker.stack);
  used = (used + GCB_PARCEL_BYTES - 1) & ~(size_t)(GCB_PARCEL_BYTES - 1);
  space->parcels = carve(base, &used, space->parcel_count * sizeof *space->parcels);
  return used;
}

static int set_up(gcb_space *space) {
  gcb_regions_lay_out(space);
  space->metadata_bytes = lay_out(space, NULL);
  if (gcb_memory_map(space))
    return -1;
  /* The first parcels are used again and again, the last ones seldom. */
  size_t seldom = space->parcel_count * sizeof *space->parcels / 8 * 7,
         present = space->metadata_bytes - seldom;
  space->metadata = gcb_metadata_map(space->metadata_bytes, present, forks(space));
  if (!space->metadata)
    return -1;
  lay_out(space, space->metadata);
  return gcb_regions_open(space);
}

static int make_dirty_set(gcb_space *space) {
  unsigned shift = space->barrier.granule_shift;
  if (shift < GCB_GRANULE_SHIFT || shift > GCB_PAGE_SHIFT)
    return gcb_set_error("a barrier's granules have 16 bytes to 4 KiB, not 2^%u", shift);
  if (gcb_dirty_new(&space->dirty, space->bytes >> shift))
    return gcb_set_error("no memory for the dirty set of a heap of %zu MiB", space->bytes >> 20);
  space->metadata_bytes += gcb_dirty_bytes(space->dirty.granules);
  return 0;
}

gcb_space *gcb_space_new(size_t bytes, uint32_t memory, const gcb_barrier_ops *ops, bool verify) {
  gcb_space *space = calloc(1, sizeof *space);
  if (!space || bytes == 0 || bytes % GCB_BLOCK || bytes >> 36) {
    gcb_set_error("a heap has a whole number of 32 KiB blocks, below 64 GiB, not %zu bytes", bytes);
    free(space);
    return NULL;
  }
  space->bytes = bytes;
  space->memory = (gcb_memory)memory;
  space->blocks = space->large_top = bytes / GCB_BLOCK;
  space->pages = bytes / GCB_PAGE;
  space->memfd = space->child_handle = -1;
  space->ops = ops;
  pthread_mutex_init(&space->large_lock, NULL);
  pthread_mutex_init(&space->service_lock, NULL);
  pthread_mutex_init(&space->parcel_lock, NULL);
  pthread_condattr_t monotonic;
  pthread_condattr_init(&monotonic);
  pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
  pthread_cond_init(&space->service, &monotonic);
  pthread_cond_init(&space->served, NULL);
  pthread_condattr_destroy(&monotonic);
  atomic_store_explicit(&space->trigger_bytes, UINT64_MAX, memory_order_relaxed);
  space->event_capacity = (size_t)1 << 16;
  space->events = calloc(space->event_capacity, sizeof *space->events);
  bool fine = space->events && set_up(space) == 0;
  if (fine && ops) {
    space->barrier = (gcb_barrier){.range = {space->tracked, bytes}, .granule_shift = GCB_PAGE_SHIFT};
    fine = ops->open(&space->barrier) == 0 && make_dirty_set(space) == 0 && gcb_rescan_new(space) == 0;
  }
  if (fine && verify)
    fine = gcb_oracle_new(space) == 0;
  if (fine)
    return space;
  gcb_space_free(space);
  return NULL;
}

void gcb_space_free(gcb_space *space) {
  if (!space)
    return;
  gcb_end_child(space);
  gcb_crew_free(space);
  gcb_threads_free(space); /* first: they may still be running, where a run was broken off */
  gcb_watch_detach_all(space);
  if (space->ops && space->barrier.range.base)
    space->ops->close(&space->barrier);
  gcb_oracle_free(space);
  gcb_dirty_free(&space->dirty);
  free(space->rescan.granules);
  free(space->write_watch);
  gcb_regions_close(space);
  gcb_memory_unmap(space);
  if (space->metadata)
    munmap(space->metadata, lay_out(space, NULL));
  pthread_mutex_destroy(&space->large_lock);
  pthread_mutex_destroy(&space->service_lock);
  pthread_mutex_destroy(&space->parcel_lock);
  pthread_cond_destroy(&space->service);
  pthread_cond_destroy(&space->served);
  free(space->events);
  free(space);
}

size_t gcb_metadata_bytes(const gcb_space *space) {
  return space->metadata_bytes;
}

bool gcb_alias_huge(const gcb_space *space) {
  return space->alias_huge;
}

int64_t gcb_tracked_huge_bytes(const gcb_space *space) {
  size_t bytes = gcb_huge_mapped_bytes(space->tracked);
  return bytes == SIZE_MAX ? -1 : (int64_t)bytes;
}
