/* What page-table barriers share: userfaultfd, /proc/self/pagemap and PAGEMAP_SCAN.
 *
 * The definitions are the kernel's (include/uapi/linux/userfaultfd.h and fs.h, 6.7 and later); headers older
 * than that are what most distributions compile against. */
#ifndef GCB_PAGETABLES_H
#define GCB_PAGETABLES_H

#include "barrier.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/ioctl.h>
#include <linux/userfaultfd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif
#ifndef UFFD_USER_MODE_ONLY
#define UFFD_USER_MODE_ONLY 1
#endif
#define GCB_UFFD_WP_ASYNC ((uint64_t)1 << 15)

typedef struct gcb_page_region {
  uint64_t start, end, categories;
} gcb_page_region;
typedef struct gcb_scan_argument {
  uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages;
  uint64_t category_inverted, category_mask, category_anyof_mask, return_mask;
} gcb_scan_argument;
#define GCB_PAGEMAP_SCAN _IOWR('f', 16, gcb_scan_argument)
enum { GCB_SCAN_WP_MATCHING = 1, GCB_SCAN_CHECK_WPASYNC = 2 };
#define GCB_PAGE_IS_WRITTEN ((uint64_t)1 << 1)
#define GCB_PAGE_IS_SOFT_DIRTY ((uint64_t)1 << 7)

/* Where a scan goes on after a call that told of `found` regions; `scan->end`: it is done. A vector that is
 * not full ends a walk at its end, whatever walk_end says: the kernel gathers 512 regions at a time, and
 * leaves walk_end where it last stopped to hand them over (pagemap_scan in fs/proc/task_mmu.c, 6.7 to 6.18).
 * Going on there would walk the rest once more, and in a pause. */
static inline uint64_t gcb_scan_next(const gcb_scan_argument *scan, int found) {
  return (uint64_t)found < scan->vec_len ? scan->end : scan->walk_end;
}

enum { GCB_REGIONS = 4096, GCB_FEW_REGIONS = 64, GCB_ENTRIES = 8192 };

typedef struct gcb_pagetables {
  int uffd, pagemap, clear_refs;
  bool scan_soft_dirty;  /* PAGEMAP_SCAN knows soft-dirty here */
  gcb_dirty_set written; /* made when it is first needed */
  /* Outside the heap, as the kernel's scan demands; shared by the two ways of reading. */
  union {
    gcb_page_region regions[GCB_REGIONS];
    uint64_t entries[GCB_ENTRIES];
  };
} gcb_pagetables;

/* The barrier's state, of `bytes` with a gcb_pagetables at its beginning, and /proc/self/pagemap open.
 * Read-only is enough, for re-protecting through it too. */
static inline gcb_pagetables *gcb_pagetables_open_as(gcb_barrier *barrier, size_t bytes) {
  gcb_pagetables *p = calloc(1, bytes);
  barrier->state = p;
  if (!p) {
    gcb_set_error("no memory for the barrier's state");
    return NULL;
  }
  p->uffd = p->clear_refs = -1;
  p->pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
  if (p->pagemap < 0) {
    gcb_set_error("/proc/self/pagemap can't be opened: %s", strerror(errno));
    return NULL;
  }
  return p;
}

static inline gcb_pagetables *gcb_pagetables_open(gcb_barrier *barrier) {
  return gcb_pagetables_open_as(barrier, sizeof(gcb_pagetables));
}

static inline void gcb_pagetables_close(gcb_barrier *barrier) {
  gcb_pagetables *p = barrier->state;
  if (!p)
    return;
  if (p->uffd >= 0)
    close(p->uffd);
  if (p->pagemap >= 0)
    close(p->pagemap);
  if (p->clear_refs >= 0)
    close(p->clear_refs);
  gcb_dirty_free(&p->written);
  free(p);
  barrier->state = NULL;
}

/* Registers the range for asynchronous write-protection. No privilege is needed: with WP_ASYNC the kernel
 * resolves its own stores' faults too, USER_MODE_ONLY or not. */
