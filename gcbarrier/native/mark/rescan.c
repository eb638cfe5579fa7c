/* Rescanning: the references on dirty granules that belong to marked objects are looked at again. Objects are
 * found from the mark bitmap; the one that spans into a granule from the left by looking back within its
 * block, or, for a large object, from the block table.
 *
 * Nearly all of what is found has been marked long since: a granule is read, its references are looked up in
 * the bitmap, and nothing comes of it. So whoever has the time may do that, without a lock: mutators that are
 * stopped, or that are asked to help. They note what is not marked, and the collector's thread, the only one
 * that writes marks, marks it when they are done. */
#include "mark/marking.h"
#include "base/bell.h"

#include <sched.h>

enum {
  PATIENCE =
      4096,     /* turns of waiting for a helper, each some ten nanoseconds, as long as a few granules take */
  BATCH = 4096, /* granules that are handed out at a time */
  WORTH_HELP = 16, /* fewer are done before anybody else has looked up */
};

/* Of a heap this large the mark bitmap still fits a processor's own cache. */
#define NEAR_BYTES ((size_t)128 << 20)

/* There is room for what two granules may hold. */
static bool has_room(const gcb_helper *helper) {
  return helper->count + 2 * GCB_GRANULE_REFERENCES <= GCB_FOUND;
}

/* A mark that is just being set may be missed: then the collector's thread finds it set. What is black need
 * not be marked: it lives, and the marker would not visit it. */
static inline void look_up(const gcb_blocks *blocks, gcb_helper *helper, uint32_t granule) {
  if (GCB_UNLIKELY(!gcb_bit(blocks->mark, granule)) && !gcb_bit(blocks->black, granule))
    helper->found[helper->count++] = granule;
}

/* What was met in the granule before has waited for the words with its mark bits while this one was read. */
static void look_up_waiting(const gcb_blocks *blocks, gcb_helper *helper) {
  size_t before = !helper->turn;
  for (size_t i = 0; i < helper->met_count[before]; i++)
    look_up(blocks, helper, helper->met[before][i]);
  helper->met_count[before] = 0;
  helper->turn = before;
}

/* The slots of one object that lie in [from, to) of the collector's view. Slots on other granules are those
 * granules' affair. False: there are none. */
static inline bool scan_slots(const gcb_blocks *blocks, gcb_helper *helper, size_t granule, const char *from,
                              const char *to) {
  gcb_ref object = gcb_alias_object(blocks, granule);
  const char *first = (const char *)object->slots,
             *last = (const char *)(object->slots + gcb_reference_count(object));
  if (first < from)
    first = from;
  if (last > to)
    last = to;
  /* Nearly all are marked, so the branch is predicted, and the processor goes on to the next references while
   * the word with the mark bit is on its way: unlike in the marker nothing need wait, unless it is far. */
  bool wait = blocks->bytes > NEAR_BYTES, any = first < last;
  uint32_t *met = helper->met[helper->turn];
  size_t count = helper->met_count[helper->turn];
  for (; first < last; first += sizeof(gcb_ref)) {
    gcb_ref target =
        atomic_load_explicit((const _Atomic(gcb_ref) *)(const void *)first, memory_order_acquire);
    if (!target)
      continue;
    uint32_t granule_met = gcb_granule_of(blocks, target);
    if (wait) {
      __builtin_prefetch((const void *)&blocks->mark[granule_met >> 6]);
      met[count++] = granule_met;
    } else
      look_up(blocks, helper, granule_met);
  }
  helper->met_count[helper->turn] = count;
  return any;
}

/* Whose slots are looked at. In a remembered set it is who was marked and live before this cycle: young
 * objects that the rescan has met by now are marked as well, and will be visited. */
static uint64_t live_word(const gcb_marking *marking, size_t word) {
  const gcb_blocks *blocks = marking->blocks;
  if (marking->rescan.remembered)
    return gcb_word(blocks->mark, word) & gcb_word(blocks->live, word);
  return gcb_word(blocks->mark, word) | gcb_word(blocks->black, word);
}

/* Asked for each granule, and found out for each block. */
static bool anything_old(const gcb_marking *marking, gcb_helper *helper, size_t block) {
  if (helper->block == block)
    return helper->old_there;
  uint64_t any = 0;
  for (size_t word = block * GCB_BLOCK_WORDS; !any && word < (block + 1) * GCB_BLOCK_WORDS; word++)
    any = live_word(marking, word);
  helper->block = block;
  helper->old_there = any;
  return any;
}

/* The last live object of the block that starts before bit `at` of the bitmap; SIZE_MAX: none. */
static size_t last_before(const gcb_marking *marking, size_t at, size_t block_word) {
  size_t word = at >> 6;
  uint64_t bits = at & 63 ? live_word(marking, word) & ((UINT64_C(1) << (at & 63)) - 1) : 0;
  while (!bits && word-- > block_word)
    bits = live_word(marking, word);
  return bits ? (word << 6) + 63 - (size_t)__builtin_clzll(bits) : SIZE_MAX;
}

