/* Where allocation finds room, a scenario a run: each makes a heap of a known shape, lets one mutator
 * allocate, and looks at what became of the blocks. Linked with the core and no barrier.
 *
 *     room SCENARIO
 *
 * Exit status 1, with the reason on stdout, where it is not as it should be. */
#include "api.h"
#include "space.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MIB = 1 << 20, HEAP = 4 * MIB, BLOCKS = HEAP >> GCB_BLOCK_SHIFT };
enum { SMALL = 64, MEDIUM = 1024, LARGE = 3 * MIB };
enum { NOTHING, TRIGGER, MEMORY, BUILT, ENDED }; /* gcb_wait() */

static struct {
  size_t kept_bytes, gap_bytes; /* built: live objects so many in all, each behind a gap */
  size_t dropped_bytes;         /* then one object that nobody keeps */
  size_t object_bytes, bytes;   /* allocated once `go`: objects of a size, dropped at once, so many in all */
} shape;
static _Atomic bool go, done, end;

static gcb_ref make(gcb_mutator *m, size_t bytes) {
  return gcb_alloc(m, 1, bytes - 2 * sizeof(uint64_t));
}

static void build(gcb_mutator *m) {
  gcb_push(m, NULL);
  for (size_t bytes = 0; bytes < shape.kept_bytes; bytes += SMALL + shape.gap_bytes) {
    if (shape.gap_bytes)
      (void)make(m, shape.gap_bytes);
    gcb_ref object = make(m, SMALL);
    gcb_store(m, object, 0, gcb_get(m, 0));
    gcb_set(m, 0, object);
  }
  if (shape.dropped_bytes)
    (void)make(m, shape.dropped_bytes);
}

static void wait_for(gcb_mutator *m, _Atomic bool *what) {
  gcb_native_enter(m);
  while (!atomic_load(what))
    usleep(100);
  gcb_native_leave(m);
}

static void mutate(gcb_mutator *m) {
  wait_for(m, &go);
  for (size_t bytes = 0; bytes < shape.bytes; bytes += shape.object_bytes)
    (void)make(m, shape.object_bytes);
  atomic_store(&done, true);
  wait_for(m, &end);
}

static uint64_t checksum(gcb_mutator *m) {
  return m->operations;
}

static int fail(const char *what, size_t count) {
  printf("FAILED %s: %zu\n", what, count);
  return 1;
}

static gcb_program program;
static void start(gcb_space *space) {
  void (*functions[])(gcb_mutator *) = {build, mutate};
  uint64_t (*sum)(gcb_mutator *) = checksum;
  memcpy(&program.build, &functions[0], sizeof program.build);
  memcpy(&program.mutate, &functions[1], sizeof program.mutate);
  memcpy(&program.checksum, &sum, sizeof program.checksum);
  if (gcb_start(space, &program, 1, 1, NULL, NULL, NULL, 0) || gcb_wait(space, UINT64_MAX) != BUILT)
    exit(fail(gcb_error(), 0));
}

/* Everything is marked and the bitmaps are flipped; nothing is swept. */
static void mark(gcb_space *space) {
  if (gcb_begin_cycle(space) || gcb_full(space))
    exit(fail(gcb_error(), 0));
}

static void let_go(gcb_space *space) {
  atomic_store(&go, true);
  while (!atomic_load(&done) && gcb_wait(space, 1000000) != MEMORY)
    ;
}

static size_t count_swept(const gcb_space *space) {
  size_t count = 0;
  for (size_t block = 0; block < BLOCKS; block++)
    count += space->blocks.block_state[block] >> 3 == space->blocks.epoch;
  return count;
}

static size_t count_kind(const gcb_space *space, gcb_block_kind kind) {
  size_t count = 0;
  for (size_t block = 0; block < BLOCKS; block++)
    count += gcb_kind(space->blocks.block_state[block]) == kind;
  return count;
}

