/* How many granules a helper rescans whose references all lead to black objects. Linked with the core and the
 * barrier cards. On stdout: granules that there were, and how many of them were done. */
#include "api.h"
#include "space.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { REFERENCES = 64 * 512 };

static _Atomic uint32_t filled;

static void build(gcb_mutator *m) {
  gcb_push(m, NULL);
}

/* A large object whose references all lead to one other, both of them allocated while the marker runs. */
static void fill(gcb_mutator *m) {
  gcb_set(m, 0, gcb_alloc(m, REFERENCES, 0));
  gcb_ref black = gcb_alloc(m, 0, 64);
  for (uint32_t slot = 0; slot < REFERENCES; slot++)
    gcb_store(m, gcb_get(m, 0), slot, black);
}

static void mutate(gcb_mutator *m) {
  while (gcb_next(m)) {
    /* acquire: as the allocator has it */
    if (!filled && atomic_load_explicit(&m->attention, memory_order_acquire) & GCB_BLACK) {
      fill(m);
      filled = 1;
    }
  }
}

static uint64_t checksum(gcb_mutator *m) {
  return m->operations;
}

int main(void) {
  gcb_program program;
  void (*functions[])(gcb_mutator *) = {build, mutate};
  uint64_t (*sum)(gcb_mutator *) = checksum, ignored;
  memcpy(&program.build, &functions[0], sizeof program.build);
  memcpy(&program.mutate, &functions[1], sizeof program.mutate);
  memcpy(&program.checksum, &sum, sizeof program.checksum);
  gcb_space *space = gcb_space_new(8 << 20, 0, &gcb_barrier_definition, false);
  if (!space || gcb_start(space, &program, 1, 1, NULL, NULL, NULL, 0))
    return 1;
  while (gcb_wait(space, UINT64_C(10000000000)) != 3) /* built */
    ;
  if (gcb_begin_cycle(space) || gcb_arm(space, true) || gcb_mark(space, true))
    return 1;
  while (!filled)
    usleep(100);
  if (gcb_collect(space, true, false) < 0)
    return 1;
  gcb_marking *marking = &space->marking;
  gcb_rescan_early(marking);
  /* In the mutator's place, which is not asked to. */
  size_t done = gcb_help_rescan(marking, 0, SIZE_MAX), granules = marking->rescan.count;
  if (gcb_rescan(space) || gcb_remark(space, 0, 0))
    return 1;
  gcb_end_cycle(space);
  gcb_finish(space);
  if (gcb_join(space, &program, &ignored))
    return 1;
  gcb_space_free(space);
  printf("granules %zu done %zu\n", granules, done);
  return 0;
}
