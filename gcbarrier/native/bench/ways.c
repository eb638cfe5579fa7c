/* The kernel's two ways of telling which pages were written, as bare system calls on one mapping: soft-dirty
 * (clear_refs) and asynchronous userfaultfd write-protection; and none, for what a page costs anyway. Each
 * step is timed in one piece. */
#include "api.h"
#include "include/pagetables.h"
#include "include/gcbarrier.h"
#include "world/world.h"

#include <sys/wait.h>

#ifndef MADV_REMOVE
#define MADV_REMOVE 9
#endif

enum { SOFT_DIRTY_BIT = 55, UFFD_WP_BIT = 57, HUGE = 2 << 20 };

struct gcb_ways {
  uint32_t way;
  bool shared, huge;
  char *base, *room; /* room: what the mapping was cut from, so that huge pages fit */
  size_t bytes, room_bytes, beside_bytes;
  char *beside;
  int uffd, pagemap, clear_refs;
  uint64_t found;
  union {
    gcb_page_region regions[GCB_REGIONS];
    uint64_t entries[GCB_ENTRIES];
  };
};

static int failed(const char *what) {
  return gcb_set_error("%s failed: %s", what, strerror(errno));
}

static int open_uffd(gcb_ways *ways) {
  ways->uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY);
  struct uffdio_api api = {.api = UFFD_API, .features = GCB_UFFD_WP_ASYNC};
  struct uffdio_register range = {.range = {(uintptr_t)ways->base, ways->bytes},
                                  .mode = UFFDIO_REGISTER_MODE_WP};
  return ways->uffd < 0 || ioctl(ways->uffd, UFFDIO_API, &api) || ioctl(ways->uffd, UFFDIO_REGISTER, &range)
             ? failed("registering with userfaultfd")
             : 0;
}

static int map(gcb_ways *ways) {
  ways->room_bytes = ways->bytes + HUGE;
  int flags = ways->shared ? MAP_SHARED : MAP_PRIVATE;
  ways->room = mmap(NULL, ways->room_bytes, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS, -1, 0);
  if (ways->room == MAP_FAILED)
    return failed("mapping the memory");
  /* A huge page's beginning; what lies around it is never touched. */
  ways->base = ways->room + (-(uintptr_t)ways->room & (HUGE - 1));
  if (madvise(ways->room, ways->room_bytes, ways->huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE) && ways->huge)
    return failed("asking for huge pages");
  return 0;
}

gcb_ways *gcb_ways_new(uint32_t way, size_t bytes, bool shared, bool huge) {
  gcb_ways *ways = calloc(1, sizeof *ways);
  if (!ways) {
    gcb_set_error("no memory");
    return NULL;
  }
  ways->way = way;
  ways->bytes = bytes;
  ways->shared = shared;
  ways->huge = huge;
  ways->room = MAP_FAILED;
  ways->uffd = ways->clear_refs = -1;
  ways->pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
  if (ways->pagemap < 0)
    failed("opening /proc/self/pagemap");
  else if (map(ways) == 0) {
    if (way == GCB_BY_SOFT_DIRTY)
      ways->clear_refs = open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC);
    if (way == GCB_BY_SOFT_DIRTY && ways->clear_refs < 0)
      failed("opening /proc/self/clear_refs");
    else if (way != GCB_BY_UFFD || open_uffd(ways) == 0)
      return ways;
  }
  gcb_ways_free(ways);
  return NULL;
}

void gcb_ways_free(gcb_ways *ways) {
  int files[] = {ways->uffd, ways->pagemap, ways->clear_refs};
  for (size_t i = 0; i < sizeof files / sizeof *files; i++)
    if (files[i] >= 0)
      close(files[i]);
  if (ways->beside)
    munmap(ways->beside, ways->beside_bytes);
  if (ways->room != MAP_FAILED)
    munmap(ways->room, ways->room_bytes);
  free(ways);
}

static void write_pages(char *base, size_t stride, size_t count) {
  for (size_t page = 0; page < count; page++)
    ((volatile char *)base)[page * stride << GCB_PAGE_SHIFT] = 1;
}

int gcb_ways_fill(gcb_ways *ways, bool present) {
  /* Shared memory that is only unmapped would still be there. */
  if (madvise(ways->base, ways->bytes, ways->shared ? MADV_REMOVE : MADV_DONTNEED))
    return failed("giving the pages back");
  if (present)
    write_pages(ways->base, 1, ways->bytes >> GCB_PAGE_SHIFT);
  return 0;
}

