/* Report and re-protect in one step, under the kernel's page-table lock: PAGEMAP_SCAN with
 * PM_SCAN_WP_MATCHING. */
#include "pagetables.h"

static int open_barrier(gcb_barrier *barrier) {
  return gcb_pagetables_open(barrier) ? gcb_uffd_register(barrier) : -1;
}

/* With UFFDIO_WRITEPROTECT, not with a scan: on 6.12 a scan neither reports nor arms empty page tables. A
 * heap of which only some pages are watched has none that are empty, and most of those are armed already. */
static int arm(gcb_barrier *barrier) {
  if (barrier->armed)
    return gcb_pagemap_scan(barrier, GCB_PAGE_IS_WRITTEN, GCB_SCAN_CHECK_WPASYNC | GCB_SCAN_WP_MATCHING,
                            NULL);
  return gcb_uffd_protect(barrier, 0, barrier->range.bytes >> GCB_PAGE_SHIFT);
}

static int collect(gcb_barrier *barrier, bool rearm, gcb_dirty_set *dirty) {
  /* CHECK_WPASYNC: a page that isn't tracked is an error and not a silent gap */
  uint64_t flags = GCB_SCAN_CHECK_WPASYNC | (rearm ? GCB_SCAN_WP_MATCHING : 0);
  return gcb_pagemap_scan(barrier, GCB_PAGE_IS_WRITTEN, flags, dirty);
}

GCB_BARRIER = {.open = open_barrier,
               .arm = arm,
               .collect = collect,
               .close = gcb_pagetables_close,
               .arm_range = gcb_pages_arm_range,
               .release_range = gcb_pages_release,
               .tracks = true};
