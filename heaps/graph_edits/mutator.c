/* A random graph, one part for each mutator, with a binary tree in it that keeps all of it reachable.
 *
 * Tree position p refers in slots 0 and 1 to positions 2p + 1 and 2p + 2. Positions without children are
 * movable (edits.h), the `inner` ones before them fixed; every slot that the tree does not need is a free
 * slot and refers to a random inner position. Raw word 0 holds the part and the position an object began
 * with. */
#include "../_edits/edits.h"

typedef struct part {
  edits edits;
  uint32_t number, nodes, inner, references;
  size_t raw_bytes;
  gcb_ref *objects; /* of the inner positions */
  uint32_t pages;
  uint32_t *writers, *writer_starts; /* positions with free slots, by page */
  uint32_t *parents, *parent_starts; /* positions with a leaf, by page */
} part;

static uint32_t nodes_of(gcb_mutator *m) {
  return (uint32_t)(((const gcb_params *)m->params)->nodes / m->count);
}
static size_t raw_bytes_of(const gcb_params *p) {
  return (size_t)(p->object_bytes - 8 - 8 * p->references);
}
/* Slots of position p that belong to the tree. */
static uint32_t children(uint32_t nodes, uint32_t position) {
  uint64_t first = 2 * (uint64_t)position + 1;
  return first + 1 < nodes ? 2 : first < nodes ? 1 : 0;
}
static gcb_ref object_at(const part *t, uint32_t position) {
  return position < t->inner ? t->objects[position]
                             : gcb_load(t->objects[(position - 1) / 2], (position - 1) & 1);
}
static gcb_ref random_object(gcb_mutator *m, const part *t) {
  return t->objects[gcb_random_below(m, t->inner)];
}

/* -- Building */

/* The next position to allocate, at random from those whose parent exists: so each object is linked at once,
 * and the tree's order says nothing about the heap's. */
static uint32_t take_random(gcb_mutator *m, uint32_t *ready, uint32_t *count) {
  uint32_t at = gcb_random_below(m, *count), position = ready[at];
  ready[at] = ready[--*count];
  return position;
}

static bool is_writer(const part *t, uint32_t position) {
  if (children(t->nodes, position) == t->references)
    return false;
  /* Leaves don't stay on their page: they are only written where nobody else has a free slot. */
  return position < t->inner || t->references == 2;
}
static bool is_parent(const part *t, uint32_t position) {
  return position < t->inner && 2 * position + children(t->nodes, position) >= t->inner;
}

static void allocate(gcb_mutator *m, part *t) {
  uint32_t per_page = (uint32_t)(4096 / gcb_size(t->references, t->raw_bytes));
  uint32_t ready_count = 1, writers = 0, parents = 0;
  uint32_t *ready = edits_malloc(m, t->nodes / 2 + 2, sizeof *ready);
  per_page = per_page ? per_page : 1;
  t->pages = (t->nodes + per_page - 1) / per_page;
  t->objects = edits_malloc(m, t->inner, sizeof(gcb_ref));
  t->writers = edits_malloc(m, t->references == 2 ? t->nodes : t->inner, sizeof *t->writers);
  t->parents = edits_malloc(m, t->inner, sizeof *t->parents);
  t->writer_starts = edits_malloc(m, (size_t)t->pages + 1, sizeof *t->writer_starts);
  t->parent_starts = edits_malloc(m, (size_t)t->pages + 1, sizeof *t->parent_starts);
  for (uint32_t i = 0; i < t->nodes; i++) {
    if (i % per_page == 0) {
      t->writer_starts[i / per_page] = writers;
      t->parent_starts[i / per_page] = parents;
    }
    uint32_t position = take_random(m, ready, &ready_count);
    gcb_ref object = gcb_alloc(m, t->references, t->raw_bytes);
    gcb_store_raw(m, object, 0, (uint64_t)t->number << 32 | position);
    if (position == 0)
      gcb_set_global(m, EDITS_ROOT + t->number, object);
    else
      gcb_store(m, t->objects[(position - 1) / 2], (position - 1) & 1, object);
    if (position < t->inner)
      t->objects[position] = object;
    for (uint32_t child = 0; child < children(t->nodes, position); child++)
      ready[ready_count++] = 2 * position + 1 + child;
    if (is_writer(t, position))
      t->writers[writers++] = position;
    if (is_parent(t, position))
      t->parents[parents++] = position;
  }
  t->writer_starts[t->pages] = writers;
  t->parent_starts[t->pages] = parents;
  free(ready);
}

static void fill_free_slots(gcb_mutator *m, const part *t) {
  for (uint32_t position = 0; position < t->nodes; position++) {
    gcb_ref object = object_at(t, position);
    for (uint32_t slot = children(t->nodes, position); slot < t->references; slot++)
      gcb_store(m, object, slot, random_object(m, t));
    gcb_poll(m);
  }
}

void gcb_build(gcb_mutator *m) {
  const gcb_params *p = m->params;
  for (uint32_t i = 0; i < m->count; i++) {
    part *t = edits_malloc(m, 1, sizeof *t);
    t->number = i;
    t->nodes = nodes_of(m);
    t->inner = t->nodes / 2;
    t->references = (uint32_t)p->references;
    t->raw_bytes = raw_bytes_of(p);
    edits_hand_over(m, i, t);
    allocate(m, t);
    fill_free_slots(m, t);
    edits_start(&t->edits, p, t->pages);
  }
}

