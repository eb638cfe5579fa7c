/* Faults that are resolved in the storing thread: a store into a protected page raises a signal there, whose
 * handler asks the barrier and lets the store run again. For the barriers that have the kernel send SIGSEGV
 * (page protection) or SIGBUS (userfaultfd).
 *
 * Who includes this defines before it GCB_FAULT_SIGNAL, and GCB_FAULT_CODE, the si_code that the kernel gives
 * a fault on a page of ours; and behind it gcb_resolve_fault(), which runs in the handler and calls nothing
 * that isn't async-signal-safe. */
#ifndef GCB_FAULT_SIGNALS_H
#define GCB_FAULT_SIGNALS_H

#include "barrier.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <ucontext.h>
#include <unistd.h>

#if GCB_FAULT_SIGNAL == SIGBUS
#define GCB_FAULT_NAME "SIGBUS"
#else
#define GCB_FAULT_NAME "SIGSEGV"
#endif

enum { GCB_FAULT_RANGES = 16 };

/* The beginning of a barrier's state. */
typedef struct gcb_fault_range {
  char *base;
  size_t bytes;
  pid_t owner;  /* a fork()ed child has the memory and the handler, and not the threads */
  bool entered; /* in the registry */
} gcb_fault_range;

/* Whether the store may run again; else the fault is none of the barrier's. */
static bool gcb_resolve_fault(gcb_fault_range *range, size_t page);

/* Which ranges are ours: the handler may not take a lock. `readers` are handlers that may be using `range`:
 * gcb_withdraw_faults() takes it away and then waits until there are none. */
static struct {
  _Atomic(gcb_fault_range *) range;
  _Atomic uint32_t readers;
} gcb_faulting[GCB_FAULT_RANGES];
static pthread_mutex_t gcb_registering = PTHREAD_MUTEX_INITIALIZER;
static unsigned gcb_registered; /* under `gcb_registering`, as the next two */
static bool gcb_installed;
static struct sigaction gcb_previous; /* whose signal it was; the handler reads it while it is installed */

static bool gcb_find_and_resolve(uintptr_t address) {
  bool resolved = false;
  for (unsigned i = 0; i < GCB_FAULT_RANGES && !resolved; i++) {
    /* relaxed: this thread writes to a heap only after its barrier was opened */
    if (!atomic_load_explicit(&gcb_faulting[i].range, memory_order_relaxed))
      continue;
    /* seq_cst, Dekker's handshake with gcb_withdraw_faults(): we write `readers` and then read `range`, it
     * writes `range` and then reads `readers`; one of us sees the other */
    atomic_fetch_add(&gcb_faulting[i].readers, 1);
    gcb_fault_range *range = atomic_load(&gcb_faulting[i].range);
    if (range && address - (uintptr_t)range->base < range->bytes)
      resolved = gcb_resolve_fault(range, (address - (uintptr_t)range->base) >> GCB_PAGE_SHIFT);
    /* release: we are done with `range` */
    atomic_fetch_sub_explicit(&gcb_faulting[i].readers, 1, memory_order_release);
  }
  return resolved;
}

static uintptr_t gcb_instruction(const void *context) {
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
static void gcb_pass_on(int number, siginfo_t *info, void *context) {
  struct sigaction theirs = gcb_previous;
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
    gcb_previous = (struct sigaction){.sa_handler = SIG_DFL};
  /* Undone by the return from the signal. */
  pthread_sigmask(SIG_BLOCK, &theirs.sa_mask, NULL);
  if (theirs.sa_flags & SA_SIGINFO)
    theirs.sa_sigaction(number, info, context);
  else
    theirs.sa_handler(number);
}

static void gcb_on_fault(int number, siginfo_t *info, void *context) {
  int before = errno;
  uintptr_t address = (uintptr_t)info->si_addr;
  /* Reading is always permitted, and the right to write does not help an attempt to run the heap's contents:
   * that one would come back for ever. */
  bool ours =
      info->si_code == GCB_FAULT_CODE && address != gcb_instruction(context) && gcb_find_and_resolve(address);
  errno = before;
  if (!ours)
    gcb_pass_on(number, info, context);
}

static bool gcb_on_top(void) {
  struct sigaction now;
  return sigaction(GCB_FAULT_SIGNAL, NULL, &now) == 0 && now.sa_flags & SA_SIGINFO &&
         now.sa_sigaction == gcb_on_fault;
}

/* Under `gcb_registering`. */
static int gcb_install(void) {
  /* ONSTACK: a stack overflow still reaches its handler. NODEFER: the handler we pass a fault on to may raise
   * it again, or leave by siglongjmp(); ours raises none itself. */
  struct sigaction ours = {.sa_sigaction = gcb_on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
  sigemptyset(&ours.sa_mask);
  if (!gcb_installed) {
    /* Known before it is needed. */
    if (sigaction(GCB_FAULT_SIGNAL, NULL, &gcb_previous) || sigaction(GCB_FAULT_SIGNAL, &ours, NULL))
      return gcb_set_error(GCB_FAULT_NAME " can't be handled: %s", strerror(errno));
    gcb_installed = true;
  }
  /* Not again over one that came later and may call ours: they would call each other for ever. And sanitizers
   * can keep the signal to themselves without a word (handle_segv=2, handle_sigbus=2). */
  return gcb_on_top() ? 0
                      : gcb_set_error("another " GCB_FAULT_NAME " handler is in the way of the barrier's");
}

/* Under `gcb_registering`. Below another handler ours stays, and passes on whatever that one calls it for. */
static void gcb_uninstall(void) {
  if (gcb_installed && gcb_on_top() && sigaction(GCB_FAULT_SIGNAL, &gcb_previous, NULL) == 0)
    gcb_installed = false;
}

/* From now on the handler asks for this range's pages too. */
static int gcb_enter_faults(gcb_fault_range *range) {
  int failed = -1;
  pthread_mutex_lock(&gcb_registering);
  unsigned i = 0;
  while (i < GCB_FAULT_RANGES && atomic_load_explicit(&gcb_faulting[i].range, memory_order_relaxed))
    i++;
  if (i == GCB_FAULT_RANGES)
    gcb_set_error("no more than %d barriers that handle " GCB_FAULT_NAME " fit in a process",
                  GCB_FAULT_RANGES);
  else
    failed = gcb_install();
  if (!failed) {
    atomic_store(&gcb_faulting[i].range, range);
    range->entered = true;
    gcb_registered++;
  }
  pthread_mutex_unlock(&gcb_registering);
  return failed;
}

/* When this returns, no handler uses the range. */
static void gcb_withdraw_faults(gcb_fault_range *range) {
  pthread_mutex_lock(&gcb_registering);
  for (unsigned i = 0; i < GCB_FAULT_RANGES; i++) {
    if (atomic_load_explicit(&gcb_faulting[i].range, memory_order_relaxed) != range)
      continue;
    atomic_store(&gcb_faulting[i].range, NULL); /* seq_cst, see gcb_find_and_resolve() */
    /* In a forked child nobody is left who could be in the handler, whatever the count was just then. */
    while (atomic_load(&gcb_faulting[i].readers) && range->owner == getpid())
      sched_yield();
    if (--gcb_registered == 0)
      gcb_uninstall();
  }
  pthread_mutex_unlock(&gcb_registering);
}

#endif
