/* Mutator threads, and the service between them and the collector's thread: triggers, waits for memory, the
 * end. */
#include "core.h"
#include "api.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define SPIN_NS UINT64_C(2000000)
#define FOREVER_NS (UINT64_C(1) << 60)
#define NAP_NS UINT64_C(10000000)
#define BURST_NS UINT64_C(250000) /* a sleep costs more than an operation: several for each */

typedef void (*gcb_body)(gcb_mutator *);
typedef uint64_t (*gcb_sum)(gcb_mutator *);

static void *open_object(const char *path) {
  void *object = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (!object)
    gcb_set_error("%s", dlerror());
  return object;
}

int gcb_load_barrier(const char *path, const gcb_barrier_ops **ops) {
  void *object = open_object(path);
  if (!object)
    return -1;
  *ops = dlsym(object, "gcb_barrier_definition");
  return *ops ? 0 : gcb_set_error("%s defines no GCB_BARRIER", path);
}

int gcb_load_program(const char *path, gcb_program *program) {
  void *object = open_object(path);
  if (!object)
    return -1;
  *program =
      (gcb_program){dlsym(object, "gcb_build"), dlsym(object, "gcb_mutate"), dlsym(object, "gcb_checksum")};
  const char *missing = !program->build      ? "gcb_build"
                        : !program->mutate   ? "gcb_mutate"
                        : !program->checksum ? "gcb_checksum"
                                             : NULL;
  if (missing)
    return gcb_set_error("the mutator.c does not define %s (compiled as %s)", missing, path);
  return 0;
}

/* Ends the whole run with this thread's error. */
void gcb_fail(gcb_mutator *m, const char *format, ...) {
  gcb_thread *t = gcb_thread_of(m);
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(t->error, sizeof t->error, format, arguments);
  va_end(arguments);
  t->failed = true;
  longjmp(t->unwind, 1);
}

/* After the unwinding jump no local of this function is read but the thread itself. */
static bool guarded(gcb_thread *t, gcb_body body) {
  if (setjmp(t->unwind))
    return false;
  body(&t->m);
  return true;
}

/* false: it will never be */
static bool await_built(gcb_thread *t) {
  gcb_space *space = t->space;
  gcb_native_enter(&t->m);
  pthread_mutex_lock(&space->service_lock);
  while (!space->built && !space->abandon)
    pthread_cond_wait(&space->served, &space->service_lock);
  bool built = space->built;
  pthread_mutex_unlock(&space->service_lock);
  gcb_native_leave(&t->m);
  return built;
}

/* The collector arms from now on, and a barrier need not attach anybody while it is armed: so everybody is by
 * now. */
static void announce_built(gcb_thread *t) {
  gcb_space *space = t->space;
  gcb_native_enter(&t->m);
  pthread_mutex_lock(&space->service_lock);
  while (space->attached < space->thread_count && !space->abandon)
    pthread_cond_wait(&space->served, &space->service_lock);
  pthread_mutex_unlock(&space->service_lock);
  gcb_native_leave(&t->m);
  pthread_mutex_lock(&space->service_lock);
  space->built = true;
  space->built_ns = gcb_now_ns();
  pthread_cond_broadcast(&space->served);
  pthread_cond_signal(&space->service);
  pthread_mutex_unlock(&space->service_lock);
}

static uint64_t microseconds(struct timeval time) {
  return (uint64_t)time.tv_sec * 1000000u + (uint64_t)time.tv_usec;
}

static void measured_mutate(gcb_thread *t) {
  struct rusage before, after;
  getrusage(RUSAGE_THREAD, &before);
  (void)guarded(t, t->space->mutate);
  getrusage(RUSAGE_THREAD, &after);
  t->cpu_ns = 1000u * (microseconds(after.ru_utime) + microseconds(after.ru_stime) -
                       microseconds(before.ru_utime) - microseconds(before.ru_stime));
  t->minor_faults = (uint64_t)(after.ru_minflt - before.ru_minflt);
}

/* Under service_lock: every mutator ends, and none waits for a collector's thread that will not come. */
static void abandon(gcb_space *space) {
  space->abandon = true;
  atomic_store_explicit(&space->finish, 1, memory_order_relaxed);
  gcb_announce_armed(space);
  pthread_cond_broadcast(&space->served);
}

