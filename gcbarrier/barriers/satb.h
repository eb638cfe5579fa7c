/* The inline store of snapshot-at-the-beginning marking. store[0]: not 0 while marking; only changed while
 * the mutator is stopped, so it needs no atomics. store[1]: the mutator's buffer. */
#ifndef GCB_SATB_H
#define GCB_SATB_H

#include "buffers.h"

static __attribute__((noinline, unused)) void gcb_satb_log(gcb_mutator *m, _Atomic(gcb_ref) *slot) {
  /* acquire: the object may be new and another mutator's; what this one's entry publishes must include its
   * header and its black bit. Two mutators that overwrite the same slot at once may both log what was there
   * and neither what the other has put there: that was no edge of the snapshot. */
  gcb_ref old = atomic_load_explicit(slot, memory_order_acquire);
  if (old && !gcb_append((gcb_buffer *)m->store[1], (uintptr_t)old))
    gcb_fail(m, "no memory for what mutator %u overwrites", m->index);
}

static inline void gcb_before_store(gcb_mutator *m, gcb_ref object, _Atomic(gcb_ref) *slot) {
  (void)object;
  if (GCB_UNLIKELY(m->store[0]))
    gcb_satb_log(m, slot);
}

static inline void gcb_after_store(gcb_mutator *m, gcb_ref object, _Atomic(gcb_ref) *slot) {
  (void)m, (void)object, (void)slot;
}

#endif
