/* The inline store of card marking: three instructions over a plain store. */
#ifndef GCB_CARDS_H
#define GCB_CARDS_H

#ifndef GCB_CARDS_CONDITIONAL
#define GCB_CARDS_CONDITIONAL 0
#endif

#define GCB_CARD_SHIFT ((unsigned)__builtin_ctz(GCB_PARAM_card_bytes))

static inline void gcb_before_store(gcb_mutator *m, gcb_ref object, _Atomic(gcb_ref) *slot) {
  (void)m, (void)object, (void)slot;
}

static inline void gcb_after_store(gcb_mutator *m, gcb_ref object, _Atomic(gcb_ref) *slot) {
  (void)object;
  /* store[0] is the table less its first card's number: no subtraction here.
   * release: whoever sees the mark sees the reference. The collector clears a card before it reads what is on
   * it: a mark that comes too late for this collect is there for the next. */
  _Atomic uint8_t *card = (_Atomic uint8_t *)(m->store[0] + ((uintptr_t)slot >> GCB_CARD_SHIFT));
#if GCB_CARDS_CONDITIONAL
  /* The processor may satisfy this test before the reference is visible to anybody, and there is no fence to
   * forbid it: cards may be cleared only where such a store can't be under way, in a pause, or are followed
   * by membarrier(2), which relies on the program's order, hence the fence for the compiler. */
  atomic_signal_fence(memory_order_seq_cst);
  if (atomic_load_explicit(card, memory_order_relaxed))
    return;
#endif
  atomic_store_explicit(card, 1, memory_order_release);
}

#endif
