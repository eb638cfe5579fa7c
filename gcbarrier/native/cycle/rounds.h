/* Whether one more round is worth it (rounds.c): estimates from the rounds of this run, and what follows from
 * them. Of no heap: times and counts go in, so that any machine can be put before it. */
#ifndef GCB_ROUNDS_H
#define GCB_ROUNDS_H

#include <stdbool.h>
#include <stdint.h>

/* A round begins with a collect that re-arms, and ends when what that found has been rescanned. */
typedef struct gcb_rounds {
  uint64_t start_ns;     /* of the last round; 0: there was none in this cycle */
  uint64_t found;        /* granules, by it */
  uint64_t hold_ns;      /* what mutators were asked for; 0: nothing */
  uint32_t unknown;      /* so many collects more until one tells the rate */
  double written_per_ns; /* granules, between the collects of the last two rounds */
  double granule_ns[2];  /* what a round took for each granule: the last two that found any; 0: none has */
  double rescan_ns;      /* of a granule, by the collector's thread alone; 0: not known */
} gcb_rounds;

void gcb_rounds_armed(gcb_rounds *rounds); /* a cycle's writes are tracked from now on */
void gcb_rounds_collected(gcb_rounds *rounds, uint64_t start_ns, uint64_t found);
/* The rescan of what was collected took so long (0: others took part), and the round ends now. */
void gcb_rounds_ended(gcb_rounds *rounds, uint64_t rescan_ns, uint64_t now_ns);

/* How long the rescan of what has been written since the last round would take, with the world stopped;
 * infinite where that is not known yet. */
double gcb_rounds_left_ns(const gcb_rounds *rounds, uint64_t now_ns);

/* Whether one more round leaves less than it finds. If more than half is left without, and the rescan in the
 * pause would take longer than aim_ns, it says for how long each mutator is held up at its safepoints from
 * now on, in rounds->hold_ns. */
bool gcb_rounds_pay(gcb_rounds *rounds, uint64_t now_ns, uint64_t aim_ns, uint32_t mutators);

#endif
