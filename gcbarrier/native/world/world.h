/* world/: who runs. gcb_world has the mutators' threads, stops and resumes them (safepoint.c), and is the
 * service between them and the collector's thread (service.c); times.c tells how long their operations took.
 * It may include base/ and include/, and knows of no heap: what a thread does for one is in gcb_hooks. Next:
 * cycle/cycle.h, whose thread stops the world. */
#ifndef GCB_WORLD_H
#define GCB_WORLD_H

#include "base/bell.h"
#include "base/events.h"
#include "include/error.h"
#include "include/gcbarrier.h"
#include "include/records.h"

#include <pthread.h>
#include <setjmp.h>
#include <sys/types.h>

enum { GCB_PLACES = 64 };

typedef enum gcb_mutator_state { GCB_RUNNING, GCB_NATIVE, GCB_STOPPED, GCB_GONE } gcb_mutator_state;

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

/* A mutator and what only the core knows of its thread. */
typedef struct gcb_thread {
  gcb_mutator m; /* first: a gcb_mutator * is a gcb_thread * */
  struct gcb_world *world;
  pthread_t pthread;
  _Atomic uint32_t state;                /* gcb_mutator_state */
  _Atomic uint32_t held_by, released_by; /* the last stop (its odd count) that held it, and that let it go */
  uint64_t arrived_ns, awake_ns;         /* at, and out of, the last stop that held it */
  /* Its involuntary context switches: as it told when it was asked to for the `told`th time; as the last stop
   * found it, and let it go; and as the collector's thread knew it before. */
  _Atomic uint32_t told;
  int64_t switches_told, switches_held, switches_released, switches_before;
  bool waited_for; /* by the last stop: it ran when that was asked for */
  int status_fd;   /* /proc/self/task/TID/status */
  int stat_fd;     /* and stat */
  /* Minor faults of its whole life: when the last stop held it; and what the collector's thread has noted of
   * them so far, and when. */
  int64_t faults_held, faults_noted;
  uint64_t faults_noted_ns;
  uint64_t help_start_ns, helped_ns; /* that is in no event yet */
  gcb_ran ran;
  uint64_t cpu_ns, minor_faults;
  bool failed;
  jmp_buf unwind; /* the thread's start */
  char error[1024];
} gcb_thread;

/* What a mutator's thread does for others that are none of the world's business. All but idle() once in its
 * life, in its own thread. */
typedef struct gcb_hooks {
  /* While it is held, or lingers at a safepoint because it was asked to help: up to `most` granules are
   * rescanned; how many there were. */
  size_t (*idle)(gcb_thread *t, size_t most);
  int (*enter)(gcb_thread *t);  /* before it runs; -1: gcb_error() tells */
  void (*built)(gcb_thread *t); /* mutator 0: when the heap is built */
  void (*leave)(gcb_thread *t); /* when it has ended, if it has entered */
} gcb_hooks;

