/* Sticky mark bits (Demers, Weiser, Hayes, Boehm, Bobrow and Shenker 1990): a cycle that does not clear the
 * marks of the one before visits young objects alone. It begins with the old ones marked, at the roots and at
 * the remembered set: the old objects where something was written since the last cycle ended.
 *
 * What that is, gcb_cycle_remember() asks the barrier. One that is armed as a whole is armed for good, and
 * the last collect of a cycle re-arms. Where the core chooses what is watched, a page that holds old objects
 * is armed whenever a cycle begins, or is pending, or in an opened block (mark/young.c): all that isn't armed
 * is armed now, and so reported.
 *
 * Who is old has lived through one cycle, or two. A reference from an old object to one that is not is then
 * either in a slot that was written since the last cycle ended, or older: the young object was allocated
 * black in that cycle, or has lived through that one alone. Its slot was written after the cycle had begun to
 * allocate black, or after the cycle before it had ended: what was reported since then is `carried`, looked
 * at once more in the next cycle. */
#include "cycle/cycle.h"

int gcb_cycle_stick(gcb_cycle *cycle, uint32_t survivals) {
  gcb_watch *watch = cycle->watch;
  gcb_blocks *blocks = cycle->blocks;
  if (survivals == 0 || survivals > 2)
    return gcb_set_error("an object is old after one cycle or two, not %u", survivals);
  if (blocks->survivals == survivals)
    return 0;
  /* In a cycle, when everything is swept: a sweep reads it. */
  if (!cycle->begun || blocks->survivals)
    return gcb_set_error(cycle->begun ? "marks stick already, after another number of cycles"
                                      : "no cycle has begun");
  if (!watch->ops || !watch->ops->tracks || watch->ops->snapshot)
    return gcb_set_error("marks stick only over a barrier that tells where was written");
  if (gcb_dirty_new(&cycle->sticky.carried, watch->dirty.granules))
    return gcb_set_error("no memory for a remembered set of %zu granules", watch->dirty.granules);
  blocks->survivals = survivals;
  /* relaxed: a matter of where, and mutators may be looking */
  atomic_store_explicit(&blocks->free_first, true, memory_order_relaxed);
  return 0;
}

void gcb_sticky_free(gcb_cycle *cycle) {
  if (cycle->sticky.carried.words)
    gcb_dirty_free(&cycle->sticky.carried);
}

size_t gcb_sticky_metadata_bytes(const gcb_cycle *cycle) {
  return cycle->sticky.carried.words ? gcb_dirty_bytes(cycle->sticky.carried.granules) : 0;
}

gcb_generation gcb_sticky_seen(const gcb_cycle *cycle) {
  gcb_generation seen = cycle->sticky.seen;
  if (cycle->begun)
    return seen;
  seen.live = cycle->blocks->live_bytes;
  if (!seen.minor)
    seen.live_full = seen.live;
  return seen;
}

/* At the beginning of a cycle, minor or not. */
static void begin_counting(gcb_cycle *cycle) {
  gcb_sticky *sticky = &cycle->sticky;
  sticky->seen =
      (gcb_generation){.waited_for = cycle->world->waited_for,
                       .minor = sticky->minor,
                       .old = sticky->old_bytes,
                       .young = atomic_load_explicit(&cycle->blocks->claimed_bytes, memory_order_relaxed),
                       .live = sticky->seen.live,
                       .live_full = sticky->seen.live_full};
  cycle->marking->marker.bytes = sticky->old_bytes;
}

bool gcb_sticky_begin(gcb_cycle *cycle) {
  gcb_sticky *sticky = &cycle->sticky;
  sticky->seen = gcb_sticky_seen(cycle);
  sticky->minor = sticky->flipped;
  sticky->flipped = sticky->remembered = sticky->carries = false;
  if (!sticky->minor)
    return false;
  gcb_blocks_keep_marks(cycle->blocks);
  gcb_marking_forget(cycle->marking);
  gcb_dirty_clear(&cycle->watch->dirty);
  begin_counting(cycle);
  return true;
}

void gcb_sticky_forget(gcb_cycle *cycle) {
  cycle->sticky.minor = false;
  cycle->sticky.old_bytes = 0;
  begin_counting(cycle);
}

int gcb_cycle_forget_marks(gcb_cycle *cycle) {
  if (!cycle->begun || cycle->marking->marker.objects > 0)
    return gcb_set_error("marks are forgotten at the beginning of a cycle");
  if (!cycle->sticky.minor)
    return 0; /* there are none */
  gcb_blocks_unmark(cycle->blocks);
  gcb_sticky_forget(cycle);
  return 0;
}

void gcb_sticky_reported(gcb_cycle *cycle) {
  const gcb_dirty_set *dirty = &cycle->watch->dirty;
  gcb_dirty_set *carried = &cycle->sticky.carried;
  if (!cycle->sticky.carries)
    return;
  for (size_t word = 0; (word = gcb_dirty_word(dirty, word)) != SIZE_MAX; word++) {
    carried->words[word] |= dirty->words[word];
    carried->summary[word >> 6] |= UINT64_C(1) << (word & 63);
  }
}

/* The remembered set becomes the dirty set: what was just collected, and what the cycle before has left. An
 * object that is old after two cycles may get a reference in all of the time between. */
