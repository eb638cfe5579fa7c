/* GCBench by Hans Boehm, after John Ellis and Pete Kovac: short-lived trees of many depths beside a
 * long-lived tree and a long-lived array.
 *
 * Each mutator has a long-lived tree and array of its own. A tree of depth d has 2^(d + 1) - 1 nodes of two
 * references; raw word 0 numbers a mutator's nodes in the order in which they were allocated. */
#include "gcb_params.h"
#include "gcbarrier.h"

#include <stdlib.h>
#include <string.h>

enum { TREE = 0, ARRAY = 64 }; /* globals, one of each for every mutator */
enum { POLL_WORDS = 1024 };

typedef struct bench {
  uint64_t nodes;   /* allocated so far */
  uint32_t to_next; /* nodes until the next operation is over; 0: nobody counts (building) */
  bool ended;       /* gcb_next() wants no more */
} bench;

static uint64_t tree_size(int64_t depth) {
  return (UINT64_C(2) << depth) - 1;
}

/* -- Trees. Each function returns null, and leaves the tree unfinished, once the last operation is over. */

static gcb_ref new_node(gcb_mutator *m) {
  bench *b = m->local;
  const gcb_params *p = m->params;
  if (b->to_next && --b->to_next == 0) {
    b->ended = !gcb_next(m);
    if (b->ended)
      return NULL;
    gcb_pace(m, p->rate_per_s);
    b->to_next = (uint32_t)p->nodes_per_operation;
  }
  gcb_ref node = gcb_alloc(m, 2, sizeof(uint64_t));
  gcb_store_raw(m, node, 0, b->nodes++);
  return node;
}

/* Top down: the node is reachable before its children exist. */
static bool populate(gcb_mutator *m, gcb_ref node, int64_t depth) {
  if (depth == 0)
    return true;
  for (uint32_t slot = 0; slot < 2; slot++) {
    gcb_ref child = new_node(m);
    if (!child)
      return false;
    gcb_store(m, node, slot, child);
  }
  return populate(m, gcb_load(node, 0), depth - 1) && populate(m, gcb_load(node, 1), depth - 1);
}

static gcb_ref make_top_down(gcb_mutator *m, int64_t depth) {
  gcb_ref root = new_node(m);
  if (!root)
    return NULL;
  uint32_t top = gcb_push(m, root);
  bool whole = populate(m, root, depth);
  gcb_pop(m, top);
  return whole ? root : NULL;
}

/* Bottom up: only handles hold the subtrees until the node above them exists. */
static gcb_ref make_bottom_up(gcb_mutator *m, int64_t depth) {
  if (depth == 0)
    return new_node(m);
  uint32_t top = gcb_top(m);
  gcb_ref node = NULL, left = make_bottom_up(m, depth - 1);
  if (left) {
    gcb_push(m, left);
    gcb_ref right = make_bottom_up(m, depth - 1);
    if (right) {
      gcb_push(m, right);
      node = new_node(m);
      if (node) {
        gcb_store(m, node, 0, left);
        gcb_store(m, node, 1, right);
      }
    }
  }
  gcb_pop(m, top);
  return node;
}

/* -- Building */

static uint64_t bits_of(double value) {
  uint64_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}

/* Raw memory that a marker need not look into: the first half 1/1, 1/2, 1/3 and so on, the second half zero.
 */
static void make_array(gcb_mutator *m, uint32_t mutator) {
  size_t doubles = (size_t)((const gcb_params *)m->params)->array_doubles;
  gcb_ref array = gcb_alloc(m, 0, doubles * sizeof(double));
  gcb_set_global(m, ARRAY + mutator, array);
  for (size_t i = 0; i < doubles / 2; i++) {
    gcb_store_raw(m, array, i, bits_of(1.0 / (double)(i + 1)));
    if (i % POLL_WORDS == 0)
      gcb_poll(m);
  }
}

void gcb_build(gcb_mutator *m) {
  const gcb_params *p = m->params;
  bench b = {0};
  m->local = &b;
  make_bottom_up(m, p->stretch_depth);
  /* The arrays before the trees: they need much free memory in one piece. */
  for (uint32_t i = 0; i < m->count; i++)
    make_array(m, i);
  for (uint32_t i = 0; i < m->count; i++) {
    b.nodes = 0;
    gcb_ref root = new_node(m);
    gcb_set_global(m, TREE + i, root);
    populate(m, root, p->long_lived_depth);
  }
  m->local = NULL;
}