typedef struct gcb_world {
  gcb_hooks hooks;
  gcb_thread *threads;
  uint32_t thread_count;
  _Atomic(gcb_ref) globals[GCB_GLOBALS];
  gcb_events events;

  /* safepoints (safepoint.c) */
  gcb_bell stop;     /* odd while the world is stopped or stopping */
  gcb_bell arrivals; /* a mutator came to rest */
  gcb_bell awake;    /* a mutator that was held runs again */
  gcb_bell armings;  /* writes are tracked from now on; or the run is over */
  bool timed;
  _Atomic uint32_t phase;        /* pauses so far << 8 | gcb_phase */
  uint32_t places[GCB_PLACES];   /* processors of mutators, in turn (placing.c) */
  uint32_t place_count;          /* 0: wherever the scheduler puts them */
  uint64_t spin_ns;              /* of the collector's thread */
  _Atomic uint64_t held_spin_ns; /* of the mutators, before they sleep */
  uint64_t request_ns;
  int64_t switches_before; /* involuntary context switches of the collector's thread */
  _Atomic uint32_t asked;  /* so often mutators were asked to tell theirs */
  uint32_t stop_depth;     /* stops that were asked for and not yet lifted */
  bool prepared;           /* for the next of them */
  uint32_t pauses;
  _Atomic uint64_t assist_ns; /* for so long a mutator helps at a safepoint; 0: it isn't asked to */

  /* the service between mutators and the collector's thread (service.c) */
  pthread_mutex_t lock;
  pthread_cond_t wanted, served;
  uint64_t cycles_started, cycles_served; /* under the lock; served: the last that has freed memory */
  uint64_t cycles_ended;                  /* by the collector, sweep and all */
  uint64_t stress_cycle;                  /* the latest that a stressed mutator waits for the end of */
  uint64_t stress_every;                  /* before the start: safepoints to a collection; 0: no stress */
  uint64_t minors_served;                 /* of all that have: how many were minor */
  bool waited_for;                        /* a mutator waited for memory when this cycle began */
  uint64_t stalled_bytes;                 /* the largest request that waits for memory; 0: none */
  uint32_t ended;                         /* mutators that have */
  uint32_t started;                       /* threads that exist */
  uint32_t entered;                       /* mutators that everybody knows who has to */
  bool built, built_seen;
  bool abandon; /* nobody will serve the mutators any more: a wait for memory fails */
  bool trigger_seen;
  gcb_thread *first_failed;
  uint64_t built_ns, ended_ns;
  void (*build)(gcb_mutator *), (*mutate)(gcb_mutator *);
  _Atomic uint32_t finish;
} gcb_world;

static inline gcb_thread *gcb_thread_of(gcb_mutator *m) {
  return (gcb_thread *)(void *)m;
}

/* Says what the collector is at from now on. Inside a pause it says nothing: that is a pause to everybody. */
static inline void gcb_enter_phase(gcb_world *world, gcb_phase phase) {
  /* relaxed: a label. A mutator that a pause has held sees that there was one, since the stop's and the
   * resume's bells (seq_cst) lie between. */
  if (world->stop_depth == 0)
    atomic_store_explicit(&world->phase, world->pauses << 8 | (uint32_t)phase, memory_order_relaxed);
}

int gcb_world_open(gcb_world *world, const gcb_hooks *hooks);
void gcb_world_close(gcb_world *world); /* the threads have been ended */

/* threads.c */
int gcb_load_program(const char *path, gcb_program *program);
/* Mutators, whose threads run from gcb_world_start() on: in between others get ready for them. */
int gcb_world_admit(gcb_world *world, uint32_t mutators, uint64_t seed, const uint64_t *operations,
                    const void *params, const void *blob, size_t blob_bytes);
int gcb_world_start(gcb_world *world, const gcb_program *program);
void gcb_world_end(gcb_world *world); /* of whoever still runs: told to end, resumed, joined */
int gcb_world_join(gcb_world *world, const gcb_program *program,
                   uint64_t *checksum); /* null: none is wanted */
/* Calls `visit` with all roots, a run of them at a time, some of them null; ends when it returns other than
 * 0, and returns that. Inline: it is called in the pause, where code that lies elsewhere is cold. */
static inline int gcb_world_each_root(gcb_world *world,
                                      int (*visit)(void *self, _Atomic(gcb_ref) *roots, size_t count),
                                      void *self) {
  int result = visit(self, world->globals, GCB_GLOBALS);
  for (uint32_t i = 0; i < world->thread_count && !result; i++) {
    gcb_mutator *m = &world->threads[i].m;
    /* acquire: pairs with gcb_push(). With mutators running this is only a start: the remark scans the roots
     * again. */
    uint32_t top = atomic_load_explicit(&m->root_top, memory_order_acquire);
    result = visit(self, m->roots, top);
  }
  return result;
}

/* placing.c */
#define GCB_UNTOLD UINT64_MAX /* what the kernel does not say of a thread (gcb_ran) */
int gcb_world_place(gcb_world *world, const uint32_t *cpus, size_t count);
/* Whether the collector's thread, which asks, has a processor beside so many mutators'. */
bool gcb_world_has_room(const gcb_world *world, uint32_t mutators);
int gcb_take_place(gcb_thread *t); /* by the mutator, as it begins */
void gcb_ran_begins(gcb_thread *t);
void gcb_ran_ends(gcb_thread *t);