int gcb_ways_beside(gcb_ways *ways, size_t bytes) {
  if (ways->beside)
    munmap(ways->beside, ways->beside_bytes);
  ways->beside = NULL;
  ways->beside_bytes = bytes;
  if (!bytes)
    return 0;
  void *beside = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (beside == MAP_FAILED)
    return failed("mapping more memory");
  ways->beside = beside;
  (void)madvise(beside, bytes, MADV_NOHUGEPAGE);
  write_pages(beside, 1, bytes >> GCB_PAGE_SHIFT);
  return 0;
}

static int protect(gcb_ways *ways) {
  if (ways->way == GCB_BY_SOFT_DIRTY)
    return write(ways->clear_refs, "4", 1) == 1 ? 0 : failed("writing /proc/self/clear_refs");
  struct uffdio_writeprotect range = {.range = {(uintptr_t)ways->base, ways->bytes},
                                      .mode = UFFDIO_WRITEPROTECT_MODE_WP};
  return ways->way == GCB_BY_UFFD && ioctl(ways->uffd, UFFDIO_WRITEPROTECT, &range)
             ? failed("UFFDIO_WRITEPROTECT")
             : 0;
}

int64_t gcb_ways_arm(gcb_ways *ways) {
  uint64_t start_ns = gcb_now_ns();
  int broken = protect(ways);
  return broken ? -1 : (int64_t)(gcb_now_ns() - start_ns);
}

int64_t gcb_ways_store(gcb_ways *ways, size_t first, size_t stride, size_t count) {
  uint64_t start_ns = gcb_now_ns();
  write_pages(ways->base + (first << GCB_PAGE_SHIFT), stride, count);
  return (int64_t)(gcb_now_ns() - start_ns);
}

static int scan(gcb_ways *ways, bool again) {
  bool uffd = ways->way == GCB_BY_UFFD;
  uint64_t category = uffd ? GCB_PAGE_IS_WRITTEN : GCB_PAGE_IS_SOFT_DIRTY;
  gcb_scan_argument scan = {.size = sizeof scan,
                            .flags = uffd && again ? GCB_SCAN_WP_MATCHING : 0,
                            .start = (uintptr_t)ways->base,
                            .end = (uintptr_t)ways->base + ways->bytes,
                            .vec = (uintptr_t)ways->regions,
                            .vec_len = GCB_REGIONS,
                            .category_mask = category,
                            .return_mask = category};
  while (scan.start < scan.end) {
    int found = ioctl(ways->pagemap, GCB_PAGEMAP_SCAN, &scan);
    if (found < 0)
      return failed("PAGEMAP_SCAN");
    for (int i = 0; i < found; i++)
      ways->found += (ways->regions[i].end - ways->regions[i].start) >> GCB_PAGE_SHIFT;
    scan.start = gcb_scan_next(&scan, found);
  }
  return again && !uffd ? protect(ways) : 0;
}

static int read_entries(gcb_ways *ways, bool again) {
  bool uffd = ways->way == GCB_BY_UFFD;
  unsigned bit = uffd ? UFFD_WP_BIT : SOFT_DIRTY_BIT;
  size_t pages = ways->bytes >> GCB_PAGE_SHIFT, base = (uintptr_t)ways->base >> GCB_PAGE_SHIFT;
  for (size_t done = 0; done < pages;) {
    size_t left = pages - done, step = left < GCB_ENTRIES ? left : GCB_ENTRIES;
    ssize_t got = pread(ways->pagemap, ways->entries, step * 8, (off_t)((base + done) * 8));
    if (got < 8)
      return failed("reading /proc/self/pagemap");
    for (ssize_t i = 0; i < got / 8; i++)
      ways->found += (ways->entries[i] >> bit & 1) != uffd;
    done += (size_t)got / 8;
  }
  return again ? protect(ways) : 0;
}

int64_t gcb_ways_collect(gcb_ways *ways, bool by_scan, bool again) {
  ways->found = 0;
  uint64_t start_ns = gcb_now_ns();
  int broken = by_scan ? scan(ways, again) : read_entries(ways, again);
  return broken ? -1 : (int64_t)(gcb_now_ns() - start_ns);
}

uint64_t gcb_ways_found(const gcb_ways *ways) {
  return ways->found;
}

int64_t gcb_ways_fork(gcb_ways *ways) {
  (void)ways;
  uint64_t start_ns = gcb_now_ns();
  pid_t child = fork();
  uint64_t end_ns = gcb_now_ns();
  if (child == 0)
    _exit(0);
  if (child < 0)
    return failed("fork()");
  while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
    ;
  return (int64_t)(end_ns - start_ns);
}
