/* Breaks collectors: mutators that hide objects from the marker in every way the page tables must show, and
 * check the identity of whatever they read; a collector that cycles without a rest. Linked with the core and
 * one barrier.
 *
 *     stress POLICY SECONDS MIB MUTATORS SEED MARKERS EPOCH EVERY
 *
 * POLICY: stop (the world, for all of the marking), concurrent (re-arms while mutators run), rearm (re-arms
 * in a pause of its own), helped (the same by turns, mutators help from the second round on, and every other
 * cycle leaves all of it to its pause), snapshot (for barriers that log what is overwritten), minor (sticky
 * marks: minor cycles by turns concurrent and stopped, and now and then a full one), aging (the same, and
 * objects are old after two cycles), and of the two that re-arm in a pause minor-rearm and aging-rearm.
 * EPOCH: the heap's first. EVERY: compiled with GCB_STRESS, mutators wait for a whole cycle at every so many
 * safepoints, and what is freed is poisoned; 0: neither. One line on stdout; exit status 1 when an object or
 * a page was lost, with the reason. */
#include "api.h"
#include "space.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A mutator's own structure: handle 0 holds a table (a large object) of nodes, which only this mutator
 * writes. */
enum { TABLE = 6000, SLOTS = 4, SHARED = 64 };
enum { HANDLE_TABLE, HANDLE_HIDDEN, HANDLE_FRESH, HANDLE_BIG, HANDLES = HANDLE_BIG + 4 };

/* A node's slots, each for one kind of mischief. */
enum { HIDDEN, FRESH, CHAIN, FOREIGN };
/* A node's raw words; behind them, for each slot, the id of the object it should refer to. */
enum { ID, CANARY, SCRATCH, EXPECTED, RAW = EXPECTED + SLOTS };

enum { ROUNDS = 4, FEW_PAGES = 32 };

static _Atomic uint64_t checked; /* objects whose identity was looked at */
static bool built;               /* every mutator's thread is known to the barrier, and it may stay armed */
static uint64_t minors;          /* cycles in which old objects stayed marked */

typedef struct own {
  uint64_t next_id, checked;
} own;

static uint64_t canary(uint64_t id) {
  return (id ^ UINT64_C(0x5bd1e9955bd1e995)) * UINT64_C(0x9e3779b97f4a7c15);
}

/* Was this memory given to another object? Then its canary is another's, or zero. */
static void check(gcb_mutator *m, gcb_ref object, uint64_t id) {
  own *mine = m->local;
  mine->checked++;
  uint64_t found = gcb_load_raw(object, ID), word = gcb_load_raw(object, CANARY);
  if (word != canary(found) || (id && found != id))
    gcb_fail(m, "object %p should be number %llx, and holds number %llx with the canary %llx", (void *)object,
             (unsigned long long)id, (unsigned long long)found, (unsigned long long)word);
}

static gcb_ref identified(gcb_mutator *m, uint32_t references, size_t raw_words) {
  own *mine = m->local;
  gcb_ref object = gcb_alloc(m, references, raw_words * sizeof(uint64_t));
  for (uint32_t slot = 0; slot < references; slot += references / 8 + 1)
    if (gcb_load(object, slot))
      gcb_fail(m, "a new object's slot %u is not null", slot);
  uint64_t id = ++mine->next_id;
  gcb_store_raw(m, object, ID, id);
  gcb_store_raw(m, object, CANARY, canary(id));
  return object;
}

static gcb_ref new_node(gcb_mutator *m) {
  return identified(m, SLOTS, RAW);
}

static gcb_ref table_of(gcb_mutator *m) {
  return gcb_get(m, HANDLE_TABLE);
}

static gcb_ref any_node(gcb_mutator *m) {
  gcb_ref node = gcb_load(table_of(m), gcb_random_below(m, TABLE));
  check(m, node, 0);
  return node;
}

