/* The core's own picture of a heap. Nothing here is seen by mutators or barriers. */
#ifndef GCB_CORE_H
#define GCB_CORE_H

#include "include/barrier.h"
#include "include/gcbarrier.h"

#include <pthread.h>
#include <setjmp.h>
#include <sys/types.h>

#define GCB_GRANULE_SHIFT 4
#define GCB_BLOCK_SHIFT 15 /* 32 KiB: the unit that a thread claims */
#define GCB_BLOCK ((size_t)1 << GCB_BLOCK_SHIFT)
#define GCB_BLOCK_GRANULES (GCB_BLOCK / GCB_GRANULE)
#define GCB_BLOCK_WORDS (GCB_BLOCK_GRANULES / 64) /* bitmap words of a block; no word covers two blocks */
#define GCB_PAGE_GRANULES (GCB_PAGE / GCB_GRANULE)
#define GCB_PAGE_WORDS (GCB_PAGE_GRANULES / 64)
#define GCB_LARGE_BYTES (GCB_BLOCK / 2) /* larger objects get blocks of their own */
#define GCB_MEDIUM_BYTES ((size_t)512)  /* larger ones don't abandon a TLAB they don't fit into */
#define GCB_TLAB_BYTES                                                                                       \
  ((size_t)8192) /* zeroed at a time, so that it is still in the cache when it is used                       \
                  */
#define GCB_WORDS(bits) (((bits) + 63) / 64)
#define GCB_ROOTS (1u << 16)
#define GCB_NO_BLOCK SIZE_MAX
#define GCB_HUGE ((size_t)2 << 20)
_Static_assert(sizeof((gcb_mutator *)0)->store == GCB_STORE_WORDS * sizeof(uintptr_t),
               "two headers, one number");

/* A block's state is epoch << 3 | kind, changed by compare-and-swap. One whose epoch isn't the space's has
 * not been swept since the last remark. */
typedef enum gcb_block_kind {
  GCB_FREE,     /* nothing live */
  GCB_PARTIAL,  /* the gaps between live objects may be claimed */
  GCB_OWNED,    /* claimed by a thread in this epoch */
  GCB_BUSY,     /* being swept */
  GCB_HEAD,     /* first block of a large object */
  GCB_TAIL,     /* the others; gcb_space.head says where it begins */
  GCB_RESERVED, /* of a large object that is still being zeroed: no sweep may free it */
} gcb_block_kind;

typedef struct gcb_event { /* mirrored by gcbarrier.core.events in Python */
  uint64_t start_ns, end_ns, value;
  uint32_t cycle, pause; /* pause 0: mutators ran */
  uint16_t kind, flags;
  uint32_t thread; /* 0: the collector; k: mutator k - 1 */
} gcb_event;

typedef enum gcb_event_kind {
  GCB_EV_PAUSE = 1, /* value: gcb_pause_kind */
  GCB_EV_TTSP,      /* value: mutators waited for */
  GCB_EV_ROOTS,     /* value: roots */
  GCB_EV_COLLECT,   /* value: granules reported */
  GCB_EV_RESCAN,    /* value: objects looked at */
  GCB_EV_MARK,      /* value: objects visited */
  GCB_EV_RESUME,
  GCB_EV_ARM,
  GCB_EV_SWEEP,  /* value: blocks freed */
  GCB_EV_STALL,  /* a mutator waited for memory; value: bytes asked for */
  GCB_EV_ORACLE, /* value: objects checked */
  GCB_EV_CYCLE,  /* value: live bytes */
} gcb_event_kind;
typedef enum gcb_pause_kind {
  GCB_PAUSE_REMARK = 1,
  GCB_PAUSE_REARM,
  GCB_PAUSE_FULL,
  GCB_PAUSE_PROTOTYPE,
  GCB_PAUSE_SNAPSHOT,
  GCB_PAUSE_FORK,
  GCB_PAUSE_FLIP
} gcb_pause_kind;
enum { GCB_EVF_PREEMPTED = 1, GCB_EVF_FELL_BACK = 2 /* of a collect: gcb_barrier.fell_back */ };

