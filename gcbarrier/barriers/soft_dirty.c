/* Soft-dirty: clear_refs protects the whole process, pagemap bit 55 says what was written since
 * (Documentation/admin-guide/mm/soft-dirty.rst). Reading and clearing are two steps: it re-arms only while
 * the mutators are stopped. */
#include "pagetables.h"

enum { SOFT_DIRTY_BIT = 55 };

static int arm(gcb_barrier *barrier) {
  gcb_pagetables *p = barrier->state;
  if (write(p->clear_refs, "4", 1) != 1)
    return gcb_set_error("/proc/self/clear_refs can't be written: %s", strerror(errno));
  return 0;
}

static int open_barrier(gcb_barrier *barrier) {
  gcb_pagetables *p = gcb_pagetables_open(barrier);
  if (!p)
    return -1;
  p->clear_refs = open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC);
  if (p->clear_refs < 0)
    return gcb_set_error("/proc/self/clear_refs can't be opened: %s", strerror(errno));
  /* Kernels before 6.12 or so refuse the category. */
  gcb_scan_argument ask = {.size = sizeof ask,
                           .start = (uintptr_t)barrier->range.base,
                           .end = (uintptr_t)barrier->range.base + GCB_PAGE,
                           .vec = (uintptr_t)p->regions,
                           .vec_len = GCB_REGIONS,
                           .category_mask = GCB_PAGE_IS_SOFT_DIRTY,
                           .return_mask = GCB_PAGE_IS_SOFT_DIRTY};
  p->scan_soft_dirty = ioctl(p->pagemap, GCB_PAGEMAP_SCAN, &ask) >= 0;
  return 0;
}

static int collect(gcb_barrier *barrier, bool rearm, gcb_dirty_set *dirty) {
  const gcb_pagetables *p = barrier->state;
  int failed = p->scan_soft_dirty ? gcb_pagemap_scan(barrier, GCB_PAGE_IS_SOFT_DIRTY, 0, dirty)
                                  : gcb_pagemap_read(barrier, SOFT_DIRTY_BIT, true, dirty);
  return failed || !rearm ? failed : arm(barrier);
}

GCB_BARRIER = {
    .open = open_barrier, .arm = arm, .collect = collect, .close = gcb_pagetables_close, .tracks = true};
