/* Threads that are attached while the memory is armed and the main thread collects. Linked with the core and
 * one barrier.
 *
 *     latecomers SECONDS
 *
 * Each writes to a page of its own before it is attached, and to another after. When some of them have ended,
 * a last collect must have brought every page that no earlier one had. On stdout the pages written and those
 * never reported; exit status 1 where there are any, 2 when something failed. */
#include "api.h"
#include "space.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum { THREADS = 4, GENERATIONS = 8, PAGES = 2 * THREADS * GENERATIONS, BYTES = 1 << 20 };

extern const gcb_barrier_ops gcb_barrier_definition;
static gcb_space *space;
static _Atomic int running;

static void touch(size_t page) {
  _Atomic char *byte = (_Atomic char *)(gcb_space_address(space) + page * GCB_PAGE);
  /* relaxed: the barrier alone has to notice it */
  atomic_store_explicit(byte, 1, memory_order_relaxed);
}

static void *write_late(void *first) {
  touch((size_t)first);
  if (gcb_watch_attach(space))
    abort();
  touch((size_t)first + 1);
  atomic_fetch_sub_explicit(&running, 1, memory_order_release);
  return NULL;
}

static int collect(bool rearm, bool *reported) {
  if (gcb_watch_collect(space, rearm) < 0)
    return -1;
  for (size_t page = 0; page < PAGES; page++)
    reported[page] |= gcb_watch_words(space)[page >> 6] >> (page & 63) & 1;
  return 0;
}

/* Some threads at a time, while this one collects as fast as it can. */
static int generation(size_t first, bool *reported) {
  pthread_t threads[THREADS];
  atomic_store_explicit(&running, THREADS, memory_order_relaxed);
  for (size_t i = 0; i < THREADS; i++)
    if (pthread_create(&threads[i], NULL, write_late, (void *)(first + 2 * i)))
      abort();
  int failed = 0;
  while (atomic_load_explicit(&running, memory_order_acquire) && !failed)
    failed = collect(true, reported);
  for (size_t i = 0; i < THREADS; i++)
    pthread_join(threads[i], NULL);
  return failed ? -1 : collect(false, reported);
}

/* How many pages were never reported; -1: something failed. */
static int missing(void) {
  bool reported[PAGES] = {false};
  int lost = 0;
  space = gcb_space_new(BYTES, 0, &gcb_barrier_definition, false);
  /* This thread is known from the start: not every collect looks everywhere. */
  if (!space || gcb_watch_attach(space) || gcb_watch_arm(space))
    return -1;
  for (size_t i = 0; i < GENERATIONS; i++)
    if (generation(i * 2 * THREADS, reported))
      return -1;
  for (size_t page = 0; page < PAGES; page++)
    lost += !reported[page];
  gcb_space_free(space);
  return lost;
}

int main(int count, char **words) {
  uint64_t until_ns = gcb_now_ns() + (uint64_t)(atof(count > 1 ? words[1] : "1") * 1e9);
  int pages = 0, lost = 0;
  for (int more; gcb_now_ns() < until_ns; lost += more, pages += PAGES)
    if ((more = missing()) < 0) {
      fprintf(stderr, "%s\n", gcb_error());
      return 2;
    }
  printf("pages %d lost %d\n", pages, lost);
  return lost > 0;
}
