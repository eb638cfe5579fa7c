/* Copies of a program's object graph, edited like graph_edits (edits.h).
 *
 * heap.py has numbered the objects so that each one's parent comes before it, has found which slot keeps it
 * reachable, in which order they are allocated, and has sorted the slots that may be edited by page. All that
 * is one blob, shared by all copies.
 * Raw word 0 of an object holds its copy and its number. */
#include "../_edits/edits.h"

/* The blob: this, then the tables in this order, which heap.py writes. */
typedef struct counts {
  uint64_t objects, references, pages, free_slots, leaf_slots, fixed, garbage, most_references, by_address;
} counts;

typedef struct graph {
  counts n;
  const uint64_t *starts;    /* objects + 1: an object's first reference in `targets` */
  const uint32_t *order;     /* objects, as they are allocated */
  const uint32_t *targets;   /* references */
  const uint32_t *raw_words; /* objects */
  const uint32_t *parents;   /* objects: the slot of another one that keeps it reachable */
  const uint32_t *parent_slots;
  const uint32_t *free_starts; /* pages + 1: in the two tables that follow */
  const uint32_t *free_owners, *free_indices;
  const uint32_t *leaf_starts; /* pages + 1 */
  const uint32_t *leaf_owners, *leaf_indices;
  const uint32_t *fixed;   /* objects that never move */
  const uint32_t *garbage; /* objects whose shape fresh ones have */
} graph;

typedef struct part {
  edits edits;
  graph graph;
  uint32_t copies;
  gcb_ref *objects; /* copy by copy; only the fixed ones stay valid */
} part;

static const uint32_t *cut(const uint32_t **at, uint64_t count) {
  const uint32_t *table = *at;
  *at += count;
  return table;
}

static void open_graph(gcb_mutator *m, graph *g) {
  g->n = *(const counts *)m->blob;
  g->starts = (const uint64_t *)((const counts *)m->blob + 1);
  const uint32_t *at = (const uint32_t *)(g->starts + g->n.objects + 1);
  g->order = cut(&at, g->n.objects);
  g->targets = cut(&at, g->n.references);
  g->raw_words = cut(&at, g->n.objects);
  g->parents = cut(&at, g->n.objects);
  g->parent_slots = cut(&at, g->n.objects);
  g->free_starts = cut(&at, g->n.pages + 1);
  g->free_owners = cut(&at, g->n.free_slots);
  g->free_indices = cut(&at, g->n.free_slots);
  g->leaf_starts = cut(&at, g->n.pages + 1);
  g->leaf_owners = cut(&at, g->n.leaf_slots);
  g->leaf_indices = cut(&at, g->n.leaf_slots);
  g->fixed = cut(&at, g->n.fixed);
  g->garbage = cut(&at, g->n.garbage);
}

static uint32_t references_of(const graph *g, uint64_t object) {
  return (uint32_t)(g->starts[object + 1] - g->starts[object]);
}
static size_t raw_bytes_of(const graph *g, uint64_t object) {
  return g->raw_words[object] * sizeof(uint64_t);
}
/* Copies are dealt out to the mutators in turn: copy c is the one number c / count of mutator c % count. */
static uint32_t copies_of(gcb_mutator *m, uint32_t mutator) {
  int64_t copies = ((const gcb_params *)m->params)->copies;
  return (uint32_t)((copies - mutator + m->count - 1) / m->count);
}
static uint64_t id_for(gcb_mutator *m, uint32_t mutator, uint32_t copy, uint64_t object) {
  return ((uint64_t)copy * m->count + mutator) << 32 | object;
}

/* -- Building */

/* While a copy is built in another order than its tree's, this global's object refers to all of it. */
enum { HOLDER = EDITS_CELL + EDITS_MUTATORS };

static gcb_ref made(gcb_mutator *m, const graph *g, uint64_t i, uint64_t id) {
  gcb_ref object = gcb_alloc(m, references_of(g, i), raw_bytes_of(g, i));
  gcb_store_raw(m, object, 0, id);
  return object;
}

/* In an order in which an object's parent comes first. */
static void allocate(gcb_mutator *m, const graph *g, gcb_ref *objects, gcb_ref copies, uint32_t mutator,
                     uint32_t copy) {
  for (uint64_t i = 0; i < g->n.objects; i++) {
    objects[i] = made(m, g, i, id_for(m, mutator, copy, i));
    if (i == 0)
      gcb_store(m, copies, copy, objects[i]);
    else
      gcb_store(m, objects[g->parents[i]], g->parent_slots[i], objects[i]);
  }
}

