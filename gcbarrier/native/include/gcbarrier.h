/* What a heap's mutator.c sees: objects, allocation, stores, roots, safepoints.
 *
 * A mutator is an ordinary C program over this inline API. It is compiled once for all page-table barriers,
 * under which gcb_store() is the plain store it looks like, and once for each barrier that brings an inline
 * store of its own (GCB_STORE_HEADER, the barrier's x.h): no store goes through a function pointer.
 *
 * Objects never move. A gcb_ref held in a C local is therefore good until the next safepoint; across a
 * safepoint (gcb_poll, gcb_next, gcb_alloc, gcb_native_*) it must also be reachable from a root. */
#ifndef GCBARRIER_H
#define GCBARRIER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifndef GCB_VERIFY
#define GCB_VERIFY 0 /* 1: every write that the barrier has to notice is logged for the oracle */
#endif
#ifndef GCB_TIMED
#define GCB_TIMED 0 /* 1: every operation is timed (world/times.c) */
#endif
#ifndef GCB_STRESS
#define GCB_STRESS                                                                                           \
  0 /* 1: it collects at safepoints of its own, and each object that is used is looked at (stress.h) */
#endif
#ifdef GCB_STORE_HEADER
#define GCB_LOG_ALL 0 /* it notices gcb_store() alone */
#else
#define GCB_LOG_ALL GCB_VERIFY
#endif

#define GCB_GRANULE 16u
#define GCB_LIKELY(x) __builtin_expect(!!(x), 1)
#define GCB_UNLIKELY(x) __builtin_expect(!!(x), 0)

/* A header word (granules in the low half, number of references in the high half), the references, raw bytes.
 */
typedef struct gcb_object {
  _Atomic uint64_t header;
  _Atomic(struct gcb_object *) slots[];
} gcb_object;
typedef gcb_object *gcb_ref;

enum { GCB_STOP = 1, GCB_BLACK = 2, GCB_HELP = 4, GCB_TELL = 8 }; /* gcb_mutator.attention */

/* The part of a mutator that the inline paths touch; the core keeps the rest behind it. */
typedef struct gcb_mutator {
  char *cursor; /* TLAB: the next free byte, and the first one that is no longer its own */
  char *limit;
  uintptr_t store[4]; /* the barrier's words, for its inline store */
  /* GCB_STOP: come to a safepoint. GCB_BLACK: mark what you allocate. GCB_HELP: rescan a little. GCB_TELL:
   * how often you have lost your processor, since a stop may come soon. */
  _Atomic uint32_t attention;
  uint32_t index; /* 0 .. mutators - 1 */
  uint32_t count; /* how many mutators there are */
  uint32_t root_capacity;
  uint64_t operations; /* completed so far */
  uint64_t operation_limit;
  uint64_t random_state;
  _Atomic(gcb_ref) *roots; /* the handle stack */
  _Atomic uint32_t root_top;
  _Atomic uint32_t *finish;  /* the session's deadline has passed */
  _Atomic(gcb_ref) *globals; /* roots shared by all mutators */
  const void *params;
  const void *blob;
  size_t blob_bytes;
  uint64_t pace_start_ns;
  uint64_t pace_next;
  void *local; /* the mutator program's own */
  uint32_t armings_seen;
  uint64_t slept_ns; /* of its own will: gcb_pace(), gcb_pace_at(), gcb_await_armed() */
  /* The core's: where its slow paths go on. */
  struct gcb_allocator *allocator;
  struct gcb_timing *timing; /* null: nobody asked for it */
  struct gcb_oracle *oracle; /* null: nobody verifies */
  /* Of a stressed mutator (stress.h): safepoints to the next collection, on average (0: it is not stressed)
   * and from here on; those up to that. */
  uint64_t stress_every, stress_left, stress_seen, stress_state;
} gcb_mutator;

enum { GCB_GLOBALS = 256 };

/* The slow paths, in the core. */
char *gcb_alloc_slow(gcb_mutator *m, size_t bytes);
void gcb_alloc_black(gcb_mutator *m, gcb_ref object);
void gcb_safepoint_slow(gcb_mutator *m);
void gcb_log_write(gcb_mutator *m, const void *address, size_t bytes);
void gcb_native_enter(gcb_mutator *m);
void gcb_native_leave(gcb_mutator *m);
void gcb_pace_slow(gcb_mutator *m, double per_second);
void gcb_pace_at_slow(gcb_mutator *m, uint64_t after_ns);
void gcb_time_operation(gcb_mutator *m);
_Noreturn void gcb_fail(gcb_mutator *m, const char *format, ...) __attribute__((format(printf, 2, 3)));

#include "stress.h" /* gcb_stress(), gcb_alive(), gcb_alive_or_null() */

/* Safepoint: returns at once unless the collector has asked for something. */
static inline void gcb_poll(gcb_mutator *m) {
  gcb_stress(m);
  /* relaxed: only a hint; gcb_safepoint_slow() synchronises */
  if (GCB_UNLIKELY(atomic_load_explicit(&m->attention, memory_order_relaxed) &
                   (GCB_STOP | GCB_HELP | GCB_TELL)))
    gcb_safepoint_slow(m);
}

