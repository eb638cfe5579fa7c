/* Asynchronous write-protection, and the kernel's log of the faults: the dirty set as a list.
 *
 * `open` (as in: open to writing) holds the watched pages that are known not to be armed. One that isn't
 * armed is in there, or its record is in a ring, or its fault is just being handled: so whoever drains the
 * rings knows all of them, unless the rings have a gap (fault_threads.h); then the page tables are asked, all
 * of them, and until that has succeeded it is owed.
 *
 * The log says where to look, and PAGEMAP_SCAN looks: re-arming scans, in each 2 MiB that has a logged page,
 * from its first to its last. What the scan re-arms it reports, in one step, whatever the log knew of it; and
 * a record that comes late, of a page that was re-armed since, finds it clean. With the mutators stopped and
 * nothing to re-arm, the log is all there is. */
#include "fault_threads.h"
#include "pagetables.h"

#include <time.h>

/* A record for every page up to 4 GiB: each faults once after it was armed. Two drains' records must find
 * room for the log to count as complete (fault_ring.h), so a heap that is written all over is scanned. */
enum { LEAST_RING = 64 << 10, LARGEST_RING = 16 << 20, RING_SHARE = 256 };

enum tally {
  BY_LOG,   /* collects: from the log alone */
  BY_PARTS, /* by scans of the parts that the log names */
  BY_SCAN,  /* by a scan of everything, which was cheaper */
  LOST,     /* fallbacks: the same, since records may have been lost */
  BLIND,    /* since a thread has no log */
  LATE,     /* since one was attached while armed */
  WHOLE_ARMS,
  UNLOGGED_THREADS,
  USER_THREADS, /* whose kernel-mode stores are not logged */
  REPEATED,     /* in check mode: logged pages that are armed */
};

typedef struct fault_log {
  gcb_pagetables tables; /* first: what pagetables.h takes for the state */
  gcb_fault_threads threads;
  gcb_dirty_set open, truth;
  bool armed;               /* all of it, once */
  gcb_fault_gap owed;       /* a gap, and no look at all page tables has succeeded since */
  uint64_t part_ns, all_ns; /* what a scan costs that finds nothing: of a page, of everything */
} fault_log;

static uint64_t now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static size_t pages_of(const gcb_barrier *barrier) {
  return barrier->range.bytes >> GCB_PAGE_SHIFT;
}

static size_t ring_bytes(const gcb_barrier *barrier) {
  size_t wanted = GCB_PARAM_ring_kib ? (size_t)GCB_PARAM_ring_kib << 10 : barrier->range.bytes / RING_SHARE;
  size_t bytes = GCB_PARAM_ring_kib ? GCB_PAGE : LEAST_RING;
  while (bytes < wanted && bytes < LARGEST_RING)
    bytes *= 2;
  return bytes;
}

static int open_barrier(gcb_barrier *barrier) {
  static const char *const names[] = {[BY_LOG] = "collects by the log alone",
                                      [BY_PARTS] = "collects by scanning what the log names",
                                      [BY_SCAN] = "collects by scanning everything, as the cheaper way",
                                      [LOST] = "fallbacks: records may have been lost",
                                      [BLIND] = "fallbacks: a thread has no log",
                                      [LATE] = "fallbacks: a thread was attached while armed",
                                      [WHOLE_ARMS] = "armings of everything",
                                      [UNLOGGED_THREADS] = "threads without a log",
                                      [USER_THREADS] = "threads whose kernel-mode stores are not logged",
                                      [REPEATED] = "checked: logged and armed"};
  if (!gcb_pagetables_open_as(barrier, sizeof(fault_log)) || gcb_uffd_register(barrier))
    return -1;
  fault_log *f = barrier->state;
  gcb_fault_threads_open(&f->threads, ring_bytes(barrier));
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    barrier->tallies[i] = (gcb_tally){.what = names[i]};
  if (gcb_dirty_new(&f->open, pages_of(barrier)) ||
      (GCB_PARAM_check && gcb_dirty_new(&f->truth, pages_of(barrier))))
    return gcb_set_error("no memory for the barrier's table of pages");
  return 0;
}

static void close_barrier(gcb_barrier *barrier) {
  fault_log *f = barrier->state;
  if (!f)
    return;
  gcb_dirty_free(&f->open);
  gcb_dirty_free(&f->truth);
  gcb_pagetables_close(barrier);
}

