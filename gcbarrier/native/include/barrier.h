/* The contract between the core and a barrier's C file.
 *
 * 1. Every store that completes after arm() returned and before a collect() with all mutators stopped is
 * covered by a granule that this or an earlier collect() reported. With mutators running it may come one
 * collect() later, never not at all.
 * 2. collect(rearm = true) is called with mutators running only if the barrier declares itself atomic.
 * 3. The collector reads the contents of a page only after the collect() that reported it has returned, or
 * has called rearmed().
 * 4. A call that fails returns -1 and leaves a sentence in gcb_error(); it never reports less than it should.
 * After a collect(rearm = true) that failed, what it has re-armed is unknown: whoever goes on arms first.
 *
 * A barrier may let the core choose what is watched (arm_range and release_range): then memory that is free,
 * or was allocated since the last cycle, isn't armed, and filling it costs nothing. The core knows what is
 * young, and keeps in `armed` what is watched; of the rest nothing is reported and nothing is re-armed.
 */
#ifndef GCB_BARRIER_H
#define GCB_BARRIER_H

#include "error.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define GCB_PAGE_SHIFT 12
#define GCB_PAGE ((size_t)1 << GCB_PAGE_SHIFT)

/* The tracked view of a heap: where mutators write, and what a barrier watches. */
typedef struct gcb_range {
  char *base;
  size_t bytes; /* a whole number of pages */
} gcb_range;

/* What was written: a bit for each granule of the range, and above it one for each word that has any, so that
 * a small set in a large heap costs what is in it. Only the collector's thread touches it. */
typedef struct gcb_dirty_set {
  uint64_t *words;
  uint64_t *summary; /* a bit for each word; set where the word may be other than 0 */
  size_t granules;
  size_t count; /* bits set by gcb_dirty_add() since the collect() began, repeats not counted */
} gcb_dirty_set;

static inline void gcb_dirty_add(gcb_dirty_set *set, size_t first, size_t granules) {
  /* Word by word: a scan reports long runs. */
  for (size_t granule = first, end = first + granules; granule < end;) {
    size_t left = end - granule, room = 64 - (granule & 63), run = left < room ? left : room;
    size_t at = granule >> 6;
    uint64_t bits = UINT64_MAX >> (64 - run) << (granule & 63), *word = &set->words[at];
    set->count += *word & bits ? (size_t)__builtin_popcountll(bits & ~*word) : run;
    *word |= bits;
    set->summary[at >> 6] |= UINT64_C(1) << (at & 63);
    granule += run;
  }
}

/* The first word at or behind `at` that may be other than 0; SIZE_MAX: none. */
static inline size_t gcb_dirty_word(const gcb_dirty_set *set, size_t at) {
  size_t end = (((set->granules + 63) >> 6) + 63) >> 6, i = at >> 6;
  if (i >= end)
    return SIZE_MAX;
  uint64_t bits = set->summary[i] & UINT64_MAX << (at & 63);
  while (!bits)
    if (++i == end)
      return SIZE_MAX;
    else
      bits = set->summary[i];
  return (i << 6) + (size_t)__builtin_ctzll(bits);
}

/* 0, or -1 where there is no memory. A large set lies in a huge page, where the kernel has one: a pause
 * touches a few words of it, each of which would miss the TLB. */
static inline int gcb_dirty_new(gcb_dirty_set *set, size_t granules) {
  enum { HUGE = 2 << 20 };
  size_t words = (granules + 63) >> 6, summary = (words + 63) >> 6;
  size_t bytes = (words + summary) * sizeof *set->words, whole = (bytes + HUGE - 1) & ~(size_t)(HUGE - 1);
  bool huge = bytes >= HUGE / 64;
  uint64_t *memory = (uint64_t *)(huge ? aligned_alloc(HUGE, whole) : malloc(bytes));
  if (huge && memory)
    (void)madvise(memory, whole, MADV_HUGEPAGE);
  *set = (gcb_dirty_set){.words = memory, .granules = granules};
  if (!memory)
    return -1;
  memset(memory, 0, bytes);
  set->summary = memory + words;
  return 0;
}
static inline void gcb_dirty_free(gcb_dirty_set *set) {
  free(set->words);
  set->words = set->summary = NULL;
}
static inline size_t gcb_dirty_bytes(size_t granules) {
  size_t words = (granules + 63) >> 6;
  return (words + ((words + 63) >> 6)) * sizeof(uint64_t);
}
static inline void gcb_dirty_clear(gcb_dirty_set *set) {
  for (size_t word = 0; (word = gcb_dirty_word(set, word)) != SIZE_MAX; word++)
    set->words[word] = 0;
  memset(set->summary, 0, gcb_dirty_bytes(set->granules) - ((set->granules + 63) >> 6) * sizeof(uint64_t));
  set->count = 0;
}

/* The next run [*first, *last) of granules in [*at, end) that have their bit in `bits` (null: all have);
 * false: none. *at is where to go on. */
static inline bool gcb_next_run(const uint64_t *bits, size_t *at, size_t end, size_t *first, size_t *last) {
  size_t from = *at;
  *first = from;
  *last = *at = end;
  if (!bits || from >= end)
    return from < end;
  size_t word = from >> 6, words = (end + 63) >> 6;
  uint64_t some = bits[word] & UINT64_MAX << (from & 63);
  while (!some && ++word < words)
    some = bits[word];
  if (!some || (*first = (word << 6) + (size_t)__builtin_ctzll(some)) >= end)
    return false;
  some = ~bits[word] & UINT64_MAX << (*first & 63);
  while (!some && ++word < words)
    some = ~bits[word];
  size_t gap = some ? (word << 6) + (size_t)__builtin_ctzll(some) : end;
  *last = *at = gap < end ? gap : end;
  return true;
}

