/* What goes right before a remark, so that little is left to it. */
#include "cycle/cycle.h"

#include <time.h>

/* Mutators that are held up are asleep but for a moment: the stop waits for none of them if it comes then.
 * One that has lost its processor meanwhile writes nothing, and is better waited for while the others run.
 * False: too much has been written by now. */
static bool at_rest(const gcb_cycle *cycle, uint64_t aim_ns) {
  while (!gcb_world_rests(cycle->world)) {
    if (gcb_rounds_left_ns(&cycle->rounds, gcb_now_ns()) > (double)aim_ns)
      return false;
    /* Perhaps it gets this processor; and whoever has slept is not soon taken his own away. */
    nanosleep(&(struct timespec){.tv_nsec = (long)cycle->rounds.hold_ns % 1000000000}, NULL);
  }
  return true;
}

/* Rounds as close to the stop as can be, up to `most` and for as long as they pay: what is written between
 * the collector's last call and the stop is not left to the pause. */
int gcb_cycle_settle(gcb_cycle *cycle, uint32_t most, uint64_t aim_ns) {
  gcb_world *world = cycle->world;
  gcb_rounds *rounds = &cycle->rounds;
  for (; most > 0; most--) {
    if (!gcb_rounds_pay(rounds, gcb_now_ns(), aim_ns, world->thread_count)) {
      /* Where processors are so few that this thread has lost its own, mutators may lose theirs as well. */
      if (!rounds->hold_ns && gcb_own_switches() != cycle->switches)
        rounds->hold_ns = aim_ns;
      if (!rounds->hold_ns)
        return 0;
      gcb_world_ask_to_help(world, rounds->hold_ns);
      if (at_rest(cycle, aim_ns))
        return 0;
    }
    if (rounds->hold_ns)
      gcb_world_ask_to_help(world, rounds->hold_ns);
    if (world->stop_depth == 0) /* not in a prototype's stop, which has been prepared */
      gcb_prepare_stop(world);
    if (gcb_cycle_collect(cycle, true, false) < 0) {
      world->prepared = false;
      return -1;
    }
    if (gcb_cycle_rescan(cycle))
      return -1;
  }
  return 0;
}
