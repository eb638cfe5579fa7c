/* Stopping and resuming the world, and measuring it: a pause runs from the request to the moment the last
 * mutator that was held runs again.
 *
 * Mutators spin for a moment before they sleep, but only where every thread can have a processor of its own:
 * elsewhere a spinning mutator would take the collector's. */
#include "world/world.h"

#include <time.h>

static bool stopping(uint32_t stop_count) {
  return stop_count & 1;
}

/* Says that this mutator came to rest. seq_cst, see run_again(); it also releases all that the mutator wrote.
 */
static void arrive(gcb_thread *t, gcb_mutator_state state) {
  atomic_store_explicit(&t->state, (uint32_t)state, memory_order_seq_cst);
  if (stopping(gcb_heard(&t->world->stop)))
    gcb_ring(&t->world->arrivals);
}

/* A mutator that spins helps with a rescan. */
static bool idle(void *thread) {
  gcb_thread *t = thread;
  return t->world->hooks.idle(t, SIZE_MAX) > 0;
}

/* Back to GCB_RUNNING; holds while the world is stopped.
 *
 * Dekker's handshake: this thread writes `state` and then reads `stop`; the collector writes `stop` and then
 * reads `state`. With anything weaker than seq_cst both could read the old value, and the mutator would write
 * into a heap that the collector takes for stopped. */
static void run_again(gcb_thread *t, gcb_mutator_state resting) {
  gcb_world *world = t->world;
  for (;;) {
    atomic_store_explicit(&t->state, GCB_RUNNING, memory_order_seq_cst);
    uint32_t stop = gcb_heard(&world->stop);
    if (!stopping(stop))
      return;
    /* relaxed: arrive() publishes it, so a collector that counts this mutator as stopped also waits for it to
     * wake */
    atomic_store_explicit(&t->held_by, stop, memory_order_relaxed);
    arrive(t, resting);
    t->arrived_ns = gcb_now_ns(); /* not before: the stop would wait for it */
    t->switches_held = gcb_own_switches_and_faults(&t->faults_held);
    /* relaxed: written before the stop that holds this mutator was rung */
    gcb_wait_busily(&world->stop, stop, atomic_load_explicit(&world->held_spin_ns, memory_order_relaxed),
                    idle, t);
    t->awake_ns = gcb_now_ns();
    t->switches_released = gcb_own_switches();
    /* release: publishes what was written here since arrive() */
    atomic_store_explicit(&t->released_by, stop, memory_order_release);
    gcb_ring(&world->awake);
  }
}

/* Whether the collector is in a hurry. Not while it marks, which may take long and is not sped up. */
static bool is_wanted(gcb_thread *t) {
  /* relaxed: hints, both */
  return (atomic_load_explicit(&t->m.attention, memory_order_relaxed) & (GCB_HELP | GCB_STOP)) == GCB_HELP &&
         (atomic_load_explicit(&t->world->phase, memory_order_relaxed) & 0xff) != GCB_IN_MARK;
}

/* Rescans for the collector, and sleeps if there is nothing to rescan: a mutator that went on would make
 * some. Asleep it leaves its processor to whoever has use for it, the collector not least, and it is in
 * nobody's way: no stop waits for it, wherever its processor is when that comes. */
static void help(gcb_thread *t) {
  gcb_world *world = t->world;
  uint64_t start_ns = gcb_now_ns(), now = start_ns,
           until = now + atomic_load_explicit(&world->assist_ns, memory_order_relaxed);
  if (!is_wanted(t))
    return;
  bool found = true;
  for (; now < until && is_wanted(t) && found; now = gcb_now_ns())
    found = world->hooks.idle(t, 1) > 0;
  gcb_native_enter(&t->m);
  if (!found && now < until)
    nanosleep(&(struct timespec){.tv_sec = (time_t)((until - now) / 1000000000u),
                                 .tv_nsec = (long)((until - now) % 1000000000u)},
              NULL);
  gcb_record_help(t, start_ns);
  gcb_native_leave(&t->m);
}

