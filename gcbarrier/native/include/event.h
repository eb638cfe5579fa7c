/* What happened when: one record of the event ring. Whoever stops the world or collects tells it so, the core
 * as well as a collector that brings its own memory. */
#ifndef GCB_EVENT_H
#define GCB_EVENT_H

#include <stdint.h>

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
  GCB_EV_ARM,    /* value: granules; of a fork: pages */
  GCB_EV_SWEEP,  /* value: blocks freed */
  GCB_EV_STALL,  /* a mutator waited for memory; value: bytes asked for */
  GCB_EV_ORACLE, /* value: objects checked */
  GCB_EV_CYCLE,  /* value: live bytes */
  /* What a mutator lost, by its thread: */
  GCB_EV_HELD, /* a stop held it, from its arrival until it ran again */
  GCB_EV_HELP, /* it lingered at safepoints to help; value: nanoseconds of it, all unless the ring was full */
  GCB_EV_FAULTS, /* value: its minor faults meanwhile */
} gcb_event_kind;
typedef enum gcb_pause_kind {
  GCB_PAUSE_REMARK = 1,
  GCB_PAUSE_REARM,
  GCB_PAUSE_FULL,
  GCB_PAUSE_PROTOTYPE,
  GCB_PAUSE_SNAPSHOT,
  GCB_PAUSE_FORK,
  GCB_PAUSE_FLIP,
  GCB_PAUSE_MINOR /* a remark, or all of the marking, of a cycle in which old objects stayed marked */
} gcb_pause_kind;
enum { GCB_EVF_PREEMPTED = 1, GCB_EVF_FELL_BACK = 2 /* of a collect: gcb_barrier.fell_back */ };

/* The clock of all stamps: CLOCK_MONOTONIC. */
uint64_t gcb_now_ns(void);

#endif
