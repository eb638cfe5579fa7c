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
} gcb_totals;

typedef struct gcb_verification {
  uint64_t cycles, objects, reported, written, false_dirty, lost;
} gcb_verification;

typedef struct gcb_slow_operation {
  uint64_t start_ns, end_ns, took_ns; /* took: without what it slept of its own will */
  uint32_t mutator, phase;
  uint32_t preempted; /* descheduled involuntarily so many times */
  uint32_t blocked;   /* waited in the kernel so many times: for a lock, a stop of the world, memory */
} gcb_slow_operation;

#endif
