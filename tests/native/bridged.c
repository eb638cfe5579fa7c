/* Pages that are not watched, between others that are armed again. Linked with the core and one barrier.
 *
 * Every page of the heap is written, and all but one run are watched, from page `first` to `end` of a word of
 * the bitmap and over words. What a collect that re-arms makes of it: the pages of the run must be as open as
 * they were, for nobody will hear of a store there. On stdout how many runs were tried and how many pages
 * were closed; exit status 1 where there are any, 2 when something failed. */
#include "api.h"
#include "space.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

enum { PAGES = 256, UFFD_WP_BIT = 57 };

extern const gcb_barrier_ops gcb_barrier_definition;

/* Pages of the run that are protected afterwards; -1: something failed. */
static int closed(size_t first, size_t end) {
  gcb_space *space = gcb_space_new(PAGES * GCB_PAGE, 0, &gcb_barrier_definition, false);
  if (!space || gcb_watch_attach(space) || gcb_ranges_open(&space->watch, &space->view))
    return -1;
  gcb_watch *watch = &space->watch;
  char *base = gcb_space_address(space);
  for (size_t page = 0; page < PAGES; page++)
    *(volatile char *)(base + page * GCB_PAGE) = 1;
  gcb_dirty_add(&watch->pending, 0, first);
  gcb_dirty_add(&watch->pending, end, PAGES - end);
  if (gcb_ranges_arm(watch, &watch->pending) || watch->ops->collect(&watch->barrier, true, &watch->dirty))
    return -1;
  int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC), found = 0;
  for (size_t page = first; page < end; page++) {
    uint64_t entry;
    if (pread(pagemap, &entry, sizeof entry, (off_t)(((uintptr_t)base / GCB_PAGE + page) * sizeof entry)) !=
        (ssize_t)sizeof entry)
      return -1;
    found += (int)(entry >> UFFD_WP_BIT & 1);
  }
  close(pagemap);
  gcb_ranges_close(watch);
  gcb_space_free(space);
  return found;
}

int main(void) {
  static const size_t edges[] = {1, 8, 56, 63, 64, 65, 72, 120, 127, 128, 129, 192, 255};
  int runs = 0, lost = 0;
  for (size_t i = 0; i < sizeof edges / sizeof *edges; i++)
    for (size_t j = i + 1; j < sizeof edges / sizeof *edges; j++, runs++) {
      int found = closed(edges[i], edges[j]);
      if (found < 0) {
        fprintf(stderr, "%s\n", gcb_error());
        return 2;
      }
      lost += found;
    }
  printf("runs %d closed %d\n", runs, lost);
  return lost > 0;
}
