/* What the machine alone does to a thread: threads that do nothing but read the clock, and every time between
 * two readings that is longer than the loop itself explains. In such a gap the thread's processor did
 * something else: an interrupt, another thread (its involuntary context switches tell), or, in a virtual
 * machine, nothing at all. */
#include "api.h"
#include "world/world.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

/* A burst takes some microseconds, so that most of them meet no interrupt. */
enum { BURSTS = 63, TURNS = 256 };

typedef struct reader {
  pthread_t thread;
  const uint32_t *cpu; /* null: any */
  uint64_t duration_ns, slice_ns, *lengths;
  size_t capacity;
  gcb_gaps found;
  int problem; /* errno of its placement */
} reader;

static int by_value(const void *a, const void *b) {
  uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
  return (x > y) - (x < y);
}

/* The loop's own turns: those of the typical burst, half of all bursts being worse. A gap is twice as long as
 * the longest of these. */
static void know_the_loop(gcb_gaps *found) {
  uint64_t whole[BURSTS], longest[BURSTS];
  for (size_t burst = 0; burst < BURSTS; burst++) {
    uint64_t start_ns = gcb_now_ns(), last_ns = start_ns;
    longest[burst] = 0;
    for (size_t turn = 0; turn < TURNS; turn++) {
      uint64_t now_ns = gcb_now_ns();
      if (now_ns - last_ns > longest[burst])
        longest[burst] = now_ns - last_ns;
      last_ns = now_ns;
    }
    whole[burst] = last_ns - start_ns;
  }
  qsort(whole, BURSTS, sizeof *whole, by_value);
  qsort(longest, BURSTS, sizeof *longest, by_value);
  found->turn_ns = whole[BURSTS / 2] / TURNS;
  found->least_ns = 2 * longest[BURSTS / 2] + 1; /* a clock may stand still for a whole burst */
}

static void watch_the_clock(reader *self) {
  gcb_gaps *found = &self->found;
  int64_t switches = gcb_own_switches();
  uint64_t start_ns = gcb_now_ns(), last_ns = start_ns, now_ns = start_ns;
  while (now_ns - start_ns < self->duration_ns) {
    now_ns = gcb_now_ns();
    uint64_t step_ns = now_ns - last_ns;
    if (step_ns < found->least_ns) {
      last_ns = now_ns;
      continue;
    }
    if (found->count < self->capacity)
      self->lengths[found->count] = step_ns;
    uint64_t lost_ns = step_ns - found->turn_ns;
    found->count++;
    found->lost_ns += lost_ns;
    if (step_ns > found->longest_ns)
      found->longest_ns = step_ns;
    int64_t by_now = gcb_own_switches();
    if (step_ns < self->slice_ns)
      found->short_ns += lost_ns;
    else if (by_now == switches)
      found->absent_ns += lost_ns;
    found->preempted += by_now != switches;
    switches = by_now;
    last_ns = gcb_now_ns(); /* asking for the switches is no gap */
  }
  found->wall_ns = now_ns - start_ns;
}

static void *read_the_clock(void *argument) {
  reader *self = argument;
  if (self->cpu) {
    cpu_set_t one;
    CPU_ZERO(&one);
    errno = EINVAL; /* of a number that no set holds */
    if (*self->cpu < CPU_SETSIZE)
      CPU_SET(*self->cpu, &one);
    if (*self->cpu >= CPU_SETSIZE || sched_setaffinity(0, sizeof one, &one)) {
      self->problem = errno;
      return NULL;
    }
  }
  know_the_loop(&self->found);
  watch_the_clock(self);
  return NULL;
}

int gcb_clock_gaps(uint32_t threads, const uint32_t *cpus, uint64_t duration_ns, uint64_t slice_ns,
                   gcb_gaps *each, uint64_t *lengths, size_t capacity) {
  reader *readers = calloc(threads, sizeof *readers);
  if (!readers)
    return gcb_set_error("no memory for %u threads", (unsigned)threads);
  /* Signals are for the interpreter's threads. */
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int problem = 0;
  uint32_t started = 0;
  while (started < threads && !problem) {
    reader *one = &readers[started];
    *one = (reader){.cpu = cpus ? &cpus[started] : NULL,
                    .duration_ns = duration_ns,
                    .slice_ns = slice_ns,
                    .lengths = lengths + started * capacity,
                    .capacity = capacity};
    problem = pthread_create(&one->thread, NULL, read_the_clock, one);
    started += problem == 0;
  }
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  for (uint32_t i = 0; i < started; i++) {
    pthread_join(readers[i].thread, NULL);
    each[i] = readers[i].found;
    problem = problem ? problem : readers[i].problem;
  }
  free(readers);
  return problem ? gcb_set_error("the clock can't be read by %u threads: %s", (unsigned)threads,
                                 strerror(problem))
                 : 0;
}