static int attach(gcb_barrier *barrier, uintptr_t *words, uint32_t mutator) {
  (void)mutator;
  fault_log *f = barrier->state;
  return gcb_fault_threads_attach(&f->threads, barrier->threads, words);
}

static void detach(gcb_barrier *barrier, uintptr_t *words, uint32_t mutator) {
  (void)mutator;
  fault_log *f = barrier->state;
  gcb_fault_threads_detach(&f->threads, words);
}

static void count(gcb_barrier *barrier, enum tally which) {
  barrier->tallies[which].count++;
}

/* Everything that the rings hold goes into `open`. False: it is not everything that isn't armed. */
static bool drain(gcb_barrier *barrier) {
  static const enum tally tallies[] = {[GCB_GAP_LOST] = LOST, [GCB_GAP_BLIND] = BLIND, [GCB_GAP_LATE] = LATE};
  fault_log *f = barrier->state;
  gcb_fault_gap gap = gcb_fault_threads_read(&f->threads, &barrier->range, &f->open, false);
  gcb_dirty_keep_armed(&f->open, barrier->armed); /* a first touch of what isn't watched is logged too */
  if (gap)
    f->owed = gap;
  if (!f->owed)
    return true;
  count(barrier, tallies[f->owed]);
  barrier->tallies[UNLOGGED_THREADS].count = atomic_load_explicit(&f->threads.unlogged, memory_order_relaxed);
  barrier->fell_back = true;
  return false;
}

static int scan(gcb_barrier *barrier, size_t first, size_t pages, bool rearm, gcb_dirty_set *dirty) {
  uint64_t flags = GCB_SCAN_CHECK_WPASYNC | (rearm ? GCB_SCAN_WP_MATCHING : 0);
  return gcb_pagemap_scan_part(barrier, first, pages, GCB_PAGE_IS_WRITTEN, flags, dirty);
}

/* What scanning all parts takes beyond the flushes and the written pages: the calls, and the pages passed
 * over. */
static uint64_t parts_ns(const gcb_barrier *barrier) {
  const fault_log *f = barrier->state;
  size_t parts = 0, pages = 0;
  for (size_t at = 0, first, last; gcb_next_part(&f->open, &at, &first, &last); parts++)
    pages += last - first;
  return parts * f->part_ns + (uint64_t)((double)f->all_ns * (double)pages / (double)pages_of(barrier));
}

/* Arms what is in `open`, and adds what was written there to the set (null: to none).
 *
 * Two ways, which flush the TLB for the same 2 MiB ranges: a system call for each part, or one that walks
 * everything. Which is the cheaper is a matter of two costs that were measured here. */
static int rearm_open(gcb_barrier *barrier, gcb_dirty_set *dirty) {
  fault_log *f = barrier->state;
  int failed = 0;
  if (parts_ns(barrier) > f->all_ns) {
    count(barrier, BY_SCAN);
    failed = scan(barrier, 0, pages_of(barrier), true, dirty);
  } else {
    count(barrier, BY_PARTS);
    for (size_t at = 0, first, last; !failed && gcb_next_part(&f->open, &at, &first, &last);)
      failed = scan(barrier, first, last + 1 - first, true, dirty);
  }
  if (!failed) /* or they are neither armed nor known not to be */
    gcb_dirty_clear(&f->open);
  return failed;
}

/* The least of some times: what a scan costs where nothing is written and nobody interrupts it. */
static int measure(gcb_barrier *barrier, size_t pages, unsigned times, uint64_t *least_ns) {
  *least_ns = UINT64_MAX;
  for (unsigned i = 0; i < times; i++) {
    uint64_t start_ns = now_ns();
    if (scan(barrier, 0, pages, false, NULL))
      return -1;
    uint64_t took_ns = now_ns() - start_ns;
    *least_ns = took_ns < *least_ns ? took_ns : *least_ns;
  }
  return 0;
}

static int measure_scans(gcb_barrier *barrier) {
  fault_log *f = barrier->state;
  return measure(barrier, 1, 16, &f->part_ns) || measure(barrier, pages_of(barrier), 3, &f->all_ns) ? -1 : 0;
}

static int collect_and_rearm(gcb_barrier *barrier, gcb_dirty_set *dirty) {
  fault_log *f = barrier->state;
  if (drain(barrier))
    return rearm_open(barrier, dirty);
  if (scan(barrier, 0, pages_of(barrier), true, dirty))
    return -1;
  gcb_dirty_clear(&f->open); /* the scan saw these too, since it began after the drain */
  f->owed = GCB_NO_GAP;
  return 0;
}