static bool attach(gcb_thread *t) {
  gcb_space *space = t->space;
  if (gcb_foreign_enter(t)) {
    snprintf(t->error, sizeof t->error, "%s", gcb_error());
    return false;
  }
  if (space->ops && space->ops->attach && space->ops->attach(&space->barrier, t->m.store, t->m.index)) {
    snprintf(t->error, sizeof t->error, "%s", gcb_error());
    return false;
  }
  pthread_mutex_lock(&space->service_lock);
  space->attached++;
  pthread_cond_broadcast(&space->served);
  pthread_mutex_unlock(&space->service_lock);
  return true;
}

static void *mutator_main(void *argument) {
  gcb_thread *t = argument;
  gcb_space *space = t->space;
  char path[64];
  snprintf(path, sizeof path, "/proc/self/task/%ld/status", (long)syscall(SYS_gettid));
  t->status_fd = open(path, O_RDONLY | O_CLOEXEC);
  prctl(PR_SET_TIMERSLACK, 1000); /* gcb_pace() sleeps for tens of microseconds */
  bool built = false, attached = attach(t);
  gcb_native_leave(&t->m);
  if (!attached)
    t->failed = true;
  else if (t->m.index > 0)
    built = await_built(t);
  else if (guarded(t, space->build)) {
    gcb_foreign_built(t);
    announce_built(t);
    built = true;
  }
  if (built)
    measured_mutate(t);
  if (attached)
    gcb_foreign_leave(t);
  gcb_thread_gone(t);
  pthread_mutex_lock(&space->service_lock);
  space->ended++;
  space->ended_ns = gcb_now_ns();
  if (t->failed) {
    /* The first under the lock has the cause; whoever was abandoned because of it comes later. */
    if (!space->first_failed)
      space->first_failed = t;
    abandon(space);
  }
  pthread_cond_signal(&space->service);
  pthread_mutex_unlock(&space->service_lock);
  return NULL;
}