/* [first, last) are bits of the bitmap: a granule of the barrier's, which is never more than a page. */
static uint64_t rescan_range(const gcb_marking *marking, gcb_helper *helper, size_t first, size_t last) {
  const gcb_blocks *blocks = marking->blocks;
  const char *from = blocks->alias + (first << GCB_GRANULE_SHIFT),
             *to = blocks->alias + (last << GCB_GRANULE_SHIFT);
  size_t block = first / GCB_BLOCK_GRANULES;
  /* acquire: pairs with the allocator's publication of a large object */
  gcb_block_kind kind = gcb_kind(atomic_load_explicit(&blocks->block_state[block], memory_order_acquire));
  if (kind == GCB_RESERVED)
    return 0;
  if (kind == GCB_HEAD || kind == GCB_TAIL) {
    size_t head = atomic_load_explicit(&blocks->head[block], memory_order_relaxed) * GCB_BLOCK_GRANULES;
    if (!(live_word(marking, head >> 6) >> (head & 63) & 1))
      return 0;
    scan_slots(blocks, helper, head, from, to);
    return 1;
  }
  if (marking->rescan.remembered && !anything_old(marking, helper, block))
    return 0;
  uint64_t objects = 0;
  size_t spanning = last_before(marking, first, block * GCB_BLOCK_WORDS);
  if (spanning != SIZE_MAX) {
    objects += scan_slots(blocks, helper, spanning, from, to); /* it may end before the range */
  }
  for (size_t word = first >> 6; word << 6 < last; word++) {
    uint64_t bits = live_word(marking, word);
    if (word << 6 < first)
      bits &= ~UINT64_C(0) << (first & 63);
    if (last - (word << 6) < 64)
      bits &= (UINT64_C(1) << (last & 63)) - 1;
    for (; bits; bits &= bits - 1) {
      scan_slots(blocks, helper, (word << 6) + (size_t)__builtin_ctzll(bits), from, to);
      objects++;
    }
  }
  return objects;
}

static void rescan_granule(const gcb_marking *marking, gcb_helper *helper, size_t granule) {
  const gcb_blocks *blocks = marking->blocks;
  unsigned shift = marking->watch->barrier.granule_shift - GCB_GRANULE_SHIFT;
  helper->objects += rescan_range(marking, helper, granule << shift, (granule + 1) << shift);
  look_up_waiting(blocks, helper);
}

/* The next granule that nobody has taken. */
static bool take(gcb_rescan_list *rescan, size_t *granule) {
  size_t at = atomic_load_explicit(&rescan->next, memory_order_relaxed);
  do
    /* acquire: pairs with put(). The granule is in the list, and it had been re-armed before. */
    if (at >= atomic_load_explicit(&rescan->count, memory_order_acquire))
      return false;
  while (!atomic_compare_exchange_weak_explicit(&rescan->next, &at, at + 1, memory_order_relaxed,
                                                memory_order_relaxed)); /* it only makes takers distinct */
  *granule = rescan->granules[at];
  return true;
}

/* Takes granules and rescans up to `most` of them; how many. */
static size_t take_some(gcb_marking *marking, gcb_helper *helper, size_t most) {
  size_t done = 0;
  for (size_t granule; done < most && has_room(helper) && take(&marking->rescan, &granule); done++)
    rescan_granule(marking, helper, granule);
  look_up_waiting(marking->blocks, helper);
  return done;
}

/* Up to `most` granules, by a mutator; how many there were to do. */
size_t gcb_help_rescan(gcb_marking *marking, uint32_t mutator, size_t most) {
  gcb_rescan_list *rescan = &marking->rescan;
  /* seq_cst, here and in close(): this thread says that it helps and then asks whether it is wanted; the
   * collector's thread says that it is not and then asks who helps. One of the two sees the other. */
  if (!atomic_load_explicit(&rescan->open, memory_order_relaxed))
    return 0;
  atomic_fetch_add_explicit(&rescan->helping, 1, memory_order_seq_cst);
  size_t done = 0;
  if (atomic_load_explicit(&rescan->open, memory_order_seq_cst))
    done = take_some(marking, &rescan->helpers[mutator], most);
  /* release: publishes what was found */
  atomic_fetch_sub_explicit(&rescan->helping, 1, memory_order_release);
  return done;
}

/* Marks what somebody has found; how many objects that one has looked at. */
static uint64_t take_over(gcb_marking *marking, gcb_helper *helper) {
  uint64_t objects = helper->objects;
  for (size_t at = 0; at < helper->count; at++)
    gcb_push_tracked(marking, marking->blocks->tracked + ((size_t)helper->found[at] << GCB_GRANULE_SHIFT));
  marking->rescan.found += helper->count;
  helper->count = helper->objects = 0;
  return objects;
}

