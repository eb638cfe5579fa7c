/* What a run that ends by a signal says last, on standard error: who it was, and where. After a fault that
 * thread alone; where the deadline is over (SIGALRM) every mutator in turn, for it may be any that holds up
 * the rest. */
#include "base/frames.h"
#include "world/world.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1 /* they tell of faults themselves, and more */
#else
#define SANITIZED 0
#endif

static _Thread_local gcb_thread *running;
static _Atomic(gcb_world *) watched;
static _Atomic uint32_t answers;

void gcb_crash_enter(gcb_thread *t) {
  running = t;
}

void gcb_crash_stack(void *memory, size_t bytes) {
  /* A sanitizer has given this thread one, and takes away whichever it finds at the end. */
  if (SANITIZED)
    return;
  if (memory)
    memset(memory, 0xff, bytes); /* a barrier's handler may use it as well: no fault of it is a store's */
  sigaltstack(&(stack_t){.ss_sp = memory, .ss_size = bytes, .ss_flags = memory ? 0 : SS_DISABLE}, NULL);
}

gcb_thread *gcb_running(void) {
  return running;
}

void gcb_crash_watch(gcb_world *world) {
  /* release: the handler that finds the world finds its threads */
  atomic_store_explicit(&watched, world, memory_order_release);
}

static void say_who(const char *what) {
  static const char *const states[] = {"running", "in a native region", "stopped", "ended"};
  if (!running)
    dprintf(STDERR_FILENO, "the collector's thread%s\n", what);
  else /* relaxed: its own */
    dprintf(STDERR_FILENO, "mutator %u, %s%s\n", running->m.index,
            states[atomic_load_explicit(&running->state, memory_order_relaxed)], what);
}

/* Whether the fault came of a word that stress has left: a register still holds it, or half of it, or an
 * address that was made of it. */
static bool is_poisoned(const siginfo_t *info, const void *context) {
#ifdef __x86_64__
  enum { NEAR = 1 << 20 };
  const ucontext_t *at = context;
  for (int i = 0; i < NGREG; i++) {
    uint64_t word = (uint64_t)at->uc_mcontext.gregs[i];
    if (word - GCB_POISON + NEAR < 2 * NEAR || word == GCB_POISON >> 32)
      return true;
  }
#else
  (void)context;
#endif
  return (uint64_t)(uintptr_t)info->si_addr == GCB_POISON;
}

static void end(int number) {
  sigaction(number, &(struct sigaction){.sa_handler = SIG_DFL}, NULL);
  raise(number);
}

static void sleep_ms(void) {
  nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

/* One thread tells of its fault, so that mutators that make the same mistake at a time don't write into each
 * other's words: the others wait for the end that it puts to all of them, unless it hangs. And a fault in the
 * telling itself is the end. */
static bool may_tell(void) {
  enum { PATIENCE_MS = 5000 };
  static _Atomic pid_t teller;
  pid_t found = 0, own = (pid_t)syscall(SYS_gettid);
  /* relaxed: it only makes those who ask distinct */
  if (atomic_compare_exchange_strong_explicit(&teller, &found, own, memory_order_relaxed,
                                              memory_order_relaxed))
    return true;
  for (int ms = 0; found != own && ms < PATIENCE_MS; ms++)
    sleep_ms();
  return false;
}

static void on_fault(int number, siginfo_t *info, void *context) {
  if (!may_tell()) {
    end(number);
    return;
  }
  const char *why = is_poisoned(info, context)
                        ? ", by a word of freed memory (stress has poisoned it): no root held what was there"
                        : "";
  dprintf(STDERR_FILENO, "%s at address %p%s, in ", strsignal(number), info->si_addr, why);
  say_who(":");
  gcb_print_frames(context);
  end(number);
}

static void on_asked(int number, siginfo_t *info, void *context) {
  (void)number, (void)info;
  int kept = errno;
  say_who(":");
  gcb_print_frames(context);
  atomic_fetch_add_explicit(&answers, 1, memory_order_release);
  errno = kept;
}

/* For an answer, one at a time: so that they don't write into each other's. false: it doesn't come. */
static bool await_answer(uint32_t before) {
  enum { PATIENCE_MS = 500 };
  for (int ms = 0; ms < PATIENCE_MS; ms++) {
    if (atomic_load_explicit(&answers, memory_order_acquire) != before)
      return true;
    sleep_ms();
  }
  return false;
}

static void on_deadline(int number, siginfo_t *info, void *context) {
  (void)info;
  dprintf(STDERR_FILENO, "where everybody is, innermost first:\n");
  gcb_world *world = atomic_load_explicit(&watched, memory_order_acquire);
  for (uint32_t i = 0; world && i < world->started; i++) {
    gcb_thread *t = &world->threads[i];
    uint32_t before = atomic_load_explicit(&answers, memory_order_relaxed);
    /* relaxed: one that ends meanwhile does not answer */
    if (t == running || atomic_load_explicit(&t->state, memory_order_relaxed) == GCB_GONE)
      continue;
    if (pthread_kill(t->pthread, SIGUSR2) || !await_answer(before))
      dprintf(STDERR_FILENO, "mutator %u does not answer\n", i);
  }
  say_who(":");
  gcb_print_frames(context);
  end(number);
}

static void handle(int number, void (*handler)(int, siginfo_t *, void *), int flags) {
  sigaction(number, &(struct sigaction){.sa_sigaction = handler, .sa_flags = SA_SIGINFO | flags}, NULL);
}

void gcb_report_crashes(void) {
  static const int faults[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE};
  gcb_frames_load();
  for (size_t i = 0; !SANITIZED && i < sizeof faults / sizeof *faults; i++)
    handle(faults[i], on_fault, SA_ONSTACK);
  handle(SIGUSR2, on_asked, SA_RESTART);
  handle(SIGALRM, on_deadline, 0);
}
