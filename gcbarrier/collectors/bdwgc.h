/* Allocation from the Boehm collector: its own entry points over its thread-local free lists. What holds no
 * references it need not look into. Everything else it looks through word by word: typed allocation would
 * have it pass by raw words and headers, at the price of those free lists. */
#ifndef GCB_BDWGC_H
#define GCB_BDWGC_H

#define GC_THREADS
#define GC_NO_THREAD_REDIRECTS
#include <gc/gc.h>
#include <gc/gc_inline.h>
#include <string.h>

static inline char *gcb_runtime_alloc(gcb_mutator *m, uint32_t references, size_t bytes) {
  char *at = GC_malloc_kind(bytes, references ? GC_I_NORMAL : GC_I_PTRFREE);
  if (GCB_UNLIKELY(!at))
    gcb_fail(m,
             "out of memory: the Boehm collector's heap of %zu bytes has no room for an object of %zu bytes "
             "after a "
             "collection",
             GC_get_heap_size(), bytes);
  if (references == 0) /* a free list's memory is cleared only where references are looked for */
    memset(at, 0, bytes);
  return at;
}

#endif
