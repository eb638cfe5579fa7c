/* The phases of a collection cycle. A collector (Python) strings them together; each is one call, and no
 * phase that stops the world returns to Python before it has let it go again.
 *
 * Mostly-concurrent marking by incremental update (Boehm, Demers and Shenker 1991): whatever is written while
 * the marker runs is looked at again, the last of it with the world stopped. */
#include "cycle/cycle.h"

static void record(gcb_cycle *cycle, gcb_event_kind kind, uint64_t start_ns, uint64_t value) {
  gcb_record(&cycle->world->events, kind, start_ns, value);
}

/* Nothing is marked, nothing was reported. */
static void forget(gcb_cycle *cycle) {
  gcb_rescan_drop(cycle->marking); /* marks what was found, so it comes first */
  gcb_blocks_unmark(cycle->blocks);
  gcb_marking_forget(cycle->marking);
  if (cycle->watch->dirty.words)
    gcb_dirty_clear(&cycle->watch->dirty);
  if (gcb_sticks(cycle))
    gcb_sticky_forget(cycle);
  if (!gcb_stays_armed(cycle))
    cycle->watch->armed = false;
}

static int in_cycle(const gcb_cycle *cycle) {
  return cycle->begun ? 0 : gcb_set_error("no cycle has begun");
}

int gcb_cycle_begin(gcb_cycle *cycle) {
  if (cycle->begun)
    return gcb_set_error("a cycle is under way already");
  gcb_service_cycle_begins(cycle->world);
  gcb_enter_phase(cycle->world, GCB_IN_CYCLE);
  gcb_sweep_blocks(cycle->blocks, 0,
                   cycle->blocks->blocks); /* what a collector without a sweep phase has left */
  /* `mark` still holds the live bitmap of the cycle before last, which nobody reads, or what is old; `black`
   * was emptied by the sweep. */
  if (!gcb_sticky_begin(cycle))
    forget(cycle);
  cycle->begun = true;
  return 0;
}

/* Where the barrier lets the core choose, what was armed stays armed from cycle to cycle. */
static int arm(gcb_cycle *cycle) {
  gcb_watch *watch = cycle->watch;
  if (!watch->armed_pages)
    return watch->ops->arm(&watch->barrier);
  /* In a stop all that lives is armed when everything is marked. */
  bool early = !watch->hot && cycle->world->stop_depth == 0;
  return gcb_young_begin(cycle->marking, early, gcb_sticks(cycle) ? &watch->dirty : NULL);
}

static void allocate_black(gcb_cycle *cycle) {
  gcb_allocate_black(cycle->world, true);
  cycle->sticky.carries |= gcb_sticks(cycle); /* what is black is not old at the end */
}

/* black: what is allocated from now on lives through this cycle. */
int gcb_cycle_arm(gcb_cycle *cycle, bool black) {
  gcb_watch *watch = cycle->watch;
  if (in_cycle(cycle))
    return -1;
  if (!watch->ops || !watch->ops->tracks)
    return gcb_set_error("the barrier does not track writes, so marking needs a stopped world");
  if (watch->armed)
    return gcb_set_error("the barrier is armed already; arming again would forget what was written since");
  if (cycle->world->stop_depth == 0) /* those that are held tell by themselves */
    gcb_world_note_faults(cycle->world);
  uint64_t start_ns = gcb_now_ns();
  gcb_oracle_arming(cycle);
  gcb_enter_phase(cycle->world, GCB_IN_ARM);
  int failed = arm(cycle);
  gcb_enter_phase(cycle->world, GCB_IN_CYCLE);
  if (failed)
    return -1;
  watch->armed = true;
  gcb_rounds_armed(&cycle->rounds);
  cycle->switches = gcb_own_switches();
  gcb_oracle_armed(cycle);
  /* Only now: a black object is never visited, so its every store must come after arming, or lie on a page
   * that is not armed and will be looked at. */
  if (black)
    allocate_black(cycle);
  record(cycle, GCB_EV_ARM, start_ns, watch->dirty.granules);
  gcb_announce_armed(cycle->world);
  return 0;
}

