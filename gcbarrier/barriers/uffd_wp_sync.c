/* Synchronous userfaultfd write-protection: a message per fault, resolved by a thread of the barrier's own
 * (userfaultfd(2), ioctl_userfaultfd(2)).
 *
 * What makes it atomic: under `lock` the handler unprotects a page and sets its bit, and the collector takes
 * the bits out. So whenever the bits are taken, every page that is unprotected has its bit set, or was taken
 * by this collect() and is about to be protected. A store goes to an unprotected page: either its bit will be
 * taken by a later collect(), or the page is one of those just taken, whose contents nobody reads before
 * collect() has protected it and returned; and a store after that faults.
 *
 * Neither half can do without the lock. With the bit set before the page is unprotected, a collect() between
 * the two takes the bit, protects what is protected still, and the store comes after it unreported. With the
 * bit set after, a second thread stores in between and comes to rest, and the last collect() of a stopped
 * world finds no bit: the handler is no mutator, and nobody waits for it. Not even the faulting thread need
 * be waiting: a message may be read when another one's answer has let its sender go already. */
#include "pagetables.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>

#ifndef UFFD_FEATURE_WP_HUGETLBFS_SHMEM
#define UFFD_FEATURE_WP_HUGETLBFS_SHMEM ((uint64_t)1 << 12)
#endif
#ifndef UFFD_FEATURE_WP_UNPOPULATED
#define UFFD_FEATURE_WP_UNPOPULATED ((uint64_t)1 << 13)
#endif

enum { MESSAGES = 16 };

typedef struct watch {
  gcb_range range;
  int uffd, stop; /* stop: an eventfd that ends the handler */
  pid_t owner;    /* after a fork() the child has the memory, and no handler thread */
  bool running;
  pthread_t handler;
  pthread_mutex_t lock;
  int failed;        /* errno of what the handler could not do; under `lock` */
  uint64_t *written; /* a bit per page; under `lock` */
  uint64_t *taken;   /* what this collect() took; the collector's thread only */
  size_t words;
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

/* Nothing is tracked from here on, and collect() says so: better than a mutator that sleeps for ever. */
static void give_up(watch *w, int reason) {
  struct uffdio_range all = {(uintptr_t)w->range.base, w->range.bytes};
  pthread_mutex_lock(&w->lock);
  w->failed = reason;
  (void)ioctl(w->uffd, UFFDIO_UNREGISTER, &all); /* wakes whoever waits */
  pthread_mutex_unlock(&w->lock);
}

static void resolve(watch *w, uint64_t address) {
  size_t page = (size_t)(address - (uintptr_t)w->range.base) >> GCB_PAGE_SHIFT;
  /* Held by the collector while it copies the bits, never while it writes to the heap: it can't be waiting
   * for us then. */
  pthread_mutex_lock(&w->lock);
  /* It also wakes everyone who waits for this page. */
  int reason = change(w, page, 1, 0) ? errno : 0;
  w->written[page >> 6] |= UINT64_C(1) << (page & 63);
  pthread_mutex_unlock(&w->lock);
  if (reason)
    give_up(w, reason);
}

static void *handle_faults(void *argument) {
  watch *w = argument;
  struct pollfd ready[] = {{.fd = w->uffd, .events = POLLIN}, {.fd = w->stop, .events = POLLIN}};
  struct uffd_msg messages[MESSAGES];
  for (;;) {
    if (poll(ready, 2, -1) < 0)
      continue; /* EINTR, by a debugger: signals are blocked here */
    if (ready[1].revents)
      return NULL;
    ssize_t got = read(w->uffd, messages, sizeof messages);
    if (got < 0 && errno != EAGAIN && errno != EINTR) {
      give_up(w, errno);
      return NULL;
    }
    /* EAGAIN: the sender needed no answer any more */
    for (ssize_t i = 0; i < got / (ssize_t)sizeof *messages; i++)
      if (messages[i].event == UFFD_EVENT_PAGEFAULT)
        resolve(w, messages[i].arg.pagefault.address);
  }
}

/* The process's signals are for the threads it knows of. Faults of our own must still end it loudly. */
static int start_handler(watch *w) {
  sigset_t all, before;
  sigfillset(&all);
  sigdelset(&all, SIGSEGV);
  sigdelset(&all, SIGBUS);
  sigdelset(&all, SIGILL);
  sigdelset(&all, SIGFPE);
  sigdelset(&all, SIGABRT);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int reason = pthread_create(&w->handler, NULL, handle_faults, w);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  if (reason)
    return gcb_set_error("the fault handler's thread can't be started: %s", strerror(reason));
  w->running = true;
  (void)pthread_setname_np(w->handler, "gcb-uffd-wp");
  return 0;
}

/* With the kernel's own faults where that is permitted, so that read(2) into the heap waits like any store.
 */
static int open_userfaultfd(void) {
  int uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
  if (uffd < 0 && errno == EPERM)
    uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY);
  return uffd;
}