/* In an order in which it need not. Object 0, which the copy hangs on, is the first all the same. */
static void allocate_by_address(gcb_mutator *m, const graph *g, gcb_ref *objects, gcb_ref copies,
                                uint32_t mutator, uint32_t copy) {
  gcb_ref holder = gcb_global(m, HOLDER);
  for (uint64_t k = 0; k < g->n.objects; k++) {
    uint32_t i = g->order[k];
    objects[i] = made(m, g, i, id_for(m, mutator, copy, i));
    gcb_store(m, holder, i, objects[i]);
  }
  gcb_store(m, copies, copy, objects[0]);
}

static void fill(gcb_mutator *m, const graph *g, gcb_ref *objects) {
  for (uint64_t i = 0; i < g->n.objects; i++) {
    for (uint32_t slot = 0; slot < references_of(g, i); slot++) {
      gcb_store(m, objects[i], slot, objects[g->targets[g->starts[i] + slot]]);
      if (slot % 1024 == 1023) /* some programs' largest tables have a million */
        gcb_poll(m);
    }
    gcb_poll(m);
  }
}

void gcb_build(gcb_mutator *m) {
  for (uint32_t i = 0; i < m->count; i++) {
    part *t = edits_malloc(m, 1, sizeof *t);
    open_graph(m, &t->graph);
    const graph *g = &t->graph;
    if (g->n.by_address && i == 0)
      gcb_set_global(m, HOLDER, gcb_alloc(m, (uint32_t)g->n.objects, 0));
    t->copies = copies_of(m, i);
    t->objects = edits_malloc(m, t->copies * g->n.objects, sizeof(gcb_ref));
    edits_hand_over(m, i, t);
    gcb_ref copies = gcb_alloc(m, t->copies, 0);
    gcb_set_global(m, EDITS_ROOT + i, copies);
    for (uint32_t copy = 0; copy < t->copies; copy++) {
      (g->n.by_address ? allocate_by_address : allocate)(m, g, t->objects + copy * g->n.objects, copies, i,
                                                         copy);
      fill(m, g, t->objects + copy * g->n.objects);
    }
    edits_start(&t->edits, m->params, t->copies * (uint32_t)g->n.pages);
  }
  gcb_set_global(m, HOLDER, NULL);
}

/* -- Editing */

static gcb_ref random_object(gcb_mutator *m, const part *t, uint32_t copy) {
  uint32_t at = t->graph.fixed[gcb_random_below(m, (uint32_t)t->graph.n.fixed)];
  return t->objects[copy * t->graph.n.objects + at];
}

/* A graph may have no slot of a kind; then an operation of that kind does nothing. */
static void redirect(gcb_mutator *m) {
  part *t = m->local;
  const graph *g = &t->graph;
  if (g->n.free_slots == 0)
    return;
  uint32_t copy, entry = edits_pick(m, &t->edits.sampler, g->free_starts, (uint32_t)g->n.pages, &copy);
  gcb_store(m, t->objects[copy * g->n.objects + g->free_owners[entry]], g->free_indices[entry],
            random_object(m, t, copy));
}

static gcb_ref leaf_slot(gcb_mutator *m, const part *t, uint32_t *slot, uint32_t *copy) {
  const graph *g = &t->graph;
  uint32_t entry = edits_pick(m, &t->edits.sampler, g->leaf_starts, (uint32_t)g->n.pages, copy);
  *slot = g->leaf_indices[entry];
  return t->objects[*copy * g->n.objects + g->leaf_owners[entry]];
}

/* Also between two copies of one mutator: what refers to a leaf is its slot alone. */
static void exchange(gcb_mutator *m) {
  part *t = m->local;
  uint32_t one_slot, other_slot, copy;
  if (t->graph.n.leaf_slots == 0)
    return;
  gcb_ref one = leaf_slot(m, t, &one_slot, &copy), other = leaf_slot(m, t, &other_slot, &copy);
  edits_exchange(m, one, one_slot, other, other_slot);
}

static void replace(gcb_mutator *m) {
  part *t = m->local;
  uint32_t slot, copy;
  if (t->graph.n.leaf_slots == 0)
    return;
  gcb_ref owner = leaf_slot(m, t, &slot, &copy);
  edits_replace(m, owner, slot);
}