typedef enum gcb_mutator_state { GCB_RUNNING, GCB_NATIVE, GCB_STOPPED, GCB_GONE } gcb_mutator_state;

/* A counter to wait on. */
typedef struct gcb_bell {
  _Atomic uint32_t count, sleepers;
} gcb_bell;

/* What the collector is at, for whoever times operations: in ascending order of how much it may hold a
 * mutator up. model.PHASES in Python, in the same order. */
typedef enum gcb_phase {
  GCB_IN_NO_CYCLE,
  GCB_IN_CYCLE, /* between two phases, or in one that isn't named here */
  GCB_IN_MARK,
  GCB_IN_SWEEP,
  GCB_IN_RESCAN,
  GCB_IN_ARM,
  GCB_IN_COLLECT,
  GCB_IN_PAUSE,
  GCB_PHASES,
} gcb_phase;

/* References of one granule of the barrier's at most: a page of them. */
enum { GCB_GRANULE_REFERENCES = GCB_PAGE / 8, GCB_FOUND = 2048 };

/* What somebody has found that takes part in a rescan: read by the collector's thread when it is done. */
typedef struct gcb_helper {
  uint32_t met[2][GCB_GRANULE_REFERENCES]; /* in the granule before and in this one, in turn */
  size_t met_count[2], turn;
  uint32_t found[GCB_FOUND]; /* granules that were not marked */
  size_t count;
  uint64_t objects;
} gcb_helper;

/* Granules to be rescanned, for whoever takes them (rescan.c). */
typedef struct gcb_rescan_list {
  size_t *granules;
  _Atomic size_t count, next;
  _Atomic uint32_t open, helpers;
  gcb_helper own; /* of the collector's thread */
} gcb_rescan_list;

/* A mutator and what only the core knows of it. */
typedef struct gcb_thread {
  gcb_mutator m; /* first: a gcb_mutator * is a gcb_thread * */
  struct gcb_space *space;
  pthread_t pthread;
  _Atomic uint32_t state;                /* gcb_mutator_state */
  _Atomic uint32_t held_by, released_by; /* the last stop (its odd count) that held it, and that let it go */
  uint64_t awake_ns;
  size_t block;        /* claimed, being allocated into; GCB_NO_BLOCK: none */
  size_t next_granule; /* of that block: where the search for the next gap goes on */
  char *run_limit;     /* end of the gap that the TLAB is cut from */
  bool run_clean;      /* the gap was never used: still zero */
  char *medium_cursor, *medium_limit;
  _Atomic uint64_t black_bytes;
  _Atomic uint64_t allocated_bytes; /* handed to TLABs and large objects; written by this thread alone */
  int64_t switches_before;          /* its involuntary context switches when the last stop was asked for */
  int status_fd;                    /* /proc/self/task/TID/status */
  uint64_t cpu_ns, minor_faults, mutate_ns;
  bool failed;
  gcb_helper helper;
  jmp_buf unwind; /* the thread's start */
  char error[256];
} gcb_thread;

/* References into one region that nobody has looked up yet (regions.c). */
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
  struct gcb_space *space;
  uint32_t *stack;               /* granule numbers: marked, to be visited */
  size_t top, capacity;          /* there is room for GCB_WAITING more */
  uint32_t waiting[GCB_WAITING]; /* met, and not yet looked up in `mark`; 0: nobody */
  uint32_t next;                 /* place in `waiting`, modulo its length */
  uint32_t **open;               /* for each region the end of a parcel that is being filled; null: none */
  uint32_t spare[GCB_SPARE], spares; /* free parcels of its own */
  size_t region;                     /* that it is visiting */
  uint64_t objects, bytes;           /* visited since the cycle began */
} gcb_marker;

/* model.MEMORY_TYPES in Python, in the same order */
typedef enum gcb_memory {
  GCB_SHMEM,
  GCB_SHMEM_THP,
  GCB_ANONYMOUS,
  GCB_ANONYMOUS_THP,
  GCB_HUGETLB
} gcb_memory;

