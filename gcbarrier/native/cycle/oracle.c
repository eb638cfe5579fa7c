/* The truth, for verifying runs: what is reachable, marked again from scratch with the world stopped, and
 * which pages were written, logged by every store of a mutator compiled with GCB_VERIFY. */
#include "cycle/cycle.h"

#include <stdlib.h>
#include <string.h>

typedef struct gcb_oracle {
  const char *tracked;
  uint8_t *seen; /* a bit per granule */
  size_t *stack;
  size_t top, capacity;
  _Atomic uint64_t *written; /* a bit per page, set before the store */
  uint64_t *doubtful;        /* a bit per page: written while the barrier was being armed */
  uint64_t *reported;        /* a bit per page, by any collect() since arming */
  uint64_t *exposed;         /* a bit per page that isn't armed, and that the last collect() laid open */
  bool object_lost;          /* or broken: the heap is not to be walked any more */
  uint64_t cycles, objects, reported_pages, written_pages, false_dirty, lost;
} gcb_oracle;

static size_t page_words(const gcb_cycle *cycle) {
  return GCB_WORDS(cycle->view->bytes / GCB_PAGE);
}

int gcb_oracle_new(gcb_cycle *cycle) {
  gcb_oracle *oracle = calloc(1, sizeof *oracle);
  if (!oracle)
    return gcb_set_error("no memory for the oracle");
  cycle->oracle = oracle;
  oracle->tracked = cycle->view->tracked;
  oracle->seen = calloc(1, cycle->view->bytes / GCB_GRANULE / 8);
  oracle->written = calloc(page_words(cycle), sizeof *oracle->written);
  oracle->doubtful = calloc(page_words(cycle), sizeof *oracle->doubtful);
  oracle->reported = calloc(page_words(cycle), sizeof *oracle->reported);
  oracle->exposed = calloc(page_words(cycle), sizeof *oracle->exposed);
  if (!oracle->seen || !oracle->written || !oracle->doubtful || !oracle->reported || !oracle->exposed)
    return gcb_set_error("no memory for the oracle of a heap of %zu MiB", cycle->view->bytes >> 20);
  return 0;
}

void gcb_oracle_free(gcb_cycle *cycle) {
  if (!cycle->oracle)
    return;
  free(cycle->oracle->seen);
  free(cycle->oracle->stack);
  free((void *)cycle->oracle->written);
  free(cycle->oracle->doubtful);
  free(cycle->oracle->reported);
  free(cycle->oracle->exposed);
  free(cycle->oracle);
}

/* Logged before the store, not after it, and the log is emptied when arming begins and again when it is over:
 * - what it holds at the remark was stored after arming; the barrier must have reported it (or it is lost);
 * - what it held when arming was over may have been stored before or after its page was armed; the barrier
 * may report it or not;
 * - anything else that is reported is a false report. Only a store that is under way when arming begins may
 * be called that wrongly: one allocation buffer for each mutator and cycle at most. */
void gcb_log_write(gcb_mutator *m, const void *address, size_t bytes) {
  gcb_oracle *oracle = m->oracle;
  if (!oracle || bytes == 0)
    return;
  size_t offset = (size_t)((const char *)address - oracle->tracked);
  for (size_t page = offset >> GCB_PAGE_SHIFT; page <= (offset + bytes - 1) >> GCB_PAGE_SHIFT; page++) {
    uint64_t bit = UINT64_C(1) << (page & 63);
    /* relaxed: read with the world stopped */
    if (!(atomic_load_explicit(&oracle->written[page >> 6], memory_order_relaxed) & bit))
      atomic_fetch_or_explicit(&oracle->written[page >> 6], bit, memory_order_relaxed);
  }
}

/* Moves the log into `doubtful`. */
static void empty_log(gcb_cycle *cycle) {
  gcb_oracle *oracle = cycle->oracle;
  for (size_t word = 0; word < page_words(cycle); word++)
    /* relaxed, but one step: a mutator may be setting a bit */
    oracle->doubtful[word] = atomic_exchange_explicit(&oracle->written[word], 0, memory_order_relaxed);
}

void gcb_oracle_arming(gcb_cycle *cycle) {
  if (cycle->oracle)
    empty_log(cycle);
}

void gcb_oracle_armed(gcb_cycle *cycle) {
  gcb_oracle *oracle = cycle->oracle;
  if (!oracle)
    return;
  empty_log(cycle);
  memset(oracle->reported, 0, page_words(cycle) * sizeof *oracle->reported);
}