static inline int gcb_uffd_register(gcb_barrier *barrier) {
  gcb_pagetables *p = barrier->state;
  p->uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY);
  if (p->uffd < 0)
    return gcb_set_error("userfaultfd can't be opened: %s", strerror(errno));
  struct uffdio_api api = {.api = UFFD_API, .features = GCB_UFFD_WP_ASYNC};
  if (ioctl(p->uffd, UFFDIO_API, &api))
    return gcb_set_error(
        "this kernel has no asynchronous userfaultfd write-protection (UFFD_FEATURE_WP_ASYNC)");
  struct uffdio_register range = {.range = {(uintptr_t)barrier->range.base, barrier->range.bytes},
                                  .mode = UFFDIO_REGISTER_MODE_WP};
  if (ioctl(p->uffd, UFFDIO_REGISTER, &range))
    return gcb_set_error("the heap can't be registered for write-protection: %s", strerror(errno));
  if (!(range.ioctls >> _UFFDIO_WRITEPROTECT & 1))
    return gcb_set_error("this kernel can't write-protect shared memory (memfd) through userfaultfd");
  return 0;
}

static inline int gcb_uffd_protect(gcb_barrier *barrier, size_t first_page, size_t pages) {
  gcb_pagetables *p = barrier->state;
  struct uffdio_writeprotect range = {
      .range = {(uintptr_t)barrier->range.base + (first_page << GCB_PAGE_SHIFT), pages << GCB_PAGE_SHIFT},
      .mode = UFFDIO_WRITEPROTECT_MODE_WP};
  /* EAGAIN: the process's mappings are just changing; the whole range is protected again, which is harmless
   */
  while (ioctl(p->uffd, UFFDIO_WRITEPROTECT, &range))
    if (errno != EINTR && errno != EAGAIN)
      return gcb_set_error("the heap can't be write-protected: %s", strerror(errno));
  return 0;
}

/* What isn't armed reads as written, so whatever re-arms next does it: nothing is to be noted. */
static inline int gcb_pages_arm_range(gcb_barrier *barrier, size_t first_page, size_t pages) {
  (void)barrier, (void)first_page, (void)pages;
  return 0;
}

/* Pages that will be written: made writable in one call, which costs a fraction of a fault for each.
 * UFFDIO_WRITEPROTECT without a mode would not do: in shared memory the first store still faults. */
static inline int gcb_pages_release(gcb_barrier *barrier, size_t first_page, size_t pages) {
  char *at = barrier->range.base + (first_page << GCB_PAGE_SHIFT);
  while (madvise(at, pages << GCB_PAGE_SHIFT, MADV_POPULATE_WRITE))
    if (errno != EINTR && errno != EAGAIN)
      return gcb_set_error("pages can't be opened ahead of their first store: %s", strerror(errno));
  return 0;
}

/* One run of pages, all watched or, where nothing is protected again, not all of them. */
static inline int gcb_pagemap_scan_run(gcb_barrier *barrier, size_t first_page, size_t pages,
                                       uint64_t category, uint64_t flags, gcb_dirty_set *dirty) {
  gcb_pagetables *p = barrier->state;
  uintptr_t base = (uintptr_t)barrier->range.base, start = base + (first_page << GCB_PAGE_SHIFT);
  bool waited_for = dirty && barrier->rearmed && flags & GCB_SCAN_WP_MATCHING;
  /* category_mask == return_mask and nothing else: the kernel's fast path */
  gcb_scan_argument scan = {.size = sizeof scan,
                            .flags = flags,
                            .start = start,
                            .end = start + (pages << GCB_PAGE_SHIFT),
                            .vec = (uintptr_t)p->regions,
                            .vec_len = waited_for ? GCB_FEW_REGIONS : GCB_REGIONS,
                            .category_mask = category,
                            .return_mask = category};
  while (scan.start < scan.end) {
    int found = ioctl(p->pagemap, GCB_PAGEMAP_SCAN, &scan);
    /* Not tried again, whatever the reason: the kernel may have re-protected pages up to walk_end, and a call
     * that fails does not say how many regions it has written. EINTR comes with a fatal signal only. */
    if (found < 0)
      return gcb_set_error("PAGEMAP_SCAN failed: %s", strerror(errno));
    for (int i = 0; dirty && i < found; i++)
      gcb_dirty_add_armed(dirty, barrier->armed, (size_t)(p->regions[i].start - base) >> GCB_PAGE_SHIFT,
                          (size_t)(p->regions[i].end - p->regions[i].start) >> GCB_PAGE_SHIFT);
    uint64_t next = gcb_scan_next(&scan, found);
    if (next <= scan.start)
      return gcb_set_error("PAGEMAP_SCAN makes no progress");
    if (waited_for)
      barrier->rearmed(barrier);
    scan.start = next;
  }
  return 0;
}

/* Where only some pages are watched, they lie in many runs, and a system call for each would cost more than
 * the few that were written. So first one call tells which were; then these are protected again, and reported
 * by the call that does it. What is first written in between is left to the next time. */