void gcb_safepoint_slow(gcb_mutator *m) {
  gcb_thread *t = gcb_thread_of(m);
  /* relaxed: hints, all of them */
  if (atomic_load_explicit(&m->attention, memory_order_relaxed) & GCB_TELL)
    gcb_tell_switches(t);
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

static uint32_t running(gcb_world *world) {
  uint32_t count = 0;
  for (uint32_t i = 0; i < world->thread_count; i++)
    /* seq_cst: the collector's half of the handshake; it also acquires what the mutator wrote */
    count += atomic_load_explicit(&world->threads[i].state, memory_order_seq_cst) == GCB_RUNNING;
  return count;
}

bool gcb_world_rests(gcb_world *world) {
  return running(world) == 0;
}

static void set_attention(gcb_world *world, uint32_t set, uint32_t clear) {
  for (uint32_t i = 0; i < world->thread_count; i++) {
    _Atomic uint32_t *attention = &world->threads[i].m.attention;
    /* release: a mutator that sees GCB_BLACK sees that the barrier has been armed. Only this thread writes
     * it. */
    uint32_t now = atomic_load_explicit(attention, memory_order_relaxed);
    atomic_store_explicit(attention, (now | set) & ~clear, memory_order_release);
  }
}

void gcb_allocate_black(gcb_world *world, bool black) {
  set_attention(world, black ? GCB_BLACK : 0, black ? 0 : GCB_BLACK);
}

void gcb_prepare_stop(gcb_world *world) {
  world->prepared = true;
  /* relaxed: see gcb_tell_switches() */
  atomic_fetch_add_explicit(&world->asked, 1, memory_order_relaxed);
  set_attention(world, GCB_TELL, 0);
}

/* `asleep`: mutators give up their processors at once. A processor that runs no thread of the process needs
 * no flush of its TLB when pages are protected; waking the mutators takes longer in turn. */
void gcb_stop_world(gcb_world *world, bool asleep) {
  if (world->stop_depth++ > 0)
    return; /* inside gcb_stop(): the phase that wants the world stopped finds it so */
  /* relaxed: gcb_ring(&world->stop) publishes it */
  atomic_store_explicit(&world->held_spin_ns, asleep ? 0 : world->spin_ns, memory_order_relaxed);
  gcb_note_switches(world);
  world->events.pause = ++world->pauses;
  atomic_store_explicit(&world->phase, world->pauses << 8 | GCB_IN_PAUSE, memory_order_relaxed);
  world->request_ns = gcb_now_ns();
  uint32_t waited_for = running(world);
  gcb_ring(&world->stop);
  set_attention(world, GCB_STOP, GCB_TELL);
  for (;;) {
    uint32_t seen = gcb_heard(&world->arrivals);
    if (running(world) == 0)
      break;
    gcb_wait_for(&world->arrivals, seen, world->spin_ns);
  }
  gcb_record(&world->events, GCB_EV_TTSP, world->request_ns, waited_for);
}

/* When the last mutator that this stop held ran again. */
static uint64_t await_mutators(gcb_world *world, uint32_t stop) {
  uint64_t last_ns = 0;
  for (uint32_t i = 0; i < world->thread_count; i++) {
    gcb_thread *t = &world->threads[i];
    if (atomic_load_explicit(&t->held_by, memory_order_acquire) != stop)
      continue;
    for (;;) {
      uint32_t seen = gcb_heard(&world->awake);
      if (atomic_load_explicit(&t->released_by, memory_order_acquire) == stop)
        break;
      gcb_wait_for(&world->awake, seen, world->spin_ns);
    }
    if (t->awake_ns > last_ns)
      last_ns = t->awake_ns;
    gcb_record_held(world, t);
  }
  return last_ns;
}

void gcb_resume_world(gcb_world *world, gcb_pause_kind kind) {
  if (--world->stop_depth > 0)
    return;
  uint64_t start_ns = gcb_now_ns();
  uint32_t stop = gcb_heard(&world->stop);
  gcb_enter_phase(world, GCB_IN_CYCLE);
  set_attention(world, 0, GCB_STOP);
  gcb_ring(&world->stop);
  uint64_t end_ns = gcb_now_ns(), last_ns = await_mutators(world, stop);
  if (last_ns > end_ns)
    end_ns = last_ns;
  gcb_event event = {.start_ns = start_ns,
                     .end_ns = end_ns,
                     .cycle = world->events.cycle,
                     .pause = world->events.pause,
                     .kind = GCB_EV_RESUME};
  gcb_events_add(&world->events, event);
  event.start_ns = world->request_ns;
  event.kind = GCB_EV_PAUSE;
  event.value = (uint64_t)kind;
  event.flags = gcb_lost_processor(world, stop) ? GCB_EVF_PREEMPTED : 0;
  gcb_events_add(&world->events, event);
  world->events.pause = 0;
}

bool gcb_is_helped(const gcb_world *world) {
  return atomic_load_explicit(&world->assist_ns, memory_order_relaxed) > 0; /* this thread writes it */
}

void gcb_world_ask_to_help(gcb_world *world, uint64_t hold_ns) {
  atomic_store_explicit(&world->assist_ns, hold_ns, memory_order_relaxed);
  set_attention(world, hold_ns ? GCB_HELP : 0, hold_ns ? 0 : GCB_HELP);
}