/* Nobody takes any more, and whoever has taken is done. */
static uint64_t close(gcb_marking *marking) {
  gcb_rescan_list *rescan = &marking->rescan;
  uint64_t objects = 0;
  atomic_store_explicit(&rescan->open, 0, memory_order_seq_cst);
  for (uint32_t turn = 1; atomic_load_explicit(&rescan->helping, memory_order_seq_cst); turn++)
    if (turn % PATIENCE)
      gcb_relax();
    else
      sched_yield(); /* it has lost its processor, perhaps to this thread */
  for (uint32_t i = 0; i < rescan->helper_count; i++)
    objects += take_over(marking, &rescan->helpers[i]);
  return objects;
}

/* Puts granules from the dirty set behind those in the list, as many as there is room for; all that were put
 * there since it was emptied. */
static size_t put(gcb_marking *marking) {
  gcb_dirty_set *dirty = &marking->watch->dirty;
  gcb_rescan_list *rescan = &marking->rescan;
  size_t count = atomic_load_explicit(&rescan->count, memory_order_relaxed);
  for (size_t word = 0; (word = gcb_dirty_word(dirty, word)) != SIZE_MAX; word++) {
    uint64_t bits = dirty->words[word];
    for (; bits && count < BATCH; bits &= bits - 1)
      rescan->granules[count++] = (word << 6) + (size_t)__builtin_ctzll(bits);
    dirty->words[word] = bits;
    if (bits)
      break;
    dirty->summary[word >> 6] &= ~(UINT64_C(1) << (word & 63));
  }
  /* release: see take() */
  atomic_store_explicit(&rescan->count, count, memory_order_release);
  return count;
}

static void empty(gcb_rescan_list *rescan) {
  /* relaxed, and in any order: nobody takes, see close() */
  atomic_store_explicit(&rescan->next, 0, memory_order_relaxed);
  atomic_store_explicit(&rescan->count, 0, memory_order_relaxed);
}

static bool is_open(const gcb_rescan_list *rescan) {
  return atomic_load_explicit(&rescan->open, memory_order_relaxed); /* this thread writes it */
}

void gcb_rescan_early(gcb_marking *marking) {
  /* Not an empty one: nobody would close it. */
  if (put(marking) > 0 && !is_open(&marking->rescan))
    atomic_store_explicit(&marking->rescan.open, 1, memory_order_seq_cst);
}

uint64_t gcb_rescan_dirty(gcb_marking *marking) {
  uint64_t objects = 0;
  gcb_rescan_list *rescan = &marking->rescan;
  for (size_t count; (count = put(marking)) > 0; empty(rescan)) {
    /* seq_cst: see gcb_help_rescan() */
    if (!is_open(rescan) && count >= WORTH_HELP)
      atomic_store_explicit(&rescan->open, 1, memory_order_seq_cst);
    while (take_some(marking, &rescan->own, SIZE_MAX) > 0)
      objects += take_over(marking, &rescan->own);
    if (is_open(rescan))
      objects += close(marking);
  }
  return objects;
}

/* What is remembered is seen by all who take granules: they begin when the first of these are handed out, and
 * are done before gcb_rescan_dirty() returns. */
uint64_t gcb_rescan_remembered(gcb_marking *marking) {
  gcb_rescan_list *rescan = &marking->rescan;
  rescan->own.block = GCB_NO_BLOCK;
  for (uint32_t i = 0; i < rescan->helper_count; i++)
    rescan->helpers[i].block = GCB_NO_BLOCK;
  rescan->remembered = true;
  uint64_t objects = gcb_rescan_dirty(marking);
  rescan->remembered = false;
  return objects;
}

void gcb_rescan_drop(gcb_marking *marking) {
  if (is_open(&marking->rescan))
    (void)close(marking);
  empty(&marking->rescan);
}

int gcb_rescan_open(gcb_rescan_list *rescan) {
  rescan->granules = calloc(BATCH, sizeof *rescan->granules);
  return rescan->granules ? 0 : gcb_set_error("no memory for a list of granules");
}

int gcb_rescan_admit(gcb_rescan_list *rescan, uint32_t mutators) {
  size_t bytes = mutators * sizeof *rescan->helpers;
  rescan->helpers = aligned_alloc(_Alignof(gcb_helper), bytes);
  if (!rescan->helpers)
    return gcb_set_error("no memory for %u mutators that may help", mutators);
  memset(rescan->helpers, 0, bytes);
  rescan->helper_count = mutators;
  return 0;
}

void gcb_rescan_close(gcb_rescan_list *rescan) {
  free(rescan->granules);
  free(rescan->helpers);
}
