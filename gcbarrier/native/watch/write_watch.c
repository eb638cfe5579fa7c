/* Windows' write watch over a page barrier.
 *
 * A barrier collects, and arms again, the whole space; a reset is of a part. What was collected and armed
 * again without having been asked for waits in `write_watch`, a bit per granule. Without a reset nothing is
 * armed again, and the barrier itself still knows what it reported. */
#include "include/write_watch.h"
#include "core.h"
#include "api.h"

#include <stdlib.h>
#include <string.h>

typedef struct part { /* granules [first, end) */
  size_t first, end;
} part;

int gcb_begin_write_watch(gcb_space *space) {
  if (!space->ops || space->ops->stores_only || space->ops->snapshot)
    return gcb_set_error("the barrier does not notice all writes to memory");
  size_t words = GCB_WORDS(space->dirty.granules);
  uint64_t *waiting = calloc(words, sizeof *waiting);
  if (!waiting)
    return gcb_set_error("no memory for the write watch of %zu MiB", space->bytes >> 20);
  free(space->write_watch);
  space->write_watch = waiting;
  if (gcb_watch_arm(space) == 0)
    return 0;
  free(waiting);
  space->write_watch = NULL; /* not watching: looking is an error, not an empty answer */
  return -1;
}

static int part_of(const gcb_space *space, const void *base, size_t size, part *p) {
  size_t offset = (uintptr_t)base - (uintptr_t)space->tracked;
  unsigned shift = space->barrier.granule_shift;
  if (!space->write_watch)
    return gcb_set_error("the memory is not under a write watch");
  /* Written so that nothing overflows: an address below the space is a large offset. */
  if (size == 0 || offset >= space->bytes || size > space->bytes - offset)
    return gcb_set_error("%zu bytes at %p are no part of the %zu watched bytes at %p", size, base,
                         space->bytes, (void *)space->tracked);
  *p = (part){offset >> shift, ((offset + size - 1) >> shift) + 1};
  return 0;
}

/* Collects and arms again. What is then not the barrier's to remember is ours, also when it fails halfway. */
static int take_all(gcb_space *space) {
  int64_t found = gcb_watch_collect(space, true);
  for (size_t word = 0; word < GCB_WORDS(space->dirty.granules); word++)
    space->write_watch[word] |= space->dirty.words[word];
  return found < 0 ? -1 : 0;
}

int gcb_get_write_watch(gcb_space *space, uint32_t flags, void *base, size_t size, void **addresses,
                        size_t *count, uint32_t *granularity) {
  part p;
  bool reset = flags == GCB_WRITE_WATCH_FLAG_RESET;
  if (flags & ~GCB_WRITE_WATCH_FLAG_RESET)
    return gcb_set_error("a write watch has no flag 0x%x", flags);
  if (!addresses || !count || !granularity || *count == 0)
    return gcb_set_error("a write watch needs room for at least one address");
  if (part_of(space, base, size, &p) || (reset ? take_all(space) : gcb_watch_collect(space, false) < 0))
    return -1;
  size_t found = 0, granule = p.first;
  while (granule < p.end && found < *count) {
    uint64_t *waiting = &space->write_watch[granule >> 6];
    uint64_t written = (*waiting | space->dirty.words[granule >> 6]) >> (granule & 63);
    if (!written) {
      granule = (granule | 63) + 1;
      continue;
    }
    granule += (size_t)__builtin_ctzll(written);
    if (granule >= p.end)
      break;
    addresses[found++] = space->tracked + (granule << space->barrier.granule_shift);
    if (reset)
      *waiting &= ~(UINT64_C(1) << (granule & 63));
    granule++;
  }
  *count = found;
  *granularity = UINT32_C(1) << space->barrier.granule_shift;
  return 0;
}

int gcb_reset_write_watch(gcb_space *space, void *base, size_t size) {
  part p;
  if (part_of(space, base, size, &p) || take_all(space))
    return -1;
  for (size_t granule = p.first; granule < p.end; granule++)
    space->write_watch[granule >> 6] &= ~(UINT64_C(1) << (granule & 63));
  return 0;
}
