/* Rescanning: the references on dirty pages that belong to marked objects are looked at again. Objects are
 * found from the mark bitmap; the one that spans into a page from the left by looking back within its block,
 * or, for a large object, from the block table. */
#include "core.h"

/* The slots of one object that lie in [from, to) of the collector's view. Slots on other pages are those
 * pages' affair. */
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

/* The last live object of the block that starts before the page; SIZE_MAX: none. */
static size_t last_before(const gcb_space *space, size_t page_word, size_t block_word) {
  for (size_t word = page_word; word-- > block_word;) {
    uint64_t bits = live_word(space, word);
    if (bits)
      return (word << 6) + 63 - (size_t)__builtin_clzll(bits);
  }
  return SIZE_MAX;
}

static uint64_t rescan_page(gcb_space *space, size_t page) {
  const char *from = space->alias + (page << GCB_PAGE_SHIFT), *to = from + GCB_PAGE;
  size_t block = page >> (GCB_BLOCK_SHIFT - GCB_PAGE_SHIFT);
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
  size_t first_word = page * GCB_PAGE_WORDS;
  size_t spanning = last_before(space, first_word, block * GCB_BLOCK_WORDS);
  if (spanning != SIZE_MAX) {
    scan_slots(space, spanning, from, to); /* no slot of it is in the page if it ends before */
    objects++;
  }
  for (size_t word = first_word; word < first_word + GCB_PAGE_WORDS; word++)
    for (uint64_t bits = live_word(space, word); bits; bits &= bits - 1) {
      scan_slots(space, (word << 6) + (size_t)__builtin_ctzll(bits), from, to);
      objects++;
    }
  return objects;
}

uint64_t gcb_rescan_dirty(gcb_space *space) {
  uint64_t objects = 0;
  for (size_t word = 0; word < (space->pages + 63) / 64; word++) {
    uint64_t bits = space->dirty.words[word];
    space->dirty.words[word] = 0;
    for (; bits; bits &= bits - 1)
      objects += rescan_page(space, (word << 6) + (size_t)__builtin_ctzll(bits));
  }
  return objects;
}
