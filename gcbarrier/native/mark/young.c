/* Arming late. Where the barrier lets the core choose, what is free or young is not armed: filling it costs
 * no fault, and what dies young is never armed at all. When the marker is done, the pages on which something
 * lives are armed, in runs, and looked at once after that; from then on they are like any other.
 *
 * What holds whenever a cycle begins: a page that holds references is armed, or is pending, or its block is
 * opened.
 * - allocation opens a block before it hands out memory there (heap/alloc.c);
 * - what was written and not armed again is pending;
 * - the marker makes pending what it visits on a page that isn't armed, from the first look at opened blocks
 * on. Before that look it need not: it visits nothing but in pages of the three kinds, and each of them is
 * either armed, so that the barrier tells, or looked at later. Marking region by region logs nothing; then
 * all blocks count as opened. A page may be armed without need, and costs a fault then. One that is neither
 * armed nor looked at in the remark would lose objects. */
#include "mark/marking.h"

#include <string.h>

enum {
  PAGE_GRANULES = GCB_PAGE / GCB_GRANULE,
  BLOCK_PAGES = GCB_BLOCK / GCB_PAGE,
  /* Already open pages between two that are released cost less than another system call. */
  BRIDGED_PAGES = 8,
};

/* Which objects live: those of two bitmaps. */
typedef struct alive {
  gcb_blocks *blocks;
  _Atomic uint64_t *one, *other;
} alive;

static uint64_t word_of(const alive *a, size_t word) {
  return gcb_word(a->one, word) | gcb_word(a->other, word);
}

/* Whether an object that lives has a part on the page. */
static bool page_lives(const alive *a, size_t page) {
  gcb_blocks *blocks = a->blocks;
  size_t first = page * PAGE_GRANULES, block = page / BLOCK_PAGES, word = first >> 6;
  /* acquire: pairs with the allocator's publication of a large object */
  gcb_block_kind kind = gcb_kind(atomic_load_explicit(&blocks->block_state[block], memory_order_acquire));
  if (kind == GCB_RESERVED || kind == GCB_FREE)
    return false;
  if (kind == GCB_HEAD || kind == GCB_TAIL) {
    size_t head = atomic_load_explicit(&blocks->head[block], memory_order_relaxed) * GCB_BLOCK_GRANULES;
    return word_of(a, head >> 6) & 1;
  }
  for (size_t i = 0; i < PAGE_GRANULES / 64; i++)
    if (word_of(a, word + i))
      return true;
  /* the object before, if it is long enough */
  uint64_t bits = 0;
  while (!bits && word-- > block * GCB_BLOCK_WORDS)
    bits = word_of(a, word);
  if (!bits)
    return false;
  size_t start = (word << 6) + 63 - (size_t)__builtin_clzll(bits);
  return start + gcb_object_bytes(gcb_alias_object(blocks, start)) / GCB_GRANULE > first;
}

static bool is_armed(const gcb_watch *watch, size_t page) {
  return watch->armed_pages[page >> 6] >> (page & 63) & 1;
}

static void add(const alive *a, const gcb_watch *watch, size_t first, size_t end, gcb_dirty_set *pages) {
  for (size_t page = first; page < end; page++)
    if (!is_armed(watch, page) && page_lives(a, page))
      gcb_dirty_add(pages, page, 1);
}

/* Of a block before page `to`, or of the large object that begins in it. */
static void add_block(const alive *a, const gcb_watch *watch, size_t block, size_t to, gcb_dirty_set *pages) {
  size_t end = block + 1;
  gcb_blocks *blocks = a->blocks;
  if (gcb_kind(atomic_load_explicit(&blocks->block_state[block], memory_order_acquire)) == GCB_HEAD)
    while (end < blocks->blocks &&
           gcb_kind(atomic_load_explicit(&blocks->block_state[end], memory_order_acquire)) == GCB_TAIL &&
           atomic_load_explicit(&blocks->head[end], memory_order_relaxed) == block)
      end++;
  end *= BLOCK_PAGES;
  add(a, watch, block * BLOCK_PAGES, to < end ? to : end, pages);
}

/* All blocks, where it is not known what was marked on pages that aren't armed. */
static void add_all(const alive *a, const gcb_watch *watch, gcb_dirty_set *pages) {
  add(a, watch, 0, a->blocks->bytes / GCB_PAGE, pages);
}

static void keep_living(const alive *a, const gcb_watch *watch, gcb_dirty_set *pages) {
  for (size_t word = 0; (word = gcb_dirty_word(pages, word)) != SIZE_MAX; word++)
    for (uint64_t bits = pages->words[word]; bits; bits &= bits - 1) {
      size_t page = (word << 6) + (size_t)__builtin_ctzll(bits);
      if (is_armed(watch, page) || !page_lives(a, page))
        pages->words[word] &= ~(UINT64_C(1) << (page & 63));
    }
}

/* Leaves in `pending` the pages that live and aren't armed, of it and of the opened blocks; of those in which
 * a thread is just allocating only what it has filled, unless `all` are wanted. */