static void take_carried(gcb_cycle *cycle) {
  gcb_dirty_set *dirty = &cycle->watch->dirty, *carried = &cycle->sticky.carried;
  uint64_t stay = cycle->blocks->survivals > 1 ? UINT64_MAX : 0;
  size_t words = GCB_WORDS(dirty->granules);
  for (size_t line = 0; line < GCB_WORDS(words); line++) {
    uint64_t any = dirty->summary[line] | carried->summary[line];
    carried->summary[line] = dirty->summary[line] & stay;
    dirty->summary[line] = any;
    for (; any; any &= any - 1) {
      size_t word = (line << 6) + (size_t)__builtin_ctzll(any);
      uint64_t fresh = dirty->words[word];
      dirty->words[word] |= carried->words[word];
      carried->words[word] = fresh & stay;
      cycle->sticky.seen.granules += (uint64_t)__builtin_popcountll(dirty->words[word]);
    }
  }
}

/* Marks what the old objects of the remembered set refer to. */
static void scan_remembered(gcb_cycle *cycle) {
  gcb_generation *seen = &cycle->sticky.seen;
  uint64_t start_ns = gcb_now_ns(), before = cycle->marking->rescan.found;
  take_carried(cycle);
  if (!cycle->sticky.minor) { /* nobody is old: what is written is visited, or written after this */
    gcb_rescan_drop(cycle->marking);
    gcb_dirty_clear(&cycle->watch->dirty);
    return;
  }
  gcb_enter_phase(cycle->world, GCB_IN_RESCAN);
  seen->objects = gcb_rescan_remembered(cycle->marking);
  gcb_enter_phase(cycle->world, GCB_IN_CYCLE);
  seen->references = cycle->marking->rescan.found - before;
  gcb_record(&cycle->world->events, GCB_EV_RESCAN, start_ns, seen->objects);
}

static int sticks_in_cycle(const gcb_cycle *cycle) {
  if (!cycle->begun)
    return gcb_set_error("no cycle has begun");
  return gcb_sticks(cycle) ? 0 : gcb_set_error("marks do not stick");
}

/* From here on objects that live through two cycles carry what is reported, and others what is once it is
 * allocated black: gcb_cycle_allocate_black(). */
static void carry(gcb_cycle *cycle) {
  cycle->sticky.carries = cycle->blocks->survivals > 1;
}

/* A barrier that was not armed knows nothing of what was written before. An object that is old after two
 * cycles, and was there when the last one ended, may refer anywhere. */
static int arm(gcb_cycle *cycle) {
  if (gcb_stays_armed(cycle) && cycle->blocks->survivals > 1)
    gcb_dirty_add(&cycle->sticky.carried, 0, cycle->sticky.carried.granules);
  return gcb_cycle_arm(cycle, false);
}

int64_t gcb_cycle_remember(gcb_cycle *cycle, bool stopped) {
  if (sticks_in_cycle(cycle))
    return -1;
  if (cycle->sticky.remembered)
    return gcb_set_error("the remembered set was taken already");
  bool known = cycle->watch->armed || cycle->watch->armed_pages;
  if (cycle->watch->armed) {
    if (gcb_cycle_collect(cycle, true, stopped) < 0)
      return -1;
    gcb_announce_armed(cycle->world);
  } else if (arm(cycle))
    return -1;
  if (known)
    scan_remembered(cycle);
  gcb_rounds_armed(&cycle->rounds); /* that was none of its rounds */
  cycle->switches = gcb_own_switches();
  cycle->sticky.remembered = true;
  carry(cycle);
  return (int64_t)cycle->sticky.seen.granules;
}

/* With everything marked and the mutators stopped: what isn't armed is, and what was written before this is
 * nobody's business any more, but for the sake of those that are not old after one cycle. */
static int arm_all(gcb_cycle *cycle) {
  gcb_watch *watch = cycle->watch;
  bool hot = watch->hot; /* this collect tells nothing of that */
  watch->armed = true;
  cycle->marking->arms_all = true;
  int failed = gcb_cycle_collect(cycle, true, false) < 0 ? -1 : 0;
  cycle->marking->arms_all = false;
  watch->hot = hot;
  gcb_dirty_clear(&watch->dirty);
  return failed;
}

int gcb_cycle_minor(gcb_cycle *cycle) {
  if (sticks_in_cycle(cycle))
    return -1;
  if (!cycle->sticky.minor)
    return gcb_set_error("no object is old: a full cycle comes first");
  bool chosen = cycle->watch->armed_pages;
  gcb_stop_world(cycle->world, cycle->marking->crew != NULL);
  int failed = chosen ? arm(cycle) : gcb_cycle_collect(cycle, true, false) < 0 ? -1 : 0;
  if (!failed) {
    scan_remembered(cycle);
    failed = gcb_cycle_mark(cycle, true);
  }
  if (!failed && chosen)
    failed = arm_all(cycle);
  failed = gcb_cycle_finish_marking(cycle, GCB_PAUSE_MINOR, failed);
  gcb_announce_armed(cycle->world);
  return failed;
}

int gcb_sticky_rearm(gcb_cycle *cycle) {
  if (!gcb_sticks(cycle))
    return 0;
  carry(cycle);
  if (!cycle->sticky.carries)
    gcb_dirty_clear(&cycle->sticky.carried);
  return gcb_stays_armed(cycle) && !cycle->watch->armed ? arm(cycle) : arm_all(cycle);
}

void gcb_sticky_flip(gcb_cycle *cycle) {
  gcb_sticky *sticky = &cycle->sticky;
  const gcb_marker *marker = &cycle->marking->marker;
  if (!gcb_sticks(cycle))
    return;
  gcb_generation *seen = &sticky->seen;
  seen->young = atomic_load_explicit(&cycle->blocks->claimed_bytes, memory_order_relaxed);
  seen->survived = marker->bytes - seen->old;
  seen->promoted = cycle->blocks->survivals > 1 ? marker->aged : seen->survived;
  sticky->old_bytes = seen->old + seen->promoted;
  sticky->flipped = true;
}
