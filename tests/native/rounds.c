/* A machine that is made up, before the estimates of cycle/rounds.c: what a granule takes, how fast mutators
 * write, and how they write less when they are held. Linked with rounds.c alone.
 *
 *     rounds GRANULE_NS LEAST_NS RESCAN_NS WRITTEN_PER_S MUTATORS AIM_NS LOST_NS
 *
 * LOST_NS: for so long the collector's thread loses its processor whenever it has run for SLICE_NS. One line
 * on stdout: how many rounds were taken, for how long mutators were held, and how many granules were left to
 * the pause. */
#include "cycle/rounds.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { MOST = 32, SLICE_NS = 3000000 };

typedef struct machine {
  double granule_ns, least_ns, rescan_ns, per_ns, lost_ns;
  unsigned mutators;
  double now_ns, waiting; /* granules that were written and not collected */
  double hold_ns, ran_ns;
} machine;

static void pass(machine *m, double ns) {
  double held = m->hold_ns > 0 ? m->mutators / m->hold_ns : m->per_ns;
  m->waiting += ns * (held < m->per_ns ? held : m->per_ns);
  m->now_ns += ns;
}

static void take_round(machine *m, gcb_rounds *rounds) {
  uint64_t start_ns = (uint64_t)m->now_ns, found = (uint64_t)m->waiting;
  m->waiting -= (double)found;
  gcb_rounds_collected(rounds, start_ns, found);
  double takes_ns = m->least_ns + m->granule_ns * (double)found;
  m->ran_ns += takes_ns;
  double slices = floor(m->ran_ns / SLICE_NS);
  m->ran_ns -= slices * SLICE_NS;
  takes_ns += slices * m->lost_ns;
  pass(m, takes_ns);
  gcb_rounds_ended(rounds, m->hold_ns > 0 ? 0 : (uint64_t)(m->rescan_ns * (double)found),
                   (uint64_t)m->now_ns);
}

int main(int argc, char **argv) {
  if (argc != 8)
    return 2;
  double aim_ns = atof(argv[6]);
  machine m = {.granule_ns = atof(argv[1]),
               .least_ns = atof(argv[2]),
               .rescan_ns = atof(argv[3]),
               .per_ns = atof(argv[4]) / 1e9,
               .mutators = (unsigned)atoi(argv[5]),
               .lost_ns = atof(argv[7]),
               .now_ns = 1e9};
  gcb_rounds rounds = {0};
  unsigned taken = 0;
  double longest_ns = 0;
  for (int cycle = 0; cycle < 4; cycle++) {
    m.hold_ns = m.waiting = 0; /* the pause has taken the rest */
    gcb_rounds_armed(&rounds);
    pass(&m, 1e7); /* the marker */
    for (taken = 0; taken < MOST && gcb_rounds_pay(&rounds, (uint64_t)m.now_ns, (uint64_t)aim_ns, m.mutators);
         taken++) {
      m.hold_ns = (double)rounds.hold_ns;
      take_round(&m, &rounds);
    }
    longest_ns = m.hold_ns;
  }
  printf("rounds %u hold_ns %.0f left %.1f rescan_ns %.0f\n", taken, longest_ns, m.waiting,
         m.waiting * m.rescan_ns);
  return 0;
}
