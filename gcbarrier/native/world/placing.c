/* On which processors mutators run, and what the scheduler did to them there. */
#include "world/world.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

int gcb_world_place(gcb_world *world, const uint32_t *cpus, size_t count) {
  if (world->threads)
    return gcb_set_error("mutators are put in their places before they start");
  if (count > GCB_PLACES)
    return gcb_set_error("there are at most %d places for mutators, not %zu", GCB_PLACES, count);
  for (size_t i = 0; i < count; i++)
    if (cpus[i] >= CPU_SETSIZE)
      return gcb_set_error("there is no processor %u", (unsigned)cpus[i]);
  memcpy(world->places, cpus, count * sizeof *cpus);
  world->place_count = (uint32_t)count;
  return 0;
}

bool gcb_world_has_room(const gcb_world *world, uint32_t mutators) {
  cpu_set_t cpus;
  if (sched_getaffinity(0, sizeof cpus, &cpus))
    return false;
  /* Two on one processor: who is held and spins would keep the other from its safepoint. */
  if (world->place_count && world->place_count < mutators)
    return false;
  uint32_t shared = world->place_count ? 0 : mutators;
  for (uint32_t i = 0; i < world->place_count; i++)
    CPU_CLR(world->places[i], &cpus);
  return (uint32_t)CPU_COUNT(&cpus) > shared;
}

int gcb_take_place(gcb_thread *t) {
  const gcb_world *world = t->world;
  char name[16];
  snprintf(name, sizeof name, "gcb-mutator-%u", (unsigned)t->m.index % 100);
  (void)pthread_setname_np(pthread_self(), name);
  if (world->place_count == 0)
    return 0;
  uint32_t cpu = world->places[t->m.index % world->place_count];
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(cpu, &one);
  if (sched_setaffinity(0, sizeof one, &one) == 0)
    return 0;
  return gcb_set_error("mutator %u can't be pinned to processor %u: %s", (unsigned)t->m.index, (unsigned)cpu,
                       strerror(errno));
}

static ssize_t own_file(const char *name, char *text, size_t room) {
  char path[64];
  snprintf(path, sizeof path, "/proc/self/task/%ld/%s", (long)syscall(SYS_gettid), name);
  int file = open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0)
    return -1;
  ssize_t got = read(file, text, room - 1);
  close(file);
  text[got > 0 ? got : 0] = 0;
  return got;
}

/* The second number of `schedstat`: CONFIG_SCHED_INFO has it kept. */
static uint64_t waited_ns(void) {
  char text[128], *end;
  if (own_file("schedstat", text, sizeof text) <= 0)
    return GCB_UNTOLD;
  (void)strtoull(text, &end, 10);
  char *second = end;
  uint64_t waited = strtoull(second, &end, 10);
  return end == second ? GCB_UNTOLD : waited;
}

static uint64_t migrations(void) {
  char text[8192];
  if (own_file("sched", text, sizeof text) <= 0)
    return GCB_UNTOLD;
  const char *line = strstr(text, "nr_migrations"), *colon = line ? strchr(line, ':') : NULL;
  return colon ? strtoull(colon + 1, NULL, 10) : GCB_UNTOLD;
}

static gcb_ran so_far(void) {
  struct rusage usage;
  getrusage(RUSAGE_THREAD, &usage);
  int cpu = sched_getcpu();
  return (gcb_ran){.waited_ns = waited_ns(),
                   .voluntary = (uint64_t)usage.ru_nvcsw,
                   .involuntary = (uint64_t)usage.ru_nivcsw,
                   .migrations = migrations(),
                   .processor = cpu < 0 ? GCB_UNTOLD : (uint64_t)cpu};
}

static uint64_t since(uint64_t before, uint64_t now) {
  return before == GCB_UNTOLD || now == GCB_UNTOLD ? GCB_UNTOLD : now - before;
}

/* Reading /proc takes some tens of microseconds: before the mutators' time begins, and after it has ended. */
void gcb_ran_begins(gcb_thread *t) {
  t->ran = so_far();
}

void gcb_ran_ends(gcb_thread *t) {
  gcb_ran before = t->ran, now = so_far();
  t->ran = (gcb_ran){.waited_ns = since(before.waited_ns, now.waited_ns),
                     .voluntary = now.voluntary - before.voluntary,
                     .involuntary = now.involuntary - before.involuntary,
                     .migrations = since(before.migrations, now.migrations),
                     .processor = now.processor};
}