/* One operation is over; true while another is wanted. A safepoint. */
static inline bool gcb_next(gcb_mutator *m) {
  gcb_poll(m);
#if GCB_TIMED
  gcb_time_operation(m); /* behind the poll: a pause belongs to the operation that it holds up */
#endif
  if (GCB_UNLIKELY(m->operations >= m->operation_limit ||
                   atomic_load_explicit(m->finish, memory_order_relaxed)))
    return false;
  m->operations++;
  return true;
}

static inline uint32_t gcb_reference_count(gcb_ref object) {
  return (uint32_t)(atomic_load_explicit(&gcb_alive(object)->header, memory_order_relaxed) >> 32);
}
static inline size_t gcb_object_bytes(gcb_ref object) {
  return (size_t)(uint32_t)atomic_load_explicit(&gcb_alive(object)->header, memory_order_relaxed) *
         GCB_GRANULE;
}
/* Bytes that an object with so many references and raw bytes takes in the heap. */
static inline size_t gcb_size(uint32_t references, size_t raw_bytes) {
  if (GCB_UNLIKELY(raw_bytes >> 40))
    return (size_t)1 << 40; /* larger than any heap; the sum below must not wrap round */
  size_t bytes = sizeof(uint64_t) * (1 + (size_t)references) + raw_bytes;
  return (bytes + GCB_GRANULE - 1) & ~(size_t)(GCB_GRANULE - 1);
}

/* A collector that brings its own memory has its own way to it: its x.h, as runtime.h tells. */
#ifdef GCB_RUNTIME_HEADER
#include GCB_RUNTIME_HEADER
#endif

/* A new object, its references null and its raw bytes zero. A safepoint. Never returns null: where the heap
 * is full after a collection the thread is unwound to its start, and the run ends with an error that says so.
 */
static inline gcb_ref gcb_alloc(gcb_mutator *m, uint32_t references, size_t raw_bytes) {
  gcb_poll(m);
  size_t bytes = gcb_size(references, raw_bytes);
#ifdef GCB_RUNTIME_HEADER
  char *at = gcb_runtime_alloc(m, references, bytes);
#else
  char *at = m->cursor;
  if (GCB_LIKELY(bytes <= (size_t)(m->limit - at)))
    m->cursor = at + bytes;
  else
    at = gcb_alloc_slow(m, bytes);
#endif
  gcb_ref object = (gcb_ref)(void *)at;
#if GCB_LOG_ALL
  gcb_log_write(m, object, sizeof object->header);
#endif
  /* relaxed: whoever finds the object finds it through gcb_store() or a mark bit, and both release */
  atomic_store_explicit(&object->header, (uint64_t)references << 32 | bytes / GCB_GRANULE,
                        memory_order_relaxed);
#ifndef GCB_RUNTIME_HEADER
  /* acquire, and read after gcb_alloc_slow()'s safepoint: an object may be black only if the barrier was
   * armed before its first store; gcb_arm() sets the flag (release) after arming. */
  if (GCB_UNLIKELY(atomic_load_explicit(&m->attention, memory_order_acquire) & GCB_BLACK))
    gcb_alloc_black(m, object);
#endif
  return object;
}

/* A software barrier's x.h defines two inline functions:
 *   static inline void gcb_before_store(gcb_mutator *m, gcb_ref object, _Atomic(gcb_ref) *slot);
 *   static inline void gcb_after_store(gcb_mutator *m, gcb_ref object, _Atomic(gcb_ref) *slot); */
#ifdef GCB_STORE_HEADER
#include GCB_STORE_HEADER
#endif

/* acquire: the object it finds was published by another thread's gcb_store(); its header must be visible */
static inline gcb_ref gcb_load(gcb_ref object, uint32_t slot) {
  return atomic_load_explicit(&gcb_alive(object)->slots[slot], memory_order_acquire);
}
/* The write barrier. */
static inline void gcb_store(gcb_mutator *m, gcb_ref object, uint32_t slot, gcb_ref value) {
  object = gcb_alive(object);
  value = gcb_alive_or_null(value);
#if GCB_VERIFY
  gcb_log_write(m, &object->slots[slot], sizeof object->slots[slot]);
#else
  (void)m;
#endif
#ifdef GCB_STORE_HEADER
  gcb_before_store(m, object, &object->slots[slot]);
#endif
  /* release: the marker and other mutators must see the header of what they find through it */
  atomic_store_explicit(&object->slots[slot], value, memory_order_release);
#ifdef GCB_STORE_HEADER
  gcb_after_store(m, object, &object->slots[slot]);
#endif
}