/* Three quarters of the heap are full, and whoever allocates passes them by without a look at any object. */
static int full_blocks(gcb_space *space) {
  shape.kept_bytes = HEAP / 4 * 3;
  shape.bytes = shape.object_bytes = SMALL;
  start(space);
  mark(space);
  let_go(space);
  size_t swept = count_swept(space);
  return swept > 2 ? fail("blocks that one small object was looked for in", swept) : 0;
}

/* Nearly all blocks have gaps, each too small for a medium object, and they stay there for small ones. */
static int medium(gcb_space *space) {
  shape.kept_bytes = HEAP / 16 * 15;
  shape.gap_bytes = SMALL;
  shape.object_bytes = MEDIUM;
  shape.bytes = HEAP;
  start(space);
  mark(space);
  let_go(space);
  size_t partial = count_kind(space, GCB_PARTIAL);
  return partial < BLOCKS / 16 * 14 ? fail("blocks that still have their gaps", partial) : 0;
}

/* The only room is a dead large object's, and nobody has swept that. */
static int large(gcb_space *space) {
  shape.dropped_bytes = shape.object_bytes = shape.bytes = LARGE;
  start(space);
  mark(space);
  let_go(space);
  return atomic_load(&done) ? 0 : fail("a large object waits for a sweep", LARGE);
}

/* A mutator waits for memory in mid-cycle, and goes on as soon as that cycle has found some. */
static int waiting(gcb_space *space) {
  shape.object_bytes = SMALL;
  shape.bytes = HEAP / 2 * 3;
  start(space);
  if (gcb_begin_cycle(space))
    return fail(gcb_error(), 0);
  let_go(space);
  if (atomic_load(&done))
    return fail("a mutator did not wait for memory", shape.bytes);
  if (gcb_full(space))
    return fail(gcb_error(), 0);
  for (int turn = 0; turn < 5000 && !atomic_load(&done); turn++)
    usleep(1000);
  return atomic_load(&done) ? 0 : fail("it still waits, and wanted", shape.bytes);
}

static void half_in_use(gcb_space *space, size_t then) {
  shape.kept_bytes = HEAP / 2;
  shape.gap_bytes = SMALL;
  shape.object_bytes = SMALL;
  shape.bytes = then;
  start(space);
  mark(space);
  let_go(space);
}

/* Small objects leave gaps between live ones alone while there are free blocks. */
static int free_first(gcb_space *space) {
  space->blocks.free_first = true;
  half_in_use(space, HEAP / 4);
  gcb_sweep(space);
  size_t partial = count_kind(space, GCB_PARTIAL);
  return partial < BLOCKS / 2 ? fail("blocks that still have their gaps", partial) : 0;
}

/* ... not where it is not wanted, ... */
static int by_address(gcb_space *space) {
  space->blocks.free_first = false;
  half_in_use(space, HEAP / 8);
  gcb_sweep(space);
  size_t partial = count_kind(space, GCB_PARTIAL);
  return partial > BLOCKS / 2 - BLOCKS / 8 ? fail("blocks that still have their gaps", partial) : 0;
}

/* ... and use them when there are none. */
static int gaps_last(gcb_space *space) {
  half_in_use(space, HEAP / 8 * 5);
  return atomic_load(&done) ? 0 : fail("the gaps were not used", count_kind(space, GCB_PARTIAL));
}

static const struct {
  const char *name;
  int (*play)(gcb_space *);
} scenarios[] = {{"full", full_blocks},   {"medium", medium},         {"large", large},
                 {"waiting", waiting},    {"free_first", free_first}, {"by_address", by_address},
                 {"gaps_last", gaps_last}};

int main(int count, char **arguments) {
  for (size_t i = 0; count == 2 && i < sizeof scenarios / sizeof *scenarios; i++) {
    if (strcmp(scenarios[i].name, arguments[1]))
      continue;
    gcb_space *space = gcb_space_new(HEAP, 0, NULL, false);
    if (!space)
      return fail(gcb_error(), HEAP);
    int failed = scenarios[i].play(space);
    atomic_store(&end, true);
    gcb_space_free(space);
    return failed;
  }
  return fail("usage: room SCENARIO", 0);
}
