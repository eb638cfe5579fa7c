/* watch/: who writes. gcb_watch is a barrier at work: over which memory, what it has reported, whether it is
 * armed. The barriers themselves are plug-ins behind include/barrier.h. It may include memory/, base/ and
 * include/. Next: mark/rescan.c, which looks at what was reported. */
#ifndef GCB_WATCH_H
#define GCB_WATCH_H

#include "include/barrier.h"
#include "memory/view.h"

#include <pthread.h>

struct gcb_cycle;
struct gcb_watcher;

typedef struct gcb_watch {
  gcb_barrier barrier;        /* first: a gcb_barrier * is a gcb_watch * */
  const gcb_barrier_ops *ops; /* null: there is no barrier */
  gcb_dirty_set dirty;
  bool armed;            /* in this cycle */
  uint64_t *armed_pages; /* ranges.c: a bit for each that is watched; null: all are, once armed */
  /* Not armed, and something may live there: armed and looked at before long. */
  gcb_dirty_set pending;
  /* More than half of what was armed was written while the last cycle marked: such pages are armed when the
   * marker is done, since each would cost a fault before. */
  bool hot, ever_armed;
  bool managed;                 /* mutators write here, and what was written is their collector's business */
  struct gcb_cycle *cycle;      /* theirs: gcb_grey() and rearmed() are told of the barrier alone */
  struct gcb_watcher *watchers; /* alone.c: threads that were told of; under the lock */
  pthread_mutex_t lock;
  uint64_t *written; /* write_watch.c; null: not asked for */
} gcb_watch;

static inline gcb_watch *gcb_watch_of(gcb_barrier *barrier) {
  return (gcb_watch *)(void *)barrier;
}

/* The barrier over the tracked view, with an empty dirty set; `ops` may be null. */
void gcb_watch_set_up(gcb_watch *watch, const gcb_barrier_ops *ops);
int gcb_watch_open(gcb_watch *watch, const gcb_view *view);
void gcb_watch_close(gcb_watch *watch);
size_t gcb_watch_metadata_bytes(const gcb_watch *watch);
/* Null, or what a barrier's C file defines. */
int gcb_load_barrier(const char *path, const gcb_barrier_ops **ops);

/* ranges.c: only with `armed_pages`, for a heap whose barrier lets the core choose what is watched. By the
 * collector's thread. */
int gcb_ranges_open(gcb_watch *watch, const gcb_view *view);
void gcb_ranges_close(gcb_watch *watch);
size_t gcb_ranges_count(const gcb_watch *watch); /* pages that are watched */
/* They are watched, and reported by the next collect(rearm = true), which arms them. */
int gcb_ranges_arm(gcb_watch *watch, const gcb_dirty_set *pages);
/* They were written and not armed again. */
void gcb_ranges_forget(gcb_watch *watch, const gcb_dirty_set *pages);
/* Nothing lives there any more, and they will be written. */
int gcb_ranges_release(gcb_watch *watch, size_t first, size_t granules);

/* alone.c: a barrier by itself, without mutators and cycles. */
int gcb_alone_attach(gcb_watch *watch); /* the calling thread; threads may come at once */
void gcb_alone_detach_all(gcb_watch *watch);
int gcb_alone_arm(gcb_watch *watch);
int64_t gcb_alone_collect(gcb_watch *watch, bool rearm);

/* write_watch.c: include/write_watch.h tells. */
int gcb_written_begin(gcb_watch *watch);
int gcb_written_get(gcb_watch *watch, uint32_t flags, void *base, size_t size, void **addresses,
                    size_t *count, uint32_t *granularity);
int gcb_written_reset(gcb_watch *watch, void *base, size_t size);

#endif