int gcb_cycle_allocate_black(gcb_cycle *cycle) {
  if (in_cycle(cycle))
    return -1;
  /* A black object is never visited: its stores must come after arming, or lie on pages laid open at the end.
   */
  if (!cycle->watch->armed)
    return gcb_set_error("the barrier was not armed in this cycle");
  allocate_black(cycle);
  return 0;
}

void gcb_grey(gcb_barrier *barrier, const void *object) {
  if (object)
    gcb_push_tracked(gcb_watch_of(barrier)->cycle->marking, object);
}

typedef struct roots {
  gcb_marking *marking;
  uint64_t count;
} roots;

static int push(void *self, _Atomic(gcb_ref) *run, size_t count) {
  roots *pushed = self;
  pushed->count += gcb_push_roots(pushed->marking, run, count);
  return 0;
}

uint64_t gcb_cycle_push_roots(gcb_cycle *cycle) {
  roots pushed = {.marking = cycle->marking};
  gcb_world_each_root(cycle->world, push, &pushed);
  return pushed.count;
}

static void mark_roots(gcb_cycle *cycle) {
  uint64_t start_ns = gcb_now_ns();
  uint64_t roots = gcb_cycle_push_roots(cycle);
  record(cycle, GCB_EV_ROOTS, start_ns, roots);
}

static void drain(gcb_cycle *cycle) {
  uint64_t start_ns = gcb_now_ns();
  gcb_enter_phase(cycle->world, GCB_IN_MARK);
  uint64_t objects = gcb_drain(cycle->marking);
  gcb_enter_phase(cycle->world, GCB_IN_CYCLE);
  record(cycle, GCB_EV_MARK, start_ns, objects);
}

/* With helpers: what has been re-armed is handed to them at once. A mutator that rescans while other pages
 * are re-armed opens fewer of them meanwhile. */
static void rearmed(gcb_barrier *barrier) {
  gcb_cycle *cycle = gcb_watch_of(barrier)->cycle;
  gcb_oracle_reported(cycle);
  gcb_sticky_reported(cycle);
  gcb_rescan_early(cycle->marking);
}

/* What is young is armed before the report that has it. In the first of a cycle, the rest of the report tells
 * how much of what was armed has been written while all was marked. */
static int collect_and_arm(gcb_cycle *cycle) {
  gcb_watch *watch = cycle->watch;
  bool first = !cycle->marking->logs_visits;
  size_t armed = first ? gcb_ranges_count(watch) : 0;
  if (gcb_young_arm(cycle->marking))
    return -1;
  gcb_oracle_chosen(cycle);
  size_t chosen = first ? gcb_ranges_count(watch) - armed : 0;
  if (watch->ops->collect(&watch->barrier, true, &watch->dirty))
    return -1;
  if (first)
    watch->hot = watch->dirty.count > chosen + armed / 2;
  /* Whatever is reported: a page that was armed before without need, and not written since, would not be. */
  gcb_dirty_join(&watch->dirty, &watch->pending);
  gcb_dirty_clear(&watch->pending);
  return 0;
}

/* What isn't armed is laid open beside the report. */
static int collect_and_expose(gcb_cycle *cycle) {
  if (cycle->watch->ops->collect(&cycle->watch->barrier, false, &cycle->watch->dirty))
    return -1;
  gcb_oracle_collected(cycle);
  gcb_young_expose(cycle->marking);
  gcb_oracle_exposed(cycle);
  return 0;
}

static int collect_all(gcb_cycle *cycle, bool rearm) {
  gcb_watch *watch = cycle->watch;
  if (watch->armed_pages && !rearm)
    return collect_and_expose(cycle);
  int failed = watch->armed_pages ? collect_and_arm(cycle)
                                  : watch->ops->collect(&watch->barrier, rearm, &watch->dirty);
  if (!failed)
    gcb_oracle_collected(cycle);
  return failed;
}