static void look(gcb_marking *marking, bool all) {
  gcb_watch *watch = marking->watch;
  gcb_blocks *blocks = marking->blocks;
  const alive marked = {blocks, blocks->mark, blocks->black};
  gcb_dirty_set *pending = &watch->pending;
  if (marking->unlogged)
    add_all(&marked, watch, pending);
  marking->unlogged = false;
  marking->logs_visits = true;
  keep_living(&marked, watch, pending);
  for (size_t word = 0; word < GCB_WORDS(blocks->blocks); word++) {
    if (!atomic_load_explicit(&blocks->opened[word], memory_order_relaxed))
      continue;
    /* acquire: see enter() in heap/alloc.c */
    uint64_t taken = atomic_exchange_explicit(&blocks->opened[word], 0, memory_order_acq_rel);
    for (; taken; taken &= taken - 1) {
      size_t block = (word << 6) + (size_t)__builtin_ctzll(taken);
      /* asked before the bitmaps are read: a thread that is found gone has left there all it will */
      size_t from = gcb_allocated_from(blocks, block);
      if (from != SIZE_MAX)
        gcb_open_block(blocks, block);
      add_block(&marked, watch, block, all ? SIZE_MAX : from, pending);
    }
  }
}

/* What was built before there was any cycle is not taken for young: nobody knows yet what of it lives, and
 * most of it may. */
static void add_built(gcb_marking *marking, gcb_dirty_set *pages) {
  gcb_blocks *blocks = marking->blocks;
  for (size_t block = 0; block < blocks->blocks; block++) {
    uint64_t bit = UINT64_C(1) << (block & 63);
    /* acquire: see enter() in heap/alloc.c */
    if (!(atomic_fetch_and_explicit(&blocks->opened[block >> 6], ~bit, memory_order_acq_rel) & bit))
      continue;
    size_t first = block * BLOCK_PAGES, end = first + BLOCK_PAGES, from = gcb_allocated_from(blocks, block);
    if (from != SIZE_MAX)
      gcb_open_block(blocks, block);
    gcb_block_kind kind = gcb_kind(atomic_load_explicit(&blocks->block_state[block], memory_order_acquire));
    if (kind == GCB_HEAD)
      gcb_open_block(blocks, block); /* looked at as a whole, once it is known to live */
    else if (from > first)
      gcb_dirty_add(pages, first, (from < end ? from : end) - first);
  }
}

int gcb_young_begin(gcb_marking *marking, bool early, gcb_dirty_set *found) {
  gcb_watch *watch = marking->watch;
  const alive live = {marking->blocks, marking->blocks->live, marking->blocks->live};
  watch->barrier.running = true;
  int failed = gcb_ranges_count(watch) ? watch->ops->collect(&watch->barrier, false, &watch->dirty) : 0;
  watch->barrier.running = false;
  if (failed)
    return -1;
  gcb_ranges_forget(watch, &watch->dirty);
  gcb_dirty_join(&watch->pending, &watch->dirty);
  gcb_dirty_clear(&watch->dirty);
  if (marking->unlogged)
    add_all(&live, watch, &watch->pending);
  marking->unlogged = false;
  if (!early && !found)
    return 0;
  /* What is on them and doesn't live by `live` was allocated since, in opened blocks. */
  keep_living(&live, watch, &watch->pending);
  if (found)
    gcb_dirty_join(found, &watch->pending);
  if (!early)
    return 0;
  /* What isn't marked yet need not be looked at again: cheaper than to arm them late. */
  if (!watch->ever_armed)
    add_built(marking, &watch->pending);
  watch->ever_armed = true;
  if (gcb_ranges_arm(watch, &watch->pending))
    return -1;
  gcb_dirty_clear(&watch->pending);
  /* What was first written since the report above is armed again, and of interest to whoever asks. */
  return found ? watch->ops->collect(&watch->barrier, true, found) : watch->ops->arm(&watch->barrier);
}

int gcb_young_arm(gcb_marking *marking) {
  look(marking, marking->arms_all);
  return gcb_ranges_arm(marking->watch, &marking->watch->pending);
}

void gcb_young_expose(gcb_marking *marking) {
  gcb_watch *watch = marking->watch;
  gcb_ranges_forget(watch, &watch->dirty);
  look(marking, true);
  gcb_dirty_join(&watch->pending, &watch->dirty);
  gcb_dirty_join(&watch->dirty, &watch->pending);
}

void gcb_log_visit(gcb_marking *marking, size_t granule) {
  gcb_watch *watch = marking->watch;
  gcb_ref object = gcb_alias_object(marking->blocks, granule);
  size_t first = granule / PAGE_GRANULES,
         slots = sizeof *object + gcb_reference_count(object) * sizeof(gcb_ref);
  size_t last = ((granule << GCB_GRANULE_SHIFT) + slots - 1) / GCB_PAGE;
  for (size_t page = first; page <= last; page++)
    if (!is_armed(watch, page))
      gcb_dirty_add(&watch->pending, page, 1);
}

/* Runs of pages to be released, bridged where little lies between them. */
typedef struct release {
  gcb_watch *watch;
  size_t first, end; /* none: first == end */
} release;

static int flush(release *run) {
  int failed = run->first < run->end ? gcb_ranges_release(run->watch, run->first, run->end - run->first) : 0;
  run->first = run->end = 0;
  return failed;
}

/* Mutators may be filling the pages: then they are open already. */
int gcb_young_release(gcb_marking *marking, size_t first_block, size_t end_block) {
  gcb_watch *watch = marking->watch;
  gcb_blocks *blocks = marking->blocks;
  const alive live = {blocks, blocks->live, blocks->live};
  release run = {.watch = watch};
  for (size_t at = first_block * BLOCK_PAGES, end = end_block * BLOCK_PAGES, from, to;
       gcb_next_run(watch->armed_pages, &at, end, &from, &to);) {
    if (from > run.end + BRIDGED_PAGES && flush(&run))
      return -1;
    for (size_t page = from; page < to; page++)
      if (page_lives(&live, page)) {
        if (flush(&run))
          return -1;
      } else {
        run.first = run.first < run.end ? run.first : page;
        run.end = page + 1;
      }
  }
  return flush(&run);
}
