/* The heap's memory: one memfd in two views, and the metadata beside it. */
#include "core.h"
#include "api.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#define MADV_POPULATE_WRITE 23
#endif

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

static size_t lay_out(gcb_space *space, char *base) {
  size_t used = 0, bitmap = space->bytes / GCB_GRANULE / 8;
  space->live = carve(base, &used, bitmap);
  space->mark = carve(base, &used, bitmap);
  space->black = carve(base, &used, bitmap);
  space->block_state = carve(base, &used, space->blocks * sizeof *space->block_state);
  space->head = carve(base, &used, space->blocks * sizeof *space->head);
  space->used = carve(base, &used, space->blocks);
  space->dirty.words = carve(base, &used, (space->pages + 63) / 64 * 8);
  space->marker.overflow = carve(base, &used, (space->blocks + 63) / 64 * 8);
  /* Half a percent of the heap; what does not fit is found again by its block's overflow bit. */
  space->marker.capacity = space->bytes / 200 / sizeof *space->marker.stack;
  space->marker.stack = carve(base, &used, space->marker.capacity * sizeof *space->marker.stack);
  return used;
}

static char *map_view(gcb_space *space) {
  char *view = mmap(NULL, space->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, space->memfd, 0);
  return view == MAP_FAILED ? NULL : view;
}

/* Every page present in both views, so that a fault counted later is the barrier's. */
static int populate(gcb_space *space) {
  /* Small pages in the tracked view: a huge one would be tracked as one. */
  (void)madvise(space->tracked, space->bytes, MADV_NOHUGEPAGE);
  if (madvise(space->tracked, space->bytes, MADV_POPULATE_WRITE) ||
      madvise(space->alias, space->bytes, MADV_POPULATE_READ))
    return gcb_set_error("the heap's %zu MiB could not be populated: %s", space->bytes >> 20,
                         strerror(errno));
  return 0;
}

static int set_up(gcb_space *space) {
  space->memfd = memfd_create("gcbarrier-heap", MFD_CLOEXEC);
  if (space->memfd < 0 || ftruncate(space->memfd, (off_t)space->bytes))
    return gcb_set_error("no shared memory of %zu MiB: %s", space->bytes >> 20, strerror(errno));
  if (!(space->tracked = map_view(space)) || !(space->alias = map_view(space)))
    return gcb_set_error("the heap's %zu MiB could not be mapped: %s", space->bytes >> 20, strerror(errno));
  space->metadata_bytes = lay_out(space, NULL);
  void *metadata =
      mmap(NULL, space->metadata_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (metadata == MAP_FAILED)
    return gcb_set_error("no memory for the heap's %zu bytes of metadata", space->metadata_bytes);
  space->metadata = metadata;
  lay_out(space, metadata);
  return populate(space);
}

gcb_space *gcb_space_new(size_t bytes, const gcb_barrier_ops *ops, bool verify) {
  gcb_space *space = calloc(1, sizeof *space);
  if (!space || bytes == 0 || bytes % GCB_BLOCK || bytes >> 36) {
    gcb_set_error("a heap has a whole number of 32 KiB blocks, below 64 GiB, not %zu bytes", bytes);
    free(space);
    return NULL;
  }
  space->bytes = bytes;
  space->blocks = space->large_top = bytes / GCB_BLOCK;
  space->pages = space->dirty.pages = bytes / GCB_PAGE;
  space->memfd = -1;
  space->ops = ops;
  pthread_mutex_init(&space->large_lock, NULL);
  pthread_mutex_init(&space->service_lock, NULL);
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
    space->barrier.range = (gcb_range){space->tracked, bytes};
    fine = ops->open(&space->barrier) == 0;
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
  if (space->ops && space->barrier.range.base)
    space->ops->close(&space->barrier);
  gcb_oracle_free(space);
  gcb_threads_free(space);
  if (space->alias)
    munmap(space->alias, space->bytes);
  if (space->tracked)
    munmap(space->tracked, space->bytes);
  if (space->metadata)
    munmap(space->metadata, space->metadata_bytes);
  if (space->memfd >= 0)
    close(space->memfd);
  pthread_mutex_destroy(&space->large_lock);
  pthread_mutex_destroy(&space->service_lock);
  pthread_cond_destroy(&space->service);
  pthread_cond_destroy(&space->served);
  free(space->events);
  free(space);
}

size_t gcb_metadata_bytes(const gcb_space *space) {
  return space->metadata_bytes;
}
