/* The phases of a collection cycle. A collector (Python) strings them together; each is one call, and no
 * phase that stops the world returns to Python before it has let it go again.
 *
 * Mostly-concurrent marking by incremental update (Boehm, Demers and Shenker 1991): whatever is written while
 * the marker runs is looked at again, the last of it with the world stopped. */
#include "core.h"
#include "api.h"

#include <string.h>

static void clear_words(_Atomic uint64_t *bitmap, size_t granules) {
  memset((void *)bitmap, 0, granules / 8);
}

/* Nothing is marked, nothing was reported. */
static void forget(gcb_space *space) {
  gcb_rescan_drop(space); /* marks what was found, so it comes first */
  clear_words(space->mark, space->bytes / GCB_GRANULE);
  gcb_forget_grey(space);
  if (space->dirty.words)
    gcb_dirty_clear(&space->dirty);
  space->marker.objects = space->marker.bytes = 0;
  for (uint32_t i = 0; i < space->thread_count; i++)
    atomic_store_explicit(&space->threads[i].black_bytes, 0, memory_order_relaxed);
  space->armed = false;
}

static int in_cycle(const gcb_space *space) {
  return space->marking ? 0 : gcb_set_error("no cycle has begun");
}

int gcb_begin_cycle(gcb_space *space) {
  if (space->marking)
    return gcb_set_error("a cycle is under way already");
  gcb_service_cycle_begins(space);
  gcb_enter_phase(space, GCB_IN_CYCLE);
  gcb_sweep_blocks(space); /* what a collector without a sweep phase has left */
  /* `mark` still holds the live bitmap of the cycle before last, which nobody reads; `black` was emptied by
   * the sweep. */
  forget(space);
  space->marking = true;
  return 0;
}

int gcb_arm(gcb_space *space) {
  uint64_t start_ns = gcb_now_ns();
  if (in_cycle(space))
    return -1;
  if (!space->ops || !space->ops->tracks)
    return gcb_set_error("the barrier does not track writes, so marking needs a stopped world");
  if (space->armed)
    return gcb_set_error("the barrier is armed already; arming again would forget what was written since");
  gcb_oracle_arming(space);
  gcb_enter_phase(space, GCB_IN_ARM);
  int failed = space->ops->arm(&space->barrier);
  gcb_enter_phase(space, GCB_IN_CYCLE);
  if (failed)
    return -1;
  space->armed = true;
  gcb_oracle_armed(space);
  /* Only now: a black object is never visited, so its every store must come after arming. */
  gcb_allocate_black(space, true);
  gcb_record(space, GCB_EV_ARM, start_ns, space->dirty.granules);
  gcb_announce_armed(space);
  return 0;
}

void gcb_grey(gcb_barrier *barrier, const void *object) {
  if (object)
    gcb_push_tracked(gcb_space_of(barrier), object);
}

static void mark_roots(gcb_space *space) {
  uint64_t start_ns = gcb_now_ns();
  uint64_t roots = gcb_push_roots(space);
  gcb_record(space, GCB_EV_ROOTS, start_ns, roots);
}

static void drain(gcb_space *space) {
  uint64_t start_ns = gcb_now_ns();
  gcb_enter_phase(space, GCB_IN_MARK);
  uint64_t objects = gcb_drain(space);
  gcb_enter_phase(space, GCB_IN_CYCLE);
  gcb_record(space, GCB_EV_MARK, start_ns, objects);
}

/* With helpers: what has been re-armed is handed to them at once. A mutator that rescans while other pages
 * are re-armed opens fewer of them meanwhile. */
static int64_t collect(gcb_space *space, bool rearm) {
  uint64_t start_ns = gcb_now_ns();
  if (in_cycle(space))
    return -1;
  if (!space->armed)
    return gcb_set_error("the barrier was not armed in this cycle");
  space->dirty.count = 0;
  space->barrier.fell_back = false;
  gcb_enter_phase(space, GCB_IN_COLLECT);
  space->barrier.rearmed = rearm && space->stop_depth == 0 && gcb_is_helped(space) ? gcb_rescan_early : NULL;
  int failed = space->ops->collect(&space->barrier, rearm, &space->dirty);
  space->barrier.rearmed = NULL;
  gcb_enter_phase(space, GCB_IN_CYCLE);
  if (failed)
    return -1;
  gcb_record_full(space, (gcb_event){.start_ns = start_ns,
                                     .end_ns = gcb_now_ns(),
                                     .value = space->dirty.count,
                                     .cycle = space->cycle,
                                     .pause = space->pause,
                                     .kind = GCB_EV_COLLECT,
                                     .flags = space->barrier.fell_back ? GCB_EVF_FELL_BACK : 0});
  gcb_oracle_collected(space);
  return (int64_t)space->dirty.count;
}

static void rescan(gcb_space *space) {
  uint64_t start_ns = gcb_now_ns();
  gcb_enter_phase(space, GCB_IN_RESCAN);
  uint64_t objects = gcb_rescan_dirty(space);
  gcb_enter_phase(space, GCB_IN_CYCLE);
  gcb_record(space, GCB_EV_RESCAN, start_ns, objects);
}