/* splitmix64 (Steele, Lea and Flood 2014): mutators' seeds that have nothing to do with each other */
static uint64_t mix(uint64_t seed) {
  seed += UINT64_C(0x9e3779b97f4a7c15);
  seed = (seed ^ (seed >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
  seed = (seed ^ (seed >> 27)) * UINT64_C(0x94d049bb133111eb);
  return (seed ^ (seed >> 31)) | 1;
}

static void end_threads(gcb_space *space) {
  gcb_abandon(space);
  while (space->stop_depth > 0) /* a prototype that failed between its stop and its resume */
    gcb_resume(space);
  for (uint32_t i = 0; i < space->started; i++)
    pthread_join(space->threads[i].pthread, NULL);
  space->started = space->ended = 0;
}

int gcb_start(gcb_space *space, const gcb_program *program, uint32_t mutators, uint64_t seed,
              const uint64_t *operations, const void *params, const void *blob, size_t blob_bytes) {
  if (space->threads)
    return gcb_set_error("a heap's mutators are started once");
  if (mutators == 0 || mutators > GCB_GLOBALS) /* programs give each a global */
    return gcb_set_error("a heap has 1 to %u mutators, not %u", (unsigned)GCB_GLOBALS, mutators);
  if (space->marking)
    return gcb_set_error("mutators are started before a cycle begins");
  space->threads = calloc(mutators, sizeof *space->threads);
  if (!space->threads)
    return gcb_set_error("no memory for %u mutators", mutators);
  cpu_set_t cpus;
  bool room = sched_getaffinity(0, sizeof cpus, &cpus) == 0 && (uint32_t)CPU_COUNT(&cpus) > mutators;
  space->spin_ns = room ? SPIN_NS : 0;
  /* dlsym's object pointers are the functions (POSIX) */
  memcpy(&space->build, &program->build, sizeof space->build);
  memcpy(&space->mutate, &program->mutate, sizeof space->mutate);
  for (uint32_t i = 0; i < mutators; i++) {
    gcb_thread *t = &space->threads[i];
    *t = (gcb_thread){.space = space, .state = GCB_GONE, .block = GCB_NO_BLOCK, .status_fd = -1};
    t->m.index = i;
    t->m.count = mutators;
    t->m.random_state = mix(seed + i);
    t->m.operation_limit = operations ? operations[i] : UINT64_MAX;
    t->m.roots = calloc(GCB_ROOTS, sizeof *t->m.roots);
    t->m.root_capacity = GCB_ROOTS;
    t->m.finish = &space->finish;
    t->m.globals = space->globals;
    t->m.params = params;
    t->m.blob = blob;
    t->m.blob_bytes = blob_bytes;
    if (space->timed && gcb_timing_new(t))
      return -1;
  }
  space->thread_count = mutators; /* before the first thread runs: a stop looks at all of them */
  for (uint32_t i = 0; i < mutators; i++)
    if (!space->threads[i].m.roots)
      return gcb_set_error("no memory for the handles of %u mutators", mutators);
  for (uint32_t i = 0; i < mutators; i++) {
    int problem = pthread_create(&space->threads[i].pthread, NULL, mutator_main, &space->threads[i]);
    if (problem) {
      end_threads(space);
      return gcb_set_error("mutator %u of %u could not be started: %s", i + 1, mutators, strerror(problem));
    }
    space->started = i + 1;
  }
  return 0;
}

void gcb_finish(gcb_space *space) {
  atomic_store_explicit(&space->finish, 1, memory_order_relaxed);
  gcb_announce_armed(space); /* for those who wait for it */
}

/* Ends the run from outside: mutators come to an end at their next operation, those that wait for memory
 * fail. */
void gcb_abandon(gcb_space *space) {
  pthread_mutex_lock(&space->service_lock);
  abandon(space);
  pthread_mutex_unlock(&space->service_lock);
}

int gcb_join(gcb_space *space, const gcb_program *program, uint64_t *checksum) {
  end_threads(space);
  gcb_thread *t = space->first_failed;
  if (t)
    return gcb_set_error("%s", t->error);
  if (!space->built) /* never started, or not all of them could be */
    return gcb_set_error("no mutators have run");
  gcb_sum sum;
  memcpy(&sum, &program->checksum, sizeof sum);
  t = space->threads;
  if (setjmp(t->unwind)) /* gcb_fail() in the checksum: the thread's own frame is gone */
    return gcb_set_error("%s", t->error);
  *checksum = sum(&t->m);
  return 0;
}

void gcb_threads_free(gcb_space *space) {
  if (!space->threads)
    return;
  end_threads(space);
  for (uint32_t i = 0; i < space->thread_count; i++) {
    if (space->ops && space->ops->detach)
      space->ops->detach(&space->barrier, space->threads[i].m.store, i);
    free((void *)space->threads[i].m.roots);
    free(space->threads[i].m.timing);
    if (space->threads[i].status_fd >= 0)
      close(space->threads[i].status_fd);
  }
  free(space->threads);
}

void gcb_set_trigger(gcb_space *space, uint64_t bytes) {
  pthread_mutex_lock(&space->service_lock);
  space->trigger_seen = false;
  atomic_store_explicit(&space->trigger_bytes, bytes, memory_order_relaxed);
  pthread_mutex_unlock(&space->service_lock);
}

void gcb_service_trigger(gcb_space *space) {
  pthread_mutex_lock(&space->service_lock);
  space->trigger_seen = true;
  /* once: until the collector sets it again */
  atomic_store_explicit(&space->trigger_bytes, UINT64_MAX, memory_order_relaxed);
  pthread_cond_signal(&space->service);
  pthread_mutex_unlock(&space->service_lock);
}

/* Waits for a cycle that begins from now on to end: the one under way may have passed by what is garbage now.
 */
void gcb_service_stall(gcb_thread *t, size_t bytes) {
  gcb_space *space = t->space;
  uint64_t start_ns = gcb_now_ns();
  gcb_native_enter(&t->m);
  pthread_mutex_lock(&space->service_lock);
  uint64_t goal = space->cycles_started + 1;
  if (bytes > space->stalled_bytes)
    space->stalled_bytes = bytes;
  pthread_cond_signal(&space->service);
  while (space->cycles_done < goal && !space->abandon)
    pthread_cond_wait(&space->served, &space->service_lock);
  gcb_record_full(space, (gcb_event){.start_ns = start_ns,
                                     .end_ns = gcb_now_ns(),
                                     .value = bytes,
                                     .cycle = (uint32_t)space->cycles_done,
                                     .kind = GCB_EV_STALL,
                                     .thread = t->m.index + 1});
  bool abandon = space->abandon;
  pthread_mutex_unlock(&space->service_lock);
  gcb_native_leave(&t->m);
  if (abandon)
    gcb_fail(&t->m, "abandoned: the run has failed elsewhere");
}

void gcb_service_cycle_begins(gcb_space *space) {
  pthread_mutex_lock(&space->service_lock);
  space->cycle = (uint32_t)++space->cycles_started;
  space->stalled_bytes = 0;
  space->trigger_seen = false;
  pthread_mutex_unlock(&space->service_lock);
}

void gcb_service_cycle_ended(gcb_space *space) {
  pthread_mutex_lock(&space->service_lock);
  space->cycles_done = space->cycles_started;
  pthread_cond_broadcast(&space->served);
  pthread_mutex_unlock(&space->service_lock);
}

int gcb_wait(gcb_space *space, uint64_t timeout_ns) {
  uint64_t until_ns = gcb_now_ns() + (timeout_ns < FOREVER_NS ? timeout_ns : FOREVER_NS);
  struct timespec until = {.tv_sec = (time_t)(until_ns / 1000000000u),
                           .tv_nsec = (long)(until_ns % 1000000000u)};
  int wanted = 0, timed_out = 0;
  pthread_mutex_lock(&space->service_lock);
  for (;;) {
    /* Built first: what happens afterwards, however soon, belongs to the run and not to the building. */
    if (space->built && !space->built_seen)
      wanted = 3;
    else if (space->ended == space->started)
      wanted = 4;
    else if (space->stalled_bytes)
      wanted = 2;
    else if (space->trigger_seen)
      wanted = 1;
    if (wanted || timed_out == ETIMEDOUT)
      break;
    timed_out = pthread_cond_timedwait(&space->service, &space->service_lock, &until);
  }
  if (wanted == 3)
    space->built_seen = true;
  pthread_mutex_unlock(&space->service_lock);
  return wanted;
}

void gcb_get_totals(gcb_space *space, gcb_totals *totals) {
  *totals = (gcb_totals){.wall_ns = space->built ? space->ended_ns - space->built_ns : 0,
                         .events_lost = space->events_lost,
                         .live_bytes = space->live_bytes,
                         .metadata_bytes = space->metadata_bytes};
  for (uint32_t i = 0; i < space->thread_count; i++) {
    const gcb_thread *t = &space->threads[i];
    totals->operations += t->m.operations;
    totals->cpu_ns += t->cpu_ns;
    totals->minor_faults += t->minor_faults;
  }
  totals->allocated_bytes = gcb_allocated_bytes(space);
}

void gcb_get_operations(gcb_space *space, uint64_t *each) {
  for (uint32_t i = 0; i < space->thread_count; i++)
    each[i] = space->threads[i].m.operations;
}

uint64_t gcb_allocated_bytes(gcb_space *space) {
  uint64_t bytes = 0;
  for (uint32_t i = 0; i < space->thread_count; i++)
    bytes += atomic_load_explicit(&space->threads[i].allocated_bytes, memory_order_relaxed);
  return bytes;
}

void gcb_pace_slow(gcb_mutator *m, double per_second) {
  uint64_t now = gcb_now_ns();
  if (m->pace_start_ns == 0)
    m->pace_start_ns = now - (uint64_t)((double)m->operations * 1e9 / per_second);
  uint64_t due = m->pace_start_ns + (uint64_t)((double)m->operations * 1e9 / per_second);
  /* Not a look at the clock for every operation, and no debt: after a pause the mutator does not race to
   * catch up. */
  m->pace_next = m->operations + 1 + (uint64_t)(per_second / 100000);
  if (now > due + 1000000)
    m->pace_start_ns += now - due;
  if (due < now + BURST_NS)
    return;
  gcb_native_enter(m);
  /* In naps: however slow the pace, the end of the run is noticed. */
  while (now < due && !atomic_load_explicit(m->finish, memory_order_relaxed)) {
    uint64_t nap_ns = due - now < NAP_NS ? due - now : NAP_NS;
    nanosleep(&(struct timespec){.tv_nsec = (long)nap_ns}, NULL);
    uint64_t woken_ns = gcb_now_ns();
    /* What it overslept is none of its own will: somebody had its processor, the collector as like as not. */
    m->slept_ns += (woken_ns < now + nap_ns ? woken_ns : now + nap_ns) - now;
    now = woken_ns;
  }
  gcb_native_leave(m);
}
