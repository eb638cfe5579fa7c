/* A mutator that sleeps of its own will: a native region, so that the collector need not wait for it. */
#include "world/world.h"

#include <time.h>

#define NAP_NS UINT64_C(10000000)
#define BURST_NS UINT64_C(250000) /* a sleep costs more than an operation: several for each */
#define CLOSE_NS UINT64_C(10000)  /* what is due within this is so near that nobody looks at the clock */
#define LATE_NS UINT64_C(1000000)

void gcb_announce_armed(gcb_world *world) {
  /* gcb_ring() is seq_cst and so releases: whoever hears it stores behind the arming, and sees `finish` */
  gcb_ring(&world->armings);
}

void gcb_await_armed(gcb_mutator *m) {
  gcb_world *world = gcb_thread_of(m)->world;
  if (m->operation_limit == UINT64_MAX && gcb_heard(&world->armings) == m->armings_seen) {
    uint64_t start_ns = gcb_now_ns();
    gcb_native_enter(m);
    gcb_wait_for(&world->armings, m->armings_seen, 0);
    m->slept_ns += gcb_now_ns() - start_ns; /* before a pause that may be on */
    gcb_native_leave(m);
  }
  m->armings_seen = gcb_heard(&world->armings);
}

/* In naps: however slow the pace, the end of the run is noticed. */
static void sleep_until(gcb_mutator *m, uint64_t now, uint64_t due) {
  gcb_native_enter(m);
  while (now < due && !atomic_load_explicit(m->finish, memory_order_relaxed)) {
    uint64_t nap_ns = due - now < NAP_NS ? due - now : NAP_NS;
    nanosleep(&(struct timespec){.tv_nsec = (long)nap_ns}, NULL);
    uint64_t woken_ns = gcb_now_ns();
    /* What it overslept is none of its own will: somebody had its processor, the collector as like as not. */
    m->slept_ns += (woken_ns < now + nap_ns ? woken_ns : now + nap_ns) - now;
    now = woken_ns;
  }
  gcb_native_leave(m);
}

/* What comes so long after the beginning is due now, at the earliest. No debt: after a pause the mutator does
 * not race to catch up. */
static void keep_to(gcb_mutator *m, uint64_t after_ns) {
  uint64_t now = gcb_now_ns();
  if (m->pace_start_ns == 0)
    m->pace_start_ns = now - after_ns;
  uint64_t due = m->pace_start_ns + after_ns;
  if (now > due + LATE_NS)
    m->pace_start_ns += now - due;
  if (due >= now + BURST_NS)
    sleep_until(m, now, due);
}

void gcb_pace_slow(gcb_mutator *m, double per_second) {
  /* Not a look at the clock for every operation. */
  m->pace_next = m->operations + 1 + (uint64_t)(per_second / 100000);
  keep_to(m, (uint64_t)((double)m->operations * 1e9 / per_second));
}

void gcb_pace_at_slow(gcb_mutator *m, uint64_t after_ns) {
  m->pace_next = after_ns + CLOSE_NS;
  keep_to(m, after_ns);
}