/* From the second time on only what isn't armed already. A record that is still to come is of a page that was
 * opened before this returned: it stays open, and the next collect reports it. */
static int arm(gcb_barrier *barrier) {
  fault_log *f = barrier->state;
  if (!f->armed) /* however much was lost of the building: all will be armed */
    (void)gcb_fault_threads_read(&f->threads, &barrier->range, &f->open, false);
  else if (barrier->armed)
    return collect_and_rearm(barrier, NULL);
  else if (drain(barrier))
    return rearm_open(barrier, NULL);
  count(barrier, WHOLE_ARMS);
  if (barrier->armed ? scan(barrier, 0, pages_of(barrier), true, NULL)
                     : gcb_uffd_protect(barrier, 0, pages_of(barrier)))
    return -1;
  gcb_dirty_clear(&f->open);
  f->owed = GCB_NO_GAP;
  if (f->armed)
    return 0;
  f->armed = true;
  return measure_scans(barrier);
}

/* They are open and known to be: the next collect that re-arms does all that is needed. */
static int arm_range(gcb_barrier *barrier, size_t first, size_t granules) {
  fault_log *f = barrier->state;
  gcb_dirty_add(&f->open, first, granules);
  return f->all_ns ? 0 : measure_scans(barrier);
}

/* With the mutators stopped the log must hold every page that is not armed. */
static int check(gcb_barrier *barrier) {
  fault_log *f = barrier->state;
  size_t missing = 0, first = 0, words = (f->open.granules + 63) / 64;
  gcb_dirty_clear(&f->truth);
  if (scan(barrier, 0, pages_of(barrier), false, &f->truth))
    return -1;
  for (size_t word = words; word-- > 0;) {
    uint64_t lost = f->truth.words[word] & ~f->open.words[word];
    if (lost)
      first = (word << 6) + (size_t)__builtin_ctzll(lost);
    missing += (size_t)__builtin_popcountll(lost);
    barrier->tallies[REPEATED].count +=
        (uint64_t)__builtin_popcountll(f->open.words[word] & ~f->truth.words[word]);
  }
  return missing ? gcb_set_error("%zu written pages are not in the fault log, the first is page %zu", missing,
                                 first)
                 : 0;
}

static void add_open(const fault_log *f, gcb_dirty_set *dirty) {
  for (size_t word = 0; (word = gcb_dirty_word(&f->open, word)) != SIZE_MAX; word++)
    for (uint64_t bits = f->open.words[word]; bits; bits &= bits - 1)
      gcb_dirty_add(dirty, (word << 6) + (size_t)__builtin_ctzll(bits), 1);
}

static int collect(gcb_barrier *barrier, bool rearm, gcb_dirty_set *dirty) {
  fault_log *f = barrier->state;
  barrier->tallies[USER_THREADS].count = atomic_load_explicit(&f->threads.user_only, memory_order_relaxed);
  if (rearm)
    return collect_and_rearm(barrier, dirty);
  /* The pause. What it reads stays in the rings: putting it into `open` too can wait for the next drain. */
  if (!GCB_PARAM_check && !f->owed &&
      gcb_fault_threads_read(&f->threads, &barrier->range, dirty, true) == GCB_NO_GAP) {
    count(barrier, BY_LOG);
    if (f->open.count > 0) { /* as a rule all of it has been armed again */
      gcb_dirty_keep_armed(&f->open, barrier->armed);
      add_open(f, dirty);
    }
    gcb_dirty_keep_armed(dirty, barrier->armed);
    return 0;
  }
  if (drain(barrier)) {
    if (GCB_PARAM_check && !barrier->running && check(barrier))
      return -1;
    count(barrier, BY_LOG);
  } else if (scan(barrier, 0, pages_of(barrier), false, &f->open))
    return -1;
  f->owed = GCB_NO_GAP;
  add_open(f, dirty);
  gcb_dirty_keep_armed(dirty, barrier->armed);
  return 0;
}

GCB_BARRIER = {.open = open_barrier,
               .arm = arm,
               .collect = collect,
               .close = close_barrier,
               .attach = attach,
               .detach = detach,
               .arm_range = arm_range,
               .release_range = gcb_pages_release,
               .tracks = true};
