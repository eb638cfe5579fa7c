/* The pages that a program wrote, written again: tick by tick, at its pace or another.
 *
 * A page is a page's worth of objects of one size, allocated one after the other in a heap that nobody has
 * used: so page p of the recording is page p of the heap. Slots 0 and 1 belong to a tree that keeps
 * everything reachable and is never written again: within a page object j refers to 2j + 1 and 2j + 2, and
 * the last object of page p, which has none of those, to the first ones of pages 2p + 1 and 2p + 2. All other
 * slots refer to random objects. Raw word 0 holds the page and the place in it. */
#include "../_edits/ring.h"
#include "walk.h"

enum { PAGE = 4096, TREE_SLOTS = 2 };

typedef struct pages {
  _Atomic uint32_t users; /* the last one frees it */
  gcb_ref objects[];
} pages;

typedef struct part {
  recording recording;
  walk walk;
  edits_fresh fresh;
  pages *pages;
  uint32_t number, each, references; /* each: objects of a page */
  size_t raw_bytes;
  uint64_t reference_below; /* of 32 random bits */
} part;

static uint32_t objects_of_a_page(const gcb_params *p) {
  return (uint32_t)(PAGE / p->object_bytes);
}
static size_t raw_bytes_of(const gcb_params *p) {
  return (size_t)(p->object_bytes - 8 - 8 * p->references);
}

/* -- Building */

/* Who refers to an object in the tree, and in which slot; not asked of the first of all. */
static uint64_t parent_of(uint64_t page, uint32_t place, uint32_t each, uint32_t *slot) {
  if (place) {
    *slot = (place - 1) & 1;
    return page * each + (place - 1) / 2;
  }
  *slot = (uint32_t)(page - 1) & 1;
  return (page - 1) / 2 * each + each - 1;
}

static void allocate(gcb_mutator *m, gcb_ref *objects, uint64_t page, uint32_t each) {
  const gcb_params *p = m->params;
  for (uint32_t place = 0; place < each; place++) {
    gcb_ref object = gcb_alloc(m, (uint32_t)p->references, raw_bytes_of(p));
    uint64_t number = page * each + place;
    gcb_store_raw(m, object, 0, number);
    objects[number] = object;
    if (number == 0) {
      gcb_set_global(m, EDITS_ROOT, object);
    } else {
      uint32_t slot;
      uint64_t parent = parent_of(page, place, each, &slot);
      gcb_store(m, objects[parent], slot, object);
    }
  }
}

static gcb_ref random_object(gcb_mutator *m, const part *t) {
  uint64_t page = gcb_random_below(m, (uint32_t)t->recording.n.pages);
  return t->pages->objects[page * t->each + gcb_random_below(m, t->each)];
}

/* What the tree does not need. */
static void fill(gcb_mutator *m, const part *t) {
  for (uint64_t i = 0; i < t->recording.n.pages * t->each; i++) {
    for (uint32_t slot = 0; slot < t->references; slot++)
      if (!gcb_load(t->pages->objects[i], slot))
        gcb_store(m, t->pages->objects[i], slot, random_object(m, t));
    gcb_poll(m);
  }
}

static part *make_part(gcb_mutator *m, const recording *r, pages *shared, uint32_t number, uint64_t tick) {
  const gcb_params *p = m->params;
  part *t = edits_malloc(m, 1, sizeof *t);
  *t = (part){.recording = *r,
              .pages = shared,
              .number = number,
              .each = objects_of_a_page(p),
              .references = (uint32_t)p->references,
              .raw_bytes = raw_bytes_of(p),
              .reference_below = (uint64_t)(p->reference_share * 0x1p32)};
  walk_start(r, &t->walk, tick);
  return t;
}

void gcb_build(gcb_mutator *m) {
  recording r;
  recording_open(m, &r);
  uint32_t each = objects_of_a_page(m->params);
  pages *shared = edits_malloc(m, 1, sizeof *shared + r.n.pages * each * sizeof(gcb_ref));
  shared->users = m->count;
  /* Before anything else is allocated: so pages begin where the heap's do. */
  for (uint64_t page = 0; page < r.n.pages; page++)
    allocate(m, shared->objects, page, each);
  /* The same for all: they keep to one timetable. */
  uint64_t tick = ((const gcb_params *)m->params)->anywhere ? gcb_random_below(m, (uint32_t)r.n.ticks) : 0;
  for (uint32_t i = 0; i < m->count; i++) {
    part *t = make_part(m, &r, shared, i, tick);
    edits_hand_over(m, i, t);
    if (i == 0)
      fill(m, t);
  }
}

