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

/* A set of pages of the range, a bit each. Only the collector's thread touches it. */
typedef struct gcb_pageset {
  uint64_t *words;
  size_t pages;
  size_t count; /* bits set by gcb_pageset_add() since the collect() began, repeats not counted */
} gcb_pageset;

static inline void gcb_pageset_add(gcb_pageset *set, size_t first, size_t pages) {
  for (size_t page = first; page < first + pages; page++) {
    uint64_t bit = UINT64_C(1) << (page & 63), *word = &set->words[page >> 6];
    set->count += !(*word & bit);
    *word |= bit;
  }
}

typedef struct gcb_barrier {
  gcb_range range;
  void *state; /* the barrier's own, between open() and close() */
} gcb_barrier;

/* Every function but close() returns 0, or -1 after gcb_set_error(). */
typedef struct gcb_barrier_ops {
  int (*open)(gcb_barrier *barrier);
  int (*arm)(gcb_barrier *barrier);
  /* adds what was written since the granule was last armed; re-arms what it reports if asked to */
  int (*collect)(gcb_barrier *barrier, bool rearm, gcb_pageset *dirty);
  void (*close)(gcb_barrier *barrier); /* also after an open() that failed */
  uint32_t granule_bytes;
  bool tracks; /* false: collect() never reports, only a stopped world can be marked */
} gcb_barrier_ops;

/* A barrier's C file defines this one symbol. */
#define GCB_BARRIER const gcb_barrier_ops gcb_barrier_definition
extern const gcb_barrier_ops gcb_barrier_definition;

/* The calling thread's last error, as a sentence's end; "" where there was none. */
int gcb_set_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
const char *gcb_error(void);

#endif
