/* Windows' write watch over a page barrier.
 *
 * A barrier collects, and arms again, the whole space; a reset is of a part. What was collected and armed
 * again without having been asked for waits in `written`, a bit per granule. Without a reset nothing is
 * armed again, and the barrier itself still knows what it reported. */
#include "include/write_watch.h"
#include "base/bits.h"
#include "watch/watch.h"

typedef struct part { /* granules [first, end) */
  size_t first, end;
} part;

int gcb_written_begin(gcb_watch *watch) {
  if (!watch->ops || watch->ops->stores_only || watch->ops->snapshot)
    return gcb_set_error("the barrier does not notice all writes to memory");
  size_t words = GCB_WORDS(watch->dirty.granules);
  uint64_t *waiting = calloc(words, sizeof *waiting);
  if (!waiting)
    return gcb_set_error("no memory for the write watch of %zu MiB", watch->barrier.range.bytes >> 20);
  free(watch->written);
  watch->written = waiting;
  if (gcb_alone_arm(watch) == 0)
    return 0;
  free(waiting);
  watch->written = NULL; /* not watching: looking is an error, not an empty answer */
  return -1;
}

static int part_of(const gcb_watch *watch, const void *base, size_t size, part *p) {
  size_t offset = (uintptr_t)base - (uintptr_t)watch->barrier.range.base;
  unsigned shift = watch->barrier.granule_shift;
  if (!watch->written)
    return gcb_set_error("the memory is not under a write watch");
  /* Written so that nothing overflows: an address below the space is a large offset. */
  if (size == 0 || offset >= watch->barrier.range.bytes || size > watch->barrier.range.bytes - offset)
    return gcb_set_error("%zu bytes at %p are no part of the %zu watched bytes at %p", size, base,
                         watch->barrier.range.bytes, (void *)watch->barrier.range.base);
  *p = (part){offset >> shift, ((offset + size - 1) >> shift) + 1};
  return 0;
}

/* Collects and arms again. What is then not the barrier's to remember is ours, also when it fails halfway. */
static int take_all(gcb_watch *watch) {
  int64_t found = gcb_alone_collect(watch, true);
  for (size_t word = 0; word < GCB_WORDS(watch->dirty.granules); word++)
    watch->written[word] |= watch->dirty.words[word];
  return found < 0 ? -1 : 0;
}

int gcb_written_get(gcb_watch *watch, uint32_t flags, void *base, size_t size, void **addresses,
                    size_t *count, uint32_t *granularity) {
  part p;
  bool reset = flags == GCB_WRITE_WATCH_FLAG_RESET;
  if (flags & ~GCB_WRITE_WATCH_FLAG_RESET)
    return gcb_set_error("a write watch has no flag 0x%x", flags);
  if (!addresses || !count || !granularity || *count == 0)
    return gcb_set_error("a write watch needs room for at least one address");
  if (part_of(watch, base, size, &p) || (reset ? take_all(watch) : gcb_alone_collect(watch, false) < 0))
    return -1;
  size_t found = 0, granule = p.first;
  while (granule < p.end && found < *count) {
    uint64_t *waiting = &watch->written[granule >> 6];
    uint64_t bits = (*waiting | watch->dirty.words[granule >> 6]) >> (granule & 63);
    if (!bits) {
      granule = (granule | 63) + 1;
      continue;
    }
    granule += (size_t)__builtin_ctzll(bits);
    if (granule >= p.end)
      break;
    addresses[found++] = watch->barrier.range.base + (granule << watch->barrier.granule_shift);
    if (reset)
      *waiting &= ~(UINT64_C(1) << (granule & 63));
    granule++;
  }
  *count = found;
  *granularity = UINT32_C(1) << watch->barrier.granule_shift;
  return 0;
}

int gcb_written_reset(gcb_watch *watch, void *base, size_t size) {
  part p;
  if (part_of(watch, base, size, &p) || take_all(watch))
    return -1;
  for (size_t granule = p.first; granule < p.end; granule++)
    watch->written[granule >> 6] &= ~(UINT64_C(1) << (granule & 63));
  return 0;
}
