/* Synchronous userfaultfd write-protection, resolved in the storing thread (ioctl_userfaultfd(2),
 * UFFD_FEATURE_SIGBUS): instead of a message, a store into a protected page raises SIGBUS; the handler
 * unprotects the page, sets its bit, and lets the store run again. No thread of ours, and no mapping is
 * split.
 *
 * Unprotected first, the bit after. With the bit first, a collect() between the two takes the bit, protects
 * what is protected still, and the store comes after it unreported. As it is, a page is unprotected without a
 * bit only while some thread is in the handler for it: a collect() at that moment may miss what other threads
 * store there, and the next one has it; with the mutators stopped nobody is in the handler.
 *
 * collect() takes the bits out first and protects after. A handler that is late, because another thread
 * faulted on the same page, may so undo a protection at any moment; it then sets the bit, and the next
 * collect() has the page. And a page may be protected with its bit set: one report too many. Between taking
 * and protecting, stores go unnoticed, but into pages only whose contents are read after collect() has
 * returned. */
#include <signal.h>

#define GCB_FAULT_SIGNAL SIGBUS
#define GCB_FAULT_CODE BUS_ADRERR
#include "fault_signals.h"
#include "pagetables.h"

#ifndef UFFD_FEATURE_SIGBUS
#define UFFD_FEATURE_SIGBUS ((uint64_t)1 << 7)
#endif
#ifndef UFFD_FEATURE_WP_HUGETLBFS_SHMEM
#define UFFD_FEATURE_WP_HUGETLBFS_SHMEM ((uint64_t)1 << 12)
#endif
#ifndef UFFD_FEATURE_WP_UNPOPULATED
#define UFFD_FEATURE_WP_UNPOPULATED ((uint64_t)1 << 13)
#endif
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif

typedef struct watch {
  gcb_fault_range range; /* the first member: the handler hands it back */
  int uffd;
  size_t words;
  _Atomic uint64_t *written; /* a bit per page */
  uint64_t *taken;           /* what this collect() took; the collector's thread only */
} watch;

static int change(const watch *w, size_t first_page, size_t pages, uint64_t mode) {
  struct uffdio_writeprotect range = {
      .range = {(uintptr_t)w->range.base + (first_page << GCB_PAGE_SHIFT), pages << GCB_PAGE_SHIFT},
      .mode = mode};
  /* EAGAIN: the process's mappings are just changing; doing all of it again is harmless */
  while (ioctl(w->uffd, UFFDIO_WRITEPROTECT, &range))
    if (errno != EINTR && errno != EAGAIN)
      return -1;
  return 0;
}

static int protect(const watch *w, size_t first_page, size_t pages) {
  if (change(w, first_page, pages, UFFDIO_WRITEPROTECT_MODE_WP))
    return gcb_set_error("the heap can't be write-protected: %s", strerror(errno));
  return 0;
}

/* Whether the page is one that a store could reach at all. The same signal, with the same code, comes of a
 * page behind its file's end, and no right to write helps that one. Reading it in tells: a protected page can
 * be read. */
static bool reachable(const watch *w, size_t page) {
  return madvise(w->range.base + (page << GCB_PAGE_SHIFT), GCB_PAGE, MADV_POPULATE_READ) == 0 ||
         errno != EFAULT;
}

/* In the handler: ioctl(), madvise() and getpid() are no more than their system calls. */
static bool unprotect(watch *w, size_t page) {
  /* In a forked child nothing is protected, and the descriptor would act on the parent's pages. */
  if (w->range.owner != getpid())
    return false;
  /* DONTWAKE: nobody waits for a message. */
  /* ENOENT: it isn't registered any more, and so not protected either. */
  if (change(w, page, 1, UFFDIO_WRITEPROTECT_MODE_DONTWAKE) && errno != ENOENT)
    return false;
  /* release: the collector that sees the bit sees the page unprotected, and doesn't protect it in vain */
  uint64_t bit = UINT64_C(1) << (page & 63),
           before = atomic_fetch_or_explicit(&w->written[page >> 6], bit, memory_order_release);
  /* It has been unprotected and faults all the same: another thread was faster, or unprotecting doesn't help
   * and the store would fault for ever. */
  return !(before & bit) || reachable(w, page);
}

static bool gcb_resolve_fault(gcb_fault_range *range, size_t page) {
  return unprotect((watch *)range, page);
}

