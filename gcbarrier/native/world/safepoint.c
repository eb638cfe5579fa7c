/* Stopping and resuming the world, and measuring it: a pause runs from the request to the moment the last
 * mutator that was held runs again.
 *
 * Mutators spin for a moment before they sleep, but only where every thread can have a processor of its own:
 * elsewhere a spinning mutator would take the collector's. */
#include "core.h"
#include "api.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

static void futex_wait(_Atomic uint32_t *word, uint32_t seen) {
  syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, seen, NULL, NULL, 0);
}
static void futex_wake_all(_Atomic uint32_t *word) {
  syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

/* Counts the bell on, and pays for a system call only if somebody sleeps on it.
 * seq_cst here and in wait_for(): this thread writes `count` and reads `sleepers`, a sleeper writes
 * `sleepers` and then has the kernel read `count`; were either order lost, the sleeper would miss the wake.
 */
static void ring(gcb_bell *bell) {
  atomic_fetch_add_explicit(&bell->count, 1, memory_order_seq_cst);
  if (atomic_load_explicit(&bell->sleepers, memory_order_seq_cst))
    futex_wake_all(&bell->count);
}

static uint32_t heard(gcb_bell *bell) {
  return atomic_load_explicit(&bell->count, memory_order_seq_cst);
}

/* Waits until the bell has rung since `seen`: spinning first, for at most spin_ns. A mutator that spins helps
 * with a rescan. */
static void wait_for(gcb_bell *bell, uint32_t seen, uint64_t spin_ns, gcb_thread *mutator) {
  uint64_t until = spin_ns ? gcb_now_ns() + spin_ns : 0;
  for (uint32_t turn = 1; until; turn++) {
    if (heard(bell) != seen)
      return;
    if (mutator && gcb_help_rescan(mutator, SIZE_MAX))
      until = gcb_now_ns() + spin_ns;
    gcb_relax();
    if (turn % 64 == 0 && gcb_now_ns() > until)
      break;
  }
  atomic_fetch_add_explicit(&bell->sleepers, 1, memory_order_seq_cst);
  while (heard(bell) == seen)
    futex_wait(&bell->count, seen);
  atomic_fetch_sub_explicit(&bell->sleepers, 1, memory_order_relaxed);
}

void gcb_ring(gcb_bell *bell) {
  ring(bell);
}

uint32_t gcb_heard(gcb_bell *bell) {
  return heard(bell);
}

void gcb_wait_for(gcb_bell *bell, uint32_t seen, uint64_t spin_ns) {
  wait_for(bell, seen, spin_ns, NULL);
}

enum { UNKNOWN = -1 };

static int64_t own_switches(void) {
  struct rusage usage;
  getrusage(RUSAGE_THREAD, &usage);
  return usage.ru_nivcsw;
}

/* Involuntary context switches of a mutator so far; UNKNOWN where the thread does not exist (any more). */
static int64_t switches_of(gcb_thread *t) {
  char text[4096];
  /* acquire: the thread opened its file before it left GCB_GONE */
  if (atomic_load_explicit(&t->state, memory_order_acquire) == GCB_GONE)
    return UNKNOWN;
  ssize_t got = pread(t->status_fd, text, sizeof text - 1, 0);
  if (got <= 0)
    return UNKNOWN;
  text[got] = 0;
  const char *line = strstr(text, "\nnonvoluntary_ctxt_switches:");
  return line ? strtoll(strchr(line, ':') + 1, NULL, 10) : UNKNOWN;
}

/* Reading /proc takes tens of microseconds: done before the request and after the last mutator runs again, so
 * that no pause holds it. */
void gcb_prepare_stop(gcb_space *space) {
  if (space->prepared)
    return;
  space->prepared = true;
  for (uint32_t i = 0; i < space->thread_count; i++)
    space->threads[i].switches_before = switches_of(&space->threads[i]);
  space->switches_before = own_switches();
}

/* Whether a thread that took part lost its processor since gcb_prepare_stop(). */
static bool preempted(gcb_space *space) {
  bool lost = own_switches() != space->switches_before;
  for (uint32_t i = 0; i < space->thread_count; i++) {
    gcb_thread *t = &space->threads[i];
    int64_t now = switches_of(t);
    lost |= now != UNKNOWN && t->switches_before != UNKNOWN && now != t->switches_before;
  }
  return lost;
}

static bool stopping(uint32_t stop_count) {
  return stop_count & 1;
}

/* Says that this mutator came to rest. seq_cst, see run_again(); it also releases all that the mutator wrote.
 */
static void arrive(gcb_thread *t, gcb_mutator_state state) {
  atomic_store_explicit(&t->state, (uint32_t)state, memory_order_seq_cst);
  if (stopping(heard(&t->space->stop)))
    ring(&t->space->arrivals);
}

/* Back to GCB_RUNNING; holds while the world is stopped.
 *
 * Dekker's handshake: this thread writes `state` and then reads `stop`; the collector writes `stop` and then
 * reads `state`. With anything weaker than seq_cst both could read the old value, and the mutator would write
 * into a heap that the collector takes for stopped. */
static void run_again(gcb_thread *t, gcb_mutator_state resting) {
  gcb_space *space = t->space;
  for (;;) {
    atomic_store_explicit(&t->state, GCB_RUNNING, memory_order_seq_cst);
    uint32_t stop = heard(&space->stop);
    if (!stopping(stop))
      return;
    /* relaxed: arrive() publishes it, so a collector that counts this mutator as stopped also waits for it to
     * wake */
    atomic_store_explicit(&t->held_by, stop, memory_order_relaxed);
    arrive(t, resting);
    /* relaxed: written before the stop that holds this mutator was rung */
    wait_for(&space->stop, stop, atomic_load_explicit(&space->held_spin_ns, memory_order_relaxed), t);
    t->awake_ns = gcb_now_ns();
    /* release: publishes awake_ns */
    atomic_store_explicit(&t->released_by, stop, memory_order_release);
    ring(&space->awake);
  }
}

/* Rescans for the collector, which is in a hurry, and waits for work if there is none: a mutator that went on
 * would make some. Not while the collector marks, which may take long and is not sped up. */
static void help(gcb_thread *t) {
  gcb_space *space = t->space;
  /* relaxed: hints, all of them */
  size_t most = atomic_load_explicit(&space->assist, memory_order_relaxed);
  uint64_t until = gcb_now_ns() + atomic_load_explicit(&space->assist_wait_ns, memory_order_relaxed);
  for (size_t done = 0;;) {
    done += gcb_help_rescan(t, most - done);
    if (done >= most || gcb_now_ns() >= until ||
        (atomic_load_explicit(&t->m.attention, memory_order_relaxed) & (GCB_HELP | GCB_STOP)) != GCB_HELP ||
        (atomic_load_explicit(&space->phase, memory_order_relaxed) & 0xff) == GCB_IN_MARK)
      return;
    gcb_relax();
  }
}

void gcb_safepoint_slow(gcb_mutator *m) {
  gcb_thread *t = gcb_thread_of(m);
  /* relaxed: hints, both */
  if (atomic_load_explicit(&m->attention, memory_order_relaxed) & GCB_HELP)
    help(t);
  if (atomic_load_explicit(&m->attention, memory_order_relaxed) & GCB_STOP)
    run_again(t, GCB_STOPPED);
}

void gcb_native_enter(gcb_mutator *m) {
  arrive(gcb_thread_of(m), GCB_NATIVE);
}

void gcb_native_leave(gcb_mutator *m) {
  run_again(gcb_thread_of(m), GCB_NATIVE);
}

void gcb_thread_gone(gcb_thread *t) {
  arrive(t, GCB_GONE);
}

static uint32_t running(gcb_space *space) {
  uint32_t count = 0;
  for (uint32_t i = 0; i < space->thread_count; i++)
    /* seq_cst: the collector's half of the handshake; it also acquires what the mutator wrote */
    count += atomic_load_explicit(&space->threads[i].state, memory_order_seq_cst) == GCB_RUNNING;
  return count;
}

void gcb_announce_armed(gcb_space *space) {
  /* ring() is seq_cst and so releases: whoever hears it stores behind the arming, and sees `finish` */
  ring(&space->armings);
}

void gcb_await_armed(gcb_mutator *m) {
  gcb_space *space = gcb_thread_of(m)->space;
  if (m->operation_limit == UINT64_MAX && heard(&space->armings) == m->armings_seen) {
    uint64_t start_ns = gcb_now_ns();
    gcb_native_enter(m);
    wait_for(&space->armings, m->armings_seen, 0, NULL);
    m->slept_ns += gcb_now_ns() - start_ns; /* before a pause that may be on */
    gcb_native_leave(m);
  }
  m->armings_seen = heard(&space->armings);
}

static void set_attention(gcb_space *space, uint32_t set, uint32_t clear) {
  for (uint32_t i = 0; i < space->thread_count; i++) {
    _Atomic uint32_t *attention = &space->threads[i].m.attention;
    /* release: a mutator that sees GCB_BLACK sees that the barrier has been armed. Only this thread writes
     * it. */
    uint32_t now = atomic_load_explicit(attention, memory_order_relaxed);
    atomic_store_explicit(attention, (now | set) & ~clear, memory_order_release);
  }
}

void gcb_allocate_black(gcb_space *space, bool black) {
  set_attention(space, black ? GCB_BLACK : 0, black ? 0 : GCB_BLACK);
}

/* `asleep`: mutators give up their processors at once. A processor that runs no thread of the process needs
 * no flush of its TLB when pages are protected; waking the mutators takes longer in turn. */
void gcb_stop_world(gcb_space *space, bool asleep) {
  if (space->stop_depth++ > 0)
    return; /* inside gcb_stop(): the phase that wants the world stopped finds it so */
  /* relaxed: ring(&space->stop) publishes it */
  atomic_store_explicit(&space->held_spin_ns, asleep ? 0 : space->spin_ns, memory_order_relaxed);
  gcb_prepare_stop(space);
  space->prepared = false;
  space->pause = ++space->pauses;
  atomic_store_explicit(&space->phase, space->pauses << 8 | GCB_IN_PAUSE, memory_order_relaxed);
  space->request_ns = gcb_now_ns();
  uint32_t waited_for = running(space);
  ring(&space->stop);
  set_attention(space, GCB_STOP, 0);
  for (;;) {
    uint32_t seen = heard(&space->arrivals);
    if (running(space) == 0)
      break;
    wait_for(&space->arrivals, seen, space->spin_ns, NULL);
  }
  gcb_record(space, GCB_EV_TTSP, space->request_ns, waited_for);
}

/* When the last mutator that this stop held ran again. */
static uint64_t await_mutators(gcb_space *space, uint32_t stop) {
  uint64_t last_ns = 0;
  for (uint32_t i = 0; i < space->thread_count; i++) {
    gcb_thread *t = &space->threads[i];
    if (atomic_load_explicit(&t->held_by, memory_order_acquire) != stop)
      continue;
    for (;;) {
      uint32_t seen = heard(&space->awake);
      if (atomic_load_explicit(&t->released_by, memory_order_acquire) == stop)
        break;
      wait_for(&space->awake, seen, space->spin_ns, NULL);
    }
    if (t->awake_ns > last_ns)
      last_ns = t->awake_ns;
  }
  return last_ns;
}

void gcb_resume_world(gcb_space *space, gcb_pause_kind kind) {
  if (--space->stop_depth > 0)
    return;
  uint64_t start_ns = gcb_now_ns();
  uint32_t stop = heard(&space->stop);
  gcb_enter_phase(space, GCB_IN_CYCLE);
  set_attention(space, 0, GCB_STOP);
  ring(&space->stop);
  uint64_t end_ns = gcb_now_ns(), last_ns = await_mutators(space, stop);
  if (last_ns > end_ns)
    end_ns = last_ns;
  gcb_event event = {.start_ns = start_ns,
                     .end_ns = end_ns,
                     .cycle = space->cycle,
                     .pause = space->pause,
                     .kind = GCB_EV_RESUME};
  gcb_record_full(space, event);
  event.start_ns = space->request_ns;
  event.kind = GCB_EV_PAUSE;
  event.value = (uint64_t)kind;
  event.flags = preempted(space) ? GCB_EVF_PREEMPTED : 0;
  gcb_record_full(space, event);
  space->pause = 0;
}

bool gcb_is_helped(const gcb_space *space) {
  return atomic_load_explicit(&space->assist, memory_order_relaxed) > 0; /* this thread writes it */
}

void gcb_ask_to_help(gcb_space *space, uint32_t granules, uint64_t wait_ns) {
  atomic_store_explicit(&space->assist, granules, memory_order_relaxed);
  /* Where there are more threads than processors, a mutator that waits may keep the collector from its own.
   */
  atomic_store_explicit(&space->assist_wait_ns, space->spin_ns ? wait_ns : 0, memory_order_relaxed);
  set_attention(space, granules ? GCB_HELP : 0, granules ? 0 : GCB_HELP);
}

void gcb_stop(gcb_space *space) {
  gcb_stop_world(space, false);
}

void gcb_resume(gcb_space *space) {
  if (space->stop_depth > 0)
    gcb_resume_world(space, GCB_PAUSE_PROTOTYPE);
}
