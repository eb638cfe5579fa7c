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
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif
#define GCB_HUGE ((size_t)2 << 20)

/* 1, for ThreadSanitizer only: the collector reads through the mutators' view. Two views are two addresses to
 * it, and no race between a mutator's store and the marker's load of the same word would ever show. The
 * collector only reads the heap, so nothing is reported that would not be otherwise. */
#ifndef GCB_ONE_VIEW
#define GCB_ONE_VIEW 0
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
  space->marker.overflow = carve(base, &used, (space->blocks + 63) / 64 * 8);
  /* Last, since it is the only part that is rarely used to its end. A depth-first search of a random graph
   * has two fifths of its objects on the stack at its peak: a 64th of the heap is enough where objects of 64
   * bytes fill six tenths of it, and with it all metadata stay below 4 %. What does not fit is found again by
   * its block's overflow bit, at several times the cost. */
  space->marker.capacity = space->bytes / 64 / sizeof *space->marker.stack;
  space->marker.stack = carve(base, &used, space->marker.capacity * sizeof *space->marker.stack);
  return used;
}

/* A view whose address is a multiple of 2 MiB, as huge pages of a file demand. */
static char *map_view(const gcb_space *space) {
  size_t room = space->bytes + GCB_HUGE;
  char *area = mmap(NULL, room, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (area == MAP_FAILED)
    return NULL;
  size_t before = -(uintptr_t)area & (GCB_HUGE - 1);
  char *view = area + before;
  if (before)
    munmap(area, before);
  munmap(view + space->bytes, room - before - space->bytes);
  if (mmap(view, space->bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, space->memfd, 0) ==
      MAP_FAILED) {
    int reason = errno;
    munmap(view, space->bytes);
    errno = reason;
    return NULL;
  }
  return view;
}

/* Every page present, so that a fault counted later is the barrier's, and so that memory runs short here,
 * where it is an error, and not at a store, where it would be a signal. The caller has asked whether there is
 * so much (gcbarrier.host.fits): with no memory left at all the kernel may kill instead of failing. */
static int populate(void *view, size_t bytes, int advice) {
  while (madvise(view, bytes, advice))
    if (errno != EINTR)
      return gcb_set_error("the heap's %zu MiB can't all be had: %s", bytes >> 20, strerror(errno));
  return 0;
}

/* Bytes of the mapping that begins at `view` which huge pages map; SIZE_MAX: unknown. */
static size_t huge_mapped(const char *view) {
  FILE *smaps = fopen("/proc/self/smaps", "re");
  if (!smaps)
    return SIZE_MAX;
  size_t found = SIZE_MAX, kib;
  char line[512];
  bool inside = false;
  while (found == SIZE_MAX && fgets(line, sizeof line, smaps)) {
    unsigned long from, to;
    if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
      inside = from == (uintptr_t)view;
    else if (inside && sscanf(line, "ShmemPmdMapped: %zu kB", &kib) == 1)
      found = kib << 10;
  }
  fclose(smaps);
  return found;
}

static void unmap_views(gcb_space *space) {
  if (space->alias && space->alias != space->tracked)
    munmap(space->alias, space->bytes);
  if (space->tracked)
    munmap(space->tracked, space->bytes);
  if (space->memfd >= 0)
    close(space->memfd);
  space->alias = space->tracked = NULL;
  space->memfd = -1;
}

/* The memory and its two views, all of it present. With `huge`, the collector's view gets huge pages as far
 * as the kernel has them; the mutators' view keeps small ones, since a huge one would be tracked as one. */
static int map_memory(gcb_space *space, bool huge) {
  space->memfd = memfd_create("gcbarrier-heap", MFD_CLOEXEC);
  if (space->memfd < 0 || ftruncate(space->memfd, (off_t)space->bytes))
    return gcb_set_error("no shared memory of %zu MiB: %s", space->bytes >> 20, strerror(errno));
  if (!(space->tracked = map_view(space)) ||
      !(space->alias = GCB_ONE_VIEW ? space->tracked : map_view(space)))
    return gcb_set_error("the heap's %zu MiB could not be mapped: %s", space->bytes >> 20, strerror(errno));
  (void)madvise(space->tracked, space->bytes, MADV_NOHUGEPAGE);
  /* Before anything is populated. The kernel collapses a range that holds a page and fills up the rest, so
   * one page each is enough: 0.1 s for 1 GiB where populating it all first takes 3 s. What can't be collapsed
   * gets small pages below. */
  if (huge) {
    for (size_t at = 0; at + GCB_HUGE <= space->bytes; at += GCB_HUGE)
      (void)populate(space->alias + at, GCB_PAGE, MADV_POPULATE_WRITE);
    (void)madvise(space->alias, space->bytes & ~(GCB_HUGE - 1), MADV_COLLAPSE);
  }
  if (populate(space->tracked, space->bytes, MADV_POPULATE_WRITE))
    return -1;
  return populate(space->alias, space->bytes, MADV_POPULATE_READ);
}

static int set_up_memory(gcb_space *space) {
  bool huge = space->bytes >= GCB_HUGE && !GCB_ONE_VIEW;
  if (map_memory(space, huge))
    return -1;
  if (huge && huge_mapped(space->tracked) != 0) {
    /* Kernels before 6.12 map a huge page as one in spite of MADV_NOHUGEPAGE (or smaps can't be read). */
    unmap_views(space);
    return map_memory(space, false);
  }
  space->alias_huge = huge && huge_mapped(space->alias) == (space->bytes & ~(GCB_HUGE - 1));
  return 0;
}

static int set_up(gcb_space *space) {
  space->metadata_bytes = lay_out(space, NULL);
  if (set_up_memory(space))
    return -1;
  void *metadata =
      mmap(NULL, space->metadata_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (metadata == MAP_FAILED)
    return gcb_set_error("no memory for the heap's %zu bytes of metadata", space->metadata_bytes);
  space->metadata = metadata;
  lay_out(space, metadata);
  (void)madvise(metadata, space->metadata_bytes, MADV_HUGEPAGE); /* the bitmaps are read at random */
  size_t bitmaps = (size_t)((char *)space->marker.stack - (char *)metadata);
  return populate(metadata, bitmaps & ~(GCB_PAGE - 1), MADV_POPULATE_WRITE);
}

static int make_dirty_set(gcb_space *space) {
  unsigned shift = space->barrier.granule_shift;
  if (shift < GCB_GRANULE_SHIFT || shift > GCB_PAGE_SHIFT)
    return gcb_set_error("a barrier's granules have 16 bytes to 4 KiB, not 2^%u", shift);
  space->dirty.granules = space->bytes >> shift;
  space->dirty.words = calloc(GCB_WORDS(space->dirty.granules), sizeof *space->dirty.words);
  if (!space->dirty.words)
    return gcb_set_error("no memory for the dirty set of a heap of %zu MiB", space->bytes >> 20);
  space->metadata_bytes += GCB_WORDS(space->dirty.granules) * sizeof *space->dirty.words;
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
    space->barrier = (gcb_barrier){.range = {space->tracked, bytes}, .granule_shift = GCB_PAGE_SHIFT};
    fine = ops->open(&space->barrier) == 0 && make_dirty_set(space) == 0;
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
  gcb_threads_free(space); /* first: they may still be running, where a run was broken off */
  if (space->ops && space->barrier.range.base)
    space->ops->close(&space->barrier);
  gcb_oracle_free(space);
  free(space->dirty.words);
  unmap_views(space);
  if (space->metadata)
    munmap(space->metadata, lay_out(space, NULL));
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

bool gcb_alias_huge(const gcb_space *space) {
  return space->alias_huge;
}
