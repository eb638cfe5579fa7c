/* Page protection and SIGSEGV (mprotect(2), sigaction(2)). A store into a protected page raises the signal;
 * the handler, in the storing thread, makes the page writable, sets its bit, and lets the store run again.
 *
 * Writable first, the bit after. With the bit first, a collect() between the two takes the bit, protects what
 * is protected still, and the store comes after it unreported. As it is, a page is writable without a bit
 * only while some thread is in the handler for it: a collect() at that moment may miss what other threads
 * store there, and the next one has it; with the mutators stopped nobody is in the handler.
 *
 * collect() takes the bits out first and protects after. A handler that is late, because another thread
 * faulted on the same page, may so undo a protection at any moment; it then sets the bit, and the next
 * collect() has the page. And a page may be protected with its bit set: one report too many. Between taking
 * and protecting, stores go unnoticed, but into pages only whose contents are read after collect() has
 * returned. */
#include "barrier.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

enum { WATCHES = 16 };

typedef struct watch {
  char *base;
  size_t bytes, words;
  pid_t owner;               /* a fork()ed child has the memory and the handler, and not the threads */
  bool entered;              /* in the registry */
  _Atomic uint64_t *written; /* a bit per page */
  /* The kernel could not split the mapping any further: all is writable, and anything may be written. */
  atomic_bool all_writable;
  uint64_t *taken; /* what this collect() took; the collector's thread only */
} watch;

/* Which ranges are ours: the handler may not take a lock. `readers` are handlers that may be using `watch`:
 * close() takes it away and then waits until there are none. */
static struct {
  _Atomic(watch *) watch;
  _Atomic uint32_t readers;
} registry[WATCHES];
static pthread_mutex_t registering = PTHREAD_MUTEX_INITIALIZER;
static unsigned registered; /* under `registering`, as the next two */
static bool installed;
static struct sigaction previous; /* whose SIGSEGV it was; the handler reads it while it is installed */

static int change(const watch *w, size_t first_page, size_t pages, int protection) {
  return mprotect(w->base + (first_page << GCB_PAGE_SHIFT), pages << GCB_PAGE_SHIFT, protection);
}

/* One protection for all: the mapping is whole again, so it needs no more mappings than there are. */
static int make_all_writable(watch *w) {
  if (mprotect(w->base, w->bytes, PROT_READ | PROT_WRITE))
    return -1;
  /* release, and after the change, for the same reason as a page's bit */
  atomic_store_explicit(&w->all_writable, true, memory_order_release);
  return 0;
}

/* In the handler: mprotect() is no more than its system call. */
static bool make_writable(watch *w, size_t page) {
  if (change(w, page, 1, PROT_READ | PROT_WRITE))
    return errno == ENOMEM && make_all_writable(w) == 0;
  /* release: the collector that sees the bit sees the page writable, and doesn't protect it in vain */
  atomic_fetch_or_explicit(&w->written[page >> 6], UINT64_C(1) << (page & 63), memory_order_release);
  return true;
}

static bool resolve(uintptr_t address) {
  bool resolved = false;
  for (unsigned i = 0; i < WATCHES && !resolved; i++) {
    /* relaxed: this thread writes to a heap only after its barrier was opened */
    if (!atomic_load_explicit(&registry[i].watch, memory_order_relaxed))
      continue;
    /* seq_cst, Dekker's handshake with withdraw(): we write `readers` and then read `watch`, it writes
     * `watch` and then reads `readers`; one of us sees the other */
    atomic_fetch_add(&registry[i].readers, 1);
    watch *w = atomic_load(&registry[i].watch);
    if (w && address - (uintptr_t)w->base < w->bytes)
      resolved = make_writable(w, (address - (uintptr_t)w->base) >> GCB_PAGE_SHIFT);
    /* release: we are done with `w` */
    atomic_fetch_sub_explicit(&registry[i].readers, 1, memory_order_release);
  }
  return resolved;
}

static uintptr_t instruction(const void *context) {
  const ucontext_t *interrupted = context;
#if defined(__x86_64__)
  return (uintptr_t)interrupted->uc_mcontext.gregs[REG_RIP];
#elif defined(__aarch64__)
  return (uintptr_t)interrupted->uc_mcontext.pc;
#else
#error "where does this processor's ucontext keep the instruction's address?"
#endif
}