/* What a forked child tells its parent (fork.c), in memory that both have. */
typedef struct gcb_child {
  uint64_t start_ns, rooted_ns, end_ns;
  uint64_t roots, objects, bytes;
  _Atomic uint32_t done; /* the last thing that it writes */
} gcb_child;

typedef struct gcb_oracle gcb_oracle;
typedef struct gcb_watcher gcb_watcher;
struct gcb_runtime;

typedef struct gcb_space {
  size_t bytes, blocks, pages;
  gcb_memory memory;
  int memfd;     /* -1: private memory */
  char *tracked; /* mutators' view: the barrier watches it */
  char *alias; /* collector's view of the same memory: reading it dirties nothing. May be the tracked one. */
  bool alias_huge; /* all of it (but a remainder below 2 MiB) is mapped by huge pages */
  void *metadata;
  size_t metadata_bytes;

  /* A bit per granule, set where an object starts.
   * live: after the last remark, what allocation must not touch. mark: written by the marker alone.
   * black: allocated since marking began; a word is written by the thread that owns its block alone.
   * Two writers, two bitmaps: neither needs a locked instruction. The sweep merges black into live. */
  _Atomic uint64_t *live, *mark, *black;
  _Atomic uint32_t *block_state;
  _Atomic uint32_t *head; /* of a large object's blocks: the block where it begins */
  uint8_t *used;          /* a byte per block: its memory may be other than zero */
  _Atomic uint32_t epoch;
  _Atomic size_t next_block, next_free; /* where claims go on in this epoch */
  pthread_mutex_t large_lock;
  size_t large_top; /* where the search for free runs goes on in this epoch */

  gcb_barrier barrier;
  const gcb_barrier_ops *ops;
  gcb_dirty_set dirty;
  uint64_t *write_watch; /* write_watch.c; null: not asked for */
  uint64_t *grey; /* a bit per granule: an object that was met; if it isn't marked it is to be visited */
  bool spilled; /* something is grey: what drain() asks, so that a short pause need not look at all regions */
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
  gcb_watcher *watchers; /* watch.c: threads that were told of; under service_lock */
  gcb_rescan_list rescan;
  _Atomic uint32_t assist; /* granules that a mutator rescans at a safepoint; 0: it isn't asked to help */
  _Atomic uint64_t assist_wait_ns;
  bool marking, armed;
  gcb_child *child; /* fork.c; null: the barrier does not fork */
  pid_t child_pid;  /* 0: none, or reaped */
  int child_handle; /* its pidfd, or -1 */
  uint64_t live_bytes;

  gcb_thread *threads;
  uint32_t thread_count;
  _Atomic(gcb_ref) globals[GCB_GLOBALS];

  /* safepoints (safepoint.c) */
  gcb_bell stop;     /* odd while the world is stopped or stopping */
  gcb_bell arrivals; /* a mutator came to rest */
  gcb_bell awake;    /* a mutator that was held runs again */
  gcb_bell armings;  /* writes are tracked from now on; or the run is over */
  bool timed;
  _Atomic uint32_t phase;        /* pauses so far << 8 | gcb_phase */
  uint64_t spin_ns;              /* of the collector's thread */
  _Atomic uint64_t held_spin_ns; /* of the mutators, before they sleep */
  uint64_t request_ns;
  int64_t switches_before; /* involuntary context switches of the collector's thread */
  uint32_t stop_depth;     /* stops that were asked for and not yet lifted */
  bool prepared;           /* for the next of them */
  uint32_t pause;          /* number of the current pause, 0 outside */
  uint32_t pauses;

  /* the service between mutators and the collector's thread (run.c) */
  pthread_mutex_t service_lock;
  pthread_cond_t service, served;
  uint64_t cycles_started, cycles_done; /* under service_lock */
  uint32_t cycle;                       /* of the collector's thread: events carry it */
  uint64_t stalled_bytes;               /* the largest request that waits for memory; 0: none */
  uint32_t ended;                       /* mutators that have */
  uint32_t started;                     /* threads that exist */
  uint32_t attached;                    /* mutators that the barrier knows */
  bool built, built_seen;
  bool abandon; /* nobody will serve the mutators any more: a wait for memory fails */
  gcb_thread *first_failed;
  uint64_t built_ns, ended_ns;
  void (*build)(gcb_mutator *), (*mutate)(gcb_mutator *);
  _Atomic uint64_t claimed_bytes; /* by allocation since the last remark */
  _Atomic uint64_t trigger_bytes;
  bool trigger_seen;
  _Atomic uint32_t finish;

  gcb_event *events;
  _Atomic uint64_t event_next;
  size_t event_capacity;
  uint64_t events_lost;

  gcb_oracle *oracle;                /* null: not verifying */
  const struct gcb_runtime *runtime; /* foreign.c; null: mutators allocate from this space */
} gcb_space;