/* The dirty set holds what was just collected, and nothing else: the rescan empties it. */
void gcb_oracle_reported(gcb_cycle *cycle) {
  gcb_oracle *oracle = cycle->oracle;
  if (!oracle)
    return;
  unsigned shift = GCB_PAGE_SHIFT - cycle->watch->barrier.granule_shift;
  for (size_t word = 0; (word = gcb_dirty_word(&cycle->watch->dirty, word)) != SIZE_MAX; word++)
    for (uint64_t bits = cycle->watch->dirty.words[word]; bits; bits &= bits - 1) {
      size_t page = ((word << 6) + (size_t)__builtin_ctzll(bits)) >> shift;
      oracle->reported[page >> 6] |= UINT64_C(1) << (page & 63);
    }
}

void gcb_oracle_collected(gcb_cycle *cycle) {
  if (!cycle->oracle)
    return;
  uint64_t start_ns = gcb_now_ns();
  gcb_oracle_reported(cycle);
  gcb_record(&cycle->world->events, GCB_EV_ORACLE, start_ns, 0); /* so that a pause can be freed of it */
}

/* What was stored there before is nobody's business; the report that arms them is of no store. */
void gcb_oracle_chosen(gcb_cycle *cycle) {
  gcb_oracle *oracle = cycle->oracle;
  const gcb_dirty_set *pages = &cycle->watch->pending;
  for (size_t word = 0; oracle && (word = gcb_dirty_word(pages, word)) != SIZE_MAX; word++) {
    atomic_fetch_and_explicit(&oracle->written[word], ~pages->words[word], memory_order_relaxed);
    oracle->doubtful[word] |= pages->words[word];
    oracle->reported[word] &= ~pages->words[word];
  }
}

void gcb_oracle_exposed(gcb_cycle *cycle) {
  gcb_oracle *oracle = cycle->oracle;
  if (!oracle)
    return;
  memcpy(oracle->exposed, cycle->watch->dirty.words, page_words(cycle) * sizeof *oracle->exposed);
}

/* Where only some pages are watched: a reference on one that isn't was seen by nobody, unless the page was
 * laid open in this very stop, or the object was first visited in it, which makes its page pending. */
static int watched(gcb_cycle *cycle, size_t granule) {
  const gcb_watch *watch = cycle->watch;
  if (!watch->armed_pages || !watch->armed || cycle->marking->unlogged)
    return 0;
  gcb_ref object = gcb_alias_object(cycle->blocks, granule);
  size_t start = granule << GCB_GRANULE_SHIFT, slots = gcb_reference_count(object) * sizeof(gcb_ref);
  size_t last = (start + sizeof *object + slots - 1) >> GCB_PAGE_SHIFT;
  for (size_t page = start >> GCB_PAGE_SHIFT; slots && page <= last; page++) {
    size_t word = page >> 6;
    uint64_t seen = watch->armed_pages[word] | cycle->oracle->exposed[word] | watch->pending.words[word];
    if (!(seen >> (page & 63) & 1))
      return gcb_set_error(
          "cycle %u: page %zu, with a part of the object at offset %zu, was neither armed nor "
          "looked at in the last stop",
          cycle->world->events.cycle, page, start);
  }
  return 0;
}

/* What isn't armed any more was laid open. */
static uint64_t compared(const gcb_watch *watch, size_t word) {
  return watch->armed_pages ? watch->armed_pages[word] : UINT64_MAX;
}

static void compare_pages(gcb_cycle *cycle) {
  gcb_oracle *oracle = cycle->oracle;
  for (size_t word = 0; word < page_words(cycle); word++) {
    uint64_t written = atomic_load_explicit(&oracle->written[word], memory_order_relaxed);
    written &= oracle->reported[word] | compared(cycle->watch, word);
    uint64_t reported = oracle->reported[word], right = written | (oracle->doubtful[word] & reported);
    oracle->written_pages += (uint64_t)__builtin_popcountll(right);
    oracle->reported_pages += (uint64_t)__builtin_popcountll(reported);
    oracle->false_dirty += (uint64_t)__builtin_popcountll(reported & ~right);
    oracle->lost += (uint64_t)__builtin_popcountll(written & ~reported);
  }
}

/* Mutators are stopped, at safepoints: no store is under way that was logged. */
static void go_on(gcb_cycle *cycle) {
  gcb_oracle *oracle = cycle->oracle;
  if (!gcb_stays_armed(cycle))
    return;
  empty_log(cycle);
  memset(oracle->doubtful, 0, page_words(cycle) * sizeof *oracle->doubtful);
  memset(oracle->reported, 0, page_words(cycle) * sizeof *oracle->reported);
}

