/* bench/: what one part costs or does by itself, called by Python and by nothing in a heap. It may include
 * everything.
 *
 * What a barrier costs, by itself: stores, arming and collecting, each timed in one piece, on a space without
 * mutators. And the same with nothing but the system calls of uffd-wp-async, on the same memory: what the
 * framework adds is the difference. */
#include "api.h"
#include "base/library.h"
#include "include/pagetables.h"
#include "space.h"

typedef void store_loop(gcb_mutator *, char *, size_t, size_t, size_t, uint32_t);

struct gcb_bench {
  gcb_space *space;
  gcb_mutator mutator; /* what the barrier's inline store sees as its mutator */
  bool attached;
  store_loop *loop;
  bool bare; /* the barrier is closed, and the two descriptors below are open */
  int uffd, pagemap;
  uint64_t bare_granules;
  gcb_page_region regions[GCB_REGIONS];
};

static int attach(gcb_bench *bench) {
  const gcb_barrier_ops *ops = bench->space->watch.ops;
  bench->attached = true;
  return ops->attach ? ops->attach(&bench->space->watch.barrier, bench->mutator.store, 0) : 0;
}

static void detach(gcb_bench *bench) {
  const gcb_barrier_ops *ops = bench->space->watch.ops;
  if (bench->attached && ops->detach)
    ops->detach(&bench->space->watch.barrier, bench->mutator.store, 0);
  bench->attached = false;
}

gcb_bench *gcb_bench_new(gcb_space *space, const char *loop) {
  void *library = gcb_open_library(loop);
  if (!library)
    return NULL;
  gcb_bench *bench = calloc(1, sizeof *bench);
  if (!bench) {
    gcb_set_error("no memory for the store loop");
    return NULL;
  }
  *(void **)(void *)&bench->loop = gcb_find_symbol(library, "gcb_store_loop");
  bench->space = space;
  bench->mutator.count = 1;
  bench->uffd = bench->pagemap = -1;
  if (bench->loop && attach(bench) == 0)
    return bench;
  if (!bench->loop)
    gcb_set_error("the store loop has no gcb_store_loop()");
  gcb_bench_free(bench);
  return NULL;
}

static void close_bare(gcb_bench *bench) {
  if (bench->uffd >= 0)
    close(bench->uffd);
  if (bench->pagemap >= 0)
    close(bench->pagemap);
  bench->uffd = bench->pagemap = -1;
  bench->bare = false;
}

void gcb_bench_free(gcb_bench *bench) {
  detach(bench);
  close_bare(bench);
  free(bench);
}

/* Through the collector's view: laying objects out dirties nothing. */
void gcb_bench_lay(gcb_bench *bench, size_t stride) {
  gcb_space *space = bench->space;
  uint64_t references = stride / sizeof(uint64_t) - 1;
  for (size_t at = 0; at + stride <= space->view.bytes; at += stride) {
    gcb_ref object = (gcb_ref)(void *)(space->view.alias + at);
    /* relaxed: there is no other thread */
    atomic_store_explicit(&object->header, references << 32 | stride / GCB_GRANULE, memory_order_relaxed);
  }
}

int64_t gcb_bench_store(gcb_bench *bench, size_t stride, size_t places, size_t each, uint32_t slots) {
  char *base = bench->space->view.tracked;
  if (places > bench->space->view.bytes / stride || (slots + 1) * sizeof(gcb_ref) > stride)
    return gcb_set_error("%zu objects of %zu bytes are more than the memory holds", places, stride);
  uint64_t start_ns = gcb_now_ns();
  bench->loop(&bench->mutator, base, stride, places, each, slots);
  return (int64_t)(gcb_now_ns() - start_ns);
}

static int bare_arm(const gcb_bench *bench) {
  struct uffdio_writeprotect range = {
      .range = {(uintptr_t)bench->space->view.tracked, bench->space->view.bytes},
      .mode = UFFDIO_WRITEPROTECT_MODE_WP};
  return ioctl(bench->uffd, UFFDIO_WRITEPROTECT, &range);
}

static int bare_collect(gcb_bench *bench, bool rearm) {
  uintptr_t base = (uintptr_t)bench->space->view.tracked;
  gcb_scan_argument scan = {.size = sizeof scan,
                            .flags = GCB_SCAN_CHECK_WPASYNC | (rearm ? GCB_SCAN_WP_MATCHING : 0),
                            .start = base,
                            .end = base + bench->space->view.bytes,
                            .vec = (uintptr_t)bench->regions,
                            .vec_len = GCB_REGIONS,
                            .category_mask = GCB_PAGE_IS_WRITTEN,
                            .return_mask = GCB_PAGE_IS_WRITTEN};
  bench->bare_granules = 0;
  while (scan.start < scan.end) {
    int found = ioctl(bench->pagemap, GCB_PAGEMAP_SCAN, &scan);
    if (found < 0)
      return -1;
    for (int i = 0; i < found; i++)
      bench->bare_granules += (bench->regions[i].end - bench->regions[i].start) >> GCB_PAGE_SHIFT;
    scan.start = gcb_scan_next(&scan, found);
  }
  return 0;
}

int64_t gcb_bench_arm(gcb_bench *bench) {
  uint64_t start_ns = gcb_now_ns();
  int failed = bench->bare ? bare_arm(bench) : gcb_watch_arm(bench->space);
  uint64_t end_ns = gcb_now_ns();
  if (failed && bench->bare)
    gcb_set_error("UFFDIO_WRITEPROTECT failed: %s", strerror(errno));
  return failed ? -1 : (int64_t)(end_ns - start_ns);
}

int64_t gcb_bench_collect(gcb_bench *bench, bool rearm) {
  uint64_t start_ns = gcb_now_ns();
  int64_t failed = bench->bare ? bare_collect(bench, rearm) : gcb_watch_collect(bench->space, rearm);
  uint64_t end_ns = gcb_now_ns();
  if (failed < 0 && bench->bare)
    gcb_set_error("PAGEMAP_SCAN failed: %s", strerror(errno));
  return failed < 0 ? -1 : (int64_t)(end_ns - start_ns);
}

uint64_t gcb_bench_granules(const gcb_bench *bench) {
  return bench->bare ? bench->bare_granules : bench->space->watch.dirty.count;
}

static int open_bare(gcb_bench *bench) {
  bench->bare = true;
  bench->pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
  bench->uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY);
  struct uffdio_api api = {.api = UFFD_API, .features = GCB_UFFD_WP_ASYNC};
  struct uffdio_register range = {.range = {(uintptr_t)bench->space->view.tracked, bench->space->view.bytes},
                                  .mode = UFFDIO_REGISTER_MODE_WP};
  if (bench->pagemap < 0 || bench->uffd < 0 || ioctl(bench->uffd, UFFDIO_API, &api) ||
      ioctl(bench->uffd, UFFDIO_REGISTER, &range))
    return gcb_set_error("the bare system calls failed: %s", strerror(errno));
  return 0;
}

int gcb_bench_bare(gcb_bench *bench, bool bare) {
  gcb_space *space = bench->space;
  if (bench->bare == bare)
    return 0;
  if (bare) {
    detach(bench);
    space->watch.ops->close(&space->watch.barrier);
    return open_bare(bench);
  }
  close_bare(bench);
  return space->watch.ops->open(&space->watch.barrier) || attach(bench) ? -1 : 0;
}