/* -- Editing */

static void redirect(gcb_mutator *m) {
  part *t = m->local;
  uint32_t copy, entry = edits_pick(m, &t->edits.sampler, t->writer_starts, t->pages, &copy);
  uint32_t position = t->writers[entry], first = children(t->nodes, position);
  gcb_ref object = object_at(t, position);
  gcb_store(m, object, first + gcb_random_below(m, t->references - first), random_object(m, t));
}

/* A random slot with a leaf in it. */
static gcb_ref leaf_slot(gcb_mutator *m, const part *t, uint32_t *slot) {
  uint32_t copy, entry = edits_pick(m, &t->edits.sampler, t->parent_starts, t->pages, &copy);
  uint32_t position = t->parents[entry], last = children(t->nodes, position) - 1;
  bool both = 2 * position + 1 >= t->inner;
  *slot = both ? gcb_random_below(m, last + 1) : last;
  return t->objects[position];
}

static void exchange(gcb_mutator *m) {
  part *t = m->local;
  uint32_t one_slot, other_slot;
  gcb_ref one = leaf_slot(m, t, &one_slot), other = leaf_slot(m, t, &other_slot);
  edits_exchange(m, one, one_slot, other, other_slot);
}

static void replace(gcb_mutator *m) {
  uint32_t slot;
  gcb_ref owner = leaf_slot(m, m->local, &slot);
  edits_replace(m, owner, slot);
}

static void make_garbage(gcb_mutator *m) {
  part *t = m->local;
  gcb_ref object = gcb_alloc(m, t->references, t->raw_bytes);
  gcb_store_raw(m, object, 0,
                EDITS_FRESH | (uint64_t)t->number << 48 | (t->edits.fresh.made & 0xffffffffffff));
  for (uint32_t slot = 0; slot < t->references; slot++)
    gcb_store(m, object, slot, random_object(m, t));
  if (edits_continues_list(&t->edits.fresh))
    gcb_store(m, object, 0, edits_last_fresh(m, &t->edits.fresh));
  edits_keep_fresh(m, &t->edits.fresh, object);
}

void gcb_mutate(gcb_mutator *m) {
  part *t = edits_take_over(m);
  edits_run(m, &t->edits, redirect, exchange, replace, make_garbage);
  free(t->objects);
  free(t->writers);
  free(t->writer_starts);
  free(t->parents);
  free(t->parent_starts);
  free(t);
  m->local = NULL;
}

/* -- The checksum */

/* The id of what a slot refers to; 0 with the top bits set for something that is none of this heap's objects.
 */
static uint64_t id_of(gcb_ref object, gcb_ref root, uint64_t header) {
  if (!object)
    return UINT64_MAX;
  if (!edits_plausible(object, root) || atomic_load_explicit(&object->header, memory_order_relaxed) != header)
    return UINT64_MAX - 1;
  return gcb_load_raw(object, 0);
}

/* Everything in one object; false if it is none, and its slots can't be followed. */
static bool mix_object(gcb_mutator *m, gcb_ref object, gcb_ref root, uint64_t *sum) {
  const gcb_params *p = m->params;
  uint64_t header = edits_header((uint32_t)p->references, raw_bytes_of(p));
  uint64_t id = id_of(object, root, header);
  edits_mix(sum, id);
  if (id >= UINT64_MAX - 1)
    return false;
  for (uint32_t slot = 0; slot < p->references; slot++)
    edits_mix(sum, id_of(gcb_load(object, slot), root, header));
  for (size_t word = 1; word < raw_bytes_of(p) / sizeof(uint64_t); word++)
    edits_mix(sum, gcb_load_raw(object, word));
  return true;
}

static void mix_part(gcb_mutator *m, uint32_t number, uint64_t *sum) {
  gcb_ref root = gcb_global(m, EDITS_ROOT + number), ring = gcb_global(m, EDITS_RING + number);
  uint32_t nodes = nodes_of(m), inner = nodes / 2;
  gcb_ref *at = calloc(nodes, sizeof *at);
  if (!at)
    return;
  at[0] = root;
  for (uint32_t position = 0; position < nodes; position++)
    if (mix_object(m, at[position], root, sum) && position < inner)
      for (uint32_t child = 0; child < children(nodes, position); child++)
        at[2 * position + 1 + child] = gcb_load(at[position], child);
  free(at);
  uint32_t entries = (uint32_t)((const gcb_params *)m->params)->ring;
  bool sound = edits_plausible(ring, root) &&
               atomic_load_explicit(&ring->header, memory_order_relaxed) == edits_header(entries, 0);
  for (uint32_t i = 0; sound && i < entries; i++)
    mix_object(m, gcb_load(ring, i), root, sum);
}

uint64_t gcb_checksum(gcb_mutator *m) {
  uint64_t sum = 0;
  for (uint32_t i = 0; i < m->count; i++)
    mix_part(m, i, &sum);
  return sum;
}
