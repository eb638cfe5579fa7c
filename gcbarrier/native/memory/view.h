/* memory/: the bytes of a heap, and those beside it. gcb_view is where the mutators write and where the
 * collector reads; metadata.h is what the collector keeps, which lies outside of both. It may include base/
 * and include/. Next: heap/blocks.h, what the bytes are made of, and watch/watch.h, who writes them. */
#ifndef GCB_VIEW_H
#define GCB_VIEW_H

#include <stdbool.h>
#include <stddef.h>

#define GCB_HUGE ((size_t)2 << 20)

/* model.MEMORY_TYPES in Python, in the same order */
typedef enum gcb_memory {
  GCB_SHMEM,
  GCB_SHMEM_THP,
  GCB_ANONYMOUS,
  GCB_ANONYMOUS_THP,
  GCB_HUGETLB
} gcb_memory;

typedef struct gcb_view {
  size_t bytes;
  gcb_memory memory;
  int memfd;     /* -1: private memory */
  char *tracked; /* mutators' view: the barrier watches it */
  char *alias; /* collector's view of the same memory: reading it dirties nothing. May be the tracked one. */
  bool alias_huge; /* all of it (but a remainder below 2 MiB) is mapped by huge pages */
} gcb_view;

/* By its `memory` and `bytes`: makes the views, all pages present. */
int gcb_view_map(gcb_view *view);
void gcb_view_unmap(gcb_view *view);
size_t gcb_huge_mapped_bytes(const char *at); /* of the mapping that begins there; SIZE_MAX: unknown */
int gcb_populate(void *at, size_t bytes, bool write); /* every page present, for reading or for writing too */

#endif
