/* What tracking costs a program that writes: an array, written page by page in some order by the calling
 * thread, while another thread collects every few milliseconds. Where the barrier is not atomic the writer
 * rests meanwhile. And the same without tracking, on the same memory: the barrier is closed then. */
#include "api.h"
#include "space.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

enum { BATCH = 8 }; /* pages between two looks at the clock and at who asks for a rest */

struct gcb_writer {
  gcb_space *space;
  uint32_t *order; /* pages */
  size_t pages, at;
  uint32_t words;      /* of each page */
  bool atomic, opened; /* opened: the barrier is, and this thread is attached */
  bool attached;
  uintptr_t store[GCB_STORE_WORDS];
  uint64_t every_ns;
  /* To rest: a number, another one each time, and 0 for going on; and the last one that was heeded. */
  _Atomic uint32_t asked, resting;
  atomic_bool over;
  gcb_writing found;
  bool broken; /* the tracker's: its sentence is this thread's at the end */
  char why[512];
};

static uint64_t thread_cpu_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static uint64_t minor_faults(void) {
  struct rusage usage;
  getrusage(RUSAGE_THREAD, &usage);
  return (uint64_t)usage.ru_minflt;
}

/* Fisher and Yates; xorshift64* (Vigna 2016) is random enough for an order. */
static void shuffle(uint32_t *order, size_t count, uint64_t state) {
  for (size_t i = count; i > 1; i--) {
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    size_t other = (size_t)((state * UINT64_C(2685821657736338717)) % i);
    uint32_t kept = order[i - 1];
    order[i - 1] = order[other];
    order[other] = kept;
  }
}

static void write_page(const gcb_writer *writer, size_t page, uint32_t words) {
  volatile uint64_t *at = (uint64_t *)(void *)(writer->space->view.tracked + (page << GCB_PAGE_SHIFT));
  for (uint32_t word = 0; word < words; word++)
    at[word] = word;
}

static void touch_all(const gcb_writer *writer) {
  for (size_t page = 0; page < writer->pages; page++)
    write_page(writer, page, 1);
}

gcb_writer *gcb_writer_new(gcb_space *space, uint32_t words, bool random, bool atomic) {
  gcb_writer *writer = calloc(1, sizeof *writer);
  size_t pages = space->view.bytes >> GCB_PAGE_SHIFT;
  uint32_t *order = malloc(pages * sizeof *order);
  if (!writer || !order || words > GCB_PAGE / sizeof(uint64_t)) {
    gcb_set_error("no memory for the order of %zu pages, or more words than a page has", pages);
    free(writer);
    free(order);
    return NULL;
  }
  *writer = (gcb_writer){.space = space, .order = order, .pages = pages, .words = words, .atomic = atomic};
  for (size_t page = 0; page < pages; page++)
    order[page] = (uint32_t)page;
  if (random)
    shuffle(order, pages, 12345);
  writer->opened = true; /* with the space */
  touch_all(writer);
  return writer;
}

static void detach(gcb_writer *writer) {
  const gcb_barrier_ops *ops = writer->space->watch.ops;
  if (writer->attached && ops->detach)
    ops->detach(&writer->space->watch.barrier, writer->store, 0);
  writer->attached = false;
}

void gcb_writer_free(gcb_writer *writer) {
  detach(writer);
  free(writer->order);
  free(writer);
}

int64_t gcb_writer_track(gcb_writer *writer) {
  const gcb_barrier_ops *ops = writer->space->watch.ops;
  gcb_barrier *barrier = &writer->space->watch.barrier;
  if (!writer->opened && ops->open(barrier))
    return -1;
  writer->opened = true;
  writer->attached = true;
  if (ops->attach && ops->attach(barrier, writer->store, 0))
    return -1;
  uint64_t start_ns = gcb_now_ns();
  return ops->arm(barrier) ? -1 : (int64_t)(gcb_now_ns() - start_ns);
}

/* A store to each page: soft-dirty leaves its protection behind. */
void gcb_writer_untrack(gcb_writer *writer) {
  detach(writer);
  if (writer->opened)
    writer->space->watch.ops->close(&writer->space->watch.barrier);
  writer->opened = false;
  touch_all(writer);
}

/* Whether the writer rests. seq_cst throughout: two flags that each side writes one of and reads the other.
 * Who asks sees that very request heeded, or that all is over. */