/* A fault that isn't ours is whose it would be without us. */
static void pass_on(int number, siginfo_t *info, void *context) {
  struct sigaction theirs = previous;
  bool sent = info->si_code <= 0; /* by kill() or raise(), and not by an instruction */
  if (!(theirs.sa_flags & SA_SIGINFO) && theirs.sa_handler == SIG_IGN && sent)
    return;
  if (!(theirs.sa_flags & SA_SIGINFO) && (theirs.sa_handler == SIG_DFL || theirs.sa_handler == SIG_IGN)) {
    /* The instruction runs again and ends the process, at its own address. (The kernel ignores no fault.) */
    struct sigaction usual = {.sa_handler = SIG_DFL};
    sigaction(number, &usual, NULL);
    if (sent)
      raise(number);
    return;
  }
  if (theirs.sa_flags & (int)SA_RESETHAND)
    previous = (struct sigaction){.sa_handler = SIG_DFL};
  /* Undone by the return from the signal. */
  pthread_sigmask(SIG_BLOCK, &theirs.sa_mask, NULL);
  if (theirs.sa_flags & SA_SIGINFO)
    theirs.sa_sigaction(number, info, context);
  else
    theirs.sa_handler(number);
}

static void on_fault(int number, siginfo_t *info, void *context) {
  int before = errno;
  uintptr_t address = (uintptr_t)info->si_addr;
  /* ACCERR: mapped, and not permitted. Reading always is, and the right to write does not help an attempt to
   * run the heap's contents: that one would come back for ever. */
  bool ours = info->si_code == SEGV_ACCERR && address != instruction(context) && resolve(address);
  errno = before;
  if (!ours)
    pass_on(number, info, context);
}

static bool on_top(void) {
  struct sigaction now;
  return sigaction(SIGSEGV, NULL, &now) == 0 && now.sa_flags & SA_SIGINFO && now.sa_sigaction == on_fault;
}

/* Under `registering`. */
static int install(void) {
  /* ONSTACK: a stack overflow still reaches its handler. NODEFER: the handler we pass a fault on to may raise
   * it again, or leave by siglongjmp(); ours raises none itself. */
  struct sigaction ours = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
  sigemptyset(&ours.sa_mask);
  if (!installed) {
    /* Known before it is needed. */
    if (sigaction(SIGSEGV, NULL, &previous) || sigaction(SIGSEGV, &ours, NULL))
      return gcb_set_error("SIGSEGV can't be handled: %s", strerror(errno));
    installed = true;
  }
  /* Not again over one that came later and may call ours: they would call each other for ever. And sanitizers
   * can keep the signal to themselves without a word (handle_segv=2). */
  return on_top() ? 0 : gcb_set_error("another SIGSEGV handler is in the way of the barrier's");
}

/* Under `registering`. Below another handler ours stays, and passes on whatever that one calls it for. */
static void uninstall(void) {
  if (installed && on_top() && sigaction(SIGSEGV, &previous, NULL) == 0)
    installed = false;
}

static int enter(watch *w) {
  int failed = -1;
  pthread_mutex_lock(&registering);
  unsigned i = 0;
  while (i < WATCHES && atomic_load_explicit(&registry[i].watch, memory_order_relaxed))
    i++;
  if (i == WATCHES)
    gcb_set_error("no more than %d barriers by page protection fit in a process", WATCHES);
  else
    failed = install();
  if (!failed) {
    atomic_store(&registry[i].watch, w);
    w->entered = true;
    registered++;
  }
  pthread_mutex_unlock(&registering);
  return failed;
}

static void withdraw(watch *w) {
  pthread_mutex_lock(&registering);
  for (unsigned i = 0; i < WATCHES; i++) {
    if (atomic_load_explicit(&registry[i].watch, memory_order_relaxed) != w)
      continue;
    atomic_store(&registry[i].watch, NULL); /* seq_cst, see resolve() */
    /* In a forked child nobody is left who could be in the handler, whatever the count was just then. */
    while (atomic_load(&registry[i].readers) && w->owner == getpid())
      sched_yield();
    if (--registered == 0)
      uninstall();
  }
  pthread_mutex_unlock(&registering);
}