static int64_t collect(gcb_cycle *cycle, bool rearm) {
  gcb_watch *watch = cycle->watch;
  gcb_world *world = cycle->world;
  uint64_t start_ns = gcb_now_ns();
  if (in_cycle(cycle))
    return -1;
  if (!watch->armed)
    return gcb_set_error("the barrier was not armed in this cycle");
  watch->dirty.count = 0;
  watch->barrier.fell_back = false;
  gcb_enter_phase(world, GCB_IN_COLLECT);
  watch->barrier.rearmed = rearm && world->stop_depth == 0 && gcb_is_helped(world) ? rearmed : NULL;
  watch->barrier.running = world->stop_depth == 0;
  int failed = collect_all(cycle, rearm);
  watch->barrier.running = false;
  watch->barrier.rearmed = NULL;
  gcb_enter_phase(world, GCB_IN_CYCLE);
  if (failed)
    return -1;
  gcb_events_add(&world->events, (gcb_event){.start_ns = start_ns,
                                             .end_ns = gcb_now_ns(),
                                             .value = watch->dirty.count,
                                             .cycle = world->events.cycle,
                                             .pause = world->events.pause,
                                             .kind = GCB_EV_COLLECT,
                                             .flags = watch->barrier.fell_back ? GCB_EVF_FELL_BACK : 0});
  gcb_sticky_reported(cycle);
  return (int64_t)watch->dirty.count;
}

/* How long it took. */
static uint64_t rescan(gcb_cycle *cycle) {
  uint64_t start_ns = gcb_now_ns();
  gcb_enter_phase(cycle->world, GCB_IN_RESCAN);
  uint64_t objects = gcb_rescan_dirty(cycle->marking);
  gcb_enter_phase(cycle->world, GCB_IN_CYCLE);
  record(cycle, GCB_EV_RESCAN, start_ns, objects);
  return gcb_now_ns() - start_ns;
}

static void end_round(gcb_cycle *cycle) {
  uint64_t rescan_ns = rescan(cycle);
  drain(cycle);
  if (cycle->rounds.start_ns)
    gcb_rounds_ended(&cycle->rounds, gcb_is_helped(cycle->world) ? 0 : rescan_ns, gcb_now_ns());
}

/* The pause that begins a cycle over a snapshot barrier: what is reachable now is what will be marked. */
int gcb_cycle_snapshot(gcb_cycle *cycle) {
  gcb_stop_world(cycle->world, false);
  int failed = gcb_cycle_arm(cycle, true);
  if (!failed)
    mark_roots(cycle);
  gcb_resume_world(cycle->world, GCB_PAUSE_SNAPSHOT);
  return failed;
}

int gcb_cycle_mark(gcb_cycle *cycle, bool roots) {
  if (in_cycle(cycle))
    return -1;
  if (roots)
    mark_roots(cycle);
  drain(cycle);
  return 0;
}

int64_t gcb_cycle_collect(gcb_cycle *cycle, bool rearm, bool stopped) {
  /* Whatever is re-armed is faulted on again. Right before a stop there is no time for it. */
  if (!stopped && !cycle->world->prepared && cycle->world->stop_depth == 0)
    gcb_world_note_faults(cycle->world);
  uint64_t start_ns = gcb_now_ns();
  if (stopped)
    gcb_stop_world(cycle->world, rearm);
  int64_t dirty = collect(cycle, rearm);
  if (stopped)
    gcb_resume_world(cycle->world, GCB_PAUSE_REARM);
  if (rearm && dirty >= 0)
    gcb_rounds_collected(&cycle->rounds, start_ns, (uint64_t)dirty);
  return dirty;
}

int gcb_cycle_rescan(gcb_cycle *cycle) {
  if (in_cycle(cycle))
    return -1;
  end_round(cycle);
  return 0;
}

/* Mutators are stopped. */
static void flip(gcb_cycle *cycle) {
  gcb_sticky_flip(cycle);
  gcb_blocks_flip(cycle->blocks, cycle->marking->marker.bytes);
  gcb_world_ask_to_help(cycle->world, 0);
  gcb_allocate_black(cycle->world, false);
  cycle->begun = false;
}

/* Mutators are stopped. What they write from here on concerns nobody until the next cycle arms. */
static int disarm(gcb_cycle *cycle) {
  gcb_watch *watch = cycle->watch;
  bool armed = watch->armed;
  if (gcb_stays_armed(cycle))
    return 0;
  watch->armed = false;
  return armed && watch->ops->disarm ? watch->ops->disarm(&watch->barrier) : 0;
}

