/* When rounds end.
 *
 * A round takes away what it finds and leaves what is written while it lasts; how long it lasts is a matter
 * of what it finds. So from the rate of writing and from what a granule takes follows what the next round
 * would leave: where that is no less than what it would find, the round is not worth taking. Then either what
 * there is fits in the pause, or mutators are held up at their safepoints, so that they write less, for as
 * long as that takes; unless they would be held up for longer than by the pause itself. */
#include "cycle/rounds.h"

#include <math.h>

/* Rounds until the rate is known again after it has changed: what the first finds was written before. */
enum { UNTIL_KNOWN = 2 };

void gcb_rounds_armed(gcb_rounds *rounds) {
  rounds->start_ns = rounds->found = rounds->hold_ns = 0;
  rounds->unknown = UNTIL_KNOWN;
}

void gcb_rounds_collected(gcb_rounds *rounds, uint64_t start_ns, uint64_t found) {
  if (rounds->start_ns && start_ns > rounds->start_ns)
    rounds->written_per_ns = (double)found / (double)(start_ns - rounds->start_ns);
  if (rounds->unknown > 0)
    rounds->unknown--;
  rounds->start_ns = start_ns;
  rounds->found = found;
}

void gcb_rounds_ended(gcb_rounds *rounds, uint64_t rescan_ns, uint64_t now_ns) {
  if (rounds->found == 0)
    return;
  double found = (double)rounds->found;
  rounds->granule_ns[0] = rounds->granule_ns[1];
  rounds->granule_ns[1] = (double)(now_ns - rounds->start_ns) / found;
  if (rescan_ns)
    rounds->rescan_ns = (double)rescan_ns / found;
}

/* Granules that have been written since the last round began. */
static double written(const gcb_rounds *rounds, uint64_t now_ns) {
  return rounds->written_per_ns * (double)(now_ns - rounds->start_ns);
}

/* What a granule takes, by the lesser of two rounds: one in which the thread lost its processor tells nothing
 * of granules. What a round takes however little it finds has its share in it, which grows as rounds get
 * shorter: so that is found out by taking them, until one has left what it found. */
static double granule_ns(const gcb_rounds *rounds) {
  double before = rounds->granule_ns[0], last = rounds->granule_ns[1];
  return before > 0 && before < last ? before : last;
}

double gcb_rounds_left_ns(const gcb_rounds *rounds, uint64_t now_ns) {
  return rounds->unknown > 0 ? INFINITY : written(rounds, now_ns) * rounds->rescan_ns;
}

bool gcb_rounds_pay(gcb_rounds *rounds, uint64_t now_ns, uint64_t aim_ns, uint32_t mutators) {
  if (rounds->unknown > 0)
    return true;
  double each_ns = granule_ns(rounds), finds = written(rounds, now_ns),
         leaves = rounds->written_per_ns * finds * each_ns, pause_ns = gcb_rounds_left_ns(rounds, now_ns);
  bool shrinks = finds - leaves >= 1;
  if (pause_ns <= (double)aim_ns || (shrinks && (rounds->hold_ns || 2 * leaves <= finds)))
    return shrinks;
  /* So long that it leaves half of what it finds: by what holding has done so far, or, if nobody is held yet,
   * as if each mutator wrote one granule and was held again. Rounds that leave more than half by themselves
   * take longer in all than such do. */
  double hold_ns = rounds->hold_ns ? (double)rounds->hold_ns * 2 * leaves / finds : 2 * mutators * each_ns;
  if (hold_ns > pause_ns)
    return shrinks;
  rounds->hold_ns = (uint64_t)hold_ns + 1;
  rounds->unknown = UNTIL_KNOWN;
  return true;
}