/* -- Running */

/* The tree takes the place of a random subtree of its size in the long-lived tree. No safepoint. */
static void replace_subtree(gcb_mutator *m, gcb_ref tree, int64_t depth) {
  const gcb_params *p = m->params;
  gcb_ref node = gcb_global(m, TREE + m->index);
  uint64_t path = gcb_random(m) >> 16; /* a bit for each step */
  for (int64_t at = p->long_lived_depth; at > depth + 1; at--, path >>= 1)
    node = gcb_load(node, path & 1);
  gcb_store(m, node, path & 1, tree);
}

/* A short-lived tree; false once the last operation is over. */
static bool live_and_die(gcb_mutator *m, gcb_ref tree, int64_t depth) {
  const gcb_params *p = m->params;
  if (tree && depth < p->long_lived_depth && gcb_random_unit(m) < p->replace_share)
    replace_subtree(m, tree, depth);
  return tree != NULL;
}

static bool time_construction(gcb_mutator *m, int64_t depth) {
  const gcb_params *p = m->params;
  uint64_t iterations = 2 * tree_size(p->stretch_depth) / tree_size(depth);
  for (uint64_t i = 0; i < iterations; i++)
    if (!live_and_die(m, make_top_down(m, depth), depth))
      return false;
  for (uint64_t i = 0; i < iterations; i++)
    if (!live_and_die(m, make_bottom_up(m, depth), depth))
      return false;
  return true;
}

static void check_array(gcb_mutator *m) {
  size_t doubles = (size_t)((const gcb_params *)m->params)->array_doubles;
  size_t at = doubles / 2 > 1000 ? 1000 : 0; /* the original's choice */
  gcb_ref array = gcb_global(m, ARRAY + m->index);
  if (doubles / 2 > at && gcb_load_raw(array, at) != bits_of(1.0 / (double)(at + 1)))
    gcb_fail(m, "the long-lived array's element %zu is no longer 1/%zu: its memory was given away", at,
             at + 1);
}

void gcb_mutate(gcb_mutator *m) {
  const gcb_params *p = m->params;
  bench b = {.nodes = tree_size(p->long_lived_depth), .to_next = 1};
  m->local = &b;
  for (int64_t depth = p->min_depth; !b.ended; depth = depth + 2 > p->max_depth ? p->min_depth : depth + 2)
    time_construction(m, depth);
  check_array(m);
  m->local = NULL;
}

/* -- The checksum, which must survive a heap that has been damaged */

static void mix(uint64_t *sum, uint64_t value) {
  uint64_t x = (*sum ^ value) * UINT64_C(0x9e3779b97f4a7c15);
  *sum = x ^ (x >> 29);
}

static bool is_object(gcb_ref object, gcb_ref near, uint32_t references, size_t raw_bytes) {
  uintptr_t a = (uintptr_t)object, b = (uintptr_t)near;
  return a && a % GCB_GRANULE == 0 && (a > b ? a - b : b - a) >> 36 == 0 &&
         atomic_load_explicit(&object->header, memory_order_relaxed) ==
             ((uint64_t)references << 32 | gcb_size(references, raw_bytes) / GCB_GRANULE);
}

/* In pre-order; where something else than a node is found, or no leaf at depth 0, that goes into the sum. */
static void mix_tree(gcb_ref node, gcb_ref near, int64_t depth, uint64_t *sum) {
  if (!is_object(node, near, 2, sizeof(uint64_t))) {
    mix(sum, UINT64_MAX - (node != NULL));
    return;
  }
  mix(sum, gcb_load_raw(node, 0));
  for (uint32_t slot = 0; slot < 2; slot++) {
    gcb_ref child = gcb_load(node, slot);
    if (depth > 0)
      mix_tree(child, near, depth - 1, sum);
    else
      mix(sum, child != NULL);
  }
}

uint64_t gcb_checksum(gcb_mutator *m) {
  const gcb_params *p = m->params;
  uint64_t sum = 0;
  size_t doubles = (size_t)p->array_doubles;
  for (uint32_t i = 0; i < m->count; i++) {
    gcb_ref tree = gcb_global(m, TREE + i), array = gcb_global(m, ARRAY + i);
    mix_tree(tree, tree, p->long_lived_depth, &sum);
    bool sound = is_object(array, tree, 0, doubles * sizeof(double));
    for (size_t word = 0; sound && word < doubles; word++)
      mix(&sum, gcb_load_raw(array, word));
  }
  return sum;
}
