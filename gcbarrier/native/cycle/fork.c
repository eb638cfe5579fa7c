/* The kernel's copy-on-write as the snapshot: a forked child marks the heap as it was at the fork, into
 * bitmaps that it shares with the parent, while the mutators go on and pay with a copied page for a first
 * store.
 *
 * What was unreachable at the fork stays so, and what is allocated after it is black: there is nothing to
 * look at again, and the pause at the end only flips the bitmaps. The child is the process's copy with one
 * thread and locks that nobody will ever open, so it calls the marker and async-signal-safe functions alone.
 * (The marker's own lock is open: it is held in a phase only, and nobody forks in one.) */
#include "cycle/cycle.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif

void gcb_child_carve(gcb_cycle *cycle, gcb_metadata *metadata) {
  cycle->child = gcb_carve(metadata, sizeof *cycle->child, 64);
}

static pid_t fork_with_signals_blocked(void) {
  /* The child keeps them blocked: the interpreter's handlers are no business of its. */
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  /* Not fork(): other threads stand still wherever they were, and its handlers want the locks that they hold.
   */
  pid_t child = _Fork();
  int reason = errno;
  if (child != 0)
    pthread_sigmask(SIG_SETMASK, &before, NULL);
  errno = reason;
  return child;
}

/* In the child. */
static volatile pid_t parent_of_child;

static void end_with_parent(int signal) {
  (void)signal;
  if (getppid() != parent_of_child)
    _exit(1);
}

/* The kernel's notice comes when the thread that forked has ended (prctl(2)), and again with each thread that
 * inherits the child. That is no reason to end: the process may go on, and its other threads await us. So the
 * signal is one that asks whether the process is still there. */
static void follow(pid_t parent) {
  struct sigaction action = {.sa_handler = end_with_parent, .sa_flags = SA_RESTART};
  sigset_t notice;
  sigemptyset(&notice);
  sigaddset(&notice, SIGHUP);
  parent_of_child = parent;
  sigaction(SIGHUP, &action, NULL);
  pthread_sigmask(SIG_UNBLOCK, &notice, NULL);
  prctl(PR_SET_PDEATHSIG, SIGHUP);
  if (getppid() != parent) /* it died before the line above */
    _exit(1);
}

/* The first thing in the child. */
static void become_child(pid_t parent) {
  follow(parent);
  /* Whoever waits for a pipe of the parent's to be closed must not wait for the child. Standard error stays:
   * sanitizers speak there. */
  syscall(SYS_close_range, 3u, ~0u, 0u);
}

static void mark_in_child(gcb_cycle *cycle) {
  gcb_child *child = cycle->child;
  cycle->marking->crew = NULL; /* its threads stayed behind */
  child->start_ns = gcb_now_ns();
  /* They are in the snapshot too: no need to do that in the pause. */
  child->roots = gcb_cycle_push_roots(cycle);
  child->rooted_ns = gcb_now_ns();
  gcb_drain(cycle->marking);
  child->objects = cycle->marking->marker.objects;
  child->bytes = cycle->marking->marker.bytes;
  child->end_ns = gcb_now_ns();
  /* release: pairs with finished(). It is the last word: without it the marks are worth nothing. */
  atomic_store_explicit(&child->done, 1, memory_order_release);
}

static bool finished(const gcb_cycle *cycle) {
  return atomic_load_explicit(&cycle->child->done, memory_order_acquire);
}

static int can_fork(const gcb_cycle *cycle) {
  if (!cycle->begun)
    return gcb_set_error("no cycle has begun");
  if (!cycle->child)
    return gcb_set_error("the barrier is not one over which marking forks");
  if (cycle->view->memory != GCB_ANONYMOUS && cycle->view->memory != GCB_ANONYMOUS_THP)
    return gcb_set_error("a fork copies private memory only: choose anonymous memory");
  return cycle->watch->armed ? gcb_set_error("the cycle has its snapshot already") : 0;
}

