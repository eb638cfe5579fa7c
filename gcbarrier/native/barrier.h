/* The contract between the core and a barrier's C file.
 *
 * 1. Every store that completes after arm() returned and before a collect() with all mutators stopped is
 * covered by a granule that this or an earlier collect() reported. With mutators running it may come one
 * collect() later, never not at all.
 * 2. collect(rearm = true) is called with mutators running only if the barrier declares itself atomic.
 * 3. The collector reads the contents of a page only after the collect() that reported it has returned.
 * 4. A call that fails returns -1 and leaves a sentence in gcb_error(); it never reports less than it should.
 */
#ifndef GCB_BARRIER_H
#define GCB_BARRIER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GCB_PAGE_SHIFT 12
#define GCB_PAGE ((size_t)1 << GCB_PAGE_SHIFT)

/* The tracked view of a heap: where mutators write, and what a barrier watches. */
typedef struct gcb_range {
  char *base;
  size_t bytes; /* a whole number of pages */
} gcb_range;

/* What was written: a bit for each granule of the range. Only the collector's thread touches it. */
typedef struct gcb_dirty_set {
  uint64_t *words;
  size_t granules;
  size_t count; /* bits set by gcb_dirty_add() since the collect() began, repeats not counted */
} gcb_dirty_set;

static inline void gcb_dirty_add(gcb_dirty_set *set, size_t first, size_t granules) {
  /* Word by word: a scan reports long runs. */
  for (size_t granule = first, end = first + granules; granule < end;) {
    size_t left = end - granule, room = 64 - (granule & 63), run = left < room ? left : room;
    uint64_t bits = UINT64_MAX >> (64 - run) << (granule & 63), *word = &set->words[granule >> 6];
    set->count += *word & bits ? (size_t)__builtin_popcountll(bits & ~*word) : run;
    *word |= bits;
    granule += run;
  }
}

typedef struct gcb_barrier {
  gcb_range range;
  void *state;            /* the barrier's own, between open() and close() */
  unsigned granule_shift; /* log2 of a granule's bytes: GCB_PAGE_SHIFT, unless open() sets 4 to 12 */
} gcb_barrier;

/* Words of each mutator that belong to the barrier, for its inline store (gcb_mutator.store). */
#define GCB_STORE_WORDS 4

/* Every function but close() and detach() returns 0, or -1 after gcb_set_error(). */
typedef struct gcb_barrier_ops {
  int (*open)(gcb_barrier *barrier);
  int (*arm)(gcb_barrier *barrier);
  /* adds what was written since the granule was last armed; re-arms what it reports if asked to */
  int (*collect)(gcb_barrier *barrier, bool rearm, gcb_dirty_set *dirty);
  void (*close)(gcb_barrier *barrier); /* also after an open() that failed */
  /* May be null. attach() is called in the mutator's own thread before it runs, and never while armed;
   * detach() after it has ended, by the collector's thread, also where attach() failed. */
  int (*attach)(gcb_barrier *barrier, uintptr_t *words, uint32_t mutator);
  void (*detach)(gcb_barrier *barrier, uintptr_t *words, uint32_t mutator);
  bool tracks;      /* false: collect() never reports, only a stopped world can be marked */
  bool stores_only; /* it notices gcb_store() alone, not any write to the memory */
  bool snapshot;    /* collect() reports nothing but greys what was overwritten: see gcb_grey() */
  bool fork;        /* a snapshot barrier that is the kernel's copy-on-write: a forked child marks (fork.c) */
} gcb_barrier_ops;

/* For collect() of a snapshot barrier: the object (null is fine) was reachable when the barrier was armed,
 * with the mutators stopped, and has to be marked. */
void gcb_grey(gcb_barrier *barrier, const void *object);

/* A barrier's C file defines this one symbol. */
#define GCB_BARRIER const gcb_barrier_ops gcb_barrier_definition
extern const gcb_barrier_ops gcb_barrier_definition;

/* The calling thread's last error, as a sentence's end; "" where there was none. */
int gcb_set_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
const char *gcb_error(void);

#endif
