/* mark/: what is reachable. gcb_marking has the marker (mark.c) with its regions (regions.h), the threads
 * that help it (crew.c), and the list of granules that are looked at again (rescan.c). It may include heap/,
 * watch/ and what these may; what the roots are it is told. Next: cycle/cycle.h, which says when. */
#ifndef GCB_MARKING_H
#define GCB_MARKING_H

#include "heap/blocks.h"
#include "watch/watch.h"

/* References of one granule of the barrier's at most: a page of them. */
enum { GCB_GRANULE_REFERENCES = GCB_PAGE / 8, GCB_FOUND = 2048 };

/* What somebody has found that takes part in a rescan: read by the collector's thread when it is done. */
typedef struct gcb_helper {
  _Alignas(64) uint32_t met[2][GCB_GRANULE_REFERENCES]; /* in the granule before and in this one, in turn */
  size_t met_count[2], turn;
  uint32_t found[GCB_FOUND]; /* granules that were not marked */
  size_t count;
  uint64_t objects;
  /* Of a remembered set the block that was looked into last, and whether anything is old there: most of what
   * is young lies in blocks of its own, and is written all over. */
  size_t block;
  bool old_there;
} gcb_helper;

/* Granules to be rescanned, for whoever takes them. */
typedef struct gcb_rescan_list {
  size_t *granules;
  _Atomic size_t count, next;
  _Atomic uint32_t open, helping;
  gcb_helper own;      /* of the collector's thread */
  gcb_helper *helpers; /* one for each mutator; null: there are none yet */
  uint32_t helper_count;
  uint64_t found;  /* references to what was not marked, ever */
  bool remembered; /* the granules are a remembered set: only what is old is looked at */
} gcb_rescan_list;

/* References into one region that nobody has looked up yet (parcels.c). */
enum { GCB_PARCEL_BYTES = 1024, GCB_PARCEL_REFERENCES = GCB_PARCEL_BYTES / 4 - 2 };
typedef struct gcb_parcel {
  uint32_t next, count; /* next: its number, from 1; 0: none */
  uint32_t granules[GCB_PARCEL_REFERENCES];
} gcb_parcel;
_Static_assert(sizeof(gcb_parcel) == GCB_PARCEL_BYTES, "a parcel's end is told from its address");

/* A part of the heap whose bits of `grey` fit a processor's cache. */
typedef struct gcb_region {
  _Alignas(64) _Atomic uint32_t owned;
  _Atomic uint32_t parcels;   /* a list, like gcb_parcel.next */
  _Atomic uint32_t published; /* references in it: a hint */
  _Atomic uint32_t grey;      /* at least so many bits are set, if any; written by the owner alone */
} gcb_region;
#define GCB_NO_REGION SIZE_MAX

enum { GCB_WAITING = 32, GCB_SPARE = 16, GCB_MARKERS = 8 };

/* One thread's. */
typedef struct gcb_marker {
  struct gcb_marking *marking;
  uint32_t *stack;               /* granule numbers: marked, to be visited */
  size_t top, capacity;          /* there is room for GCB_WAITING more */
  uint32_t waiting[GCB_WAITING]; /* met, and not yet looked up in `mark`; 0: nobody */
  uint32_t next;                 /* place in `waiting`, modulo its length */
  uint32_t **open;               /* for each region the end of a parcel that is being filled; null: none */
  uint32_t spare[GCB_SPARE], spares; /* free parcels of its own */
  size_t region;                     /* that it is visiting */
  uint64_t objects, bytes;           /* visited since the cycle began */
  uint64_t aged;                     /* bytes of those that were live when it began, if anybody asks */
} gcb_marker;