/* In a loop that waits for another thread. */
static inline void gcb_relax(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}
static inline gcb_thread *gcb_thread_of(gcb_mutator *m) {
  return (gcb_thread *)(void *)m;
}
static inline gcb_space *gcb_space_of(gcb_barrier *barrier) {
  return (gcb_space *)(void *)((char *)barrier - offsetof(gcb_space, barrier));
}
static inline uint32_t gcb_granule_of(const gcb_space *space, const void *tracked) {
  return (uint32_t)((size_t)((const char *)tracked - space->tracked) >> GCB_GRANULE_SHIFT);
}
/* An object as the collector sees it. */
static inline gcb_ref gcb_alias_object(const gcb_space *space, size_t granule) {
  return (gcb_ref)(void *)(space->alias + (granule << GCB_GRANULE_SHIFT));
}
static inline uint64_t gcb_word(_Atomic uint64_t *bitmap, size_t word) {
  /* acquire: a bit in `black` says that the object's header is written */
  return atomic_load_explicit(&bitmap[word], memory_order_acquire);
}
static inline bool gcb_bit(_Atomic uint64_t *bitmap, size_t granule) {
  return gcb_word(bitmap, granule >> 6) >> (granule & 63) & 1;
}
static inline bool gcb_is_live(const gcb_space *space, size_t granule) {
  return gcb_bit(space->mark, granule) || gcb_bit(space->black, granule);
}
static inline gcb_block_kind gcb_kind(uint32_t state) {
  return (gcb_block_kind)(state & 7);
}
static inline uint32_t gcb_state(uint32_t epoch, gcb_block_kind kind) {
  return epoch << 3 | (uint32_t)kind;
}

uint64_t gcb_now_ns(void);
void gcb_record(gcb_space *space, gcb_event_kind kind, uint64_t start_ns, uint64_t value);
void gcb_record_full(gcb_space *space, gcb_event event);

/* times.c */
int gcb_timing_new(gcb_thread *t);
/* Says what the collector is at from now on. Inside a pause it says nothing: that is a pause to everybody. */
static inline void gcb_enter_phase(gcb_space *space, gcb_phase phase) {
  /* relaxed: a label. A mutator that a pause has held sees that there was one, since the stop's and the
   * resume's bells (seq_cst) lie between. */
  if (space->stop_depth == 0)
    atomic_store_explicit(&space->phase, space->pauses << 8 | (uint32_t)phase, memory_order_relaxed);
}

/* memory.c; the first fails with -1, the last with null */
int gcb_memory_map(gcb_space *space); /* by its `memory` and `bytes`: makes the views, all pages present */
void gcb_memory_unmap(gcb_space *space);
size_t gcb_huge_mapped_bytes(const char *view); /* of the mapping that begins there; SIZE_MAX: unknown */
void *gcb_metadata_map(size_t bytes, size_t present, bool shared);

/* cycle.c: the end of a stop in which everything reachable was marked (unless that failed) */
int gcb_finish_marking(gcb_space *space, gcb_pause_kind kind, int failed);

/* watch.c */
void gcb_watch_detach_all(gcb_space *space);

/* fork.c */
void gcb_end_child(gcb_space *space); /* kills it, if there is one, and reaps it */
pid_t gcb_fork_idle(void);            /* a child that does nothing until it is killed; -1: errno tells */

