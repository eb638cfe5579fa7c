/* The contract between the core and a collector that brings its own memory: another project's library, under
 * which the same mutator.c runs. Its C file includes this and defines GCB_RUNTIME; its x.h beside it, which
 * is compiled into the mutators, defines
 *
 *   static inline char *gcb_runtime_alloc(gcb_mutator *m, uint32_t references, size_t bytes);
 *
 * which returns `bytes` zeroed bytes with GCB_GRANULE alignment, or calls gcb_fail(). All else is the core's,
 * and the same for everybody: threads, handles, random numbers, pace, the end.
 *
 * Handles (gcb_mutator.roots up to root_top) and globals are its roots, and so are the mutators' stacks and
 * registers: it stops mutators where it likes and not at safepoints. It collects when it likes, in any
 * mutator's thread. */
#ifndef GCB_RUNTIME_H
#define GCB_RUNTIME_H

#include "error.h"
#include "event.h"
#include "gcbarrier.h"

typedef struct gcb_space gcb_space;

/* Functions returning int give 0, or -1 after gcb_set_error(). */
typedef struct gcb_runtime {
  /* Once in a process, before any mutator: memory of so many bytes, and no more later. The space is there to
   * record events in, with gcb_record_full(): pauses and cycles as a collector of the core has them (event.h
   * tells), `cycle` and `pause` counted by the runtime. */
  int (*open)(gcb_space *space, size_t bytes);
  /* In the mutator's own thread, before it runs; and when it has ended. */
  int (*enter)(gcb_mutator *m);
  void (*leave)(gcb_mutator *m);
  /* By mutator 0, in its own thread, when the heap is built: a collection of everything, since nobody
   * measures the building. */
  void (*built)(gcb_mutator *m);
  int (*collect)(void); /* everything, now; from a thread that is no mutator */
  /* Allocated so far, and the processor time that collections took in the threads that began them. */
  uint64_t (*allocated_bytes)(void);
  uint64_t (*collecting_ns)(void);
  /* "name=value name=value": what it really is, for the results. Asked for at the end. */
  const char *(*facts)(void);
  int (*check)(void); /* at the end: -1 if it did not stay what it was asked to be */
} gcb_runtime;

/* What the space has for it. Neither locks anything: mutators are stopped anywhere. */
void gcb_record_full(gcb_space *space, gcb_event event);
/* Calls `visit` with all roots, a run of them at a time, some of them null; ends when it returns other than
 * 0, and returns that. */
typedef int gcb_root_visitor(void *self, _Atomic(gcb_ref) *roots, size_t count);
int gcb_each_root(gcb_space *space, gcb_root_visitor *visit, void *self);

#define GCB_RUNTIME const gcb_runtime gcb_runtime_definition
extern const gcb_runtime gcb_runtime_definition;

#endif