static bool may_rest(gcb_writer *writer) {
  uint32_t request = (uint32_t)writer->found.collects + 1;
  atomic_store(&writer->asked, request);
  while (atomic_load(&writer->resting) != request)
    if (atomic_load(&writer->over))
      return false;
    else
      sched_yield();
  return true;
}

static void wait_to(uint64_t moment_ns) {
  struct timespec until = {.tv_sec = (time_t)(moment_ns / 1000000000u),
                           .tv_nsec = (long)(moment_ns % 1000000000u)};
  while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR)
    ;
}

static int collect_once(gcb_writer *writer) {
  gcb_watch *watch = &writer->space->watch;
  gcb_dirty_clear(&watch->dirty);
  watch->barrier.running = writer->atomic;
  uint64_t start_ns = gcb_now_ns(), cpu_ns = thread_cpu_ns();
  int failed = watch->ops->collect(&watch->barrier, true, &watch->dirty);
  writer->found.collect_ns += gcb_now_ns() - start_ns;
  writer->found.collect_cpu_ns += thread_cpu_ns() - cpu_ns;
  writer->found.reported += watch->dirty.count;
  writer->found.collects++;
  return failed;
}

static void *track(void *argument) {
  gcb_writer *writer = argument;
  for (;;) {
    /* From the last collect's end: where one takes longer than that, the writer is to get on all the same. */
    wait_to(gcb_now_ns() + writer->every_ns);
    /* acquire: with the writer's release, so that its last collect() is before this thread's end */
    if (atomic_load_explicit(&writer->over, memory_order_acquire) || (!writer->atomic && !may_rest(writer)))
      return NULL;
    writer->broken = collect_once(writer) != 0;
    atomic_store(&writer->asked, 0);
    if (!writer->broken)
      continue;
    strncpy(writer->why, gcb_error(), sizeof writer->why - 1);
    return NULL;
  }
}

/* Returns the processor time that it took to do nothing, which is no cost of writing. */
static uint64_t rest(gcb_writer *writer, uint32_t request) {
  uint64_t cpu_ns = thread_cpu_ns();
  atomic_store(&writer->resting, request);
  while (atomic_load(&writer->asked) == request)
    sched_yield();
  return thread_cpu_ns() - cpu_ns;
}

static void write_for(gcb_writer *writer, uint64_t duration_ns) {
  gcb_writing *found = &writer->found;
  uint64_t start_ns = gcb_now_ns(), cpu_ns = thread_cpu_ns(), faults = minor_faults(), now_ns = start_ns;
  uint64_t rested_ns = 0;
  while (now_ns - start_ns < duration_ns) {
    for (int i = 0; i < BATCH; i++) {
      write_page(writer, writer->order[writer->at], writer->words);
      writer->at = writer->at + 1 == writer->pages ? 0 : writer->at + 1;
    }
    found->written += BATCH;
    uint32_t request = atomic_load(&writer->asked);
    if (request)
      rested_ns += rest(writer, request);
    now_ns = gcb_now_ns();
  }
  found->wall_ns = now_ns - start_ns;
  found->cpu_ns = thread_cpu_ns() - cpu_ns - rested_ns;
  found->faults = minor_faults() - faults;
}

void gcb_writer_write(gcb_writer *writer, size_t pages) {
  for (size_t i = 0; i < pages && i < writer->pages; i++)
    write_page(writer, writer->order[i], 1);
}

int gcb_writer_run(gcb_writer *writer, uint64_t duration_ns, uint64_t every_ns, gcb_writing *found) {
  pthread_t tracker;
  writer->found = (gcb_writing){0};
  writer->every_ns = every_ns;
  writer->broken = false;
  atomic_store(&writer->asked, 0);
  atomic_store(&writer->resting, 0);
  atomic_store(&writer->over, false);
  int problem = every_ns ? pthread_create(&tracker, NULL, track, writer) : 0;
  if (problem)
    return gcb_set_error("the tracking thread can't be started: %s", strerror(problem));
  write_for(writer, duration_ns);
  /* seq_cst, with may_rest(); and a release */
  atomic_store(&writer->over, true);
  if (every_ns)
    pthread_join(tracker, NULL);
  *found = writer->found;
  return writer->broken ? gcb_set_error("%s", writer->why) : 0;
}
