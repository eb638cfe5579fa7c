/* cycle/: when. gcb_cycle strings together what all the other folders can do: the phases of a collection and
 * its pauses (cycle.c), rounds before the last (settle.c, by the estimates of rounds.h), a child that marks
 * (fork.c), and the truth to check them by (oracle.c). It may include every folder but the bench. Next:
 * space.h, where all of it is one heap. */
#ifndef GCB_CYCLE_H
#define GCB_CYCLE_H

#include "cycle/rounds.h"
#include "heap/blocks.h"
#include "include/event.h"
#include "mark/marking.h"
#include "memory/view.h"
#include "watch/watch.h"
#include "world/world.h"

/* What a forked child tells its parent (fork.c), in memory that both have. */
typedef struct gcb_child {
  uint64_t start_ns, rooted_ns, end_ns;
  uint64_t roots, objects, bytes;
  _Atomic uint32_t done; /* the last thing that it writes */
} gcb_child;

/* Under sticky marks (minor.c). */
typedef struct gcb_sticky {
  bool minor;            /* this cycle began with the old objects marked */
  bool remembered;       /* and has looked at what was written since the last one */
  bool flipped;          /* the last cycle has ended, and has left old objects */
  bool carries;          /* what is reported goes into `carried` as well */
  gcb_dirty_set carried; /* granules that the next cycle looks at too */
  uint64_t old_bytes;    /* after the last cycle */
  gcb_generation seen;
} gcb_sticky;

typedef struct gcb_cycle {
  const gcb_view *view;
  gcb_watch *watch;
  gcb_blocks *blocks;
  gcb_marking *marking;
  gcb_world *world;
  bool begun;
  int64_t switches;          /* involuntary ones of the collector's thread when it armed */
  gcb_rounds rounds;         /* what they have been like in this run */
  gcb_child *child;          /* null: the barrier does not fork */
  pid_t child_pid;           /* 0: none, or reaped */
  int child_handle;          /* its pidfd, or -1 */
  struct gcb_oracle *oracle; /* null: not verifying */
  gcb_sticky sticky;
} gcb_cycle;

/* The phases, by the collector's thread; api.h tells. */
int gcb_cycle_begin(gcb_cycle *cycle);
int gcb_cycle_arm(gcb_cycle *cycle, bool black);
int gcb_cycle_allocate_black(gcb_cycle *cycle);
int gcb_cycle_snapshot(gcb_cycle *cycle);
int gcb_cycle_mark(gcb_cycle *cycle, bool roots);
int64_t gcb_cycle_collect(gcb_cycle *cycle, bool rearm, bool stopped);
int gcb_cycle_rescan(gcb_cycle *cycle);
int gcb_cycle_remark(gcb_cycle *cycle, uint32_t rounds, uint64_t aim_ns);
int gcb_cycle_full(gcb_cycle *cycle);
int gcb_cycle_sweep(gcb_cycle *cycle);
void gcb_cycle_end(gcb_cycle *cycle);
/* The end of a stop in which everything reachable was marked (unless that failed). */
int gcb_cycle_finish_marking(gcb_cycle *cycle, gcb_pause_kind kind, int failed);
/* Marks what the roots refer to; how many there were. */
uint64_t gcb_cycle_push_roots(gcb_cycle *cycle);

/* settle.c: up to so many rounds, until the stop may come. */
int gcb_cycle_settle(gcb_cycle *cycle, uint32_t most, uint64_t aim_ns);

/* minor.c */
static inline bool gcb_sticks(const gcb_cycle *cycle) {
  return cycle->blocks->survivals > 0;
}
/* Armed as a whole, and for good: what is written between two cycles counts. Where the core chooses what is
 * watched, old pages stay armed anyway. */
static inline bool gcb_stays_armed(const gcb_cycle *cycle) {
  return gcb_sticks(cycle) && !cycle->watch->armed_pages;
}
int gcb_cycle_stick(gcb_cycle *cycle, uint32_t survivals);
int gcb_cycle_forget_marks(gcb_cycle *cycle);
int64_t gcb_cycle_remember(gcb_cycle *cycle, bool stopped);
int gcb_cycle_minor(gcb_cycle *cycle);
void gcb_sticky_free(gcb_cycle *cycle);
size_t gcb_sticky_metadata_bytes(const gcb_cycle *cycle);
gcb_generation gcb_sticky_seen(const gcb_cycle *cycle); /* of this cycle, or the last one */
/* For the phases. At the beginning of a cycle: whether it is a minor one, and then the old objects are
 * marked. */
bool gcb_sticky_begin(gcb_cycle *cycle);
void gcb_sticky_forget(gcb_cycle *cycle);   /* no object is old */
void gcb_sticky_reported(gcb_cycle *cycle); /* what is in the dirty set, before it is taken out */
int gcb_sticky_rearm(gcb_cycle *cycle);     /* everything is marked, and mutators are stopped */
void gcb_sticky_flip(gcb_cycle *cycle);     /* before the blocks' flip */

/* fork.c */
void gcb_child_carve(gcb_cycle *cycle, gcb_metadata *metadata);
int gcb_cycle_fork(gcb_cycle *cycle);
int gcb_cycle_await_child(gcb_cycle *cycle, uint64_t timeout_ns);
int gcb_cycle_flip(gcb_cycle *cycle);
void gcb_cycle_end_child(gcb_cycle *cycle); /* kills it, if there is one, and reaps it */
pid_t gcb_fork_idle(void); /* a child that does nothing until it is killed; -1: errno tells */

/* oracle.c; all but new() do nothing without one */
int gcb_oracle_new(gcb_cycle *cycle);
void gcb_oracle_free(gcb_cycle *cycle);
int gcb_oracle_check(gcb_cycle *cycle); /* mutators stopped, after the final mark */
void gcb_oracle_arming(gcb_cycle *cycle);
void gcb_oracle_armed(gcb_cycle *cycle);
void gcb_oracle_reported(gcb_cycle *cycle);  /* what is in the dirty set, before it is taken out */
void gcb_oracle_collected(gcb_cycle *cycle); /* the same, at the end of a collect */
void gcb_oracle_chosen(gcb_cycle *cycle);    /* `pending` is about to be armed */
void gcb_oracle_exposed(gcb_cycle *cycle);   /* the dirty set holds all that isn't armed and may live */
bool gcb_oracle_lost_object(const gcb_cycle *cycle); /* in any cycle so far */
gcb_verification gcb_oracle_verification(const gcb_cycle *cycle);

#endif
