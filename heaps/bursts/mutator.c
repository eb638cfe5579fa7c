/* Pages that are written in bursts, one in each cycle.
 *
 * A group is a page's worth of consecutive memory: a few live objects in a list, the first of them in the
 * tree of all groups, and garbage. All are allocated one after the other in a heap that nobody has used, with
 * nothing in between; so first objects lie 4096 bytes apart or a multiple, and on different pages.
 *
 * Group g's first object refers in slots 0 and 1 to those of groups 2g + 1 and 2g + 2, in slot 2 to the next
 * object of its list, in slot 3 to a random group's first: that one is stored into. The list's other objects
 * refer to the next in slot 0 and to a random group's first in slot 1. Raw word 0 holds the group and the
 * place in its list. */
#include "gcb_params.h"
#include "gcbarrier.h"

#include <stdlib.h>

enum { OBJECT = 64, PAGE = 4096, REFERENCES = 4, RAW = 24, FILLER = 512, ROOT = 0, CELL = 1 };
enum { LEFT = 0, RIGHT = 1, LIST = 2, WRITTEN = 3 };

typedef struct table {
  _Atomic uint32_t users; /* the last one frees it */
  uint32_t groups, each;  /* each: live objects of a group */
  gcb_ref firsts[];
} table;

static void *allocate(gcb_mutator *m, size_t count, size_t bytes) {
  void *memory = calloc(count, bytes);
  if (!memory)
    gcb_fail(m, "no memory for the mutator's own table of %zu entries", count);
  return memory;
}

static uint32_t objects_of(const gcb_params *p) {
  uint32_t each = (uint32_t)(p->live_share * (PAGE / OBJECT) + 0.5);
  return each ? each : 1;
}

static gcb_ref make(gcb_mutator *m, uint32_t group, uint32_t place) {
  gcb_ref object = gcb_alloc(m, REFERENCES, RAW);
  gcb_store_raw(m, object, 0, (uint64_t)group << 8 | place);
  return object;
}

/* Zero memory needs no zeroing: only the headers of the garbage are written. */
static void fill(gcb_mutator *m, size_t bytes) {
  for (size_t some; bytes; bytes -= some) {
    some = bytes < FILLER ? bytes : FILLER;
    (void)gcb_alloc(m, 0, some - sizeof(uint64_t));
  }
}

void gcb_build(gcb_mutator *m) {
  const gcb_params *p = m->params;
  table *t = allocate(m, 1, sizeof *t + (size_t)p->groups * sizeof *t->firsts);
  t->users = m->count;
  t->groups = (uint32_t)p->groups;
  t->each = objects_of(p);
  gcb_ref cell = gcb_alloc(m, 0, sizeof(uint64_t));
  gcb_store_raw(m, cell, 0, (uint64_t)(uintptr_t)t);
  gcb_set_global(m, CELL, cell);
  for (uint32_t group = 0; group < t->groups; group++) {
    gcb_ref last = make(m, group, 0);
    t->firsts[group] = last;
    /* linked at once, so that a cycle may come at any time */
    if (group == 0)
      gcb_set_global(m, ROOT, last);
    else
      gcb_store(m, t->firsts[(group - 1) / 2], (group - 1) % 2 ? RIGHT : LEFT, last);
    gcb_store(m, last, WRITTEN, t->firsts[gcb_random_below(m, group + 1)]);
    for (uint32_t place = 1; place < t->each; place++) {
      gcb_ref object = make(m, group, place);
      gcb_store(m, last, place == 1 ? LIST : 0, object);
      gcb_store(m, object, 1, t->firsts[gcb_random_below(m, group + 1)]);
      last = object;
    }
    fill(m, PAGE - (size_t)t->each * OBJECT);
  }
}

void gcb_mutate(gcb_mutator *m) {
  const gcb_params *p = m->params;
  table *t = (table *)(uintptr_t)gcb_load_raw(gcb_global(m, CELL), 0);
  uint32_t part = t->groups / m->count, start = part * m->index;
  uint32_t pages = (uint32_t)p->pages / m->count + (m->index < (uint32_t)p->pages % m->count);
  uint32_t *order = allocate(m, part, sizeof *order);
  for (uint32_t i = 0; i < part; i++)
    order[i] = start + i;
  for (uint32_t done = 0;; done = done + 1 < pages ? done + 1 : 0) {
    if (done == 0)
      gcb_await_armed(m);
    if (!gcb_next(m))
      break;
    /* The first `pages` steps of a shuffle (Fisher and Yates): all different, each burst another set. */
    uint32_t other = done + gcb_random_below(m, part - done), group = order[other];
    order[other] = order[done];
    order[done] = group;
    gcb_store(m, t->firsts[group], WRITTEN, t->firsts[gcb_random_below(m, t->groups)]);
  }
  free(order);
  if (atomic_fetch_sub_explicit(&t->users, 1, memory_order_acq_rel) == 1)
    free(t);
}

/* -- The checksum. It must survive what it is to find: a header is believed only if it is the one expected, a
 * reference is followed only if it could be one. */

static void mix(uint64_t *sum, uint64_t value) {
  uint64_t x = (*sum ^ value) * UINT64_C(0x9e3779b97f4a7c15);
  *sum = x ^ (x >> 29);
}

static bool sound(gcb_ref object, gcb_ref near) {
  uintptr_t a = (uintptr_t)object, b = (uintptr_t)near;
  return a && b && a % GCB_GRANULE == 0 && (a > b ? a - b : b - a) >> 36 == 0 &&
         atomic_load_explicit(&object->header, memory_order_relaxed) ==
             ((uint64_t)REFERENCES << 32 | OBJECT / GCB_GRANULE);
}

/* What an object is, and what it refers to; false if it is none, and its slots can't be followed. */
static bool mix_object(gcb_ref object, gcb_ref root, uint64_t *sum) {
  bool whole = sound(object, root);
  mix(sum, whole ? gcb_load_raw(object, 0) : object ? UINT64_MAX - 1 : UINT64_MAX);
  for (uint32_t slot = 0; whole && slot < REFERENCES; slot++) {
    gcb_ref to = gcb_load(object, slot);
    mix(sum, sound(to, root) ? gcb_load_raw(to, 0) : to ? UINT64_MAX - 1 : UINT64_MAX);
  }
  return whole;
}

uint64_t gcb_checksum(gcb_mutator *m) {
  const gcb_params *p = m->params;
  uint64_t sum = 0;
  uint32_t groups = (uint32_t)p->groups, each = objects_of(p);
  gcb_ref root = gcb_global(m, ROOT), *firsts = calloc(groups, sizeof *firsts);
  if (!firsts)
    return 0;
  firsts[0] = root;
  for (uint32_t group = 0; group < groups; group++) {
    gcb_ref object = firsts[group];
    for (uint32_t place = 0; place < each && mix_object(object, root, &sum); place++) {
      for (uint64_t child = 2 * (uint64_t)group + 1; place == 0 && child <= 2 * (uint64_t)group + 2; child++)
        if (child < groups)
          firsts[child] = gcb_load(object, child % 2 ? LEFT : RIGHT);
      object = gcb_load(object, place == 0 ? LIST : 0);
    }
  }
  free(firsts);
  return sum;
}