typedef struct gcb_marking {
  gcb_blocks *blocks; /* whose objects */
  gcb_watch *watch;   /* whose dirty granules */
  uint64_t *grey;     /* a bit per granule: an object that was met; if it isn't marked it is to be visited */
  /* Something is grey: what gcb_drain() asks, so that a short pause need not look at all regions. */
  bool spilled;
  /* What is visited on a page that isn't armed makes it pending (young.c). `unlogged`: not all of it did. */
  bool logs_visits, unlogged;
  bool arms_all; /* what lives is armed whether or not somebody allocates there: mutators are stopped */
  bool forks;    /* a child marks in this memory, and keeps no count of grey bits for us */
  bool spins;    /* every thread has a processor of its own, so that whoever waits may spin */
  gcb_region *regions;
  size_t region_count;
  unsigned region_shift; /* log2 of a region's granules */
  gcb_parcel *parcels;
  uint32_t parcel_count, free_count;
  uint32_t *free_parcels; /* a stack of their numbers, under parcel_lock */
  pthread_mutex_t parcel_lock;
  gcb_marker marker;     /* the collector's own; it has the sums when no phase is under way */
  struct gcb_crew *crew; /* crew.c; null: it marks alone */
  uint64_t helped;       /* objects that others have visited for it, in all cycles */
  gcb_rescan_list rescan;
  size_t metadata_bytes; /* beside what was carved */
} gcb_marking;

/* Whether the bytes of an object that is visited count as aged: it is old once it has lived through another
 * cycle, and was there when this one began. */
static inline bool gcb_ages(const gcb_blocks *blocks, size_t granule) {
  return GCB_UNLIKELY(blocks->survivals > 1) && gcb_bit(blocks->live, granule);
}

/* By the heap's size; then its parts of the metadata, which without memory only counts; then the rest. */
void gcb_marking_lay_out(gcb_marking *marking, gcb_blocks *blocks, gcb_watch *watch);
void gcb_marking_carve(gcb_marking *marking, gcb_metadata *metadata);
int gcb_marking_open(gcb_marking *marking);
void gcb_marking_close(gcb_marking *marking);
size_t
gcb_marking_seldom_bytes(const gcb_marking *marking); /* at the end of the metadata: hardly ever used */
/* Nothing is marked and nothing is known; by the collector's thread, with nobody else marking. */
void gcb_marking_forget(gcb_marking *marking);

/* mark.c: the collector's thread only */
uint64_t gcb_push_roots(gcb_marking *marking, _Atomic(gcb_ref) *roots, size_t count); /* that are not null */
void gcb_push_tracked(gcb_marking *marking, const void *tracked); /* marks what a reference leads to */
uint64_t gcb_drain(gcb_marking *marking); /* visits until nothing is left; objects visited */

/* crew.c: how many threads mark, the collector's among them. */
int gcb_marking_set_markers(gcb_marking *marking, uint32_t markers);
uint64_t gcb_marking_helpers_cpu_ns(const gcb_marking *marking);
void gcb_mark_together(gcb_marking *marking); /* region by region, until little is left */
void gcb_crew_free(gcb_marking *marking);

/* young.c: what is armed and what is not, for barriers that leave it to the core. The collector's thread
 * only. At the beginning of a cycle: what is old is armed, or pending where it is written all the time.
 * early: what of it was live after the last cycle is armed now. found (null: nobody asks): that is added to
 * it. */
int gcb_young_begin(gcb_marking *marking, bool early, gcb_dirty_set *found);
/* Pages that are not armed and on which something lives are watched from the next collect(rearm = true) on;
 * the caller empties `pending`, where they are. */
int gcb_young_arm(gcb_marking *marking);
/* The same pages are dirty, and so is what was reported and not armed again: the pause looks at them. */
void gcb_young_expose(gcb_marking *marking);
/* Of blocks that were just swept: opens free pages ahead of their first store. */
int gcb_young_release(gcb_marking *marking, size_t first_block, size_t end_block);
void gcb_log_visit(gcb_marking *marking, size_t granule);

/* rescan.c */
int gcb_rescan_open(gcb_rescan_list *rescan);
void gcb_rescan_close(gcb_rescan_list *rescan);
int gcb_rescan_admit(gcb_rescan_list *rescan, uint32_t mutators);            /* once */
size_t gcb_help_rescan(gcb_marking *marking, uint32_t mutator, size_t most); /* by a mutator; granules */
/* The collector's thread only: */
uint64_t gcb_rescan_dirty(gcb_marking *marking);      /* empties the dirty set; objects looked at */
uint64_t gcb_rescan_remembered(gcb_marking *marking); /* the same, of what is old alone */
void gcb_rescan_early(gcb_marking *marking); /* hands out what the dirty set holds, during a collect */
void gcb_rescan_drop(gcb_marking *marking);  /* forgets what was handed out */

#endif
