/* Stores against collects: whatever a barrier does not report is found out by comparing memory. Linked with
 * the core and one barrier.
 *
 *     race SECONDS MIB WRITERS stop|run [MEMORY]
 *
 * Writers store ever-growing values to random words. The main thread arms while they run, copies the whole
 * region, and from then on copies what is reported, always after collect() has returned. A few rounds later
 * the writers stop, the rest is collected, and memory and copy must be equal: a granule that differs was
 * written and not reported, or reported too early. In `run` the writers are never stopped for the rounds in
 * between, which only an atomic barrier survives; in `stop` each of them has the writers stopped. MEMORY is
 * the number of a model.MEMORY_TYPES, 0 unless given.
 * Behind `lost` come the barrier's tallies, their names with underscores.
 *
 * One line on stdout, names and numbers; exit status 1 when something was lost, 2 when something failed. */
#include "api.h"
#include "space.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
  WRITERS = 16,
  /* Few: a page that is lost is found again by its next store, so only the last rounds' losses show. */
  ROUNDS = 4,
  /* Stores between two looks at `stopping`: few enough that the writers stop at once, while what the last
   * round lost has not been written again. */
  BURST = 8,
  BETWEEN_US = 200, /* `stop`: how long the writers run between two rounds */
};

static struct {
  gcb_space *space;
  _Atomic uint64_t *words;
  size_t count;
  atomic_bool stopping, ending;
  /* Twice per stop: all have come to rest; all may go on. */
  pthread_barrier_t gate;
} shared;

typedef struct writer {
  pthread_t thread;
  uint64_t number, stores, random;
} writer;

/* A copy of the region as the reports tell it. */
typedef struct copy {
  const _Atomic uint64_t *memory; /* the collector's view */
  uint64_t *words;
} copy;

typedef struct counts {
  uint64_t stores, rounds, cycles, reported, lost;
} counts;

static uint64_t next_random(uint64_t *state) {
  *state ^= *state << 13;
  *state ^= *state >> 7;
  *state ^= *state << 17;
  return *state;
}

static void *write_words(void *argument) {
  writer *w = argument;
  if (gcb_watch_attach(shared.space))
    abort();
  pthread_barrier_wait(&shared.gate); /* nobody is attached while the memory is armed */
  for (;;) {
    /* acquire: what the main thread did while we rested comes before our next stores */
    if (atomic_load_explicit(&shared.stopping, memory_order_acquire)) {
      pthread_barrier_wait(&shared.gate);
      pthread_barrier_wait(&shared.gate);
      if (atomic_load_explicit(&shared.ending, memory_order_acquire))
        return NULL;
    }
    for (int i = 0; i < BURST; i++) {
      /* Unlike any other that this word ever held: growing, with the writer's number. */
      uint64_t value = ++w->stores << 8 | w->number;
      size_t word = (size_t)(next_random(&w->random) % shared.count);
      /* relaxed, as a mutator's raw store: the barrier alone has to order it before the copy */
      atomic_store_explicit(&shared.words[word], value, memory_order_relaxed);
    }
  }
}

static void stop_writers(void) {
  atomic_store_explicit(&shared.stopping, true, memory_order_release);
  pthread_barrier_wait(&shared.gate);
}

static void resume_writers(void) {
  /* Before the gate opens: one that passes it must not stop again by itself. */
  atomic_store_explicit(&shared.stopping, false, memory_order_release);
  pthread_barrier_wait(&shared.gate);
}

static void copy_words(copy *c, size_t first, size_t count) {
  for (size_t word = first; word < first + count; word++)
    c->words[word] = atomic_load_explicit(&c->memory[word], memory_order_relaxed);
}

static int collect(gcb_space *space, bool rearm, copy *c, counts *n) {
  int64_t found = gcb_watch_collect(space, rearm);
  if (found < 0)
    return -1;
  n->rounds++;
  n->reported += (uint64_t)found;
  const uint64_t *reported = gcb_watch_words(space);
  size_t words = gcb_granule_bytes(space) / sizeof(uint64_t);
  for (size_t granule = 0; granule < space->view.bytes / gcb_granule_bytes(space); granule++)
    if (reported[granule >> 6] >> (granule & 63) & 1)
      copy_words(c, granule * words, words);
  return 0;
}