static void make_garbage(gcb_mutator *m) {
  part *t = m->local;
  const graph *g = &t->graph;
  uint32_t shape = g->garbage[gcb_random_below(m, (uint32_t)g->n.garbage)];
  uint32_t references = references_of(g, shape), copy = gcb_random_below(m, t->copies);
  gcb_ref object = gcb_alloc(m, references, raw_bytes_of(g, shape));
  gcb_store_raw(m, object, 0, EDITS_FRESH | (t->edits.fresh.made & 0x7fffffff) << 32 | shape);
  for (uint32_t slot = 0; slot < references; slot++)
    gcb_store(m, object, slot, random_object(m, t, copy));
  if (references && edits_continues_list(&t->edits.fresh))
    gcb_store(m, object, 0, edits_last_fresh(m, &t->edits.fresh));
  edits_keep_fresh(m, &t->edits.fresh, object);
}

void gcb_mutate(gcb_mutator *m) {
  part *t = edits_take_over(m);
  edits_run(m, &t->edits, redirect, exchange, replace, make_garbage);
  free(t->objects);
  free(t);
  m->local = NULL;
}

/* -- The checksum */

/* An object's id; UINT64_MAX or one less for a null reference or for what is none of this heap's objects.
 * Where the id lies depends on the header, so a header of no possible object is not followed. */
static uint64_t id_of(const graph *g, gcb_ref object, gcb_ref near) {
  if (!object)
    return UINT64_MAX;
  if (!edits_plausible(object, near))
    return UINT64_MAX - 1;
  uint64_t header = atomic_load_explicit(&object->header, memory_order_relaxed);
  if (header >> 32 > g->n.most_references)
    return UINT64_MAX - 1;
  uint64_t id = gcb_load_raw(object, 0), shape = id & UINT32_MAX;
  if (shape >= g->n.objects || header != edits_header(references_of(g, shape), raw_bytes_of(g, shape)))
    return UINT64_MAX - 1;
  return id;
}

/* Everything in one object; false if it is none, and its slots can't be followed. */
static bool mix_object(const graph *g, gcb_ref object, gcb_ref near, uint64_t *sum) {
  uint64_t id = id_of(g, object, near);
  edits_mix(sum, id);
  if (id >= UINT64_MAX - 1)
    return false;
  uint32_t references = gcb_reference_count(object);
  size_t words = raw_bytes_of(g, id & UINT32_MAX) / sizeof(uint64_t);
  for (uint32_t slot = 0; slot < references; slot++)
    edits_mix(sum, id_of(g, gcb_load(object, slot), near));
  for (size_t word = 1; word < words; word++)
    edits_mix(sum, gcb_load_raw(object, word));
  return true;
}

/* What the tree's slot for object i holds: what it was built with, or another leaf. `at` has those before i.
 */
static gcb_ref in_slot_of(const graph *g, gcb_ref *at, uint64_t i) {
  gcb_ref parent = at[g->parents[i]];
  bool sound = parent && g->parent_slots[i] < gcb_reference_count(parent);
  return sound ? gcb_load(parent, g->parent_slots[i]) : NULL;
}

/* `at` has room for a copy's objects; null for what is none. */
static void mix_copy(const graph *g, gcb_ref *at, gcb_ref root, uint64_t *sum) {
  for (uint64_t i = 0; i < g->n.objects; i++) {
    gcb_ref object = i == 0 ? root : in_slot_of(g, at, i);
    at[i] = mix_object(g, object, root, sum) ? object : NULL;
  }
}

uint64_t gcb_checksum(gcb_mutator *m) {
  const gcb_params *p = m->params;
  graph g;
  open_graph(m, &g);
  uint64_t sum = 0;
  gcb_ref *at = calloc(g.n.objects, sizeof *at);
  for (uint32_t i = 0; at && i < m->count; i++) {
    gcb_ref ring = gcb_global(m, EDITS_RING + i), copies = gcb_global(m, EDITS_ROOT + i);
    if (atomic_load_explicit(&copies->header, memory_order_relaxed) != edits_header(copies_of(m, i), 0) ||
        atomic_load_explicit(&ring->header, memory_order_relaxed) != edits_header((uint32_t)p->ring, 0)) {
      edits_mix(&sum, UINT64_MAX - 1);
      continue;
    }
    for (uint32_t copy = 0; copy < copies_of(m, i); copy++)
      mix_copy(&g, at, gcb_load(copies, copy), &sum);
    for (uint32_t entry = 0; entry < p->ring; entry++)
      mix_object(&g, gcb_load(ring, entry), ring, &sum);
  }
  free(at);
  return sum;
}
