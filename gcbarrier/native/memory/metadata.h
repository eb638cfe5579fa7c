/* What is kept beside a heap: one mapping, of which each folder carves out what it needs. First all of them
 * carve without memory, which only adds up how much that is; then it is mapped, and they carve again. */
#ifndef GCB_METADATA_H
#define GCB_METADATA_H

#include <stdbool.h>
#include <stddef.h>

typedef struct gcb_metadata {
  char *base; /* null: nothing is mapped yet */
  size_t bytes;
  size_t used;
} gcb_metadata;

/* The next part, a multiple of `alignment` (at least 64) from the beginning; null without memory. */
void *gcb_carve(gcb_metadata *metadata, size_t bytes, size_t alignment);
/* As much as has been carved: zeroed, the first `present` bytes of it populated. `shared`: also with the
 * children that the process will fork. */
int gcb_metadata_map(gcb_metadata *metadata, size_t present, bool shared);
void gcb_metadata_unmap(gcb_metadata *metadata);
/* Memory of the same sort by itself; null: gcb_error() tells. */
void *gcb_map_beside(size_t bytes, size_t present, bool shared);

#endif