/* -- Replaying */

static void make_garbage(gcb_mutator *m) {
  part *t = m->local;
  gcb_ref object = gcb_alloc(m, t->references, t->raw_bytes);
  gcb_store_raw(m, object, 0, EDITS_FRESH | (uint64_t)t->number << 48 | (t->fresh.made & 0xffffffffffff));
  for (uint32_t slot = 0; slot < t->references; slot++)
    gcb_store(m, object, slot, random_object(m, t));
  if (edits_continues_list(&t->fresh))
    gcb_store(m, object, 0, edits_last_fresh(m, &t->fresh));
  edits_keep_fresh(m, &t->fresh, object);
}

static void store(gcb_mutator *m, const part *t, uint64_t page) {
  gcb_ref object = t->pages->objects[page * t->each + gcb_random_below(m, t->each)];
  if (gcb_random(m) >> 32 < t->reference_below) {
    uint32_t slot = TREE_SLOTS + gcb_random_below(m, t->references - TREE_SLOTS);
    gcb_store(m, object, slot, random_object(m, t));
  } else {
    uint32_t words = (uint32_t)(t->raw_bytes / sizeof(uint64_t));
    gcb_store_raw(m, object, 1 + gcb_random_below(m, words - 1), gcb_random(m));
  }
}

void gcb_mutate(gcb_mutator *m) {
  const gcb_params *p = m->params;
  part *t = edits_take_over(m);
  const recording *r = &t->recording;
  if (p->pace > 0)
    /* The timetable begins with its tick, for all alike, whoever has something to write in it. */
    gcb_pace_at(m, (uint64_t)((double)r->begin_ns[(t->walk.tick + 1) % r->n.ticks] / p->pace));
  while (gcb_next(m)) {
    double due_ns;
    uint64_t page = walk_on(m, &t->recording, &t->walk, &due_ns);
    if (p->pace > 0)
      gcb_pace_at(m, (uint64_t)(due_ns / p->pace));
    for (int64_t i = 0; i < p->stores_per_page; i++) {
      store(m, t, page);
      edits_make_due(m, &t->fresh, p->garbage_per_store, make_garbage);
    }
  }
  /* acq_rel: who frees the table is behind all who have used it */
  if (atomic_fetch_sub_explicit(&t->pages->users, 1, memory_order_acq_rel) == 1)
    free(t->pages);
  free(t);
  m->local = NULL;
}

/* -- The checksum */

/* The id of what a reference leads to; UINT64_MAX or one less for null or for what is none of this heap's
 * objects. */
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
  uint64_t header = edits_header((uint32_t)p->references, raw_bytes_of(p)), id = id_of(object, root, header);
  edits_mix(sum, id);
  if (id >= UINT64_MAX - 1)
    return false;
  for (uint32_t slot = 0; slot < p->references; slot++)
    edits_mix(sum, id_of(gcb_load(object, slot), root, header));
  for (size_t word = 1; word < raw_bytes_of(p) / sizeof(uint64_t); word++)
    edits_mix(sum, gcb_load_raw(object, word));
  return true;
}

static void mix_pages(gcb_mutator *m, gcb_ref root, uint64_t *sum) {
  uint32_t each = objects_of_a_page(m->params);
  uint64_t objects = ((const counts *)m->blob)->pages * each;
  gcb_ref *at = calloc(objects, sizeof *at);
  for (uint64_t i = 0; at && i < objects; i++) {
    gcb_ref object = root;
    if (i) {
      uint32_t slot;
      gcb_ref parent = at[parent_of(i / each, (uint32_t)(i % each), each, &slot)];
      object = parent ? gcb_load(parent, slot) : NULL;
    }
    at[i] = mix_object(m, object, root, sum) ? object : NULL;
  }
  free(at);
}

uint64_t gcb_checksum(gcb_mutator *m) {
  const gcb_params *p = m->params;
  gcb_ref root = gcb_global(m, EDITS_ROOT);
  uint64_t sum = 0;
  mix_pages(m, root, &sum);
  for (uint32_t i = 0; i < m->count; i++) {
    gcb_ref ring = gcb_global(m, EDITS_RING + i);
    bool sound = edits_plausible(ring, root) && atomic_load_explicit(&ring->header, memory_order_relaxed) ==
                                                    edits_header((uint32_t)p->ring, 0);
    for (uint32_t entry = 0; sound && entry < p->ring; entry++)
      mix_object(m, gcb_load(ring, entry), root, &sum);
    if (!sound)
      edits_mix(&sum, UINT64_MAX - 1);
  }
  return sum;
}
