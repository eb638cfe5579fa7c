/* What marking costs, by itself: a random graph laid out in a space without mutators, the framework's marker
 * over it, and the plain loop that it is compared with. */
#include "api.h"
#include "space.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { ROOTS = 16, REFERENCES = 4, OBJECT_BYTES = 64, OBJECT_GRANULES = OBJECT_BYTES / GCB_GRANULE };

struct gcb_graph {
  gcb_space *space;
  size_t objects;
  gcb_mutator mutator; /* nobody's: its random numbers */
  uint32_t *stack;     /* the plain loop's: there is room for every object */
  uint64_t visited;
};

/* Of objects and pages there are fewer than granules, whose numbers have 32 bits. */
static size_t below(gcb_graph *graph, size_t bound) {
  return gcb_random_below(&graph->mutator, (uint32_t)bound);
}

static gcb_ref tracked_object(const gcb_graph *graph, size_t index) {
  return (gcb_ref)(void *)(graph->space->view.tracked + index * OBJECT_BYTES);
}

/* Through the collector's view. relaxed: there is no other thread. */
static void lay(gcb_graph *graph) {
  gcb_space *space = graph->space;
  for (size_t i = 0; i < graph->objects; i++) {
    gcb_ref object = gcb_alias_object(&space->blocks, i * OBJECT_GRANULES);
    atomic_store_explicit(&object->header, (uint64_t)REFERENCES << 32 | OBJECT_GRANULES,
                          memory_order_relaxed);
    for (uint32_t slot = 0; slot < REFERENCES; slot++)
      atomic_store_explicit(&object->slots[slot], tracked_object(graph, below(graph, graph->objects)),
                            memory_order_relaxed);
  }
  for (size_t i = 0; i < ROOTS; i++)
    atomic_store_explicit(&space->world.globals[i], tracked_object(graph, below(graph, graph->objects)),
                          memory_order_relaxed);
}

gcb_graph *gcb_graph_new(gcb_space *space, size_t objects, uint64_t seed) {
  if (objects == 0 || objects > space->view.bytes / OBJECT_BYTES) {
    gcb_set_error("the memory holds 1 to %zu objects, not %zu", space->view.bytes / OBJECT_BYTES, objects);
    return NULL;
  }
  gcb_graph *graph = calloc(1, sizeof *graph);
  if (graph) {
    *graph = (gcb_graph){.space = space, .objects = objects, .mutator.random_state = seed | 1};
    graph->stack = gcb_map_beside(objects * sizeof *graph->stack, 0, false);
  }
  if (!graph || !graph->stack) {
    gcb_set_error("no memory for a graph of %zu objects", objects);
    free(graph);
    return NULL;
  }
  lay(graph);
  return graph;
}

void gcb_graph_free(gcb_graph *graph) {
  if (!graph)
    return;
  munmap(graph->stack, graph->objects * sizeof *graph->stack);
  free(graph);
}

static void unmark(gcb_space *space) {
  gcb_blocks_unmark(&space->blocks);
  space->marking.marker.objects = space->marking.marker.bytes = 0;
}

/* The loop that everybody writes first: a mark bitmap, tested before the push, and a ring of objects whose
 * first cache line is on its way. */
int64_t gcb_graph_mark_plain(gcb_graph *graph) {
  enum { RING = 32 };
  gcb_space *space = graph->space;
  uint64_t *marks = (uint64_t *)(void *)space->blocks.mark;
  uint32_t *stack = graph->stack, ring[RING];
  size_t top = 0, first = 0, held = 0;
  unmark(space);
  graph->visited = 0;
  uint64_t start_ns = gcb_now_ns();
  for (size_t i = 0; i < ROOTS; i++) {
    uint32_t granule = gcb_granule_of(&space->blocks, (const void *)space->world.globals[i]);
    if (!(marks[granule >> 6] >> (granule & 63) & 1)) {
      marks[granule >> 6] |= UINT64_C(1) << (granule & 63);
      stack[top++] = granule;
    }
  }
  while (top > 0 || held > 0) {
    while (held < RING && top > 0) {
      uint32_t granule = stack[--top];
      __builtin_prefetch(gcb_alias_object(&space->blocks, granule));
      ring[(first + held++) % RING] = granule;
    }
    gcb_ref object = gcb_alias_object(&space->blocks, ring[first]);
    first = (first + 1) % RING;
    held--;
    graph->visited++;
    for (uint32_t slot = 0, count = gcb_reference_count(object); slot < count; slot++) {
      gcb_ref target = atomic_load_explicit(&object->slots[slot], memory_order_acquire);
      if (!target)
        continue;
      uint32_t granule = gcb_granule_of(&space->blocks, target);
      uint64_t bit = UINT64_C(1) << (granule & 63), *word = &marks[granule >> 6];
      if (*word & bit)
        continue;
      *word |= bit;
      stack[top++] = granule;
    }
  }
  return (int64_t)(gcb_now_ns() - start_ns);
}

int64_t gcb_graph_mark(gcb_graph *graph, uint32_t markers) {
  gcb_space *space = graph->space;
  if (gcb_set_markers(space, markers))
    return -1;
  unmark(space);
  uint64_t start_ns = gcb_now_ns();
  gcb_cycle_push_roots(&space->cycle);
  gcb_drain(&space->marking);
  uint64_t end_ns = gcb_now_ns();
  graph->visited = space->marking.marker.objects;
  return (int64_t)(end_ns - start_ns);
}

int64_t gcb_graph_rescan(gcb_graph *graph, size_t pages, uint32_t markers) {
  gcb_space *space = graph->space;
  if (gcb_set_markers(space, markers))
    return -1;
  size_t full = graph->objects * OBJECT_BYTES / GCB_PAGE;
  if (!space->watch.dirty.words || space->watch.barrier.granule_shift != GCB_PAGE_SHIFT || pages > full)
    return gcb_set_error("%zu pages can't be made dirty here", pages);
  space->watch.dirty.count = 0;
  while (space->watch.dirty.count < pages)
    gcb_dirty_add(&space->watch.dirty, below(graph, full), 1);
  uint64_t start_ns = gcb_now_ns();
  graph->visited = gcb_rescan_dirty(&space->marking);
  gcb_drain(&space->marking);
  return (int64_t)(gcb_now_ns() - start_ns);
}

uint64_t gcb_graph_objects(const gcb_graph *graph) {
  return graph->visited;
}
