/* What is handed over between Python and the core, beside numbers: the first part of what api.h declares, and
 * the one that folders below it fill in. */
#ifndef GCB_RECORDS_H
#define GCB_RECORDS_H

#include <stdint.h>

typedef struct gcb_program { /* a compiled mutator.c */
  void *build, *mutate, *checksum;
} gcb_program;

typedef struct gcb_totals {
  uint64_t operations, cpu_ns, minor_faults, allocated_bytes, wall_ns, events_lost, live_bytes,
      metadata_bytes;
  uint64_t built_ns; /* when the mutators began; 0: they have not */
} gcb_totals;

typedef struct gcb_verification {
  uint64_t cycles, objects, reported, written, false_dirty, lost;
} gcb_verification;

/* What a cycle under sticky marks has seen (cycle/minor.c), in bytes where nothing else is said. */
typedef struct gcb_generation {
  uint64_t minor;      /* 1: the old objects were marked when it began */
  uint64_t old;        /* these */
  uint64_t young;      /* allocated since the last cycle ended: until this one began, then until it ended */
  uint64_t survived;   /* visited: all that lives of those that were not old, or of everything */
  uint64_t promoted;   /* of that, old from now on */
  uint64_t live;       /* after the last one that has ended, with old objects that nobody has looked at */
  uint64_t live_full;  /* after the last one that looked at everything */
  uint64_t waited_for; /* 1: a mutator waited for memory when it began */
  /* The remembered set: granules, old objects looked at, references met there to what was not marked. */
  uint64_t granules, objects, references;
} gcb_generation;

/* An operation of a mutator, after the one before it: what it slept of its own will, then how long it took.
 */
typedef struct gcb_stamp {
  uint32_t gap_ns, took_ns;
} gcb_stamp;

typedef struct gcb_slow_operation {
  uint64_t start_ns, end_ns, took_ns; /* took: without what it slept of its own will */
  uint32_t mutator, phase;
  uint32_t preempted; /* descheduled involuntarily so many times */
  uint32_t blocked;   /* waited in the kernel so many times: for a lock, a stop of the world, memory */
} gcb_slow_operation;

/* Where a mutator's thread was put, and what the scheduler did to it while it ran; all bits set: the kernel
 * does not say. */
typedef struct gcb_ran {
  uint64_t waited_ns;              /* runnable, and without a processor */
  uint64_t voluntary, involuntary; /* context switches */
  uint64_t migrations;             /* to another processor */
  uint64_t processor;              /* the last */
} gcb_ran;

/* What a thread lost that did nothing but read the clock (bench/gaps.c). */
typedef struct gcb_gaps {
  uint64_t turn_ns;  /* of the loop, when nothing is in its way */
  uint64_t least_ns; /* between two readings: as long or longer is a gap, and none of the loop's own making */
  uint64_t wall_ns;
  uint64_t count, longest_ns, lost_ns;
  uint64_t short_ns;  /* of what is lost: in gaps shorter than a slice */
  uint64_t absent_ns; /* of what is lost: in the others, where no thread of this machine had the processor */
  uint64_t preempted; /* gaps in which another thread had it */
} gcb_gaps;

#endif
