/* What a first store costs and what it makes dirty: found out by doing it, on a scratch heap. */
#include "api.h"
#include "space.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Two huge pages: where the collector's view gets them, tracking must still be exact to the page. */
enum { PAGES = 1024 };

static void write_page(gcb_space *space, size_t page) {
  *(volatile char *)(space->view.tracked + (page << GCB_PAGE_SHIFT)) = 1;
}

static gcb_space *scratch_space(uint32_t memory, const gcb_barrier_ops *ops) {
  if (!ops)
    gcb_set_error("there is no barrier to try");
  return ops ? gcb_space_new(PAGES * GCB_PAGE, memory, ops, false) : NULL;
}

static int by_value(const void *a, const void *b) {
  uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
  return (x > y) - (x < y);
}

/* For a barrier that forks: a child holds the pages that the parent will have to copy. */
static int arm_scratch(gcb_space *space) {
  if (!space->watch.ops->fork)
    return !space->watch.ops->tracks ? 0 : gcb_watch_attach(space) || gcb_watch_arm(space) ? -1 : 0;
  pid_t child = gcb_fork_idle();
  if (child < 0)
    return gcb_set_error("the process can't be forked: %s", strerror(errno));
  space->cycle.child_pid = child; /* ends with the space */
  return 0;
}

int64_t gcb_fault_cost_ns(uint32_t memory, const gcb_barrier_ops *ops) {
  gcb_space *space = scratch_space(memory, ops);
  if (!space)
    return -1;
  uint64_t cost_ns[PAGES];
  /* One fault makes a hugetlb page writable as a whole: the stores after it are nobody's first. */
  size_t step = memory == GCB_HUGETLB ? GCB_HUGE / GCB_PAGE : 1, stores = 0;
  int failed = arm_scratch(space);
  for (size_t page = 0; page < PAGES && !failed; page += step) {
    uint64_t start_ns = gcb_now_ns();
    write_page(space, page);
    cost_ns[stores++] = gcb_now_ns() - start_ns;
  }
  gcb_space_free(space);
  if (failed)
    return -1;
  qsort(cost_ns, stores, sizeof *cost_ns, by_value);
  return (int64_t)cost_ns[stores / 2];
}

int64_t gcb_measured_granule_bytes(uint32_t memory, const gcb_barrier_ops *ops) {
  gcb_space *space = scratch_space(memory, ops);
  if (!space)
    return -1;
  unsigned shift = space->watch.barrier.granule_shift;
  int64_t bytes = 0;
  if (ops->stores_only)
    bytes = INT64_C(1) << shift;
  else if (ops->tracks && !ops->snapshot) {
    int failed = gcb_watch_attach(space) || gcb_watch_arm(space);
    write_page(space, PAGES / 2);
    int64_t reported = failed ? -1 : gcb_watch_collect(space, false);
    bytes = reported < 0 ? -1 : reported << shift;
  }
  gcb_space_free(space);
  return bytes;
}
