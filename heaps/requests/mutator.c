/* A server: a long-lived store, and requests that read it, allocate, answer and are forgotten.
 *
 * The store is an index in two levels over records; a record has FIELDS values. Each mutator serves from a
 * part of the store that is its own, and picks by its own random numbers: what is there at the end depends on
 * the seed and the number of requests alone. */
#include "gcb_params.h"

#include "../_edits/checksum.h"
#include "../_edits/sampler.h"

enum { STORE = 0, SESSIONS = 64 };    /* globals, one of each for every mutator */
enum { FAN = 512 };                   /* records of a table of the index */
enum { FIELDS = 4, MOST_WORDS = 15 }; /* heap.py has the same numbers: an object has at most 144 bytes */
enum { RECORD_WORDS = 2 };            /* its number and its version */
enum { SESSION_REFERENCES = 2 };      /* the answer and a value that it was made from */

typedef struct server {
  edits_sampler popular;
  uint64_t served;
} server;

static uint32_t records_of(const gcb_mutator *m) {
  return (uint32_t)(((const gcb_params *)m->params)->records / m->count);
}
static size_t value_bytes_of(const gcb_mutator *m) {
  return (size_t)((const gcb_params *)m->params)->value_bytes;
}
static gcb_ref record_at(gcb_ref index, uint32_t record) {
  return gcb_load(gcb_load(index, record / FAN), record % FAN);
}

/* What a value says of itself: whose it is, and a word that went into the answers. */
static uint64_t name_of(uint64_t record, uint32_t field) {
  return record * FIELDS + field;
}
/* The record must be reachable: a safepoint. */
static void put_value(gcb_mutator *m, gcb_ref record, uint32_t field, uint64_t content) {
  gcb_ref value = gcb_alloc(m, 0, value_bytes_of(m));
  gcb_store_raw(m, value, 0, name_of(gcb_load_raw(record, 0), field));
  gcb_store_raw(m, value, 1, content);
  gcb_store(m, record, field, value);
}

/* -- Building */

static void build_store(gcb_mutator *m, uint32_t mutator) {
  uint32_t records = records_of(m);
  gcb_ref index = gcb_alloc(m, (records + FAN - 1) / FAN, 0);
  gcb_set_global(m, STORE + mutator, index);
  for (uint32_t i = 0; i < records; i++) {
    if (i % FAN == 0)
      gcb_store(m, index, i / FAN, gcb_alloc(m, records - i < FAN ? records - i : FAN, 0));
    gcb_ref record = gcb_alloc(m, FIELDS, RECORD_WORDS * sizeof(uint64_t));
    gcb_store_raw(m, record, 0, (uint64_t)mutator * records + i);
    gcb_store(m, gcb_load(index, i / FAN), i % FAN, record);
    for (uint32_t field = 0; field < FIELDS; field++)
      put_value(m, record, field, i);
  }
}

void gcb_build(gcb_mutator *m) {
  const gcb_params *p = m->params;
  for (uint32_t mutator = 0; mutator < m->count; mutator++) {
    build_store(m, mutator);
    gcb_set_global(m, SESSIONS + mutator, gcb_alloc(m, (uint32_t)p->sessions, 0));
  }
}

/* -- A request. `frame` is reachable and holds all that it allocates. */

static gcb_ref make_object(gcb_mutator *m, gcb_ref frame, uint32_t number) {
  size_t words = 1 + gcb_random_below(m, MOST_WORDS);
  gcb_ref object = gcb_alloc(m, 2, words * sizeof(uint64_t));
  gcb_store_raw(m, object, 0, number);
  gcb_store(m, frame, number, object);
  if (number)
    gcb_store(m, object, 0, gcb_load(frame, gcb_random_below(m, number)));
  return object;
}

/* Looks a record up, and adds its values to the answer. */
static gcb_ref read_record(gcb_mutator *m, const server *s, gcb_ref by, uint64_t *answer) {
  gcb_ref record = record_at(gcb_global(m, STORE + m->index), edits_page(m, &s->popular));
  uint64_t number = gcb_load_raw(record, 0);
  for (uint32_t field = 0; field < FIELDS; field++) {
    gcb_ref value = gcb_load(record, field);
    if (gcb_load_raw(value, 0) != name_of(number, field))
      gcb_fail(m, "value %u of record %llu is another one's: its memory was given away", field,
               (unsigned long long)number);
    edits_mix(answer, gcb_load_raw(value, 1));
  }
  gcb_store(m, by, 1, gcb_load(record, 0));
  return record;
}