static int open_barrier(gcb_barrier *barrier) {
  watch *w = calloc(1, sizeof *w);
  barrier->state = w;
  if (!w)
    return gcb_set_error("no memory for the barrier's state");
  w->base = barrier->range.base;
  w->bytes = barrier->range.bytes;
  w->owner = getpid();
  w->words = ((w->bytes >> GCB_PAGE_SHIFT) + 63) / 64;
  w->written = calloc(w->words, sizeof *w->written);
  w->taken = calloc(w->words, sizeof *w->taken);
  if (!w->written || !w->taken)
    return gcb_set_error("no memory for the barrier's state");
  return enter(w);
}

static void close_barrier(gcb_barrier *barrier) {
  watch *w = barrier->state;
  if (!w)
    return;
  (void)change(w, 0, w->bytes >> GCB_PAGE_SHIFT, PROT_READ | PROT_WRITE);
  if (w->entered)
    withdraw(w);
  free((void *)w->written);
  free(w->taken);
  free(w);
  barrier->state = NULL;
}

static int too_many_mappings(const watch *w) {
  size_t pages = w->bytes >> GCB_PAGE_SHIFT;
  unsigned long limit = 0;
  FILE *file = fopen("/proc/sys/vm/max_map_count", "re");
  if (file) {
    if (fscanf(file, "%lu", &limit) != 1)
      limit = 0;
    fclose(file);
  }
  return gcb_set_error("written pages in between others that were not split the heap into more mappings than "
                       "vm.max_map_count = %lu allows; have root run `sysctl vm.max_map_count=%zu`, or take "
                       "a barrier that splits none",
                       limit, pages + (size_t)limit);
}

static int protect(watch *w, size_t first_page, size_t pages) {
  if (change(w, first_page, pages, PROT_READ) == 0)
    return 0;
  int reason = errno;
  /* Also where it is not for the mappings: what can't be protected counts as written. */
  if (make_all_writable(w) || reason != ENOMEM)
    return gcb_set_error("the heap can't be write-protected: %s", strerror(reason));
  return too_many_mappings(w);
}

/* Forget first, protect after: the other way round, a store that faults in between would be forgotten. One
 * that comes before its page is protected here leaves a bit too many. */
static int arm(gcb_barrier *barrier) {
  watch *w = barrier->state;
  /* relaxed: nothing is read on the strength of what is thrown away */
  atomic_store_explicit(&w->all_writable, false, memory_order_relaxed);
  for (size_t word = 0; word < w->words; word++)
    atomic_store_explicit(&w->written[word], 0, memory_order_relaxed);
  return protect(w, 0, w->bytes >> GCB_PAGE_SHIFT);
}

static void take(watch *w, bool out) {
  for (size_t word = 0; word < w->words; word++) {
    /* acquire: pairs with the handler's release. Most words are empty, and an exchange costs more. */
    w->taken[word] = atomic_load_explicit(&w->written[word], memory_order_acquire);
    if (out && w->taken[word])
      w->taken[word] = atomic_exchange_explicit(&w->written[word], 0, memory_order_acq_rel);
  }
}

static int collect(gcb_barrier *barrier, bool rearm, gcb_dirty_set *dirty) {
  watch *w = barrier->state;
  size_t pages = w->bytes >> GCB_PAGE_SHIFT;
  int failed = 0;
  take(w, rearm);
  /* Nothing is worth protecting in between what is not. acquire: as for the bits. */
  bool protecting = rearm && !atomic_load_explicit(&w->all_writable, memory_order_acquire);
  for (size_t page = 0; page < pages; page++) {
    if (!w->taken[page >> 6]) {
      page |= 63;
      continue;
    }
    size_t first = page;
    while (page < pages && w->taken[page >> 6] >> (page & 63) & 1)
      page++;
    if (page == first)
      continue;
    gcb_dirty_add(dirty, first, page - first);
    /* Just what was taken, run by run. */
    if (protecting && !failed)
      failed = protect(w, first, page - first);
  }
  /* It stays so until everything is armed anew: what was written since can't be told any more, and a
   * collector that went on would compare this barrier with others at what it can't do. */
  if (!atomic_load_explicit(&w->all_writable, memory_order_acquire))
    return failed;
  gcb_dirty_add(dirty, 0, pages);
  return failed ? failed : too_many_mappings(w);
}

GCB_BARRIER = {.open = open_barrier, .arm = arm, .collect = collect, .close = close_barrier, .tracks = true};
