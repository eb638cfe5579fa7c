/* Mutators' threads, from the program's file to the last of them that is joined. */
#include "world/world.h"
#include "base/library.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SPIN_NS UINT64_C(2000000)
#define HANDLES (1u << 16)
#define EVENTS ((size_t)1 << 16)

typedef void (*gcb_body)(gcb_mutator *);
typedef uint64_t (*gcb_sum)(gcb_mutator *);

int gcb_load_program(const char *path, gcb_program *program) {
  void *library = gcb_open_library(path);
  if (!library)
    return -1;
  *program = (gcb_program){.build = gcb_find_symbol(library, "gcb_build"),
                           .mutate = gcb_find_symbol(library, "gcb_mutate"),
                           .checksum = gcb_find_symbol(library, "gcb_checksum")};
  const char *missing = !program->build      ? "gcb_build"
                        : !program->mutate   ? "gcb_mutate"
                        : !program->checksum ? "gcb_checksum"
                                             : NULL;
  if (!missing)
    return 0;
  gcb_close_library(library);
  return gcb_set_error("the mutator.c does not define %s (compiled as %s)", missing, path);
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
  gcb_world *world = t->world;
  gcb_native_enter(&t->m);
  pthread_mutex_lock(&world->lock);
  while (!world->built && !world->abandon)
    pthread_cond_wait(&world->served, &world->lock);
  bool built = world->built;
  pthread_mutex_unlock(&world->lock);
  gcb_native_leave(&t->m);
  return built;
}

/* The collector arms from now on, and a barrier need not attach anybody while it is armed: so everybody is by
 * now. */
static void announce_built(gcb_thread *t) {
  gcb_world *world = t->world;
  gcb_native_enter(&t->m);
  pthread_mutex_lock(&world->lock);
  while (world->entered < world->thread_count && !world->abandon)
    pthread_cond_wait(&world->served, &world->lock);
  pthread_mutex_unlock(&world->lock);
  gcb_native_leave(&t->m);
  pthread_mutex_lock(&world->lock);
  world->built = true;
  world->built_ns = gcb_now_ns();
  pthread_cond_broadcast(&world->served);
  pthread_cond_signal(&world->wanted);
  pthread_mutex_unlock(&world->lock);
}

static uint64_t microseconds(struct timeval time) {
  return (uint64_t)time.tv_sec * 1000000u + (uint64_t)time.tv_usec;
}

static void measured_mutate(gcb_thread *t) {
  struct rusage before, after;
  getrusage(RUSAGE_THREAD, &before);
  (void)guarded(t, t->world->mutate);
  getrusage(RUSAGE_THREAD, &after);
  t->cpu_ns = 1000u * (microseconds(after.ru_utime) + microseconds(after.ru_stime) -
                       microseconds(before.ru_utime) - microseconds(before.ru_stime));
  t->minor_faults = (uint64_t)(after.ru_minflt - before.ru_minflt);
}

static bool enter(gcb_thread *t) {
  gcb_world *world = t->world;
  if (gcb_take_place(t) || world->hooks.enter(t)) {
    snprintf(t->error, sizeof t->error, "%s", gcb_error());
    return false;
  }
  pthread_mutex_lock(&world->lock);
  world->entered++;
  pthread_cond_broadcast(&world->served);
  pthread_mutex_unlock(&world->lock);
  return true;
}

static void *mutator_main(void *argument) {
  gcb_thread *t = argument;
  char aside[GCB_CRASH_STACK]; /* at the stack's other end than the one where it runs over */
  gcb_crash_stack(aside, sizeof aside);
  gcb_crash_enter(t);
  gcb_world *world = t->world;
  char path[64];
  snprintf(path, sizeof path, "/proc/self/task/%ld/status", (long)syscall(SYS_gettid));
  t->status_fd = open(path, O_RDONLY | O_CLOEXEC);
  snprintf(path, sizeof path, "/proc/self/task/%ld/stat", (long)syscall(SYS_gettid));
  t->stat_fd = open(path, O_RDONLY | O_CLOEXEC);
  prctl(PR_SET_TIMERSLACK, 1000); /* gcb_pace() sleeps for tens of microseconds */
  bool built = false, entered = enter(t);
  gcb_native_leave(&t->m);
  if (!entered)
    t->failed = true;
  else if (t->m.index > 0) {
    gcb_ran_begins(t);
    built = await_built(t);
  } else if (guarded(t, world->build)) {
    world->hooks.built(t);
    gcb_ran_begins(t);
    announce_built(t);
    built = true;
  }
  if (built)
    measured_mutate(t);
  if (entered)
    world->hooks.leave(t);
  gcb_thread_gone(t);
  pthread_mutex_lock(&world->lock);
  world->ended++;
  world->ended_ns = gcb_now_ns();
  if (t->failed) {
    /* The first under the lock has the cause; whoever was abandoned because of it comes later. */
    if (!world->first_failed)
      world->first_failed = t;
    gcb_service_abandon_locked(world);
  }
  pthread_cond_signal(&world->wanted);
  pthread_mutex_unlock(&world->lock);
  if (built)
    gcb_ran_ends(t);
  gcb_crash_stack(NULL, 0);
  return NULL;
}