static void keep_answer(gcb_mutator *m, server *s, gcb_ref record, uint64_t answer) {
  const gcb_params *p = m->params;
  gcb_ref session = gcb_alloc(m, SESSION_REFERENCES, sizeof(uint64_t));
  gcb_store_raw(m, session, 0, answer);
  gcb_store(m, session, 1, gcb_load(record, 0));
  gcb_ref sessions = gcb_global(m, SESSIONS + m->index);
  gcb_store(m, sessions, (uint32_t)(s->served++ % (uint64_t)p->sessions), session);
  size_t words = (size_t)p->response_bytes / sizeof(uint64_t);
  gcb_ref response = gcb_alloc(m, 0, words * sizeof(uint64_t));
  for (size_t i = 0; i < words; i++)
    gcb_store_raw(m, response, i, answer + i);
  gcb_store(m, session, 0, response);
}

static void serve(gcb_mutator *m, server *s) {
  const gcb_params *p = m->params;
  uint32_t objects = (uint32_t)p->objects, top = gcb_top(m);
  gcb_ref frame = gcb_alloc(m, objects, 0), record = NULL;
  gcb_push(m, frame);
  uint64_t answer = s->served;
  int64_t read = 0;
  for (uint32_t i = 0; i < objects; i++) {
    gcb_ref object = make_object(m, frame, i);
    /* Spread over the objects, and all read when the last one is there. */
    for (; read < p->reads * (i + 1) / objects; read++)
      record = read_record(m, s, object, &answer);
  }
  if (gcb_random_unit(m) < p->update_share) {
    gcb_store_raw(m, record, 1, gcb_load_raw(record, 1) + 1);
    put_value(m, record, gcb_random_below(m, FIELDS), answer);
  }
  keep_answer(m, s, record, answer);
  gcb_pop(m, top);
}

void gcb_mutate(gcb_mutator *m) {
  const gcb_params *p = m->params;
  server s = {.served = 0};
  edits_sampler_start(&s.popular, records_of(m), 1.0, p->zipf);
  while (gcb_next(m)) {
    gcb_pace(m, p->rate_per_s);
    serve(m, &s);
  }
}

/* -- The checksum, which must survive a heap that has been damaged */

static bool is_object(gcb_ref object, gcb_ref near, uint32_t references, size_t raw_bytes) {
  return edits_plausible(object, near) &&
         atomic_load_explicit(&object->header, memory_order_relaxed) == edits_header(references, raw_bytes);
}

static void mix_record(const gcb_mutator *m, gcb_ref record, gcb_ref near, uint64_t *sum) {
  if (!is_object(record, near, FIELDS, RECORD_WORDS * sizeof(uint64_t))) {
    edits_mix(sum, UINT64_MAX);
    return;
  }
  edits_mix(sum, gcb_load_raw(record, 0));
  edits_mix(sum, gcb_load_raw(record, 1));
  for (uint32_t field = 0; field < FIELDS; field++) {
    gcb_ref value = gcb_load(record, field);
    bool sound = is_object(value, near, 0, value_bytes_of(m));
    edits_mix(sum, sound ? gcb_load_raw(value, 0) : UINT64_MAX);
    edits_mix(sum, sound ? gcb_load_raw(value, 1) : UINT64_MAX);
  }
}

static void mix_session(const gcb_mutator *m, gcb_ref session, gcb_ref near, uint64_t *sum) {
  size_t bytes = (size_t)((const gcb_params *)m->params)->response_bytes;
  if (!is_object(session, near, SESSION_REFERENCES, sizeof(uint64_t))) {
    edits_mix(sum, UINT64_MAX - (session != NULL)); /* null before so many were served */
    return;
  }
  gcb_ref response = gcb_load(session, 0), value = gcb_load(session, 1);
  edits_mix(sum, gcb_load_raw(session, 0));
  edits_mix(sum, is_object(value, near, 0, value_bytes_of(m)) ? gcb_load_raw(value, 0) : UINT64_MAX);
  bool sound = is_object(response, near, 0, bytes);
  for (size_t i = 0; sound && i < bytes / sizeof(uint64_t); i++)
    edits_mix(sum, gcb_load_raw(response, i));
  edits_mix(sum, sound);
}

uint64_t gcb_checksum(gcb_mutator *m) {
  const gcb_params *p = m->params;
  uint64_t sum = 0;
  for (uint32_t mutator = 0; mutator < m->count; mutator++) {
    gcb_ref index = gcb_global(m, STORE + mutator), sessions = gcb_global(m, SESSIONS + mutator);
    uint32_t records = records_of(m);
    for (uint32_t i = 0; i < records; i++) {
      gcb_ref table = gcb_load(index, i / FAN);
      uint32_t first = i / FAN * FAN;
      if (is_object(table, index, records - first < FAN ? records - first : FAN, 0))
        mix_record(m, gcb_load(table, i % FAN), index, &sum);
      else
        edits_mix(&sum, UINT64_MAX);
    }
    for (uint32_t i = 0; i < (uint32_t)p->sessions; i++)
      mix_session(m, gcb_load(sessions, i), index, &sum);
  }
  return sum;
}
