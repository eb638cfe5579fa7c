/* The first protocol: read bit 57 from pagemap, then UFFDIO_WRITEPROTECT. Re-arming the whole range so would
 * lose the pages that are first written between the two steps. It protects just the pages that it reports,
 * whose contents are read later still; even so it promises no more than the two steps do, and re-arms while
 * the mutators are stopped. */
#include "pagetables.h"

enum { UFFD_WP_BIT = 57 };

static int open_barrier(gcb_barrier *barrier) {
  return gcb_pagetables_open(barrier) ? gcb_uffd_register(barrier) : -1;
}

static int arm(gcb_barrier *barrier) {
  return gcb_uffd_protect(barrier, 0, barrier->range.bytes >> GCB_PAGE_SHIFT);
}

static int collect(gcb_barrier *barrier, bool rearm, gcb_dirty_set *dirty) {
  if (gcb_pagemap_read(barrier, UFFD_WP_BIT, false, dirty))
    return -1;
  if (!rearm)
    return 0;
  /* Run by run: protecting what is protected already costs as much as protecting the rest. */
  for (size_t page = 0; page < dirty->granules;) {
    size_t first = page;
    while (page < dirty->granules && dirty->words[page >> 6] >> (page & 63) & 1)
      page++;
    if (page > first && gcb_uffd_protect(barrier, first, page - first))
      return -1;
    page += page == first;
  }
  return 0;
}

/* What isn't armed reads as written, so the next collect that re-arms does it. */
static int arm_range(gcb_barrier *barrier, size_t first, size_t granules) {
  (void)barrier, (void)first, (void)granules;
  return 0;
}

GCB_BARRIER = {.open = open_barrier,
               .arm = arm,
               .collect = collect,
               .close = gcb_pagetables_close,
               .arm_range = arm_range,
               .release_range = gcb_pages_release,
               .tracks = true};
