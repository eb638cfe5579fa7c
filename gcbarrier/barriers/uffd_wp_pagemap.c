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
  size_t pages = barrier->range.bytes >> GCB_PAGE_SHIFT;
  for (size_t at = 0, first, end; gcb_next_run(barrier->armed, &at, pages, &first, &end);)
    if (gcb_uffd_protect(barrier, first, end - first))
      return -1;
  return 0;
}

/* The next run of pages in the set, from page *end on, which becomes the run's end; false: there is none. */
static bool next_run(const gcb_dirty_set *set, size_t *first, size_t *end) {
  size_t words = (set->granules + 63) >> 6, word = *end >> 6;
  uint64_t bits = word < words ? set->words[word] & UINT64_MAX << (*end & 63) : 0;
  while (!bits) {
    word = word < words ? gcb_dirty_word(set, word + 1) : SIZE_MAX;
    if (word == SIZE_MAX)
      return false;
    bits = set->words[word];
  }
  *first = (word << 6) + (size_t)__builtin_ctzll(bits);
  bits = ~set->words[word] & UINT64_MAX << (*first & 63);
  while (!bits && ++word < words)
    bits = ~set->words[word];
  size_t gap = bits ? (word << 6) + (size_t)__builtin_ctzll(bits) : set->granules;
  *end = gap < set->granules ? gap : set->granules;
  return true;
}

static int collect(gcb_barrier *barrier, bool rearm, gcb_dirty_set *dirty) {
  if (gcb_pagemap_read(barrier, UFFD_WP_BIT, false, dirty))
    return -1;
  if (!rearm)
    return 0;
  /* Run by run: protecting what is protected already costs as much as protecting the rest. */
  for (size_t first, end = 0; next_run(dirty, &first, &end);)
    if (gcb_uffd_protect(barrier, first, end - first))
      return -1;
  return 0;
}

GCB_BARRIER = {.open = open_barrier,
               .arm = arm,
               .collect = collect,
               .close = gcb_pagetables_close,
               .arm_range = gcb_pages_arm_range,
               .release_range = gcb_pages_release,
               .tracks = true};