static gcb_ref child(gcb_mutator *m, gcb_ref node, uint32_t slot) {
  gcb_ref object = gcb_load(node, slot);
  if (object)
    check(m, object, gcb_load_raw(node, EXPECTED + slot));
  return object;
}

static void link_child(gcb_mutator *m, gcb_ref node, uint32_t slot, gcb_ref object) {
  gcb_store_raw(m, node, EXPECTED + slot, object ? gcb_load_raw(object, ID) : 0);
  gcb_store(m, node, slot, object);
}

/* Objects that only one slot of the heap refers to change places, by way of a register. */
static void move_hidden(gcb_mutator *m) {
  gcb_ref a = any_node(m), b = any_node(m);
  gcb_ref from_a = child(m, a, HIDDEN), from_b = child(m, b, HIDDEN);
  link_child(m, a, HIDDEN, NULL);
  link_child(m, b, HIDDEN, from_a);
  if (a != b)
    link_child(m, a, HIDDEN, from_b);
}

/* ... by way of a handle, and are held by nothing else for a while. */
static void move_through_handle(gcb_mutator *m) {
  gcb_ref a = any_node(m), held = gcb_get(m, HANDLE_HIDDEN);
  if (held)
    check(m, held, 0);
  gcb_set(m, HANDLE_HIDDEN, child(m, a, HIDDEN));
  link_child(m, a, HIDDEN, held);
}

/* ... by way of a new object, which is black while the marker runs and so never visited. */
static void move_into_new(gcb_mutator *m) {
  gcb_ref fresh = new_node(m), a = any_node(m);
  link_child(m, fresh, HIDDEN, child(m, a, HIDDEN));
  link_child(m, a, HIDDEN, NULL);
  link_child(m, a, FRESH, fresh);
}

static void move_out_of_new(gcb_mutator *m) {
  gcb_ref a = any_node(m), b = any_node(m), fresh = child(m, a, FRESH);
  if (fresh && !gcb_load(b, HIDDEN)) {
    link_child(m, b, HIDDEN, child(m, fresh, HIDDEN));
    link_child(m, fresh, HIDDEN, NULL);
  }
}

/* ... by way of a global, where another mutator takes it. */
static void exchange_shared(gcb_mutator *m) {
  uint32_t which = gcb_random_below(m, SHARED);
  gcb_ref fresh = new_node(m), a = any_node(m);
  link_child(m, fresh, HIDDEN, child(m, a, HIDDEN));
  link_child(m, a, HIDDEN, NULL);
  gcb_ref theirs = gcb_global(m, which);
  gcb_set_global(m, which, fresh);
  if (theirs)
    check(m, theirs, 0);
  link_child(m, a, FOREIGN, theirs);
}

static void grow_chain(gcb_mutator *m) {
  gcb_ref fresh = new_node(m), a = any_node(m);
  link_child(m, fresh, CHAIN, child(m, a, CHAIN));
  link_child(m, a, CHAIN, fresh);
}

static void cut_chain(gcb_mutator *m) {
  gcb_ref at = any_node(m);
  for (int i = 0; i < 3 && at; i++) {
    gcb_ref next = child(m, at, CHAIN);
    if (i == 2 || !next)
      link_child(m, at, CHAIN, NULL);
    at = next;
  }
}

static void replace_node(gcb_mutator *m) {
  gcb_ref fresh = new_node(m);
  gcb_set(m, HANDLE_FRESH, fresh); /* across the allocation of its child */
  link_child(m, fresh, HIDDEN, new_node(m));
  gcb_store(m, table_of(m), gcb_random_below(m, TABLE), fresh);
  gcb_set(m, HANDLE_FRESH, NULL);
}

/* Objects of every size class: half a page, a page, half a block and a granule more, a block, several blocks.
 */
