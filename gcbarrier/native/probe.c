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
  return space->dirty.words[page >> 6] >> (page & 63) & 1;
}

static int collect(gcb_space *space, bool rearm) {
  for (size_t word = 0; word < space->pages / 64; word++)
    space->dirty.words[word] = 0;
  space->dirty.count = 0;
  return space->ops->collect(&space->barrier, rearm, &space->dirty);
}

static int probe(gcb_space *space) {
  if (space->ops->arm(&space->barrier))
    return -1;
  for (size_t i = 0; i < PROBE_WRITTEN; i++)
    write_page(space, page_to_write(i));
  if (collect(space, true))
    return -1;
  for (size_t i = 0; i < PROBE_WRITTEN; i++)
    if (!reported(space, page_to_write(i)))
      return gcb_set_error(
          "a written page was not reported: the kernel accepts the calls and does not track");
  int too_many = (int)(space->dirty.count - PROBE_WRITTEN);
  /* Once more: tracked again only if re-arming works. */
  write_page(space, page_to_write(0));
  if (collect(space, false))
    return -1;
  if (!reported(space, page_to_write(0)))
    return gcb_set_error("a page written after it was re-armed was not reported");
  return too_many + (int)(space->dirty.count - 1);
}

int gcb_probe(const gcb_barrier_ops *ops) {
  gcb_space *space = gcb_space_new(PROBE_PAGES * GCB_PAGE, ops, false);
  if (!space)
    return -1;
  int result = ops->tracks ? probe(space) : 0;
  gcb_space_free(space);
  return result;
}

static int by_value(const void *a, const void *b) {
  uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
  return (x > y) - (x < y);
}

int64_t gcb_fault_cost_ns(const gcb_barrier_ops *ops) {
  gcb_space *space = gcb_space_new(PROBE_PAGES * GCB_PAGE, ops, false);
  if (!space)
    return -1;
  uint64_t cost_ns[PROBE_PAGES];
  int failed = space->ops->arm(&space->barrier);
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
