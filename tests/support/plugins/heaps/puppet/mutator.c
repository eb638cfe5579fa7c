/* Obeys a script of operations of four words each. Any words make a script: numbers of handles, slots and
 * globals are taken modulo how many there are (a handle of TOP and more is counted from the newest), and what
 * asks for something that isn't there does nothing. The model in tests/support/puppet.py does the same; what
 * a program can see of the heap is folded into one number. */
#include "gcb_params.h"
#include "gcbarrier.h"

#include <stdlib.h>
#include <time.h>

enum { GLOBALS = 8, TOP = 0x8000, NOBODY = 0xffff };
enum op { ALLOC, STORE, RAW, DROP, SET, GLOBAL, LOAD, FETCH, GARBAGE, CHAIN, FAN, NAP, FOLD, OPS };

typedef struct puppet {
  uint64_t sum;
} puppet;

static void fold(puppet *p, uint64_t word) {
  p->sum = ((p->sum << 7 | p->sum >> 57) ^ word) * UINT64_C(0x9e3779b97f4a7c15);
}

/* Objects in the order they are met, and a hash table from object to number: what makes a checksum of a graph
 * whose addresses mean nothing. */
typedef struct found {
  gcb_ref *objects;
  uint32_t *table; /* numbers + 1; 0: free */
  uint32_t count, capacity;
} found;

static uint32_t *place_of(found *f, gcb_ref object) {
  uint32_t mask = 2 * f->capacity - 1;
  for (uint32_t at = (uint32_t)((uintptr_t)object >> 4) * 2654435761u;; at++) {
    uint32_t *place = &f->table[at & mask];
    if (*place == 0 || f->objects[*place - 1] == object)
      return place;
  }
}

static void grow(found *f) {
  f->capacity = f->capacity ? 2 * f->capacity : 256;
  free(f->table);
  f->table = calloc(2 * (size_t)f->capacity, sizeof *f->table);
  f->objects = realloc(f->objects, f->capacity * sizeof *f->objects);
  if (!f->table || !f->objects)
    abort();
  for (uint32_t i = 0; i < f->count; i++)
    *place_of(f, f->objects[i]) = i + 1;
}

/* 1, 2, ... in the order of meeting; 0 for null */
static uint64_t number(found *f, gcb_ref object) {
  if (!object)
    return 0;
  if (f->count == f->capacity)
    grow(f);
  uint32_t *place = place_of(f, object);
  if (!*place) {
    f->objects[f->count] = object;
    *place = ++f->count;
  }
  return *place;
}

static size_t raw_words(gcb_ref object) {
  return gcb_object_bytes(object) / sizeof(uint64_t) - 1 - gcb_reference_count(object);
}

/* Everything reachable from globals and handles. Words that are zero count by their absence. */
static void fold_graph(gcb_mutator *m, puppet *p) {
  found f = {0};
  for (uint32_t i = 0; i < GLOBALS; i++)
    fold(p, number(&f, gcb_global(m, i)));
  for (uint32_t i = 0; i < gcb_top(m); i++)
    fold(p, number(&f, gcb_get(m, i)));
  for (uint32_t i = 0; i < f.count; i++) {
    gcb_ref object = f.objects[i];
    fold(p, gcb_reference_count(object));
    fold(p, gcb_object_bytes(object));
    for (uint32_t slot = 0; slot < gcb_reference_count(object); slot++) {
      uint64_t target = number(&f, gcb_load(object, slot));
      if (target) {
        fold(p, slot);
        fold(p, target);
      }
    }
    for (size_t word = 0; word < raw_words(object); word++) {
      uint64_t value = gcb_load_raw(object, word);
      if (value) {
        fold(p, word);
        fold(p, value);
      }
    }
  }
  fold(p, f.count);
  free(f.table);
  free(f.objects);
}

static uint32_t handle_of(gcb_mutator *m, uint64_t handle) {
  uint32_t top = gcb_top(m);
  return handle < TOP ? (uint32_t)(handle % top) : top - 1 - (uint32_t)((handle - TOP) % top);
}

