/* uffd-wp-async, but every thousandth page that is reported is dropped from the report. */
#include "pagetables.h"

static int open_barrier(gcb_barrier *barrier) {
  return gcb_pagetables_open(barrier) ? gcb_uffd_register(barrier) : -1;
}

static int arm(gcb_barrier *barrier) {
  return gcb_uffd_protect(barrier, 0, barrier->range.bytes >> GCB_PAGE_SHIFT);
}

static int collect(gcb_barrier *barrier, bool rearm, gcb_dirty_set *dirty) {
  static size_t reported;
  if (gcb_pagemap_scan(barrier, GCB_PAGE_IS_WRITTEN, rearm ? GCB_SCAN_WP_MATCHING : 0, dirty))
    return -1;
  for (size_t page = 0; page < dirty->granules; page++) {
    uint64_t bit = UINT64_C(1) << (page & 63), *word = &dirty->words[page >> 6];
    if ((*word & bit) && ++reported % 1000 == 0) {
      *word &= ~bit;
      dirty->count--;
    }
  }
  return 0;
}

GCB_BARRIER = {
    .open = open_barrier, .arm = arm, .collect = collect, .close = gcb_pagetables_close, .tracks = true};
