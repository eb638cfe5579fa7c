/* What is watched, for barriers that let the core choose: pages on which something lives, armed late. The
 * rest is free or young, and filling it costs no fault. Which is which, mark/young.c finds out. */
#include "watch/watch.h"

#include <string.h>

static size_t words_of(const gcb_watch *watch) {
  return (watch->dirty.granules + 63) >> 6;
}

/* Huge pages of the tracked view are armed as a whole or not at all, whatever part of them is asked for. */
static bool may_choose(const gcb_watch *watch, const gcb_view *view) {
  const gcb_barrier_ops *ops = watch->ops;
  return ops && ops->tracks && !ops->snapshot && ops->arm_range && ops->release_range &&
         watch->barrier.granule_shift == GCB_PAGE_SHIFT &&
         (view->memory == GCB_SHMEM || view->memory == GCB_ANONYMOUS);
}

int gcb_ranges_open(gcb_watch *watch, const gcb_view *view) {
  if (!may_choose(watch, view) || watch->armed_pages)
    return 0;
  watch->armed_pages = calloc(words_of(watch), sizeof *watch->armed_pages);
  if (!watch->armed_pages || gcb_dirty_new(&watch->pending, watch->dirty.granules))
    return gcb_set_error("no memory for the table of watched pages");
  watch->barrier.armed = watch->armed_pages;
  return 0;
}

void gcb_ranges_close(gcb_watch *watch) {
  free(watch->armed_pages);
  watch->armed_pages = NULL;
  watch->barrier.armed = NULL;
  gcb_dirty_free(&watch->pending);
}

size_t gcb_ranges_count(const gcb_watch *watch) {
  size_t count = 0;
  for (size_t word = 0; word < words_of(watch); word++)
    count += (size_t)__builtin_popcountll(watch->armed_pages[word]);
  return count;
}

int gcb_ranges_arm(gcb_watch *watch, const gcb_dirty_set *pages) {
  for (size_t word = 0; (word = gcb_dirty_word(pages, word)) != SIZE_MAX; word++)
    watch->armed_pages[word] |= pages->words[word];
  for (size_t word = 0; (word = gcb_dirty_word(pages, word)) != SIZE_MAX; word++)
    for (size_t at = word << 6, end = at + 64, first, last;
         at < end && gcb_next_run(pages->words, &at, end, &first, &last);)
      if (watch->ops->arm_range(&watch->barrier, first, last - first))
        return -1;
  return 0;
}

void gcb_ranges_forget(gcb_watch *watch, const gcb_dirty_set *pages) {
  for (size_t word = 0; (word = gcb_dirty_word(pages, word)) != SIZE_MAX; word++)
    watch->armed_pages[word] &= ~pages->words[word];
}

int gcb_ranges_release(gcb_watch *watch, size_t first, size_t granules) {
  for (size_t page = first; page < first + granules; page++)
    watch->armed_pages[page >> 6] &= ~(UINT64_C(1) << (page & 63));
  return watch->ops->release_range(&watch->barrier, first, granules);
}
