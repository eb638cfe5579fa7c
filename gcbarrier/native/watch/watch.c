/* A barrier, from the plug-in's file to the dirty set that it fills. */
#include "watch/watch.h"
#include "base/library.h"

int gcb_load_barrier(const char *path, const gcb_barrier_ops **ops) {
  void *library = gcb_open_library(path);
  if (!library)
    return -1;
  *ops = gcb_find_symbol(library, "gcb_barrier_definition");
  if (*ops)
    return 0;
  gcb_close_library(library);
  return gcb_set_error("%s defines no GCB_BARRIER", path);
}

void gcb_watch_set_up(gcb_watch *watch, const gcb_barrier_ops *ops) {
  watch->ops = ops;
  pthread_mutex_init(&watch->lock, NULL);
}

static int make_dirty_set(gcb_watch *watch) {
  enum { LEAST_SHIFT = 4 };
  unsigned shift = watch->barrier.granule_shift;
  size_t bytes = watch->barrier.range.bytes;
  if (shift < LEAST_SHIFT || shift > GCB_PAGE_SHIFT)
    return gcb_set_error("a barrier's granules have 16 bytes to 4 KiB, not 2^%u", shift);
  if (gcb_dirty_new(&watch->dirty, bytes >> shift))
    return gcb_set_error("no memory for the dirty set of a heap of %zu MiB", bytes >> 20);
  return 0;
}

int gcb_watch_open(gcb_watch *watch, const gcb_view *view) {
  if (!watch->ops)
    return 0;
  watch->barrier = (gcb_barrier){.range = {view->tracked, view->bytes}, .granule_shift = GCB_PAGE_SHIFT};
  return watch->ops->open(&watch->barrier) || make_dirty_set(watch) ? -1 : 0;
}

void gcb_watch_close(gcb_watch *watch) {
  gcb_alone_detach_all(watch);
  if (watch->ops && watch->barrier.range.base)
    watch->ops->close(&watch->barrier);
  gcb_ranges_close(watch);
  gcb_dirty_free(&watch->dirty);
  free(watch->written);
  pthread_mutex_destroy(&watch->lock);
}

size_t gcb_watch_metadata_bytes(const gcb_watch *watch) {
  size_t ranges = watch->armed_pages ? gcb_dirty_bytes(watch->dirty.granules) + watch->dirty.granules / 8 : 0;
  return watch->dirty.words ? gcb_dirty_bytes(watch->dirty.granules) + ranges : 0;
}
