/* A stressed mutator (GCB_STRESS): every few safepoints, on average as many as was asked for, it waits until
 * a whole cycle has gone by. What that has freed is poisoned, and each object that goes through this API is
 * looked at first: a reference that no root has kept alive ends the run where it is used next. */
#ifndef GCB_STRESS_H
#define GCB_STRESS_H

/* Every word of freed memory. As a header it is of no object, as a reference no address (on x86-64). */
#define GCB_POISON UINT64_C(0xdeadc0dedeadc0de)

void gcb_stress_slow(gcb_mutator *m);
_Noreturn void gcb_dead(gcb_ref object); /* ends the run, with the place that it was called from */

#if GCB_STRESS

static inline void gcb_stress(gcb_mutator *m) {
  if (m->stress_every && --m->stress_left == 0)
    gcb_stress_slow(m);
}

static inline gcb_ref gcb_alive(gcb_ref object) {
  if (GCB_UNLIKELY((uintptr_t)object % GCB_GRANULE != 0))
    gcb_dead(object);
  /* relaxed: whoever has found the object by its reference sees its header, see gcb_alloc(). A memory that
   * was freed and then cleared for objects to come has none. */
  uint64_t header = atomic_load_explicit(&object->header, memory_order_relaxed);
  if (GCB_UNLIKELY(header == GCB_POISON || header == 0))
    gcb_dead(object);
  return object;
}

static inline gcb_ref gcb_alive_or_null(gcb_ref object) {
  return object ? gcb_alive(object) : object;
}

#else

static inline void gcb_stress(gcb_mutator *m) {
  (void)m;
}
static inline gcb_ref gcb_alive(gcb_ref object) {
  return object;
}
static inline gcb_ref gcb_alive_or_null(gcb_ref object) {
  return object;
}

#endif

#endif