static void big_object(gcb_mutator *m) {
  static const size_t sizes[] = {520, 2048, 4096, 16384, 16400, 32768, 100000};
  size_t words = sizes[gcb_random_below(m, sizeof sizes / sizeof *sizes)] / sizeof(uint64_t);
  uint32_t references = (uint32_t)words / 2, handle = HANDLE_BIG + gcb_random_below(m, HANDLES - HANDLE_BIG);
  gcb_ref old = gcb_get(m, handle);
  if (old)
    check(m, old, 0);
  gcb_ref big = identified(m, references, words - 1 - references);
  for (int i = 0; i < 4; i++) { /* hidden objects in it, far from its header */
    gcb_ref a = any_node(m);
    gcb_store(m, big, gcb_random_below(m, references), child(m, a, HIDDEN));
    link_child(m, a, HIDDEN, NULL);
  }
  gcb_set(m, handle, big);
}

static void look_into_big(gcb_mutator *m) {
  gcb_ref big = gcb_get(m, HANDLE_BIG + gcb_random_below(m, HANDLES - HANDLE_BIG));
  if (!big)
    return;
  check(m, big, 0);
  for (uint32_t slot = 0; slot < gcb_reference_count(big); slot += 7) {
    gcb_ref object = gcb_load(big, slot);
    if (object)
      check(m, object, 0);
  }
}

static void rest(gcb_mutator *m) {
  gcb_native_enter(m);
  if (gcb_random_below(m, 16) == 0)
    usleep(200);
  gcb_native_leave(m);
}

static void scribble(gcb_mutator *m) {
  gcb_store_raw(m, any_node(m), SCRATCH, m->operations);
}

static void fill(gcb_mutator *m) {
  static _Thread_local own mine;
  mine = (own){.next_id = (uint64_t)(m->index + 1) << 48};
  m->local = &mine;
  for (int handle = 0; handle < HANDLES; handle++)
    gcb_push(m, NULL);
  gcb_set(m, HANDLE_TABLE, gcb_alloc(m, TABLE, 0));
  for (uint32_t i = 0; i < TABLE; i++) {
    gcb_store(m, table_of(m), i, new_node(m));
    gcb_ref hidden = new_node(m);
    link_child(m, gcb_load(table_of(m), i), HIDDEN, hidden);
  }
}

static void build(gcb_mutator *m) {
  (void)m;
}

static void mutate(gcb_mutator *m) {
  fill(m);
  while (gcb_next(m)) {
    uint32_t what = gcb_random_below(m, 1000);
    if (what < 300)
      move_hidden(m);
    else if (what < 400)
      move_through_handle(m);
    else if (what < 500)
      move_into_new(m);
    else if (what < 600)
      move_out_of_new(m);
    else if (what < 650)
      exchange_shared(m);
    else if (what < 770)
      grow_chain(m);
    else if (what < 850)
      cut_chain(m);
    else if (what < 950)
      replace_node(m);
    else if (what < 954)
      big_object(m);
    else if (what < 970)
      look_into_big(m);
    else if (what < 980)
      rest(m);
    else
      scribble(m);
  }
  own *mine = m->local;
  atomic_fetch_add(&checked, mine->checked);
  mine->checked = 0;
}

static uint64_t checksum(gcb_mutator *m) {
  uint64_t sum = 0;
  static own last;
  m->local = &last;
  for (uint32_t i = 0; i < TABLE; i++)
    for (gcb_ref at = gcb_load(table_of(m), i); at; at = child(m, at, CHAIN)) {
      check(m, at, 0);
      (void)child(m, at, HIDDEN), (void)child(m, at, FRESH), (void)child(m, at, FOREIGN);
      sum += gcb_load_raw(at, ID);
    }
  return sum;
}

/* Each cycle in another way: what is allocated meanwhile is black, black from the end of marking on, or
 * white; and now and then one is given up, and all is marked with the world stopped. */