/* The end of a stop in which everything reachable was marked. */
int gcb_cycle_finish_marking(gcb_cycle *cycle, gcb_pause_kind kind, int failed) {
  if (!failed)
    failed = gcb_oracle_check(cycle);
  if (!failed)
    failed = disarm(cycle);
  if (!failed)
    flip(cycle);
  gcb_resume_world(cycle->world, kind);
  if (!failed)
    gcb_service_freed(cycle->world, cycle->sticky.minor);
  return failed;
}

/* rounds: at most so many right before the stop; for atomic barriers. */
int gcb_cycle_remark(gcb_cycle *cycle, uint32_t rounds, uint64_t aim_ns) {
  if (in_cycle(cycle)) /* before the roots are pushed: they would be visited in the next cycle */
    return -1;
  if (cycle->sticky.minor && !cycle->sticky.remembered)
    return gcb_set_error(
        "nobody has looked at what was written since the last cycle: gcb_remember() comes first");
  if (gcb_cycle_settle(cycle, rounds, aim_ns))
    return -1;
  gcb_stop_world(cycle->world, false);
  mark_roots(cycle);
  int failed = collect(cycle, gcb_stays_armed(cycle)) < 0 ? -1 : 0;
  if (!failed) {
    (void)rescan(cycle);
    drain(cycle);
  }
  return gcb_cycle_finish_marking(cycle, cycle->sticky.minor ? GCB_PAUSE_MINOR : GCB_PAUSE_REMARK, failed);
}

/* Also the way out of a concurrent cycle: what was marked while mutators ran is worth nothing without the
 * writes since, so it begins again. */
int gcb_cycle_full(gcb_cycle *cycle) {
  if (in_cycle(cycle))
    return -1;
  gcb_cycle_end_child(cycle); /* it would go on marking in the bitmap that is cleared here */
  /* Other markers want the processors that waiting mutators would spin on; and this pause is a long one. */
  gcb_stop_world(cycle->world, cycle->marking->crew != NULL);
  int failed = 0;
  if (cycle->watch->armed || cycle->sticky.minor || cycle->marking->marker.objects > 0) {
    failed = disarm(cycle);
    forget(cycle);
    gcb_blocks_unblacken(cycle->blocks);
  }
  cycle->marking->unlogged = true;
  mark_roots(cycle);
  drain(cycle);
  if (!failed)
    failed = gcb_sticky_rearm(cycle);
  failed = gcb_cycle_finish_marking(cycle, GCB_PAUSE_FULL, failed);
  gcb_announce_armed(cycle->world);
  return failed;
}

/* Part by part, so that pages are opened before mutators, who begin at the same end, come to them. */
int gcb_cycle_sweep(gcb_cycle *cycle) {
  enum { PART = 64 };
  uint64_t start_ns = gcb_now_ns();
  gcb_enter_phase(cycle->world, GCB_IN_SWEEP);
  size_t freed = 0, blocks = cycle->blocks->blocks;
  int failed = 0;
  for (size_t block = 0, end; block < blocks && !failed; block = end) {
    end = blocks - block > PART ? block + PART : blocks;
    freed += gcb_sweep_blocks(cycle->blocks, block, end);
    /* Not in mid-cycle: what lives now is not yet in `live`. */
    if (cycle->watch->armed_pages && !cycle->begun)
      failed = gcb_young_release(cycle->marking, block, end);
  }
  gcb_enter_phase(cycle->world, GCB_IN_CYCLE);
  record(cycle, GCB_EV_SWEEP, start_ns, freed);
  return failed;
}

void gcb_cycle_end(gcb_cycle *cycle) {
  if (cycle->world->stress_every && !cycle->begun) /* what a collector without a sweep phase has left */
    gcb_sweep_blocks(cycle->blocks, 0, cycle->blocks->blocks);
  gcb_enter_phase(cycle->world, GCB_IN_NO_CYCLE);
  record(cycle, GCB_EV_CYCLE, gcb_now_ns(), cycle->blocks->live_bytes);
  gcb_service_freed(cycle->world,
                    cycle->sticky.minor); /* or has not: then whoever waits is to know that as well */
  gcb_service_ended(cycle->world);
}
