/* The marker. What is little is marked here, depth first, by the collector's thread alone; where its stack is
 * full there is much, and it goes on region by region (regions.c), perhaps with others (crew.c).
 *
 * Nothing is touched when it is met: a reference waits in a queue while the word with its mark bit is on its
 * way, and an object between its pop and its visit while its first cache line is (Cher, Hosking and Vitek
 * 2004). Without the first queue the branch on a mark bit, which nobody can predict, waits for memory. */
#include "mark/regions.h"

enum { RING = 32 };
_Static_assert((int)RING <= (int)GCB_WAITING, "the stack has room for what is in the ring when it is full");
_Static_assert((GCB_WAITING & (GCB_WAITING - 1)) == 0, "the queue's index wraps round by a mask");

static inline bool is_black(gcb_blocks *blocks, size_t granule) {
  return gcb_bit(blocks->black, granule);
}

/* Marks an object and remembers to visit it. */
static inline void mark(gcb_blocks *blocks, gcb_marker *marker, uint32_t granule) {
  size_t word = granule >> 6;
  uint64_t bit = UINT64_C(1) << (granule & 63);
  /* relaxed: this thread is the only writer of `mark` */
  uint64_t bits = atomic_load_explicit(&blocks->mark[word], memory_order_relaxed);
  if (bits & bit)
    return;
  if (GCB_LIKELY(marker->top < marker->capacity)) {
    atomic_store_explicit(&blocks->mark[word], bits | bit, memory_order_relaxed);
    marker->stack[marker->top++] = granule;
    return;
  }
  /* No room: it stays unmarked, so that it is found again. */
  gcb_set_grey(marker->marking, granule);
}

/* A reference was met; marks the one that has waited longest. Granule 0 stands for nobody in the queue, and
 * is marked as anybody else, but at once. */
static inline void meet(gcb_blocks *blocks, gcb_marker *marker, const void *tracked) {
  uint32_t granule = gcb_granule_of(blocks, tracked);
  __builtin_prefetch(&blocks->mark[granule >> 6], 1);
  uint32_t *place = &marker->waiting[marker->next++ & (GCB_WAITING - 1)], oldest = *place;
  *place = granule;
  if (oldest)
    mark(blocks, marker, oldest);
  if (GCB_UNLIKELY(granule == 0))
    mark(blocks, marker, 0);
}

static void end_waiting(gcb_blocks *blocks, gcb_marker *marker) {
  for (size_t i = 0; i < GCB_WAITING; i++) {
    uint32_t granule = marker->waiting[i];
    marker->waiting[i] = 0;
    if (granule)
      mark(blocks, marker, granule);
  }
}

static inline void visit(gcb_blocks *blocks, gcb_marker *marker, size_t granule) {
  gcb_ref object = gcb_alias_object(blocks, granule);
  uint32_t references = gcb_reference_count(object);
  for (uint32_t slot = 0; slot < references; slot++) {
    /* acquire: pairs with gcb_store(), so that the target's header is visible (on x86 a plain load) */
    gcb_ref target = atomic_load_explicit(&object->slots[slot], memory_order_acquire);
    if (target)
      meet(blocks, marker, target);
  }
}

void gcb_push_tracked(gcb_marking *marking, const void *tracked) {
  meet(marking->blocks, &marking->marker, tracked);
}

/* Until nobody waits anywhere, or the stack is full. `logs` is known where it is inlined. */
static inline __attribute__((always_inline)) void search(gcb_blocks *blocks, gcb_marker *marker, bool logs) {
  uint32_t ring[RING];
  size_t first = 0, held = 0;
  for (;;) {
    if (GCB_UNLIKELY(marker->top == marker->capacity))
      break;
    while (held < RING && marker->top > 0) {
      uint32_t granule = marker->stack[--marker->top];
      __builtin_prefetch(gcb_alias_object(blocks, granule));
      __builtin_prefetch((const void *)&blocks->black[granule >> 6]);
      ring[(first + held++) % RING] = granule;
    }
    if (held == 0) {
      end_waiting(blocks, marker);
      if (marker->top == 0)
        return;
      continue;
    }
    uint32_t granule = ring[first];
    first = (first + 1) % RING;
    held--;
    /* A black object's references came in by stores that the barrier saw; visiting it would only repeat the
     * rescan. Its mark bit does no harm. */
    if (is_black(blocks, granule))
      continue;
    size_t bytes = gcb_object_bytes(gcb_alias_object(blocks, granule));
    gcb_fill(blocks->mark_fill, granule, bytes);
    marker->bytes += bytes;
    if (gcb_ages(blocks, granule))
      marker->aged += bytes;
    marker->objects++;
    if (logs)
      gcb_log_visit(marker->marking, granule);
    visit(blocks, marker, granule);
  }
  end_waiting(blocks, marker);
  while (held > 0)
    marker->stack[marker->top++] = ring[(first + --held) % RING]; /* there is room for them */
}

static __attribute__((noinline)) void search_and_log(gcb_blocks *blocks, gcb_marker *marker) {
  search(blocks, marker, true);
}

static void search_depth_first(gcb_blocks *blocks, gcb_marker *marker) {
  if (GCB_UNLIKELY(marker->marking->logs_visits))
    search_and_log(blocks, marker);
  else
    search(blocks, marker, false);
}

uint64_t gcb_drain(gcb_marking *marking) {
  uint64_t before = marking->marker.objects;
  search_depth_first(marking->blocks, &marking->marker);
  while (marking->marker.top > 0 || marking->spilled) {
    marking->unlogged |= marking->logs_visits; /* regions are visited without a log */
    gcb_mark_together(marking);
    search_depth_first(marking->blocks, &marking->marker);
  }
  return marking->marker.objects - before;
}

uint64_t gcb_push_roots(gcb_marking *marking, _Atomic(gcb_ref) *roots, size_t count) {
  uint64_t found = 0;
  for (size_t i = 0; i < count; i++) {
    gcb_ref root = atomic_load_explicit(&roots[i], memory_order_acquire);
    if (root)
      meet(marking->blocks, &marking->marker, root), found++;
  }
  return found;
}
