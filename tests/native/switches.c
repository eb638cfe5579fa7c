/* Stops, and who lost a processor around them: a mutator that only claims to have lost its own, so that when
 * is known. Linked with the core and the barrier cards, and with getrusage() and pread() wrapped.
 *
 *     switches WHEN
 *
 * WHEN: never (in whole remarks), before (it told), stopping (between the request and the safepoint). On
 * stdout: stops, how many were flagged, and reads of files during remarks. */
#include "api.h"
#include "space.h"

#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

int __real_getrusage(int who, struct rusage *usage);
int __wrap_getrusage(int who, struct rusage *usage);
ssize_t __real_pread(int fd, void *into, size_t bytes, off_t at);
ssize_t __wrap_pread(int fd, void *into, size_t bytes, off_t at);

static _Thread_local long claimed;
static _Atomic uint32_t reads;
static const char *when;
enum { TURNS = 1000 };

int __wrap_getrusage(int who, struct rusage *usage) {
  int failed = __real_getrusage(who, usage);
  usage->ru_nivcsw = claimed;
  return failed;
}

ssize_t __wrap_pread(int fd, void *into, size_t bytes, off_t at) {
  reads++;
  return __real_pread(fd, into, bytes, at);
}

static void build(gcb_mutator *m) {
  gcb_set_global(m, 0, gcb_alloc(m, 4, 0));
}

static void mutate(gcb_mutator *m) {
  for (;;) {
    /* It is mostly here, and seldom between the look and the poll. */
    uint32_t attention = 0;
    for (int turn = 0; turn < TURNS && !(attention & GCB_STOP); turn++)
      attention = atomic_load_explicit(&m->attention, memory_order_relaxed);
    if (strcmp(when, "stopping") == 0 && attention & GCB_STOP)
      claimed++;
    if (strcmp(when, "before") == 0 && !(attention & (GCB_STOP | GCB_TELL | GCB_HELP)))
      claimed++;
    if (!gcb_next(m))
      return;
    gcb_store(m, gcb_global(m, 0), 0, gcb_global(m, 0));
  }
}

static uint64_t checksum(gcb_mutator *m) {
  return m->operations;
}

static int cycle(gcb_space *space, uint32_t *read) {
  enum { ROUNDS = 8, AIM_NS = 1000000000 };
  if (gcb_begin_cycle(space) || gcb_arm(space, true) || gcb_mark(space, true))
    return -1;
  uint32_t before = reads;
  if (gcb_remark(space, ROUNDS, AIM_NS))
    return -1;
  *read += reads - before;
  gcb_sweep(space);
  gcb_end_cycle(space);
  return 0;
}

/* One that the mutator has been told of in time. */
static void stop(gcb_world *world) {
  gcb_prepare_stop(world);
  while (atomic_load(&world->threads->told) != atomic_load(&world->asked))
    usleep(20);
  gcb_stop_world(world, false);
  gcb_resume_world(world, GCB_PAUSE_REMARK);
}

int main(int argc, char **argv) {
  enum { CYCLES = 200 };
  gcb_program program;
  void (*functions[])(gcb_mutator *) = {build, mutate};
  uint64_t (*sum)(gcb_mutator *) = checksum, ignored;
  if (argc != 2)
    return 2;
  when = argv[1];
  memcpy(&program.build, &functions[0], sizeof program.build);
  memcpy(&program.mutate, &functions[1], sizeof program.mutate);
  memcpy(&program.checksum, &sum, sizeof program.checksum);
  gcb_space *space = gcb_space_new(1 << 20, 0, &gcb_barrier_definition, false);
  if (!space || gcb_start(space, &program, 1, 1, NULL, NULL, NULL, 0))
    return 1;
  while (gcb_wait(space, UINT64_C(10000000000)) != 3) /* built */
    ;
  uint32_t read = 0, remarks = 0, flagged = 0;
  for (int i = 0; i < CYCLES; i++)
    if (strcmp(when, "never") != 0)
      stop(&space->world);
    else if (cycle(space, &read))
      return 1;
  static gcb_event events[1 << 16];
  for (size_t i = 0, count = gcb_take_events(space, events, 1 << 16); i < count; i++)
    if (events[i].kind == GCB_EV_PAUSE) {
      remarks++;
      flagged += events[i].flags & GCB_EVF_PREEMPTED;
    }
  gcb_finish(space);
  if (gcb_join(space, &program, &ignored))
    return 1;
  gcb_space_free(space);
  printf("stops %u flagged %u reads %u\n", remarks, flagged, read);
  return 0;
}
