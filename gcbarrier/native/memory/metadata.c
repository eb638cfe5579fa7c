/* What is kept beside the heap, never in it. */
#include "memory/metadata.h"
#include "include/barrier.h"
#include "memory/view.h"

void *gcb_carve(gcb_metadata *metadata, size_t bytes, size_t alignment) {
  size_t at = (metadata->used + alignment - 1) & ~(alignment - 1);
  metadata->used = (at + bytes + 63) & ~(size_t)63;
  return metadata->base ? metadata->base + at : NULL;
}

void *gcb_map_beside(size_t bytes, size_t present, bool shared) {
  int flags = (shared ? MAP_SHARED : MAP_PRIVATE) | MAP_ANONYMOUS;
  void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, flags, -1, 0);
  if (memory == MAP_FAILED) {
    gcb_set_error("no memory for the heap's %zu bytes of metadata", bytes);
    return NULL;
  }
  (void)madvise(memory, bytes, MADV_HUGEPAGE); /* the bitmaps are read at random */
  if (gcb_populate(memory, present & ~(GCB_PAGE - 1), true)) {
    munmap(memory, bytes);
    return NULL;
  }
  return memory;
}

int gcb_metadata_map(gcb_metadata *metadata, size_t present, bool shared) {
  metadata->bytes = metadata->used;
  metadata->base = gcb_map_beside(metadata->bytes, present, shared);
  metadata->used = 0;
  return metadata->base ? 0 : -1;
}

void gcb_metadata_unmap(gcb_metadata *metadata) {
  if (metadata->base)
    munmap(metadata->base, metadata->bytes);
  metadata->base = NULL;
}