/* The raw words behind the references; relaxed atomics, since another mutator may read them. */
static inline _Atomic uint64_t *gcb_raw(gcb_ref object) {
  return (_Atomic uint64_t *)(void *)&object->slots[gcb_reference_count(object)];
}
static inline uint64_t gcb_load_raw(gcb_ref object, size_t word) {
  return atomic_load_explicit(&gcb_raw(object)[word], memory_order_relaxed);
}
static inline void gcb_store_raw(gcb_mutator *m, gcb_ref object, size_t word, uint64_t value) {
#if GCB_LOG_ALL
  gcb_log_write(m, &gcb_raw(object)[word], sizeof(uint64_t));
#else
  (void)m;
#endif
  atomic_store_explicit(&gcb_raw(object)[word], value, memory_order_relaxed);
}

/* Handles: a stack of roots. gcb_pop(m, top) drops everything pushed since gcb_top() gave that top. */
static inline uint32_t gcb_top(gcb_mutator *m) {
  return atomic_load_explicit(&m->root_top, memory_order_relaxed);
}
static inline uint32_t gcb_push(gcb_mutator *m, gcb_ref object) {
  uint32_t top = gcb_top(m);
  object = gcb_alive_or_null(object);
  if (GCB_UNLIKELY(top == m->root_capacity))
    gcb_fail(m, "the handle stack is full: more than %u handles at once", m->root_capacity);
  atomic_store_explicit(&m->roots[top], object, memory_order_release);
  /* release: a concurrent root scan that sees the new top sees the handle */
  atomic_store_explicit(&m->root_top, top + 1, memory_order_release);
  return top;
}
static inline gcb_ref gcb_get(gcb_mutator *m, uint32_t handle) {
  return atomic_load_explicit(&m->roots[handle], memory_order_relaxed);
}
static inline void gcb_set(gcb_mutator *m, uint32_t handle, gcb_ref object) {
  atomic_store_explicit(&m->roots[handle], gcb_alive_or_null(object), memory_order_release);
}
static inline void gcb_pop(gcb_mutator *m, uint32_t top) {
  atomic_store_explicit(&m->root_top, top, memory_order_relaxed);
}
static inline gcb_ref gcb_global(gcb_mutator *m, uint32_t index) {
  return atomic_load_explicit(&m->globals[index], memory_order_acquire);
}
static inline void gcb_set_global(gcb_mutator *m, uint32_t index, gcb_ref object) {
  atomic_store_explicit(&m->globals[index], gcb_alive_or_null(object), memory_order_release);
}

/* The mutator's own random numbers (xorshift64*, Vigna 2016), seeded from the run's seed. */
static inline uint64_t gcb_random(gcb_mutator *m) {
  uint64_t x = m->random_state;
  x ^= x >> 12;
  x ^= x << 25;
  x ^= x >> 27;
  m->random_state = x;
  return x * UINT64_C(2685821657736338717);
}
/* Uniform in [0, bound), by multiplication (Lemire 2019, without the rejection: biased by less than 2^-32).
 */
static inline uint32_t gcb_random_below(gcb_mutator *m, uint32_t bound) {
  return (uint32_t)(((gcb_random(m) >> 32) * bound) >> 32);
}
static inline double gcb_random_unit(gcb_mutator *m) {
  return (double)(gcb_random(m) >> 11) * 0x1p-53;
}

/* Hold this mutator to so many calls of gcb_pace() per second, counted from its first; 0: as fast as it can.
 * Sleeping is a native region: the collector need not wait for it. A safepoint. */
static inline void gcb_pace(gcb_mutator *m, double per_second) {
  gcb_stress(m);
  if (per_second > 0 && m->operations >= m->pace_next)
    gcb_pace_slow(m, per_second);
}

/* Hold this mutator to a timetable: come back no sooner than so long after its first call of this, whose own
 * time counts as kept. Times ascend. In place of gcb_pace(), and with its properties: what comes late moves
 * all that follows. */
static inline void gcb_pace_at(gcb_mutator *m, uint64_t after_ns) {
  gcb_stress(m);
  if (after_ns >= m->pace_next)
    gcb_pace_at_slow(m, after_ns);
}

/* Sleep until the collector has armed since this was last called (or, where it tracks nothing, has stopped
 * the world for a whole collection), or the run is over. Returns at once where the mutator has a number of
 * operations to do: then what it does must not depend on cycles, of which there may be none. A native region,
 * and a safepoint. */
void gcb_await_armed(gcb_mutator *m);

#if GCB_STRESS /* The safepoints that the core has. In its own macro a name is not replaced again. */
#define gcb_native_enter(m) (gcb_stress(m), gcb_native_enter(m))
#define gcb_await_armed(m) (gcb_stress(m), gcb_await_armed(m))
#endif

/* What a heap defines in its mutator.c. */
void gcb_build(gcb_mutator *m);        /* mutator 0, alone, before the clock starts */
void gcb_mutate(gcb_mutator *m);       /* every mutator: loop while gcb_next() */
uint64_t gcb_checksum(gcb_mutator *m); /* mutator 0, alone, when all have ended: of everything reachable */

#endif
