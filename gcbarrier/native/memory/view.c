/* The heap's memory, one function for each kind: where the mutators write, where the collector reads. Every
 * page of it is there before it is handed out. */
#include "core.h"

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

/* A view whose address is a multiple of 2 MiB, as huge pages demand, of the space's file or of private
 * memory. A page that nobody may touch is left on either side: the kernel merges neighbouring mappings of one
 * sort, and smaps would then tell of both. */
static char *map_view(const gcb_space *space) {
  size_t room = space->bytes + 2 * GCB_HUGE;
  char *area = mmap(NULL, room, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (area == MAP_FAILED)
    return NULL;
  char *view = area + GCB_PAGE + (-((uintptr_t)area + GCB_PAGE) & (GCB_HUGE - 1));
  char *from = view - GCB_PAGE, *to = view + space->bytes + GCB_PAGE;
  if (from > area)
    munmap(area, (size_t)(from - area));
  munmap(to, (size_t)(area + room - to));
  int flags = space->memfd >= 0 ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS;
  if (mmap(view, space->bytes, PROT_READ | PROT_WRITE, flags | MAP_FIXED, space->memfd, 0) != MAP_FAILED)
    return view;
  int reason = errno;
  munmap(from, (size_t)(to - from));
  errno = reason;
  return NULL;
}

static void unmap_view(const gcb_space *space, char *view) {
  munmap(view - GCB_PAGE, space->bytes + 2 * GCB_PAGE);
}

static int map_views(gcb_space *space, bool two) {
  if (!(space->tracked = map_view(space)) ||
      !(space->alias = two && !GCB_ONE_VIEW ? map_view(space) : space->tracked))
    return gcb_set_error("the heap's %zu MiB could not be mapped: %s", space->bytes >> 20, strerror(errno));
  return 0;
}

static int make_file(gcb_space *space, unsigned flags) {
  space->memfd = memfd_create("gcbarrier-heap", MFD_CLOEXEC | flags);
  if (space->memfd < 0 || ftruncate(space->memfd, (off_t)space->bytes))
    return gcb_set_error("no shared memory of %zu MiB: %s", space->bytes >> 20, strerror(errno));
  return 0;
}

/* Every page present, so that a fault counted later is the barrier's, and so that memory runs short here,
 * where it is an error, and not at a store, where it would be a signal. The caller has asked whether there is
 * so much (gcbarrier.machines.host.fits): with no memory left at all the kernel may kill instead of failing. */
static int populate(void *view, size_t bytes, int advice) {
  while (madvise(view, bytes, advice))
    if (errno != EINTR)
      return gcb_set_error("the heap's %zu MiB can't all be had: %s", bytes >> 20, strerror(errno));
  return 0;
}

static int populate_views(gcb_space *space) {
  if (populate(space->tracked, space->bytes, MADV_POPULATE_WRITE))
    return -1;
  return space->alias == space->tracked ? 0 : populate(space->alias, space->bytes, MADV_POPULATE_READ);
}

/* Huge pages for a view of which nothing is populated yet. The kernel collapses a range that holds a page and
 * fills up the rest, so one page each is enough: 0.1 s for 1 GiB of shared memory where populating it all
 * first takes 3 s. What can't be collapsed is left to populate(), which gives it small pages. */
static void collapse(char *view, size_t bytes) {
  for (size_t at = 0; at + GCB_HUGE <= bytes; at += GCB_HUGE)
    (void)populate(view + at, GCB_PAGE, MADV_POPULATE_WRITE);
  (void)madvise(view, whole_huge(bytes), MADV_COLLAPSE);
}

/* For a kind of memory that promises huge pages: some of them would be neither the one kind nor the other. */
static int demand_huge(const gcb_space *space) {
  size_t promised = whole_huge(space->bytes), had = gcb_huge_mapped_bytes(space->tracked);
  if (had == promised)
    return 0;
  if (had == SIZE_MAX)
    return gcb_set_error("/proc/self/smaps can't be read: nothing tells whether the heap has huge pages");
  return gcb_set_error(
      "of the heap's %zu MiB huge pages map only %zu: free some memory (it is too scattered), "
      "boot Linux 6.1 or newer, or choose memory without huge pages",
      promised >> 20, had >> 20);
}

static int map_shared_once(gcb_space *space, bool huge) {
  if (make_file(space, 0) || map_views(space, true))
    return -1;
  (void)madvise(space->tracked, space->bytes, MADV_NOHUGEPAGE);
  if (huge)
    collapse(space->alias, space->bytes);
  return populate_views(space);
}

/* The collector's view gets huge pages as far as the kernel has them; the mutators' view keeps small ones,
 * since a huge one would be tracked as one. */
static int map_shared(gcb_space *space) {
  bool huge = space->bytes >= GCB_HUGE && !GCB_ONE_VIEW;
  if (map_shared_once(space, huge))
    return -1;
  if (huge && gcb_huge_mapped_bytes(space->tracked) != 0) {
    /* Kernels before 6.12 map a huge page as one in spite of MADV_NOHUGEPAGE (or smaps can't be read). */
    gcb_memory_unmap(space);
    return map_shared_once(space, false);
  }
  return 0;
}

static int map_shared_huge(gcb_space *space) {
  if (make_file(space, 0) || map_views(space, true))
    return -1;
  (void)madvise(space->tracked, space->bytes, MADV_HUGEPAGE);
  collapse(space->tracked, space->bytes);
  if (space->alias != space->tracked)
    (void)madvise(space->alias, whole_huge(space->bytes), MADV_COLLAPSE); /* they are: it maps them as such */
  return populate_views(space) ? -1 : demand_huge(space);
}

/* Private memory has no second view. The collector writes nothing into the heap, so it dirties nothing by
 * looking through the mutators'. */
static int map_private(gcb_space *space) {
  if (map_views(space, false))
    return -1;
  (void)madvise(space->tracked, space->bytes, MADV_NOHUGEPAGE);
  return populate_views(space);
}

static int map_private_huge(gcb_space *space) {
  if (map_views(space, false))
    return -1;
  (void)madvise(space->tracked, space->bytes, MADV_HUGEPAGE);
  /* The first touch makes huge pages where the system's THP setting lets it; the collapse does without. */
  if (populate_views(space))
    return -1;
  (void)madvise(space->tracked, whole_huge(space->bytes), MADV_COLLAPSE);
  return demand_huge(space);
}

/* From the pool that root has set aside (Documentation/admin-guide/mm/hugetlbpage.rst). */
static int map_hugetlb(gcb_space *space) {
  if (space->bytes % GCB_HUGE)
    return gcb_set_error("a heap in hugetlb memory is a whole number of 2 MiB pages, not %zu bytes: choose "
                         "another size",
                         space->bytes);
  if (make_file(space, MFD_HUGETLB | MFD_HUGE_2_MIB))
    return -1;
  /* The mapping reserves all of them, or fails; so no store can lack one later. */
  space->tracked = map_view(space);
  if (!space->tracked && errno == ENOMEM)
    return gcb_set_error("%zu huge pages of 2 MiB are not free: have root raise vm.nr_hugepages by as many "
                         "(`sysctl vm.nr_hugepages` tells what it is)",
                         space->bytes / GCB_HUGE);
  if (!space->tracked)
    return gcb_set_error("the heap's %zu MiB could not be mapped: %s", space->bytes >> 20, strerror(errno));
  space->alias = space->tracked;
  return populate_views(space) ? -1 : demand_huge(space);
}

size_t gcb_huge_mapped_bytes(const char *view) {
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
      inside = from == (uintptr_t)view;
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

int gcb_memory_map(gcb_space *space) {
  static int (*const map[])(gcb_space *) = {[GCB_SHMEM] = map_shared,
                                            [GCB_SHMEM_THP] = map_shared_huge,
                                            [GCB_ANONYMOUS] = map_private,
                                            [GCB_ANONYMOUS_THP] = map_private_huge,
                                            [GCB_HUGETLB] = map_hugetlb};
  if (space->memory >= sizeof map / sizeof *map)
    return gcb_set_error("there is no memory of kind %u", (unsigned)space->memory);
  if (map[space->memory](space))
    return -1;
  size_t huge = whole_huge(space->bytes);
  space->alias_huge = huge && gcb_huge_mapped_bytes(space->alias) == huge;
  return 0;
}

void gcb_memory_unmap(gcb_space *space) {
  if (space->alias && space->alias != space->tracked)
    unmap_view(space, space->alias);
  if (space->tracked)
    unmap_view(space, space->tracked);
  if (space->memfd >= 0)
    close(space->memfd);
  space->alias = space->tracked = NULL;
  space->memfd = -1;
}

/* What is kept beside the heap, zeroed, the first `present` bytes of it populated. `shared`: also with the
 * children that the process will fork. */
void *gcb_metadata_map(size_t bytes, size_t present, bool shared) {
  int flags = (shared ? MAP_SHARED : MAP_PRIVATE) | MAP_ANONYMOUS;
  void *metadata = mmap(NULL, bytes, PROT_READ | PROT_WRITE, flags, -1, 0);
  if (metadata == MAP_FAILED) {
    gcb_set_error("no memory for the heap's %zu bytes of metadata", bytes);
    return NULL;
  }
  (void)madvise(metadata, bytes, MADV_HUGEPAGE); /* the bitmaps are read at random */
  if (populate(metadata, present & ~(GCB_PAGE - 1), MADV_POPULATE_WRITE)) {
    munmap(metadata, bytes);
    return NULL;
  }
  return metadata;
}