/* Pages in which memory is not what was copied; nobody writes. */
static uint64_t differing(const copy *c) {
  uint64_t pages = 0, *now = malloc(GCB_PAGE);
  size_t words = GCB_PAGE / sizeof *now;
  for (size_t first = 0; first < shared.count; first += words) {
    for (size_t i = 0; i < words; i++)
      now[i] = atomic_load_explicit(&c->memory[first + i], memory_order_relaxed);
    pages += memcmp(now, &c->words[first], GCB_PAGE) != 0;
  }
  free(now);
  return pages;
}

/* One cycle, from writers that run to writers that rest. */
static int cycle(gcb_space *space, bool stop, copy *c, counts *n) {
  /* While they run, as a collector arms: what was stored before it returned is for the whole copy. */
  if (gcb_watch_arm(space))
    return -1;
  copy_words(c, 0, shared.count);
  for (int round = 0; round < ROUNDS; round++) {
    if (stop) {
      usleep(BETWEEN_US);
      stop_writers();
    }
    int failed = collect(space, true, c, n);
    if (stop)
      resume_writers();
    if (failed)
      return -1;
  }
  stop_writers();
  if (collect(space, false, c, n))
    return -1;
  n->lost += differing(c);
  n->cycles++;
  return 0;
}

static int race(gcb_space *space, double seconds, uint32_t writers, bool stop, counts *n) {
  copy c = {.memory = (const _Atomic uint64_t *)(void *)(space->view.alias ? space->view.alias
                                                                           : space->view.tracked),
            .words = malloc(space->view.bytes)};
  writer w[WRITERS] = {0};
  shared.space = space;
  shared.words = (_Atomic uint64_t *)(void *)space->view.tracked;
  shared.count = space->view.bytes / sizeof *c.words;
  if (!c.words || pthread_barrier_init(&shared.gate, NULL, writers + 1))
    return gcb_set_error("no memory for a copy of the region");
  for (uint32_t i = 0; i < writers; i++) {
    w[i].number = i;
    w[i].random = (i + 1) * UINT64_C(0x9e3779b97f4a7c15);
    if (pthread_create(&w[i].thread, NULL, write_words, &w[i]))
      abort(); /* those that run would wait for it at the gate */
  }
  pthread_barrier_wait(&shared.gate);
  uint64_t end_ns = gcb_now_ns() + (uint64_t)(seconds * 1e9);
  int failed;
  while (!(failed = cycle(space, stop, &c, n)) && gcb_now_ns() < end_ns)
    resume_writers();
  if (!atomic_load_explicit(&shared.stopping, memory_order_relaxed))
    stop_writers(); /* it failed while they ran */
  atomic_store_explicit(&shared.ending, true, memory_order_release);
  resume_writers();
  for (uint32_t i = 0; i < writers; i++) {
    pthread_join(w[i].thread, NULL);
    n->stores += w[i].stores;
  }
  pthread_barrier_destroy(&shared.gate);
  free(c.words);
  return failed;
}

static int fail(const char *why) {
  fprintf(stderr, "%s\n", why);
  return 2;
}

int main(int count, char **arguments) {
  uint32_t writers = count > 3 ? (uint32_t)strtoul(arguments[3], NULL, 10) : 0;
  if (count < 5 || writers < 1 || writers > WRITERS)
    return fail("usage: race SECONDS MIB WRITERS stop|run [MEMORY]");
  if (!gcb_barrier_definition.tracks || gcb_barrier_definition.stores_only)
    return fail("the barrier does not notice plain writes to memory");
  uint32_t memory = count > 5 ? (uint32_t)strtoul(arguments[5], NULL, 10) : 0;
  gcb_space *space =
      gcb_space_new(strtoull(arguments[2], NULL, 10) << 20, memory, &gcb_barrier_definition, false);
  if (!space)
    return fail(gcb_error());
  counts n = {0};
  int failed = race(space, strtod(arguments[1], NULL), writers, strcmp(arguments[4], "stop") == 0, &n);
  if (failed)
    return fail(gcb_error());
  printf("stores %llu cycles %llu rounds %llu reported %llu lost %llu", (unsigned long long)n.stores,
         (unsigned long long)n.cycles, (unsigned long long)n.rounds, (unsigned long long)n.reported,
         (unsigned long long)n.lost);
  const char *name;
  for (size_t i = 0; (name = gcb_tally_name(space, i)); i++) {
    putchar(' ');
    for (; *name; name++)
      putchar(*name == ' ' ? '_' : *name);
    printf(" %llu", (unsigned long long)gcb_tally_count(space, i));
  }
  putchar('\n');
  gcb_space_free(space);
  return n.lost ? 1 : 0;
}
