/* The recording as heap.py hands it over, and a mutator's way through it: which page it writes next, and
 * when.
 *
 * Page p belongs to mutator p % count; all keep to the same timetable, whoever writes what is between. */
#ifndef GCB_WALK_H
#define GCB_WALK_H

#include "gcbarrier.h"

/* The blob: this, then the tables in this order, which heap.py writes. */
typedef struct counts {
  uint64_t pages, ticks, runs;
} counts;

typedef struct recording {
  counts n;
  const uint64_t *starts;   /* ticks + 1: a tick's first run */
  const uint64_t *begin_ns; /* ticks + 1: since the first began; the last is when all of it is over */
  const uint64_t *written;  /* ticks: pages, of all mutators */
  const uint32_t *firsts;   /* runs: of pages that follow one another */
  const uint32_t *lengths;  /* runs */
} recording;

/* Where a mutator is in the recording. Runs of a tick come in an order of their own, since nobody knows
 * theirs; pages of a run ascend. */
typedef struct walk {
  uint64_t lap_ns; /* of the times round before this one */
  uint64_t tick, run, stride;
  /* of the run: its first page, the next one of our own, the one behind its last */
  uint64_t first, page, end;
  uint64_t before; /* pages of the tick in the runs before this one */
} walk;

static inline const uint64_t *recording_cut(const uint64_t **at, uint64_t count) {
  const uint64_t *table = *at;
  *at += count;
  return table;
}

static inline void recording_open(gcb_mutator *m, recording *r) {
  r->n = *(const counts *)m->blob;
  const uint64_t *at = (const uint64_t *)((const counts *)m->blob + 1);
  r->starts = recording_cut(&at, r->n.ticks + 1);
  r->begin_ns = recording_cut(&at, r->n.ticks + 1);
  r->written = recording_cut(&at, r->n.ticks);
  r->firsts = (const uint32_t *)at;
  r->lengths = r->firsts + r->n.runs;
}

/* As if the tick before this one were over. */
static inline void walk_start(const recording *r, walk *w, uint64_t tick) {
  *w = (walk){.tick = (tick + r->n.ticks - 1) % r->n.ticks, .run = UINT64_MAX};
  if (tick == 0)
    w->lap_ns -= r->begin_ns[r->n.ticks]; /* it wraps round, and back when that tick is over */
}

static inline uint64_t walk_divisor(uint64_t a, uint64_t b) {
  while (b) {
    uint64_t rest = a % b;
    a = b;
    b = rest;
  }
  return a;
}

static inline void walk_tick(const recording *r, walk *w) {
  if (++w->tick == r->n.ticks) {
    w->tick = 0;
    w->lap_ns += r->begin_ns[r->n.ticks];
  }
  w->run = 0;
  w->before = 0;
  /* A step near the golden section, without a divisor in common so that every run has its turn. */
  uint64_t runs = r->starts[w->tick + 1] - r->starts[w->tick];
  w->stride = (uint64_t)(0.6180339887498949 * (double)runs) | 1;
  while (runs && walk_divisor(runs, w->stride) != 1)
    w->stride++;
}

/* The next run of the tick; false: there is none. */
static inline bool walk_run(gcb_mutator *m, const recording *r, walk *w) {
  uint64_t start = r->starts[w->tick], runs = r->starts[w->tick + 1] - start;
  w->before += w->end - w->first;
  w->first = w->page = w->end = 0;
  if (w->run >= runs)
    return false;
  uint64_t run = start + w->run++ * w->stride % runs;
  w->first = r->firsts[run];
  w->end = w->first + r->lengths[run];
  w->page = w->first + (m->count + m->index - w->first % m->count) % m->count;
  return true;
}

/* The next page of this mutator's own, and when it is due: spread evenly over its tick, as far as anybody
 * knows. A safepoint. heap.py has seen to it that there is one. */
static inline uint64_t walk_on(gcb_mutator *m, const recording *r, walk *w, double *due_ns) {
  while (w->page >= w->end) {
    gcb_poll(m);
    if (!walk_run(m, r, w))
      walk_tick(r, w);
  }
  uint64_t page = w->page;
  w->page += m->count;
  double tick_ns = (double)(r->begin_ns[w->tick + 1] - r->begin_ns[w->tick]);
  double share = (double)(w->before + page - w->first) / (double)r->written[w->tick];
  *due_ns = (double)(w->lap_ns + r->begin_ns[w->tick]) + share * tick_ns;
  return page;
}

#endif