/* Adds those of a run of granules that have their bit in `armed` (null: all have). */
static inline void gcb_dirty_add_armed(gcb_dirty_set *set, const uint64_t *armed, size_t first,
                                       size_t granules) {
  for (size_t at = first, end = first + granules, from, to; gcb_next_run(armed, &at, end, &from, &to);)
    gcb_dirty_add(set, from, to - from);
}

/* Adds all that is in another set of the same granules. */
static inline void gcb_dirty_join(gcb_dirty_set *set, const gcb_dirty_set *other) {
  for (size_t word = 0; (word = gcb_dirty_word(other, word)) != SIZE_MAX; word++) {
    set->count += (size_t)__builtin_popcountll(other->words[word] & ~set->words[word]);
    set->words[word] |= other->words[word];
    set->summary[word >> 6] |= UINT64_C(1) << (word & 63);
  }
}

/* Takes out of the set what has no bit in `armed` (null: all have). Its count is that of what is left. */
static inline void gcb_dirty_keep_armed(gcb_dirty_set *set, const uint64_t *armed) {
  if (!armed)
    return;
  set->count = 0;
  for (size_t word = 0; (word = gcb_dirty_word(set, word)) != SIZE_MAX; word++) {
    set->words[word] &= armed[word];
    set->count += (size_t)__builtin_popcountll(set->words[word]);
  }
}

/* What a barrier counts beside its reports, for the results: how often it could not do what it is named for,
 * above all. */
typedef struct gcb_tally {
  const char *what; /* a literal; null behind the last */
  uint64_t count;
} gcb_tally;
enum { GCB_TALLIES = 12 };

typedef struct gcb_barrier {
  gcb_range range;
  void *state;            /* the barrier's own, between open() and close() */
  uint32_t threads;       /* so many will attach; 0: nobody knows. Set before the first attach() */
  unsigned granule_shift; /* log2 of a granule's bytes: GCB_PAGE_SHIFT, unless open() sets 4 to 12 */
  bool running;           /* set by the core of a heap: mutators may store during this collect() */
  bool fell_back;         /* by collect(): this one was done in another, slower way than the barrier's own */
  /* Null, or collect(rearm = true) may call it, as often as it likes: what it has added to the set so far has
   * been re-armed, and may be read and taken out from now on. */
  void (*rearmed)(struct gcb_barrier *barrier);
  /* A bit for each granule that is watched; null: all of them are. The core's, written between two calls. */
  const uint64_t *armed;
  gcb_tally tallies[GCB_TALLIES]; /* named by open() */
} gcb_barrier;

/* Words of each mutator that belong to the barrier, for its inline store (gcb_mutator.store). */
#define GCB_STORE_WORDS 4

/* Every function but close() and detach() returns 0, or -1 after gcb_set_error(). */
typedef struct gcb_barrier_ops {
  int (*open)(gcb_barrier *barrier);
  int (*arm)(gcb_barrier *barrier);
  /* adds what was written since the granule was last armed; re-arms what it reports if asked to */
  int (*collect)(gcb_barrier *barrier, bool rearm, gcb_dirty_set *dirty);
  /* May be null. With the mutators stopped, at the end of a cycle that has armed, also of one that was given
   * up: nothing needs to be noticed until the next arm(), and a barrier that records lets go of what it has.
   */
  int (*disarm)(gcb_barrier *barrier);
  void (*close)(gcb_barrier *barrier); /* also after an open() that failed */
  /* May be null. attach() is called in the mutator's own thread before it runs, several at once. Mutators
   * attach before the first arm(); a thread that writes to memory without a heap may come while the barrier
   * is armed, and what it has written by then must be covered by the next collect(). detach() is called after
   * it has ended, by the collector's thread, also where attach() failed. */
  int (*attach)(gcb_barrier *barrier, uintptr_t *words, uint32_t mutator);
  void (*detach)(gcb_barrier *barrier, uintptr_t *words, uint32_t mutator);
  /* Both or neither; a barrier without them is armed as a whole by arm(), and one that has them only where
   * `armed` says, if the core keeps that. Mutators may be running.
   * arm_range(): the granules, which have their bits since just now, count as written: the next arm() arms
   * them, or the next collect(rearm = true), which reports them too. */
  int (*arm_range)(gcb_barrier *barrier, size_t first, size_t granules);
  /* They have lost their bits, and will be written: opens them ahead of the first stores, where that is
   * cheaper than a fault for each. */
  int (*release_range)(gcb_barrier *barrier, size_t first, size_t granules);
  bool tracks;      /* false: collect() never reports, only a stopped world can be marked */
  bool stores_only; /* it notices gcb_store() alone, not any write to the memory */
  bool snapshot;    /* collect() reports nothing but greys what was overwritten: see gcb_grey() */
  bool fork;        /* a snapshot barrier that is the kernel's copy-on-write: a forked child marks */
} gcb_barrier_ops;

/* For collect() of a snapshot barrier: the object (null is fine) was reachable when the barrier was armed,
 * with the mutators stopped, and has to be marked. */
void gcb_grey(gcb_barrier *barrier, const void *object);

/* A barrier's C file defines this one symbol. */
#define GCB_BARRIER const gcb_barrier_ops gcb_barrier_definition
extern const gcb_barrier_ops gcb_barrier_definition;

#endif