/* null for NOBODY, and where there are no handles */
static gcb_ref held(gcb_mutator *m, uint64_t handle) {
  return handle == NOBODY || gcb_top(m) == 0 ? NULL : gcb_get(m, handle_of(m, handle));
}

static void garbage(gcb_mutator *m, uint64_t count, uint32_t references, size_t raw_bytes) {
  for (uint64_t i = 0; i < count; i++) {
    gcb_ref object = gcb_alloc(m, references, raw_bytes);
    for (uint32_t slot = 0; slot < references; slot++)
      gcb_store(m, object, slot, object);
    for (size_t word = 0; word < raw_words(object); word++)
      gcb_store_raw(m, object, word, ~i); /* memory that is used again must have been cleared of it */
  }
}

/* A list on a new handle, its newest object first. */
static void chain(gcb_mutator *m, uint64_t length, uint32_t references, size_t raw_bytes) {
  uint32_t handle = gcb_push(m, NULL);
  for (uint64_t i = 0; i < length; i++) {
    gcb_ref link = gcb_alloc(m, references, raw_bytes);
    gcb_store(m, link, references - 1, gcb_get(m, handle));
    if (raw_words(link))
      gcb_store_raw(m, link, raw_words(link) - 1, i + 1);
    gcb_set(m, handle, link);
  }
}

/* A native region: whatever the collector is about, it gets on with it. */
static void nap(gcb_mutator *m, uint64_t us) {
  gcb_native_enter(m);
  nanosleep(&(struct timespec){.tv_nsec = (long)(us % 1000) * 1000}, NULL);
  gcb_native_leave(m);
}

static void obey(gcb_mutator *m, puppet *p, const uint64_t *words) {
  uint64_t a = words[1], b = words[2], c = words[3];
  gcb_ref object = held(m, a);
  uint32_t references = object ? gcb_reference_count(object) : 0;
  switch ((enum op)(words[0] % OPS)) {
  case ALLOC:
    gcb_push(m, gcb_alloc(m, (uint32_t)a, (size_t)b));
    break;
  case STORE:
    if (references)
      gcb_store(m, object, (uint32_t)(b % references), held(m, c));
    break;
  case RAW:
    if (object && raw_words(object))
      gcb_store_raw(m, object, (size_t)b % raw_words(object), c);
    break;
  case DROP:
    gcb_pop(m, gcb_top(m) - (uint32_t)(a % (gcb_top(m) + 1)));
    break;
  case SET:
    if (gcb_top(m))
      gcb_set(m, handle_of(m, a), held(m, b));
    break;
  case GLOBAL:
    gcb_set_global(m, (uint32_t)(a % GLOBALS), held(m, b));
    break;
  case LOAD:
    if (references)
      gcb_push(m, gcb_load(object, (uint32_t)(b % references)));
    break;
  case FETCH:
    gcb_push(m, gcb_global(m, (uint32_t)(a % GLOBALS)));
    break;
  case GARBAGE:
    garbage(m, a, (uint32_t)b, (size_t)c);
    break;
  case CHAIN:
    chain(m, a, (uint32_t)b + 1, (size_t)c);
    break;
  case FAN: /* one object in every so many slots of another */
    for (uint32_t slot = 0; slot < references; slot += 1 + (uint32_t)(b % 64))
      gcb_store(m, object, slot, held(m, c));
    break;
  case NAP:
    nap(m, a);
    break;
  case FOLD:
    fold_graph(m, p);
    break;
  case OPS:
    break;
  }
}

void gcb_build(gcb_mutator *m) {
  (void)m;
}

void gcb_mutate(gcb_mutator *m) {
  if (m->index > 0)
    return; /* one script, one obeys */
  puppet *p = m->local = calloc(1, sizeof *p);
  const uint64_t *words = m->blob, *end = words + m->blob_bytes / sizeof *words / 4 * 4;
  for (; words < end && gcb_next(m); words += 4)
    obey(m, p, words);
}

uint64_t gcb_checksum(gcb_mutator *m) {
  puppet p = m->local ? *(puppet *)m->local : (puppet){0};
  fold_graph(m, &p);
  free(m->local);
  m->local = NULL;
  return p.sum;
}