/* The pause that begins a cycle over a snapshot barrier: what is reachable now is what will be marked. */
int gcb_snapshot(gcb_space *space) {
  gcb_stop_world(space, false);
  int failed = gcb_arm(space);
  if (!failed)
    mark_roots(space);
  gcb_resume_world(space, GCB_PAUSE_SNAPSHOT);
  return failed;
}

int gcb_mark(gcb_space *space, bool roots) {
  if (in_cycle(space))
    return -1;
  if (roots)
    mark_roots(space);
  drain(space);
  return 0;
}

int64_t gcb_collect(gcb_space *space, bool rearm, bool stopped) {
  if (!stopped)
    return collect(space, rearm);
  gcb_stop_world(space, rearm);
  int64_t dirty = collect(space, rearm);
  gcb_resume_world(space, GCB_PAUSE_REARM);
  return dirty;
}

int gcb_rescan(gcb_space *space) {
  if (in_cycle(space))
    return -1;
  rescan(space);
  drain(space);
  return 0;
}

/* The mark bitmap becomes what allocation must not touch; every block waits for its sweep. Mutators are
 * stopped. */
static void flip(gcb_space *space) {
  _Atomic uint64_t *spent = space->live;
  space->live = space->mark;
  space->mark = spent;
  gcb_retire_tlabs(space);
  gcb_ask_to_help(space, 0, 0);
  gcb_allocate_black(space, false);
  space->live_bytes = space->marker.bytes;
  for (uint32_t i = 0; i < space->thread_count; i++)
    space->live_bytes += atomic_load_explicit(&space->threads[i].black_bytes, memory_order_relaxed);
  /* relaxed: the mutators that read these are stopped, and the resume releases */
  atomic_store_explicit(&space->next_block, 0, memory_order_relaxed);
  atomic_store_explicit(&space->next_free, 0, memory_order_relaxed);
  atomic_store_explicit(&space->claimed_bytes, 0, memory_order_relaxed);
  space->large_top = space->blocks;
  atomic_fetch_add_explicit(&space->epoch, 1, memory_order_release);
  space->marking = false;
}

/* The end of a stop in which everything reachable was marked. */
int gcb_finish_marking(gcb_space *space, gcb_pause_kind kind, int failed) {
  if (!failed)
    failed = gcb_oracle_check(space);
  if (!failed)
    flip(space);
  gcb_resume_world(space, kind);
  return failed;
}

/* Rounds as close to the stop as can be: what is written between the collector's last call and the stop is
 * not left to the pause. Each leaves what is written while it lasts, so a few of them leave next to nothing.
 */
static int look(gcb_space *space) {
  enum { LOOKS = 8 };
  if (space->stop_depth == 0) /* not in a prototype's stop, which has been prepared */
    gcb_prepare_stop(space);
  int64_t before = INT64_MAX;
  for (int looks = 0; looks < LOOKS; looks++) {
    int64_t found = collect(space, true);
    if (found < 0) {
      space->prepared = false;
      return -1;
    }
    rescan(space);
    drain(space);
    if (found <= 1 || found >= before)
      break;
    before = found;
  }
  return 0;
}

/* looked: with rounds right before the stop; for atomic barriers, where few granules are left. */
int gcb_remark(gcb_space *space, bool looked) {
  if (in_cycle(space)) /* before the roots are pushed: they would be visited in the next cycle */
    return -1;
  if (looked && look(space))
    return -1;
  gcb_stop_world(space, false);
  mark_roots(space);
  int failed = collect(space, false) < 0 ? -1 : 0;
  if (!failed) {
    rescan(space);
    drain(space);
  }
  return gcb_finish_marking(space, GCB_PAUSE_REMARK, failed);
}

/* Also the way out of a concurrent cycle: what was marked while mutators ran is worth nothing without the
 * writes since, so it begins again. */
int gcb_full(gcb_space *space) {
  if (in_cycle(space))
    return -1;
  gcb_end_child(space); /* it would go on marking in the bitmap that is cleared here */
  /* Other markers want the processors that waiting mutators would spin on; and this pause is a long one. */
  gcb_stop_world(space, space->crew != NULL);
  if (space->armed || space->marker.objects > 0) {
    forget(space);
    clear_words(space->black, space->bytes / GCB_GRANULE);
  }
  mark_roots(space);
  drain(space);
  int failed = gcb_finish_marking(space, GCB_PAUSE_FULL, 0);
  gcb_announce_armed(space);
  return failed;
}

int gcb_sweep(gcb_space *space) {
  uint64_t start_ns = gcb_now_ns();
  gcb_enter_phase(space, GCB_IN_SWEEP);
  size_t freed = gcb_sweep_blocks(space);
  gcb_enter_phase(space, GCB_IN_CYCLE);
  gcb_record(space, GCB_EV_SWEEP, start_ns, freed);
  return 0;
}

void gcb_end_cycle(gcb_space *space) {
  gcb_enter_phase(space, GCB_IN_NO_CYCLE);
  gcb_record(space, GCB_EV_CYCLE, gcb_now_ns(), space->live_bytes);
  gcb_service_cycle_ended(space);
}
