/* The inline store of object logging. A bit is 1 while its object (or piece of one) has not been logged. */
#ifndef GCB_LOG_H
#define GCB_LOG_H

#include "buffers.h"

/* Pieces of a large object are counted from its header. An entry is the address where the object or piece
 * begins, with flags in the bits that such an address has not. */
enum { GCB_LOG_PIECE_BYTES = 128, GCB_LOG_PIECE = 1, GCB_LOG_FIRST_PIECE = 2, GCB_LOG_FLAGS = 3 };

/* The granule of 16 bytes whose bit stands for an entry. A large object's header's stays 1, so that all its
 * stores leave the fast path; its first piece has the next one's. (Any piece's start is in the object, so no
 * other object has its bit.) */
static inline uintptr_t gcb_log_key(uintptr_t entry) {
  return (entry & ~(uintptr_t)GCB_LOG_FLAGS) + (entry & GCB_LOG_FIRST_PIECE ? 16 : 0);
}
/* `table` is biased: address 0 would have its first word. */
static inline _Atomic uint64_t *gcb_log_word(uintptr_t table, uintptr_t key) {
  return (_Atomic uint64_t *)(table + (key >> 10) * sizeof(uint64_t));
}
static inline uint64_t gcb_log_bit(uintptr_t key) {
  return UINT64_C(1) << (key >> 4 & 63);
}
static inline bool gcb_log_wanted(uintptr_t table, uintptr_t key) {
  /* relaxed: see gcb_after_store() */
  return atomic_load_explicit(gcb_log_word(table, key), memory_order_relaxed) & gcb_log_bit(key);
}

#ifdef GCBARRIER_H /* the rest is for mutators; log.c shares the above */
static __attribute__((noinline, unused)) void gcb_log_first(gcb_mutator *m, gcb_ref object,
                                                            _Atomic(gcb_ref) *slot) {
  uintptr_t entry = (uintptr_t)object;
  if (gcb_reference_count(object) > GCB_PARAM_whole_references) {
    uintptr_t piece = ((uintptr_t)slot - entry) & ~(uintptr_t)(GCB_LOG_PIECE_BYTES - 1);
    entry = (entry + piece) | GCB_LOG_PIECE | (piece ? 0 : GCB_LOG_FIRST_PIECE);
    if (!gcb_log_wanted(m->store[0], gcb_log_key(entry)))
      return;
  }
  uintptr_t key = gcb_log_key(entry);
  uint64_t bit = gcb_log_bit(key);
  /* A read-modify-write: the word has the bits of other objects, and whoever clears a bit logs. Cleared
   * before `open` is looked at: arm() sets `open` and then the bits. acquire: a mutator that clears a bit
   * which arm() has set sees the buffer open, so no bit is 0 without an entry. */
  if (!(atomic_fetch_and_explicit(gcb_log_word(m->store[0], key), ~bit, memory_order_acq_rel) & bit))
    return;
  gcb_buffer *buffer = (gcb_buffer *)m->store[1];
  /* closed between cycles, when nobody empties it */
  if (atomic_load_explicit(&buffer->open, memory_order_relaxed) && !gcb_append(buffer, entry))
    gcb_fail(m, "no memory for the log of mutator %u", m->index);
}

static inline void gcb_before_store(gcb_mutator *m, gcb_ref object, _Atomic(gcb_ref) *slot) {
  (void)m, (void)object, (void)slot;
}

/* Behind the store, not before it: a test that says "logged already" must not be followed by a store that the
 * rescan of that log has missed. The processor may still satisfy the test before the store is visible. A
 * fence would forbid it, at the price of a locked instruction for each store; the collector's membarrier(2)
 * does it instead: between setting bits and reading objects it has every mutator pass a fence, so a store
 * whose test saw the bit as it was before is visible to the reading, and any other sees the bit set. */
static inline void gcb_after_store(gcb_mutator *m, gcb_ref object, _Atomic(gcb_ref) *slot) {
  /* For the compiler only: membarrier orders what the program does, in the order it does it. */
  atomic_signal_fence(memory_order_seq_cst);
  if (GCB_UNLIKELY(gcb_log_wanted(m->store[0], (uintptr_t)object)))
    gcb_log_first(m, object, slot);
}
#endif

#endif