/* splitmix64 (Steele, Lea and Flood 2014): mutators' seeds that have nothing to do with each other */
static uint64_t mix(uint64_t seed) {
  seed += UINT64_C(0x9e3779b97f4a7c15);
  seed = (seed ^ (seed >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
  seed = (seed ^ (seed >> 27)) * UINT64_C(0x94d049bb133111eb);
  return (seed ^ (seed >> 31)) | 1;
}

int gcb_world_admit(gcb_world *world, uint32_t mutators, uint64_t seed, const uint64_t *operations,
                    const void *params, const void *blob, size_t blob_bytes) {
  world->threads = calloc(mutators, sizeof *world->threads);
  if (!world->threads)
    return gcb_set_error("no memory for %u mutators", mutators);
  world->thread_count = mutators; /* before the first thread runs: a stop looks at all of them */
  world->spin_ns = gcb_world_has_room(world, mutators) ? SPIN_NS : 0;
  for (uint32_t i = 0; i < mutators; i++) {
    gcb_thread *t = &world->threads[i];
    *t = (gcb_thread){.world = world,
                      .state = GCB_GONE,
                      .status_fd = -1,
                      .stat_fd = -1,
                      .switches_before = GCB_SWITCHES_UNKNOWN};
    t->m.index = i;
    t->m.count = mutators;
    t->m.random_state = mix(seed + i);
    t->m.operation_limit = operations ? operations[i] : UINT64_MAX;
    t->m.root_capacity = HANDLES;
    t->m.finish = &world->finish;
    t->m.globals = world->globals;
    t->m.params = params;
    t->m.blob = blob;
    t->m.blob_bytes = blob_bytes;
    gcb_stress_admit(&t->m, world->stress_every, mix(~(seed + i)));
  }
  for (uint32_t i = 0; i < mutators; i++) {
    gcb_mutator *m = &world->threads[i].m;
    m->roots = calloc(HANDLES, sizeof *m->roots);
    if (!m->roots)
      return gcb_set_error("no memory for the handles of %u mutators", mutators);
    if (world->timed && gcb_timing_new(m, mutators))
      return -1;
  }
  return 0;
}

int gcb_world_start(gcb_world *world, const gcb_program *program) {
  /* dlsym's object pointers are the functions (POSIX) */
  memcpy(&world->build, &program->build, sizeof world->build);
  memcpy(&world->mutate, &program->mutate, sizeof world->mutate);
  gcb_crash_watch(world);
  for (uint32_t i = 0; i < world->thread_count; i++) {
    int problem = pthread_create(&world->threads[i].pthread, NULL, mutator_main, &world->threads[i]);
    if (problem) {
      gcb_world_end(world);
      return gcb_set_error("mutator %u of %u could not be started: %s", i + 1, world->thread_count,
                           strerror(problem));
    }
    world->started = i + 1;
  }
  return 0;
}

void gcb_world_end(gcb_world *world) {
  gcb_service_abandon(world);
  while (world->stop_depth > 0) /* a prototype that failed between its stop and its resume */
    gcb_resume_world(world, GCB_PAUSE_PROTOTYPE);
  for (uint32_t i = 0; i < world->started; i++)
    pthread_join(world->threads[i].pthread, NULL);
  world->started = world->ended = 0;
}

int gcb_world_join(gcb_world *world, const gcb_program *program, uint64_t *checksum) {
  gcb_world_end(world);
  gcb_thread *t = world->first_failed;
  if (t)
    return gcb_set_error("%s", t->error);
  if (!world->built) /* never started, or not all of them could be */
    return gcb_set_error("no mutators have run");
  if (!checksum)
    return 0;
  gcb_sum sum;
  memcpy(&sum, &program->checksum, sizeof sum);
  t = world->threads;
  gcb_crash_enter(t);
  t->m.stress_every = 0;   /* nobody collects any more */
  if (setjmp(t->unwind)) { /* gcb_fail() in the checksum: the thread's own frame is gone */
    gcb_crash_enter(NULL);
    return gcb_set_error("%s", t->error);
  }
  *checksum = sum(&t->m);
  gcb_crash_enter(NULL);
  return 0;
}

int gcb_world_open(gcb_world *world, const gcb_hooks *hooks) {
  world->hooks = *hooks;
  gcb_service_open(world);
  return gcb_events_open(&world->events, EVENTS);
}

void gcb_world_close(gcb_world *world) {
  gcb_crash_watch(NULL);
  for (uint32_t i = 0; i < world->thread_count; i++) {
    free((void *)world->threads[i].m.roots);
    gcb_timing_free(&world->threads[i].m);
    if (world->threads[i].status_fd >= 0)
      close(world->threads[i].status_fd);
    if (world->threads[i].stat_fd >= 0)
      close(world->threads[i].stat_fd);
  }
  free(world->threads);
  gcb_events_close(&world->events);
  gcb_service_close(world);
}
