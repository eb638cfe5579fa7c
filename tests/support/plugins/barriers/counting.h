/* The inline store: the first word is where to count. */
#ifndef GCB_COUNTING_H
#define GCB_COUNTING_H

static inline void gcb_before_store(gcb_mutator *m, gcb_ref object, _Atomic(gcb_ref) *slot) {
  (void)object, (void)slot;
  ++*(uint64_t *)m->store[0];
}

static inline void gcb_after_store(gcb_mutator *m, gcb_ref object, _Atomic(gcb_ref) *slot) {
  (void)m, (void)object, (void)slot;
}

#endif
