/* One software barrier by itself, without a collector: does what it is told on stdin, a line at a time, in a
 * heap of a single thread. Linked with the barrier.
 *
 *     object OFFSET REFERENCES   an object there
 *     store OFFSET SLOT TARGET   gcb_store() of the object at TARGET (0: null) into the one at OFFSET
 *     arm
 *     disarm
 *     collect REARM              prints the dirty granules, the greyed objects' offsets, and how many entries
 *                                were ever appended, with a `|` in between */
#include "barrier.h"
#include "gcbarrier.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BYTES = 1 << 20, GREYS = 4096 };

static _Alignas(4096) char heap[BYTES];
static size_t greyed[GREYS], greys;

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

void gcb_grey(gcb_barrier *barrier, const void *object) {
  (void)barrier;
  greyed[greys++ % GREYS] = (size_t)((const char *)object - heap);
}

static gcb_ref at(size_t offset) {
  return offset ? (gcb_ref)(void *)(heap + offset) : NULL;
}

static uint64_t appended(const gcb_mutator *m) {
#ifdef GCB_BUFFERS_H
  return gcb_published((const gcb_buffer *)m->store[1]);
#else
  return m->operations;
#endif
}

static int collect(gcb_barrier *barrier, const gcb_mutator *m, bool rearm) {
  static uint64_t words[BYTES / 16 / 64], summary[BYTES / 16 / 64 / 64 + 1];
  memset(words, 0, sizeof words);
  gcb_dirty_set dirty = {
      .words = words, .summary = summary, .granules = (size_t)BYTES >> barrier->granule_shift};
  greys = 0;
  if (gcb_barrier_definition.collect(barrier, rearm, &dirty))
    return -1;
  for (size_t granule = 0; granule < sizeof words * 8; granule++)
    if (words[granule / 64] >> granule % 64 & 1)
      printf("%zu ", granule);
  printf("|");
  for (size_t i = 0; i < greys; i++)
    printf(" %zu", greyed[i]);
  printf(" | %llu\n", (unsigned long long)appended(m));
  return 0;
}

static int obey(gcb_barrier *barrier, gcb_mutator *m, const char *line) {
  size_t object, slot, target;
  if (sscanf(line, "object %zu %zu", &object, &slot) == 2)
    atomic_store(&at(object)->header, (uint64_t)slot << 32 | gcb_size((uint32_t)slot, 0) / GCB_GRANULE);
  else if (sscanf(line, "store %zu %zu %zu", &object, &slot, &target) == 3)
    gcb_store(m, at(object), (uint32_t)slot, at(target));
  else if (strncmp(line, "arm", 3) == 0)
    return gcb_barrier_definition.arm(barrier);
  else if (strncmp(line, "disarm", 6) == 0)
    return gcb_barrier_definition.disarm(barrier);
  else if (sscanf(line, "collect %zu", &slot) == 1)
    return collect(barrier, m, slot);
  else
    return gcb_set_error("what is %s", line);
  return 0;
}

int main(void) {
  gcb_barrier barrier = {.range = {heap, BYTES}, .granule_shift = GCB_PAGE_SHIFT};
  gcb_mutator m = {.count = 1};
  int failed = gcb_barrier_definition.open(&barrier) ||
               (gcb_barrier_definition.attach && gcb_barrier_definition.attach(&barrier, m.store, 0));
  char line[128];
  while (!failed && fgets(line, sizeof line, stdin))
    failed = obey(&barrier, &m, line);
  gcb_barrier_definition.close(&barrier);
  return failed ? 1 : 0;
}