static int register_range(watch *w) {
  w->uffd = open_userfaultfd();
  if (w->uffd < 0)
    return gcb_set_error("userfaultfd can't be opened: %s", strerror(errno));
  /* Private memory's absent pages need a feature of their own (Linux 6.4), shared memory's are part of its.
   */
  uint64_t shared = UFFD_FEATURE_PAGEFAULT_FLAG_WP | UFFD_FEATURE_WP_HUGETLBFS_SHMEM;
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
  w->range = barrier->range;
  w->uffd = w->stop = -1;
  w->owner = getpid();
  pthread_mutex_init(&w->lock, NULL);
  w->words = ((barrier->range.bytes >> GCB_PAGE_SHIFT) + 63) / 64;
  w->written = calloc(w->words, sizeof *w->written);
  w->taken = calloc(w->words, sizeof *w->taken);
  w->stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (!w->written || !w->taken || w->stop < 0)
    return gcb_set_error("no memory or file descriptor for the barrier's state");
  return register_range(w) ? -1 : start_handler(w);
}

static void close_barrier(gcb_barrier *barrier) {
  watch *w = barrier->state;
  if (!w)
    return;
  if (w->running && w->owner == getpid()) {
    (void)eventfd_write(w->stop, 1);
    pthread_join(w->handler, NULL);
  }
  /* After the handler, which would read another file by its number. It ends the protection and wakes. */
  if (w->uffd >= 0)
    close(w->uffd);
  if (w->stop >= 0)
    close(w->stop);
  pthread_mutex_destroy(&w->lock);
  free(w->written);
  free(w->taken);
  free(w);
  barrier->state = NULL;
}

/* Copies the bits, and with `out` takes them out; -1 after the handler failed. */
static int take(watch *w, bool out) {
  pthread_mutex_lock(&w->lock);
  memcpy(w->taken, w->written, w->words * sizeof *w->taken);
  if (out)
    memset(w->written, 0, w->words * sizeof *w->written);
  int reason = w->failed;
  pthread_mutex_unlock(&w->lock);
  return reason ? gcb_set_error("a write-protect fault could not be resolved: %s", strerror(reason)) : 0;
}

/* Forget first, protect after: the other way round, a store that faults in between would be forgotten. One
 * that comes before its page is protected here leaves a bit too many. */
static int arm(gcb_barrier *barrier) {
  watch *w = barrier->state;
  return take(w, true) ? -1 : protect(w, 0, w->range.bytes >> GCB_PAGE_SHIFT);
}

static void put_back(watch *w) {
  pthread_mutex_lock(&w->lock);
  for (size_t word = 0; word < w->words; word++)
    w->written[word] |= w->taken[word];
  pthread_mutex_unlock(&w->lock);
}

static int collect(gcb_barrier *barrier, bool rearm, gcb_dirty_set *dirty) {
  watch *w = barrier->state;
  size_t pages = w->range.bytes >> GCB_PAGE_SHIFT;
  int failed = take(w, rearm);
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