/* One reference, met in slot `slot` of the object at granule `from` (SIZE_MAX: a root). */
static int reach(gcb_cycle *cycle, const void *tracked, size_t from, uint32_t slot) {
  gcb_oracle *oracle = cycle->oracle;
  size_t offset = (size_t)((const char *)tracked - cycle->view->tracked),
         granule = offset >> GCB_GRANULE_SHIFT;
  size_t parent = from == SIZE_MAX ? SIZE_MAX : from << GCB_GRANULE_SHIFT;
  if (offset >= cycle->view->bytes || offset % GCB_GRANULE)
    return gcb_set_error("cycle %u: slot %u of the object at offset %zu refers to %p, which is no object",
                         cycle->world->events.cycle, slot, parent, tracked);
  if (oracle->seen[granule >> 3] >> (granule & 7) & 1)
    return 0;
  oracle->seen[granule >> 3] |= (uint8_t)(1u << (granule & 7));
  oracle->objects++;
  gcb_ref object = gcb_alias_object(cycle->blocks, granule);
  if (gcb_object_bytes(object) < gcb_size(gcb_reference_count(object), 0) ||
      gcb_object_bytes(object) > cycle->view->bytes - offset)
    return gcb_set_error("cycle %u: the object at offset %zu (page %zu) has a broken header",
                         cycle->world->events.cycle, offset, offset >> GCB_PAGE_SHIFT);
  if (!gcb_is_live(cycle->blocks, granule)) {
    if (from == SIZE_MAX)
      return gcb_set_error(
          "cycle %u: lost object at offset %zu (page %zu), reachable from a root, is not marked",
          cycle->world->events.cycle, offset, offset >> GCB_PAGE_SHIFT);
    return gcb_set_error(
        "cycle %u: lost object at offset %zu (page %zu), reachable from slot %u of the object at offset "
        "%zu (page %zu), is not marked",
        cycle->world->events.cycle, offset, offset >> GCB_PAGE_SHIFT, slot, parent,
        (parent + sizeof(gcb_object) + slot * sizeof(gcb_ref)) >> GCB_PAGE_SHIFT);
  }
  if (oracle->top == oracle->capacity) {
    size_t capacity = oracle->capacity ? 2 * oracle->capacity : 4096;
    size_t *stack = realloc(oracle->stack, capacity * sizeof *stack);
    if (!stack)
      return gcb_set_error("no memory for the oracle's stack of %zu objects", capacity);
    oracle->stack = stack;
    oracle->capacity = capacity;
  }
  oracle->stack[oracle->top++] = granule;
  return 0;
}

/* Not by gcb_world_each_root(), so that a root which that passes by is missed here. */
static int reach_roots(gcb_cycle *cycle) {
  gcb_world *world = cycle->world;
  for (uint32_t i = 0; i < GCB_GLOBALS; i++) {
    gcb_ref root = atomic_load_explicit(&world->globals[i], memory_order_acquire);
    if (root && reach(cycle, root, SIZE_MAX, i))
      return -1;
  }
  for (uint32_t t = 0; t < world->thread_count; t++) {
    gcb_mutator *m = &world->threads[t].m;
    for (uint32_t i = 0; i < gcb_top(m); i++) {
      gcb_ref root = gcb_get(m, i);
      if (root && reach(cycle, root, SIZE_MAX, i))
        return -1;
    }
  }
  return 0;
}

static int reach_all(gcb_cycle *cycle) {
  gcb_oracle *oracle = cycle->oracle;
  memset(oracle->seen, 0, cycle->view->bytes / GCB_GRANULE / 8);
  oracle->top = 0;
  if (reach_roots(cycle))
    return -1;
  while (oracle->top > 0) {
    size_t granule = oracle->stack[--oracle->top];
    gcb_ref object = gcb_alias_object(cycle->blocks, granule);
    uint32_t references = gcb_reference_count(object);
    if (watched(cycle, granule))
      return -1;
    for (uint32_t slot = 0; slot < references; slot++) {
      gcb_ref target = gcb_load(object, slot);
      if (target && reach(cycle, target, granule, slot))
        return -1;
    }
  }
  return 0;
}

int gcb_oracle_check(gcb_cycle *cycle) {
  gcb_oracle *oracle = cycle->oracle;
  if (!oracle)
    return 0;
  uint64_t start_ns = gcb_now_ns(), before = oracle->objects;
  if (reach_all(cycle)) {
    oracle->object_lost = true;
    return -1;
  }
  oracle->cycles++;
  if (cycle->watch->ops && cycle->watch->ops->tracks && !cycle->watch->ops->snapshot && cycle->watch->armed)
    compare_pages(cycle);
  go_on(cycle);
  gcb_record(&cycle->world->events, GCB_EV_ORACLE, start_ns, oracle->objects - before);
  return 0;
}

bool gcb_oracle_lost_object(const gcb_cycle *cycle) {
  return cycle->oracle && cycle->oracle->object_lost;
}

gcb_verification gcb_oracle_verification(const gcb_cycle *cycle) {
  const gcb_oracle *oracle = cycle->oracle;
  if (!oracle)
    return (gcb_verification){0};
  return (gcb_verification){.cycles = oracle->cycles,
                            .objects = oracle->objects,
                            .reported = oracle->reported_pages,
                            .written = oracle->written_pages,
                            .false_dirty = oracle->false_dirty,
                            .lost = oracle->lost};
}