static inline int gcb_pagemap_rearm_chosen(gcb_barrier *barrier, size_t first_page, size_t pages,
                                           uint64_t category, uint64_t flags, gcb_dirty_set *dirty) {
  enum {
    BRIDGED = 256
  }; /* pages that aren't written between two that are: passed over faster than two calls */
  gcb_pagetables *p = barrier->state;
  if (!p->written.words && gcb_dirty_new(&p->written, barrier->range.bytes >> GCB_PAGE_SHIFT))
    return gcb_set_error("no memory for the barrier's table of pages");
  if (gcb_pagemap_scan_run(barrier, first_page, pages, category, flags & ~(uint64_t)GCB_SCAN_WP_MATCHING,
                           &p->written))
    return -1;
  int failed = 0;
  size_t first = 0, end = 0; /* of the run that has been found so far */
  for (size_t at = first_page, stop = first_page + pages, from, to; !failed;) {
    bool more = gcb_next_run(p->written.words, &at, stop, &from, &to);
    size_t gap_from, gap_end = end, watched = end;
    bool bridged = more && end > first && from - end <= BRIDGED &&
                   gcb_next_run(barrier->armed, &gap_end, from, &gap_from, &watched) && gap_from == end &&
                   watched == from;
    if (!bridged) {
      if (end > first)
        failed = gcb_pagemap_scan_run(barrier, first, end - first, category, flags, dirty);
      first = from;
    }
    if (!more)
      break;
    end = to;
  }
  gcb_dirty_clear(&p->written);
  return failed;
}

/* Adds those of some pages that are watched and of one category to the set (null: to none); with WP_MATCHING
 * they are protected again in the same step, and no others. */
static inline int gcb_pagemap_scan_part(gcb_barrier *barrier, size_t first_page, size_t pages,
                                        uint64_t category, uint64_t flags, gcb_dirty_set *dirty) {
  if (barrier->armed && flags & GCB_SCAN_WP_MATCHING)
    return gcb_pagemap_rearm_chosen(barrier, first_page, pages, category, flags, dirty);
  return gcb_pagemap_scan_run(barrier, first_page, pages, category, flags, dirty);
}

static inline int gcb_pagemap_scan(gcb_barrier *barrier, uint64_t category, uint64_t flags,
                                   gcb_dirty_set *dirty) {
  return gcb_pagemap_scan_part(barrier, 0, barrier->range.bytes >> GCB_PAGE_SHIFT, category, flags, dirty);
}

enum { GCB_PART_WORDS = 8 }; /* of a set of pages */

/* The span of pages in the next 2 MiB (what one page of page-table entries covers) that has any in the set,
 * at or behind word *at; false: there are none. */
static inline bool gcb_next_part(const gcb_dirty_set *set, size_t *at, size_t *first, size_t *last) {
  size_t word = gcb_dirty_word(set, *at);
  while (word != SIZE_MAX && !set->words[word])
    word = gcb_dirty_word(set, word + 1);
  if (word == SIZE_MAX)
    return false;
  size_t end = (word / GCB_PART_WORDS + 1) * GCB_PART_WORDS;
  *first = *last = (word << 6) + (size_t)__builtin_ctzll(set->words[word]);
  for (; word < end && word << 6 < set->granules; word++)
    if (set->words[word])
      *last = (word << 6) + 63 - (size_t)__builtin_clzll(set->words[word]);
  *at = end;
  return true;
}

/* Adds the pages whose pagemap entry has (wanted) or lacks (!wanted) the bit. */
static inline int gcb_pagemap_read(gcb_barrier *barrier, unsigned bit, bool wanted, gcb_dirty_set *dirty) {
  gcb_pagetables *p = barrier->state;
  size_t pages = barrier->range.bytes >> GCB_PAGE_SHIFT;
  size_t base = (uintptr_t)barrier->range.base >> GCB_PAGE_SHIFT;
  for (size_t done = 0; done < pages;) {
    size_t left = pages - done, step = left < GCB_ENTRIES ? left : GCB_ENTRIES;
    ssize_t got = pread(p->pagemap, p->entries, step * 8, (off_t)((base + done) * 8));
    if (got < 8)
      return gcb_set_error("/proc/self/pagemap can't be read: %s",
                           got < 0 ? strerror(errno) : "it ends early");
    size_t entries = (size_t)got / 8;
    for (size_t i = 0; i < entries; i++)
      if ((p->entries[i] >> bit & 1) == wanted)
        gcb_dirty_add_armed(dirty, barrier->armed, done + i, 1);
    done += entries;
  }
  return 0;
}

#endif
