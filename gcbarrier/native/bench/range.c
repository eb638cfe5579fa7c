/* A barrier over memory that is none of a space's: whatever mappings an experiment has made. */
#include "include/barrier.h"
#include "api.h"

#include <stdlib.h>
#include <string.h>

struct gcb_range_watch {
  gcb_barrier barrier;
  const gcb_barrier_ops *ops;
  gcb_dirty_set dirty;
};

gcb_range_watch *gcb_range_open(const gcb_barrier_ops *ops, void *base, size_t bytes, size_t most_bytes) {
  gcb_range_watch *watch = calloc(1, sizeof *watch);
  if (!watch || gcb_dirty_new(&watch->dirty, most_bytes >> GCB_PAGE_SHIFT)) {
    gcb_set_error("no memory for the dirty set");
    free(watch);
    return NULL;
  }
  watch->ops = ops;
  watch->barrier = (gcb_barrier){.range = {base, bytes}, .granule_shift = GCB_PAGE_SHIFT};
  watch->dirty.granules = bytes >> GCB_PAGE_SHIFT;
  if (ops->open(&watch->barrier) == 0 && watch->barrier.granule_shift == GCB_PAGE_SHIFT)
    return watch;
  if (watch->barrier.granule_shift != GCB_PAGE_SHIFT)
    gcb_set_error("the barrier's granules are no pages");
  gcb_range_close(watch);
  return NULL;
}

void gcb_range_close(gcb_range_watch *watch) {
  watch->ops->close(&watch->barrier);
  gcb_dirty_free(&watch->dirty);
  free(watch);
}

void gcb_range_moved(gcb_range_watch *watch, void *base, size_t bytes) {
  watch->barrier.range = (gcb_range){base, bytes};
  watch->dirty.granules = bytes >> GCB_PAGE_SHIFT;
}

int gcb_range_arm(gcb_range_watch *watch) {
  return watch->ops->arm(&watch->barrier);
}

int64_t gcb_range_collect(gcb_range_watch *watch) {
  gcb_dirty_clear(&watch->dirty);
  return watch->ops->collect(&watch->barrier, false, &watch->dirty) ? -1 : (int64_t)watch->dirty.count;
}

const uint64_t *gcb_range_words(const gcb_range_watch *watch) {
  return watch->dirty.words;
}