/* alloc.c */
void gcb_retire_tlabs(gcb_space *space); /* mutators stopped */
size_t gcb_sweep_blocks(gcb_space *space);

/* regions.c */
void gcb_regions_lay_out(gcb_space *space); /* by the heap's size */
int gcb_regions_open(gcb_space *space);
void gcb_regions_close(gcb_space *space);
void gcb_set_grey(gcb_space *space, uint32_t granule); /* by the collector's thread where nobody else marks */
/* Of any marker: a turn round the regions that have work and no owner, beginning anywhere; whether it was
 * worth it. */
bool gcb_visit_regions(gcb_marker *marker, size_t start);
void gcb_publish_open(gcb_marker *marker); /* gives away all that it holds */
void gcb_return_spare(gcb_marker *marker, uint32_t kept);
bool gcb_regions_wait(const gcb_space *space); /* for an owner, and there is enough to do */
/* Of the collector's thread, with nobody else marking. */
void gcb_spill_stack(gcb_space *space);
void gcb_look_up_rest(gcb_space *space); /* empties all parcels; `spilled` says whether that was all */
void gcb_forget_grey(gcb_space *space);  /* also what is on the stack */

/* crew.c: the markers' threads */
void gcb_mark_together(gcb_space *space); /* region by region, until little is left */
void gcb_crew_free(gcb_space *space);

/* mark.c, rescan.c: the collector's thread only */
uint64_t gcb_push_roots(gcb_space *space);
uint64_t gcb_drain(gcb_space *space); /* visits until nothing is left; objects visited */
void gcb_push_tracked(gcb_space *space, const void *tracked); /* marks what a reference leads to */
uint64_t gcb_rescan_dirty(gcb_space *space);                  /* empties the dirty set; objects looked at */
size_t gcb_help_rescan(gcb_thread *t, size_t most);           /* by a mutator; granules */
bool gcb_is_helped(const gcb_space *space);
void gcb_rescan_early(gcb_barrier *barrier); /* hands out what the dirty set holds, during a collect */
void gcb_rescan_drop(gcb_space *space);      /* forgets what was handed out */
int gcb_rescan_new(gcb_space *space);

/* safepoint.c */
/* What takes time in a stop and can be done before. It may be left to the stop. */
void gcb_prepare_stop(gcb_space *space);
void gcb_stop_world(gcb_space *space, bool asleep);
void gcb_resume_world(gcb_space *space, gcb_pause_kind kind);
void gcb_allocate_black(gcb_space *space, bool black);
void gcb_thread_gone(gcb_thread *t);
void gcb_announce_armed(gcb_space *space); /* or that the run is over: wakes gcb_await_armed() */
void gcb_ring(gcb_bell *bell);
uint32_t gcb_heard(gcb_bell *bell);
void gcb_wait_for(gcb_bell *bell, uint32_t seen, uint64_t spin_ns);

/* run.c: the service between mutators and the collector's thread */
void gcb_service_cycle_begins(gcb_space *space);
void gcb_service_cycle_ended(gcb_space *space);
void gcb_service_trigger(gcb_space *space);
void gcb_service_stall(gcb_thread *t, size_t bytes);
void gcb_threads_free(gcb_space *space);

/* foreign.c; nothing where mutators allocate from the space. In the mutator's own thread. */
int gcb_foreign_enter(gcb_thread *t);
void gcb_foreign_built(gcb_thread *t);
void gcb_foreign_leave(gcb_thread *t);

/* oracle.c; all but new() do nothing without one */
int gcb_oracle_new(gcb_space *space);
void gcb_oracle_free(gcb_space *space);
int gcb_oracle_check(gcb_space *space); /* mutators stopped, after the final mark */
void gcb_oracle_arming(gcb_space *space);
void gcb_oracle_armed(gcb_space *space);
void gcb_oracle_reported(gcb_space *space);  /* what is in the dirty set, before it is taken out */
void gcb_oracle_collected(gcb_space *space); /* the same, at the end of a collect */

#endif
