/* Re-arming against a test that overtakes its own store. One mutator stores to a slot whose card is marked or
 * whose object is logged, again and again; the other thread re-arms and reads the slot at the same moment. A
 * store that it neither reads nor is told of by the next collect is lost. Linked with the barrier.
 *
 *     reorder SECONDS arm|collect      prints rounds and losses; ends at the first loss */
#include "barrier.h"
#include "gcbarrier.h"

#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { BYTES = 1 << 15 }; /* eight cards of a page */

static _Alignas(4096) char heap[BYTES];
static gcb_barrier barrier = {.range = {heap, BYTES}, .granule_shift = GCB_PAGE_SHIFT};
static _Alignas(64) _Atomic uint64_t asked; /* round that may begin; UINT64_MAX: no more */
static _Alignas(64) _Atomic uint64_t done;  /* round that the mutator has ended */

int gcb_set_error(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vfprintf(stderr, format, arguments);
  va_end(arguments);
  return -1;
}

void gcb_fail(gcb_mutator *m, const char *format, ...) {
  (void)m;
  fputs(format, stderr);
  exit(1);
}

static gcb_ref object(void) {
  return (gcb_ref)(void *)heap;
}

/* Spins, and lets others run where it lasts: there may be fewer processors than threads. */
static uint64_t await(_Atomic uint64_t *word, uint64_t least) {
  uint64_t now;
  for (unsigned turn = 1; (now = atomic_load_explicit(word, memory_order_acquire)) < least; turn++)
    if (turn % 4096 == 0)
      sched_yield();
  return now;
}

static void *mutate(void *argument) {
  (void)argument;
  gcb_mutator m = {.count = 1};
  if (gcb_barrier_definition.attach(&barrier, m.store, 0))
    exit(1);
  for (uint64_t round = 1; await(&asked, round) != UINT64_MAX; round++) {
    gcb_store(&m, object(), 0, (gcb_ref)(void *)(heap + 16 * (round & 1)));
    atomic_store_explicit(&done, round, memory_order_release);
  }
  return NULL;
}

static int collect(size_t *count) {
  uint64_t words[BYTES / 16 / 64] = {0}, summary[BYTES / 16 / 64 / 64 + 1] = {0};
  gcb_dirty_set dirty = {
      .words = words, .summary = summary, .granules = (size_t)BYTES >> barrier.granule_shift};
  int failed = gcb_barrier_definition.collect(&barrier, true, &dirty);
  *count = dirty.count;
  return failed;
}

/* One store against one re-arming: 1 if it was lost. */
static int play(uint64_t round, bool arming, unsigned delay) {
  size_t count;
  atomic_store_explicit(&asked, round, memory_order_release);
  for (volatile unsigned i = 0; i < delay; i++)
    ;
  if (arming ? gcb_barrier_definition.arm(&barrier) : collect(&count))
    exit(1);
  gcb_ref seen = gcb_load(object(), 0);
  await(&done, round);
  if (seen == gcb_load(object(), 0))
    return 0;
  if (collect(&count))
    exit(1);
  return count == 0;
}

int main(int count, char **arguments) {
  if (count != 3 || gcb_barrier_definition.open(&barrier))
    return 1;
  atomic_store(&object()->header, UINT64_C(1) << 32 | 1);
  bool arming = strcmp(arguments[2], "arm") == 0;
  pthread_t thread;
  if (pthread_create(&thread, NULL, mutate, NULL))
    return 1;
  atomic_store_explicit(&asked, 1, memory_order_release);
  await(&done, 1); /* it is attached */
  if (gcb_barrier_definition.arm(&barrier))
    return 1;
  unsigned long long lost = 0, round = 1;
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  double until = (double)now.tv_sec + 1e-9 * (double)now.tv_nsec + strtod(arguments[1], NULL);
  for (; (double)now.tv_sec + 1e-9 * (double)now.tv_nsec < until && !lost; round++) {
    /* a store for which the card is marked and the object logged when the race begins */
    atomic_store_explicit(&asked, 2 * round, memory_order_release);
    await(&done, 2 * round);
    lost += (unsigned)play(2 * round + 1, arming, (unsigned)round % 64);
    if (round % 256 == 0)
      clock_gettime(CLOCK_MONOTONIC, &now);
  }
  atomic_store(&asked, UINT64_MAX);
  pthread_join(thread, NULL);
  gcb_barrier_definition.close(&barrier);
  printf("%llu %llu\n", round - 1, lost);
  return 0;
}
