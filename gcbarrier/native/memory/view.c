/* The heap's memory, one function for each kind: where the mutators write, where the collector reads. Every
 * page of it is there before it is handed out. */
#include "memory/view.h"
#include "include/barrier.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#define MADV_POPULATE_WRITE 23
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif
#define MFD_HUGE_2_MIB (21u << 26) /* MFD_HUGE_2MB of linux/memfd.h: the base-2 logarithm, shifted */

/* 1, for ThreadSanitizer only: every kind of memory has one view. Two views are two addresses to it, and no
 * race between a mutator's store and the marker's load of the same word would ever show. The collector only
 * reads the heap, so nothing is reported that would not be otherwise. */
#ifndef GCB_ONE_VIEW
#define GCB_ONE_VIEW 0
#endif

static size_t whole_huge(size_t bytes) {
  return bytes & ~(GCB_HUGE - 1);
}

/* A view whose address is a multiple of 2 MiB, as huge pages demand, of the view's file or of private
 * memory. A page that nobody may touch is left on either side: the kernel merges neighbouring mappings of one
 * sort, and smaps would then tell of both. */
static char *map_once(const gcb_view *view) {
  size_t room = view->bytes + 2 * GCB_HUGE;
  char *area = mmap(NULL, room, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (area == MAP_FAILED)
    return NULL;
  char *at = area + GCB_PAGE + (-((uintptr_t)area + GCB_PAGE) & (GCB_HUGE - 1));
  char *from = at - GCB_PAGE, *to = at + view->bytes + GCB_PAGE;
  if (from > area)
    munmap(area, (size_t)(from - area));
  munmap(to, (size_t)(area + room - to));
  int flags = view->memfd >= 0 ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS;
  if (mmap(at, view->bytes, PROT_READ | PROT_WRITE, flags | MAP_FIXED, view->memfd, 0) != MAP_FAILED)
    return at;
  int reason = errno;
  munmap(from, (size_t)(to - from));
  errno = reason;
  return NULL;
}

static void unmap_once(const gcb_view *view, char *at) {
  munmap(at - GCB_PAGE, view->bytes + 2 * GCB_PAGE);
}

static int map_views(gcb_view *view, bool two) {
  if (!(view->tracked = map_once(view)) ||
      !(view->alias = two && !GCB_ONE_VIEW ? map_once(view) : view->tracked))
    return gcb_set_error("the heap's %zu MiB could not be mapped: %s", view->bytes >> 20, strerror(errno));
  return 0;
}

static int make_file(gcb_view *view, unsigned flags) {
  view->memfd = memfd_create("gcbarrier-heap", MFD_CLOEXEC | flags);
  if (view->memfd < 0 || ftruncate(view->memfd, (off_t)view->bytes))
    return gcb_set_error("no shared memory of %zu MiB: %s", view->bytes >> 20, strerror(errno));
  return 0;
}

/* Every page present, so that a fault counted later is the barrier's, and so that memory runs short here,
 * where it is an error, and not at a store, where it would be a signal. The caller has asked whether there is
 * so much (gcbarrier.machines.host.fits): with no memory left at all the kernel may kill instead of failing.
 */
int gcb_populate(void *at, size_t bytes, bool write) {
  while (madvise(at, bytes, write ? MADV_POPULATE_WRITE : MADV_POPULATE_READ))
    if (errno != EINTR)
      return gcb_set_error("the heap's %zu MiB can't all be had: %s", bytes >> 20, strerror(errno));
  return 0;
}

static int populate_views(gcb_view *view) {
  if (gcb_populate(view->tracked, view->bytes, true))
    return -1;
  return view->alias == view->tracked ? 0 : gcb_populate(view->alias, view->bytes, false);
}

/* Huge pages for a view of which nothing is populated yet. The kernel collapses a range that holds a page and
 * fills up the rest, so one page each is enough: 0.1 s for 1 GiB of shared memory where populating it all
 * first takes 3 s. What can't be collapsed is left to gcb_populate(), which gives it small pages. */
static void collapse(char *base, size_t bytes) {
  for (size_t at = 0; at + GCB_HUGE <= bytes; at += GCB_HUGE)
    (void)gcb_populate(base + at, GCB_PAGE, true);
  (void)madvise(base, whole_huge(bytes), MADV_COLLAPSE);
}

/* For a kind of memory that promises huge pages: some of them would be neither the one kind nor the other. */
static int demand_huge(const gcb_view *view) {
  size_t promised = whole_huge(view->bytes), had = gcb_huge_mapped_bytes(view->tracked);
  if (had == promised)
    return 0;
  if (had == SIZE_MAX)
    return gcb_set_error("/proc/self/smaps can't be read: nothing tells whether the heap has huge pages");
  return gcb_set_error(
      "of the heap's %zu MiB huge pages map only %zu: free some memory (it is too scattered), "
      "boot Linux 6.1 or newer, or choose memory without huge pages",
      promised >> 20, had >> 20);
}

static int map_shared_once(gcb_view *view, bool huge) {
  if (make_file(view, 0) || map_views(view, true))
    return -1;
  (void)madvise(view->tracked, view->bytes, MADV_NOHUGEPAGE);
  if (huge)
    collapse(view->alias, view->bytes);
  return populate_views(view);
}

/* The collector's view gets huge pages as far as the kernel has them; the mutators' view keeps small ones,
 * since a huge one would be tracked as one. */
static int map_shared(gcb_view *view) {
  bool huge = view->bytes >= GCB_HUGE && !GCB_ONE_VIEW;
  if (map_shared_once(view, huge))
    return -1;
  if (huge && gcb_huge_mapped_bytes(view->tracked) != 0) {
    /* Kernels before 6.12 map a huge page as one in spite of MADV_NOHUGEPAGE (or smaps can't be read). */
    gcb_view_unmap(view);
    return map_shared_once(view, false);
  }
  return 0;
}

static int map_shared_huge(gcb_view *view) {
  if (make_file(view, 0) || map_views(view, true))
    return -1;
  (void)madvise(view->tracked, view->bytes, MADV_HUGEPAGE);
  collapse(view->tracked, view->bytes);
  if (view->alias != view->tracked)
    (void)madvise(view->alias, whole_huge(view->bytes), MADV_COLLAPSE); /* they are: it maps them as such */
  return populate_views(view) ? -1 : demand_huge(view);
}

/* Private memory has no second view. The collector writes nothing into the heap, so it dirties nothing by
 * looking through the mutators'. */
static int map_private(gcb_view *view) {
  if (map_views(view, false))
    return -1;
  (void)madvise(view->tracked, view->bytes, MADV_NOHUGEPAGE);
  return populate_views(view);
}

static int map_private_huge(gcb_view *view) {
  if (map_views(view, false))
    return -1;
  (void)madvise(view->tracked, view->bytes, MADV_HUGEPAGE);
  /* The first touch makes huge pages where the system's THP setting lets it; the collapse does without. */
  if (populate_views(view))
    return -1;
  (void)madvise(view->tracked, whole_huge(view->bytes), MADV_COLLAPSE);
  return demand_huge(view);
}

/* From the pool that root has set aside (Documentation/admin-guide/mm/hugetlbpage.rst). */
static int map_hugetlb(gcb_view *view) {
  if (view->bytes % GCB_HUGE)
    return gcb_set_error("a heap in hugetlb memory is a whole number of 2 MiB pages, not %zu bytes: choose "
                         "another size",
                         view->bytes);
  if (make_file(view, MFD_HUGETLB | MFD_HUGE_2_MIB))
    return -1;
  /* The mapping reserves all of them, or fails; so no store can lack one later. */
  view->tracked = map_once(view);
  if (!view->tracked && errno == ENOMEM)
    return gcb_set_error("%zu huge pages of 2 MiB are not free: have root raise vm.nr_hugepages by as many "
                         "(`sysctl vm.nr_hugepages` tells what it is)",
                         view->bytes / GCB_HUGE);
  if (!view->tracked)
    return gcb_set_error("the heap's %zu MiB could not be mapped: %s", view->bytes >> 20, strerror(errno));
  view->alias = view->tracked;
  return populate_views(view) ? -1 : demand_huge(view);
}

size_t gcb_huge_mapped_bytes(const char *at) {
  FILE *smaps = fopen("/proc/self/smaps", "re");
  if (!smaps)
    return SIZE_MAX;
  static const char *const counted[] = {"AnonHugePages: %zu kB", "ShmemPmdMapped: %zu kB",
                                        "Private_Hugetlb: %zu kB", "Shared_Hugetlb: %zu kB"};
  size_t found = 0, kib;
  bool inside = false, seen = false;
  char line[512];
  while (fgets(line, sizeof line, smaps)) {
    unsigned long from, to;
    if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
      inside = from == (uintptr_t)at;
    if (seen && !inside)
      break; /* the kernel walks the page tables of every mapping that is read about */
    seen |= inside;
    for (size_t i = 0; inside && i < sizeof counted / sizeof *counted; i++)
      if (sscanf(line, counted[i], &kib) == 1)
        found += kib << 10;
  }
  fclose(smaps);
  return seen ? found : SIZE_MAX;
}

int gcb_view_map(gcb_view *view) {
  static int (*const map[])(gcb_view *) = {[GCB_SHMEM] = map_shared,
                                           [GCB_SHMEM_THP] = map_shared_huge,
                                           [GCB_ANONYMOUS] = map_private,
                                           [GCB_ANONYMOUS_THP] = map_private_huge,
                                           [GCB_HUGETLB] = map_hugetlb};
  if (view->memory >= sizeof map / sizeof *map)
    return gcb_set_error("there is no memory of kind %u", (unsigned)view->memory);
  if (map[view->memory](view))
    return -1;
  size_t huge = whole_huge(view->bytes);
  view->alias_huge = huge && gcb_huge_mapped_bytes(view->alias) == huge;
  return 0;
}

void gcb_view_unmap(gcb_view *view) {
  if (view->alias && view->alias != view->tracked)
    unmap_once(view, view->alias);
  if (view->tracked)
    unmap_once(view, view->tracked);
  if (view->memfd >= 0)
    close(view->memfd);
  view->alias = view->tracked = NULL;
  view->memfd = -1;
}