static int mark_concurrently(gcb_space *space, bool rearm_stopped, uint32_t help) {
  enum { ALWAYS, LATE, NEVER, WAYS, GIVEN_UP = 4 };
  static unsigned cycles;
  unsigned way = ++cycles % WAYS;
  if (gcb_arm(space, way == ALWAYS) || gcb_mark(space, true))
    return -1;
  if (way == LATE && gcb_allocate_black_from_now(space))
    return -1;
  /* With help much is left to the pause, and all of it by turns, so that stopped mutators help too. */
  static unsigned turn;
  if (help && turn++ % 2)
    return gcb_remark(space, 0, 0);
  for (int round = 0; round < ROUNDS; round++) {
    if (help && round == 1)
      gcb_ask_to_help(space, help * 1000);
    int64_t pages = gcb_collect(space, true, rearm_stopped || (help && round % 4 == 3));
    if (pages < 0)
      return -1;
    /* When some of what is young has been armed, and the rest found dead, be it only white and on a stack; by
     * turns before the rescan, when all that was allocated meanwhile is white, and behind it. */
    if (cycles % (2 * GIVEN_UP) == 0)
      return gcb_full(space);
    if (gcb_rescan(space))
      return -1;
    if (cycles % GIVEN_UP == 0)
      return gcb_full(space);
    if (way != ALWAYS && gcb_mark(space, true))
      return -1;
    if (pages <= FEW_PAGES)
      break;
  }
  return gcb_remark(space, rearm_stopped || help ? 0 : 8, 0);
}

static int mark_snapshot(gcb_space *space) {
  if (gcb_snapshot(space) || gcb_mark(space, false))
    return -1;
  for (int round = 0; round < ROUNDS; round++)
    if (gcb_collect(space, true, false) < 0 || gcb_mark(space, false))
      return -1;
  return gcb_remark(space, 0, 0);
}

enum { FULL_EVERY = 6 };

/* What is allocated meanwhile is black by turns from the beginning on, from the end of marking on, or never;
 * and now and then a cycle is given up, and all is marked with the world stopped. */
static int remember_and_mark(gcb_space *space, bool rearm_stopped) {
  /* Four of six cycles come here, the last of these being the full one (FULL_EVERY), which is not always to
   * be the one that is given up. */
  enum { ALWAYS, LATE, NEVER, WAYS, GIVEN_UP = 5 };
  static unsigned cycles;
  unsigned way = ++cycles % WAYS;
  if (gcb_remember(space, rearm_stopped) < 0 || (way == ALWAYS && gcb_allocate_black_from_now(space)) ||
      gcb_mark(space, true) || (way == LATE && gcb_allocate_black_from_now(space)))
    return -1;
  if (cycles % GIVEN_UP == 0)
    return gcb_full(space);
  for (int round = 0; round < ROUNDS / 2; round++)
    if (gcb_collect(space, true, rearm_stopped) < 0 || gcb_rescan(space))
      return -1;
  return gcb_remark(space, rearm_stopped ? 0 : 8, 0);
}

/* `short_of`: a mutator waits for memory, and whatever is dead is to be found now. */
static int mark_young(gcb_space *space, uint32_t survivals, bool rearm_stopped, bool short_of) {
  static uint32_t cycles;
  gcb_generation seen;
  if (!built)
    return gcb_full(space);
  cycles++;
  if (gcb_stick(space, survivals))
    return -1;
  if (short_of)
    return gcb_full(space);
  if (cycles % FULL_EVERY == 0 && gcb_forget_marks(space))
    return -1;
  gcb_get_generation(space, &seen);
  minors += seen.minor;
  return cycles % 2 || !seen.minor ? remember_and_mark(space, rearm_stopped) : gcb_minor(space);
}

static int mark_by(gcb_space *space, const char *policy, bool short_of) {
  if (strcmp(policy, "stop") == 0)
    return gcb_full(space);
  if (strcmp(policy, "snapshot") == 0)
    return mark_snapshot(space);
  if (strncmp(policy, "minor", 5) == 0 || strncmp(policy, "aging", 5) == 0)
    return mark_young(space, policy[0] == 'm' ? 1 : 2, strchr(policy, '-') != NULL, short_of);
  return mark_concurrently(space, strcmp(policy, "rearm") == 0, strcmp(policy, "helped") == 0 ? 2 : 0);
}

