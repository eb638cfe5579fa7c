/* A barrier by itself, on a space without mutators: for probes, for the conformance suite, and for whoever
 * wants to know which pages were written and has no heap. */
#include "core.h"
#include "api.h"

#include <string.h>

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

int gcb_watch_arm(gcb_space *space) {
  return may_watch(space) ? -1 : space->ops->arm(&space->barrier);
}

int64_t gcb_watch_collect(gcb_space *space, bool rearm) {
  if (may_watch(space))
    return -1;
  memset(space->dirty.words, 0, GCB_WORDS(space->dirty.granules) * sizeof *space->dirty.words);
  space->dirty.count = 0;
  if (space->ops->collect(&space->barrier, rearm, &space->dirty))
    return -1;
  return (int64_t)space->dirty.count;
}