int gcb_cycle_fork(gcb_cycle *cycle) {
  if (can_fork(cycle))
    return -1;
  *cycle->child = (gcb_child){0};
  pid_t parent = getpid();
  gcb_stop_world(cycle->world, false);
  uint64_t start_ns = gcb_now_ns();
  pid_t child = fork_with_signals_blocked();
  if (child == 0) {
    become_child(parent);
    mark_in_child(cycle);
    _exit(0);
  }
  int failed = child < 0 ? gcb_set_error("the process can't be forked: %s", strerror(errno)) : 0;
  if (!failed) {
    cycle->child_pid = child;
    cycle->watch->armed = true;
    /* Before anybody runs: what is allocated from here on is not in the child's snapshot. */
    gcb_allocate_black(cycle->world, true);
  }
  gcb_record(&cycle->world->events, GCB_EV_ARM, start_ns, cycle->view->bytes / GCB_PAGE);
  gcb_resume_world(cycle->world, GCB_PAUSE_FORK);
  if (failed)
    return -1;
  gcb_announce_armed(cycle->world);
  /* Outside the pause. It is ours to reap: nobody else can have its number. */
  cycle->child_handle = (int)syscall(SYS_pidfd_open, child, 0);
  if (cycle->child_handle < 0) {
    int reason = errno;
    gcb_cycle_end_child(cycle);
    return gcb_set_error("nothing tells when the child ends (pidfd_open: %s): boot Linux 5.3 or newer",
                         strerror(reason));
  }
  return 0;
}

/* The child has ended, or is about to: its status is taken, its number may be used again. */
static int reap(gcb_cycle *cycle) {
  int status = 0;
  pid_t got;
  while ((got = waitpid(cycle->child_pid, &status, 0)) < 0 && errno == EINTR)
    ;
  if (cycle->child_handle >= 0)
    close(cycle->child_handle);
  cycle->child_handle = -1;
  cycle->child_pid = 0;
  /* Where the process ignores SIGCHLD the kernel reaps; the child's own word says how it went. */
  if (finished(cycle))
    return 0;
  if (got > 0 && WIFSIGNALED(status))
    return gcb_set_error("the child that marks was killed by signal %d (%s)%s", WTERMSIG(status),
                         strsignal(WTERMSIG(status)),
                         WTERMSIG(status) == SIGKILL ? ", most likely for want of memory" : "");
  return gcb_set_error("the child that marks ended before it was done (status %d)",
                       got > 0 ? WEXITSTATUS(status) : -1);
}

/* What the child has found becomes the marker's, and its time an event: it ran beside the mutators. */
static void take_over(gcb_cycle *cycle) {
  const gcb_child *child = cycle->child;
  cycle->marking->marker.objects = child->objects;
  cycle->marking->marker.bytes = child->bytes;
  gcb_event event = {.start_ns = child->start_ns,
                     .end_ns = child->rooted_ns,
                     .value = child->roots,
                     .cycle = cycle->world->events.cycle,
                     .kind = GCB_EV_ROOTS};
  gcb_events_add(&cycle->world->events, event);
  event.start_ns = child->rooted_ns;
  event.end_ns = child->end_ns;
  event.value = child->objects;
  event.kind = GCB_EV_MARK;
  gcb_events_add(&cycle->world->events, event);
}

int gcb_cycle_await_child(gcb_cycle *cycle, uint64_t timeout_ns) {
  if (cycle->child_pid == 0)
    return gcb_set_error("no child marks: the fork comes first");
  struct timespec timeout = {.tv_sec = (time_t)(timeout_ns / 1000000000u),
                             .tv_nsec = (long)(timeout_ns % 1000000000u)};
  struct pollfd ends = {.fd = cycle->child_handle, .events = POLLIN};
  int ready = ppoll(&ends, 1, &timeout, NULL);
  if (ready == 0 || (ready < 0 && errno == EINTR))
    return 0; /* the caller looks whether it is wanted elsewhere, and comes back */
  if (reap(cycle))
    return -1;
  take_over(cycle);
  return 1;
}

/* The marks were complete when the child ended; the mutators only have to let go of what they allocate from.
 */
int gcb_cycle_flip(gcb_cycle *cycle) {
  if (!cycle->begun || !cycle->child || !cycle->watch->armed)
    return gcb_set_error("there is nothing to flip: the fork comes first");
  if (cycle->child_pid != 0)
    return gcb_set_error("the child still marks: it has to be awaited before the flip");
  if (!finished(cycle))
    return gcb_set_error("the child has not marked everything: its marks can't be used");
  gcb_stop_world(cycle->world, false);
  return gcb_cycle_finish_marking(cycle, GCB_PAUSE_FLIP, 0);
}

void gcb_cycle_end_child(gcb_cycle *cycle) {
  if (cycle->child_pid == 0)
    return;
  kill(cycle->child_pid, SIGKILL);
  (void)reap(cycle);
}

pid_t gcb_fork_idle(void) {
  pid_t parent = getpid(), child = fork_with_signals_blocked();
  if (child != 0)
    return child;
  become_child(parent);
  for (;;)
    pause();
}