/* safepoint.c */
/* A stop may come soon, so mutators tell what it wants to know of them; again, so that it is of late. It may
 * be left to the stop, which then takes its time before the request. */
void gcb_prepare_stop(gcb_world *world);
/* `asleep`: mutators give up their processors at once. */
void gcb_stop_world(gcb_world *world, bool asleep);
void gcb_resume_world(gcb_world *world, gcb_pause_kind kind);
void gcb_allocate_black(gcb_world *world, bool black);
void gcb_thread_gone(gcb_thread *t);
void gcb_world_ask_to_help(gcb_world *world, uint64_t hold_ns); /* 0: no more */
bool gcb_is_helped(const gcb_world *world);
bool gcb_world_rests(gcb_world *world); /* no mutator runs; as a hint */

/* switches.c */
enum { GCB_SWITCHES_UNKNOWN = -1 };
int64_t gcb_own_switches(void); /* of the calling thread, involuntary ones */
int64_t gcb_own_switches_and_faults(int64_t *faults);
void gcb_tell_switches(gcb_thread *t); /* by the mutator */
void gcb_note_switches(gcb_world *world);
bool gcb_lost_processor(gcb_world *world, uint32_t stop);

/* lost.c */
void gcb_record_held(gcb_world *world, gcb_thread *t);  /* by the last stop */
void gcb_record_help(gcb_thread *t, uint64_t start_ns); /* by the mutator: it has helped since then */
void gcb_world_note_faults(gcb_world *world);           /* of all mutators, as of now */

/* pace.c */
void gcb_announce_armed(gcb_world *world); /* or that the run is over: wakes gcb_await_armed() */

/* service.c */
void gcb_service_open(gcb_world *world);
void gcb_service_close(gcb_world *world);
void gcb_service_cycle_begins(gcb_world *world);
/* By the cycle under way; again does nothing. minor: it has not looked at everything. */
void gcb_service_freed(gcb_world *world, bool minor);
void gcb_service_ended(gcb_world *world); /* the cycle under way */
/* The collector is wanted when so many bytes have been claimed: `threshold`, whoever keeps it, is set by the
 * collector's thread, and by the mutator that reaches it to what none reaches, in one step with the rest. */
void gcb_service_set_trigger(gcb_world *world, _Atomic uint64_t *threshold, uint64_t bytes);
void gcb_service_trigger(gcb_world *world, _Atomic uint64_t *threshold);
uint64_t gcb_service_stall(gcb_mutator *m, size_t bytes, uint64_t since[2]);
int gcb_service_wait(gcb_world *world, uint64_t timeout_ns);
void gcb_service_finish(gcb_world *world);
void gcb_service_abandon(gcb_world *world);
void gcb_service_abandon_locked(gcb_world *world);
size_t gcb_service_take_events(gcb_world *world, gcb_event *taken, size_t capacity);

/* stress.c */
void gcb_stress_admit(gcb_mutator *m, uint64_t every, uint64_t seed);

/* crash.c */
void gcb_crash_enter(gcb_thread *t); /* the calling thread runs this mutator's program from now on */
/* Where the calling thread tells of a fault, since its own stack may have run over; null: nowhere any more.
 */
enum { GCB_CRASH_STACK = 1 << 16 };
void gcb_crash_stack(void *memory, size_t bytes);
gcb_thread *gcb_running(void);          /* which the calling thread runs; null: none */
void gcb_crash_watch(gcb_world *world); /* its mutators are asked where they are; null: none is there */

/* times.c */
int gcb_timing_new(gcb_mutator *m, uint32_t mutators);
void gcb_timing_free(gcb_mutator *m);
size_t gcb_time_bucket(uint64_t ns);
size_t gcb_time_buckets(void);
size_t gcb_time_phases(void);
double gcb_timing_cost_ns(void);
void gcb_world_operation_times(const gcb_world *world, uint64_t *counts);
/* See gcb_get_stamps(). */
size_t gcb_world_stamps(const gcb_world *world, uint32_t mutator, uint64_t *first_ns, gcb_stamp *stamps);
size_t gcb_world_slow_operations(const gcb_world *world, gcb_slow_operation *slow, size_t capacity);

#endif