static int register_range(watch *w) {
  /* A store of the kernel's can't be sent a signal: it fails, with privilege or without. */
  w->uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY);
  if (w->uffd < 0)
    return gcb_set_error("userfaultfd can't be opened: %s", strerror(errno));
  /* Private memory's absent pages need a feature of their own (Linux 6.4), shared memory's are part of its.
   */
  uint64_t shared = UFFD_FEATURE_PAGEFAULT_FLAG_WP | UFFD_FEATURE_WP_HUGETLBFS_SHMEM | UFFD_FEATURE_SIGBUS;
  struct uffdio_api api = {.api = UFFD_API, .features = shared | UFFD_FEATURE_WP_UNPOPULATED};
  if (ioctl(w->uffd, UFFDIO_API, &api)) {
    api = (struct uffdio_api){.api = UFFD_API, .features = shared};
    if (ioctl(w->uffd, UFFDIO_API, &api))
      return gcb_set_error("this kernel can't write-protect shared memory (memfd) through userfaultfd");
  }
  struct uffdio_register range = {.range = {(uintptr_t)w->range.base, w->range.bytes},
                                  .mode = UFFDIO_REGISTER_MODE_WP};
  if (ioctl(w->uffd, UFFDIO_REGISTER, &range))
    return gcb_set_error("the heap can't be registered for write-protection: %s", strerror(errno));
  return 0;
}

static int open_barrier(gcb_barrier *barrier) {
  watch *w = calloc(1, sizeof *w);
  barrier->state = w;
  if (!w)
    return gcb_set_error("no memory for the barrier's state");
  w->range = (gcb_fault_range){.base = barrier->range.base, .bytes = barrier->range.bytes, .owner = getpid()};
  w->uffd = -1;
  w->words = ((w->range.bytes >> GCB_PAGE_SHIFT) + 63) / 64;
  w->written = calloc(w->words, sizeof *w->written);
  w->taken = calloc(w->words, sizeof *w->taken);
  if (!w->written || !w->taken)
    return gcb_set_error("no memory for the barrier's state");
  return register_range(w) ? -1 : gcb_enter_faults(&w->range);
}

static void close_barrier(gcb_barrier *barrier) {
  watch *w = barrier->state;
  if (!w)
    return;
  /* By name, and before the handler goes: a forked child may hold the descriptor open for longer. */
  struct uffdio_range all = {(uintptr_t)w->range.base, w->range.bytes};
  if (w->uffd >= 0 && w->range.owner == getpid())
    (void)ioctl(w->uffd, UFFDIO_UNREGISTER, &all);
  if (w->range.entered)
    gcb_withdraw_faults(&w->range);
  if (w->uffd >= 0)
    close(w->uffd);
  free((void *)w->written);
  free(w->taken);
  free(w);
  barrier->state = NULL;
}

/* Forget first, protect after: the other way round, a store that faults in between would be forgotten. One
 * that comes before its page is protected here leaves a bit too many. */
static int arm(gcb_barrier *barrier) {
  watch *w = barrier->state;
  /* relaxed: nothing is read on the strength of what is thrown away */
  for (size_t word = 0; word < w->words; word++)
    atomic_store_explicit(&w->written[word], 0, memory_order_relaxed);
  return protect(w, 0, w->range.bytes >> GCB_PAGE_SHIFT);
}

static void take(watch *w, bool out) {
  for (size_t word = 0; word < w->words; word++) {
    /* acquire: pairs with the handler's release. Most words are empty, and an exchange costs more. */
    w->taken[word] = atomic_load_explicit(&w->written[word], memory_order_acquire);
    if (out && w->taken[word])
      w->taken[word] = atomic_exchange_explicit(&w->written[word], 0, memory_order_acq_rel);
  }
}

/* relaxed: nobody else sees these bits before the collector's thread takes them again */
static void put_back(watch *w) {
  for (size_t word = 0; word < w->words; word++)
    atomic_fetch_or_explicit(&w->written[word], w->taken[word], memory_order_relaxed);
}

static int collect(gcb_barrier *barrier, bool rearm, gcb_dirty_set *dirty) {
  watch *w = barrier->state;
  size_t pages = w->range.bytes >> GCB_PAGE_SHIFT;
  int failed = 0;
  take(w, rearm);
  for (size_t at = 0, first, end; gcb_next_run(w->taken, &at, pages, &first, &end);) {
    gcb_dirty_add(dirty, first, end - first);
    /* Just what was taken, run by run: after a failure the rest is still reported. */
    if (rearm && !failed)
      failed = protect(w, first, end - first);
  }
  /* What stayed unprotected must not go without a bit. */
  if (failed)
    put_back(w);
  return failed;
}

GCB_BARRIER = {.open = open_barrier, .arm = arm, .collect = collect, .close = close_barrier, .tracks = true};
