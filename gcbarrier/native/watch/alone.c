/* A barrier by itself, on a space without mutators: for probes, for the conformance suite, and for whoever
 * wants to know which pages were written and has no heap. */
#include "core.h"
#include "api.h"

#include <stdlib.h>

char *gcb_space_address(const gcb_space *space) {
  return space->tracked;
}

size_t gcb_granule_bytes(const gcb_space *space) {
  return (size_t)1 << space->barrier.granule_shift;
}

const uint64_t *gcb_watch_words(const gcb_space *space) {
  return space->dirty.words;
}

static int may_watch(const gcb_space *space) {
  if (space->threads)
    return gcb_set_error("the space has mutators, whose collector would miss what is taken here");
  return space->ops && space->ops->tracks ? 0 : gcb_set_error("the barrier does not track writes");
}

struct gcb_watcher {
  gcb_watcher *next;
  uintptr_t words[GCB_STORE_WORDS];
};

/* Threads may come at once. */
int gcb_watch_attach(gcb_space *space) {
  if (may_watch(space))
    return -1;
  if (!space->ops->attach)
    return 0;
  gcb_watcher *watcher = calloc(1, sizeof *watcher);
  if (!watcher)
    return gcb_set_error("no memory to watch one more thread");
  if (space->ops->attach(&space->barrier, watcher->words, 0)) {
    free(watcher);
    return -1;
  }
  pthread_mutex_lock(&space->service_lock);
  watcher->next = space->watchers;
  space->watchers = watcher;
  pthread_mutex_unlock(&space->service_lock);
  return 0;
}

void gcb_watch_detach_all(gcb_space *space) {
  for (gcb_watcher *watcher = space->watchers, *next; watcher; watcher = next) {
    next = watcher->next;
    if (space->ops->detach)
      space->ops->detach(&space->barrier, watcher->words, 0);
    free(watcher);
  }
  space->watchers = NULL;
}

const char *gcb_tally_name(const gcb_space *space, size_t i) {
  return i < GCB_TALLIES ? space->barrier.tallies[i].what : NULL;
}
uint64_t gcb_tally_count(const gcb_space *space, size_t i) {
  return space->barrier.tallies[i].count;
}

int gcb_watch_arm(gcb_space *space) {
  return may_watch(space) ? -1 : space->ops->arm(&space->barrier);
}

int64_t gcb_watch_collect(gcb_space *space, bool rearm) {
  if (may_watch(space))
    return -1;
  gcb_dirty_clear(&space->dirty);
  if (space->ops->collect(&space->barrier, rearm, &space->dirty))
    return -1;
  return (int64_t)space->dirty.count;
}
