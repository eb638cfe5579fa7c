/* A barrier by itself, on a space without mutators: for probes, for the conformance suite, and for whoever
 * wants to know which pages were written and has no heap. */
#include "watch/watch.h"

static int may_watch(const gcb_watch *watch) {
  if (watch->managed)
    return gcb_set_error("the space has mutators, whose collector would miss what is taken here");
  return watch->ops && watch->ops->tracks ? 0 : gcb_set_error("the barrier does not track writes");
}

typedef struct gcb_watcher {
  struct gcb_watcher *next;
  uintptr_t words[GCB_STORE_WORDS];
} gcb_watcher;

/* Threads may come at once. */
int gcb_alone_attach(gcb_watch *watch) {
  if (may_watch(watch))
    return -1;
  if (!watch->ops->attach)
    return 0;
  gcb_watcher *watcher = calloc(1, sizeof *watcher);
  if (!watcher)
    return gcb_set_error("no memory to watch one more thread");
  if (watch->ops->attach(&watch->barrier, watcher->words, 0)) {
    free(watcher);
    return -1;
  }
  pthread_mutex_lock(&watch->lock);
  watcher->next = watch->watchers;
  watch->watchers = watcher;
  pthread_mutex_unlock(&watch->lock);
  return 0;
}

void gcb_alone_detach_all(gcb_watch *watch) {
  for (gcb_watcher *watcher = watch->watchers, *next; watcher; watcher = next) {
    next = watcher->next;
    if (watch->ops->detach)
      watch->ops->detach(&watch->barrier, watcher->words, 0);
    free(watcher);
  }
  watch->watchers = NULL;
}

int gcb_alone_arm(gcb_watch *watch) {
  return may_watch(watch) ? -1 : watch->ops->arm(&watch->barrier);
}

int64_t gcb_alone_collect(gcb_watch *watch, bool rearm) {
  if (may_watch(watch))
    return -1;
  gcb_dirty_clear(&watch->dirty);
  if (watch->ops->collect(&watch->barrier, rearm, &watch->dirty))
    return -1;
  return (int64_t)watch->dirty.count;
}
