/* Rescanning: the references on dirty granules that belong to marked objects are looked at again. Objects are
 * found from the mark bitmap; the one that spans into a granule from the left by looking back within its
 * block, or, for a large object, from the block table. */
#include "core.h"

/* The slots of one object that lie in [from, to) of the collector's view. Slots on other granules are those
 * granules' affair. */
static void scan_slots(gcb_space *space, size_t granule, const char *from, const char *to) {
  gcb_ref object = gcb_alias_object(space, granule);
  const char *first = (const char *)object->slots,
             *last = (const char *)(object->slots + gcb_reference_count(object));
  if (first < from)
    first = from;
  if (last > to)
    last = to;
  for (; first < last; first += sizeof(gcb_ref)) {
    gcb_ref target =
        atomic_load_explicit((const _Atomic(gcb_ref) *)(const void *)first, memory_order_acquire);
    if (target)
      gcb_push_tracked(space, target);
  }
}

static uint64_t live_word(const gcb_space *space, size_t word) {
  return gcb_word(space->mark, word) | gcb_word(space->black, word);
}

/* The last live object of the block that starts before bit `at` of the bitmap; SIZE_MAX: none. */
static size_t last_before(const gcb_space *space, size_t at, size_t block_word) {
  size_t word = at >> 6;
  uint64_t bits = at & 63 ? live_word(space, word) & ((UINT64_C(1) << (at & 63)) - 1) : 0;
  while (!bits && word-- > block_word)
    bits = live_word(space, word);
  return bits ? (word << 6) + 63 - (size_t)__builtin_clzll(bits) : SIZE_MAX;
}

/* [first, last) are bits of the bitmap: a granule of the barrier's, which is never more than a page. */
static uint64_t rescan_range(gcb_space *space, size_t first, size_t last) {
  const char *from = space->alias + (first << GCB_GRANULE_SHIFT),
             *to = space->alias + (last << GCB_GRANULE_SHIFT);
  size_t block = first / GCB_BLOCK_GRANULES;
  /* acquire: pairs with the allocator's publication of a large object */
  gcb_block_kind kind = gcb_kind(atomic_load_explicit(&space->block_state[block], memory_order_acquire));
  if (kind == GCB_RESERVED)
    return 0;
  if (kind == GCB_HEAD || kind == GCB_TAIL) {
    size_t head = atomic_load_explicit(&space->head[block], memory_order_relaxed) * GCB_BLOCK_GRANULES;
    if (!gcb_is_live(space, head))
      return 0;
    scan_slots(space, head, from, to);
    return 1;
  }
  uint64_t objects = 0;
  size_t spanning = last_before(space, first, block * GCB_BLOCK_WORDS);
  if (spanning != SIZE_MAX) {
    scan_slots(space, spanning, from, to); /* no slot of it is in the range if it ends before */
    objects++;
  }
  for (size_t word = first >> 6; word << 6 < last; word++) {
    uint64_t bits = live_word(space, word);
    if (word << 6 < first)
      bits &= ~UINT64_C(0) << (first & 63);
    if (last - (word << 6) < 64)
      bits &= (UINT64_C(1) << (last & 63)) - 1;
    for (; bits; bits &= bits - 1) {
      scan_slots(space, (word << 6) + (size_t)__builtin_ctzll(bits), from, to);
      objects++;
    }
  }
  return objects;
}

uint64_t gcb_rescan_dirty(gcb_space *space) {
  uint64_t objects = 0;
  unsigned shift = space->barrier.granule_shift - GCB_GRANULE_SHIFT;
  for (size_t word = 0; (word = gcb_dirty_word(&space->dirty, word)) != SIZE_MAX; word++) {
    uint64_t bits = space->dirty.words[word];
    space->dirty.summary[word >> 6] &= ~(UINT64_C(1) << (word & 63));
    space->dirty.words[word] = 0;
    for (; bits; bits &= bits - 1) {
      size_t granule = (word << 6) + (size_t)__builtin_ctzll(bits);
      objects += rescan_range(space, granule << shift, (granule + 1) << shift);
    }
  }
  return objects;
}
