/* Does a barrier work here? Found out by doing it, on a scratch heap of its own. */
#include "core.h"
#include "api.h"

#include <stdlib.h>

/* Two huge pages: where the collector's view gets them, tracking must still be exact to the page. */
enum { PROBE_PAGES = 1024, PROBE_WRITTEN = 17 };

static size_t page_to_write(size_t i) {
  return (i * 37 + 5) % PROBE_PAGES;
}

static void write_page(gcb_space *space, size_t page) {
  *(volatile char *)(space->tracked + (page << GCB_PAGE_SHIFT)) = 1;
}

static bool reported(const gcb_space *space, size_t page) {
  return gcb_watch_words(space)[page >> 6] >> (page & 63) & 1;
}

static int probe(gcb_space *space) {
  if (gcb_watch_arm(space))
    return -1;
  for (size_t i = 0; i < PROBE_WRITTEN; i++)
    write_page(space, page_to_write(i));
  int64_t first = gcb_watch_collect(space, true);
  if (first < 0)
    return -1;
  for (size_t i = 0; i < PROBE_WRITTEN; i++)
    if (!reported(space, page_to_write(i)))
      return gcb_set_error(
          "a written page was not reported: the kernel accepts the calls and does not track");
  /* Once more: tracked again only if re-arming works. */
  write_page(space, page_to_write(0));
  int64_t second = gcb_watch_collect(space, false);
  if (second < 0)
    return -1;
  if (!reported(space, page_to_write(0)))
    return gcb_set_error("a page written after it was re-armed was not reported");
  return (int)(first - PROBE_WRITTEN + second - 1);
}

int gcb_probe(uint32_t memory, const gcb_barrier_ops *ops) {
  gcb_space *space = gcb_space_new(PROBE_PAGES * GCB_PAGE, memory, ops, false);
  if (!space)
    return -1;
  /* A write to memory is no store: what notices stores alone needs nothing of the kernel. */
  int result = ops->tracks && !ops->stores_only ? probe(space) : 0;
  gcb_space_free(space);
  return result;
}

static int by_value(const void *a, const void *b) {
  uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
  return (x > y) - (x < y);
}

int64_t gcb_fault_cost_ns(uint32_t memory, const gcb_barrier_ops *ops) {
  gcb_space *space = gcb_space_new(PROBE_PAGES * GCB_PAGE, memory, ops, false);
  if (!space)
    return -1;
  uint64_t cost_ns[PROBE_PAGES];
  int failed = ops->tracks ? gcb_watch_arm(space) : 0;
  for (size_t page = 0; page < PROBE_PAGES && !failed; page++) {
    uint64_t start_ns = gcb_now_ns();
    write_page(space, page);
    cost_ns[page] = gcb_now_ns() - start_ns;
  }
  gcb_space_free(space);
  if (failed)
    return -1;
  qsort(cost_ns, PROBE_PAGES, sizeof *cost_ns, by_value);
  return (int64_t)cost_ns[PROBE_PAGES / 2];
}