static int cycle(gcb_space *space, const char *policy, bool short_of) {
  if (gcb_begin_cycle(space) || mark_by(space, policy, short_of))
    return -1;
  gcb_sweep(space);
  gcb_end_cycle(space);
  return 0;
}

static int fail(const char *what) {
  printf("FAILED %s\n", what);
  return 1;
}

static int run(gcb_space *space, const char *policy, double seconds, uint32_t mutators, uint64_t seed) {
  gcb_program program;
  void (*functions[])(gcb_mutator *) = {build, mutate};
  uint64_t (*sum)(gcb_mutator *) = checksum, ignored;
  memcpy(&program.build, &functions[0], sizeof program.build);
  memcpy(&program.mutate, &functions[1], sizeof program.mutate);
  memcpy(&program.checksum, &sum, sizeof program.checksum);
  if (gcb_start(space, &program, mutators, seed, NULL, NULL, NULL, 0))
    return fail(gcb_error());
  uint64_t deadline_ns = gcb_now_ns() + (uint64_t)(seconds * 1e9);
  static gcb_event events[4096];
  for (int wanted; (wanted = gcb_wait(space, 200000)) != 4;) {
    built |= wanted == 3;
    if (cycle(space, policy, wanted == 2)) {
      fail(gcb_error());
      return gcb_join(space, &program, &ignored) ? 1 : fail("a checksum was made of what is left");
    }
    while (gcb_take_events(space, events, sizeof events / sizeof *events) > 0)
      ;
    if (gcb_now_ns() > deadline_ns)
      gcb_finish(space);
  }
  if (gcb_join(space, &program, &ignored))
    return fail(gcb_error());
  gcb_totals totals;
  gcb_verification truth;
  gcb_get_totals(space, &totals);
  gcb_get_verification(space, &truth);
  printf("cycles %llu checked %llu reported %llu written %llu false %llu lost %llu operations %llu "
         "helped %llu minors %llu\n",
         (unsigned long long)truth.cycles, (unsigned long long)atomic_load(&checked),
         (unsigned long long)truth.reported, (unsigned long long)truth.written,
         (unsigned long long)truth.false_dirty, (unsigned long long)truth.lost,
         (unsigned long long)totals.operations, (unsigned long long)space->marking.helped,
         (unsigned long long)minors);
  return truth.lost ? fail("pages were written and not reported") : 0;
}

/* In one view poison is written through what the barrier watches, which the core refuses: pages that nobody
 * has written would be reported. Here that is no matter. */
static int stress(gcb_space *space, uint64_t every) {
#ifdef GCB_ONE_VIEW
  space->world.stress_every = every;
  return every ? gcb_blocks_stress(&space->blocks) : 0;
#else
  return every ? gcb_stress_mutators(space, every) : 0;
#endif
}

int main(int count, char **arguments) {
  if (count != 9)
    return fail("usage: stress POLICY SECONDS MIB MUTATORS SEED MARKERS EPOCH EVERY");
  size_t bytes = strtoull(arguments[3], NULL, 10) << 20;
  gcb_space *space = gcb_space_new(bytes, 0, &gcb_barrier_definition, true);
  if (!space || gcb_set_markers(space, (uint32_t)strtoul(arguments[6], NULL, 10)))
    return fail(gcb_error());
  space->blocks.epoch = (uint32_t)strtoul(arguments[7], NULL, 10);
  if (stress(space, strtoull(arguments[8], NULL, 10)))
    return fail(gcb_error());
  int failed = run(space, arguments[1], strtod(arguments[2], NULL), (uint32_t)strtoul(arguments[4], NULL, 10),
                   strtoull(arguments[5], NULL, 10));
  gcb_space_free(space);
  return failed;
}
