/* A heap as a whole: its parts are made, tied to one another and taken apart. */
#include "space.h"
#include "api.h"
#include "include/runtime.h"

#include <unistd.h>

_Static_assert(sizeof((gcb_mutator *)0)->store == GCB_STORE_WORDS * sizeof(uintptr_t),
               "two headers, one number");

/* Whether a child marks for it: then that needs the bitmaps too. */
static bool forks(const gcb_space *space) {
  return space->watch.ops && space->watch.ops->fork;
}

/* What a thread or a heap asks of the others: the only ways against the arrows between the folders. */

static gcb_space *space_of(gcb_thread *t) {
  return (gcb_space *)(void *)((char *)t->world - offsetof(gcb_space, world));
}

static size_t idle(gcb_thread *t, size_t most) {
  return gcb_help_rescan(&space_of(t)->marking, t->m.index, most);
}

static int enter(gcb_thread *t) {
  gcb_space *space = space_of(t);
  gcb_watch *watch = &space->watch;
  if (space->runtime && space->runtime->enter(&t->m))
    return -1;
  return watch->ops && watch->ops->attach ? watch->ops->attach(&watch->barrier, t->m.store, t->m.index) : 0;
}

static void built(gcb_thread *t) {
  gcb_blocks_built(&space_of(t)->blocks);
  const gcb_runtime *runtime = space_of(t)->runtime;
  if (runtime)
    runtime->built(&t->m);
}

static void leave(gcb_thread *t) {
  const gcb_runtime *runtime = space_of(t)->runtime;
  if (runtime)
    runtime->leave(&t->m);
}

static void trigger(gcb_mutator *m) {
  gcb_space *space = space_of(gcb_thread_of(m));
  gcb_service_trigger(&space->world, &space->blocks.trigger_bytes);
}

static void tie(gcb_space *space) {
  space->watch.cycle = &space->cycle;
  space->cycle.view = &space->view;
  space->cycle.watch = &space->watch;
  space->cycle.blocks = &space->blocks;
  space->cycle.marking = &space->marking;
  space->cycle.world = &space->world;
  space->cycle.child_handle = -1;
  space->blocks.refill = (gcb_refill){.trigger = trigger, .stall = gcb_service_stall};
}

static void lay_out(gcb_space *space) {
  if (forks(space))
    gcb_child_carve(&space->cycle, &space->metadata);
  gcb_blocks_carve(&space->blocks, &space->metadata);
  gcb_marking_carve(&space->marking, &space->metadata);
}

static int map(gcb_space *space) {
  lay_out(space);
  if (gcb_view_map(&space->view))
    return -1;
  size_t present = space->metadata.used - gcb_marking_seldom_bytes(&space->marking);
  if (gcb_metadata_map(&space->metadata, present, forks(space)))
    return -1;
  lay_out(space);
  gcb_blocks_open(&space->blocks, &space->view);
  return gcb_marking_open(&space->marking);
}

static int verify_writes(gcb_space *space) {
  const gcb_barrier_ops *ops = space->watch.ops;
  if (gcb_oracle_new(&space->cycle))
    return -1;
  if (ops && !ops->stores_only)
    space->blocks.refill.wrote = gcb_log_write;
  return 0;
}

static int set_up(gcb_space *space, bool verify) {
  static const gcb_hooks hooks = {.idle = idle, .enter = enter, .built = built, .leave = leave};
  if (gcb_world_open(&space->world, &hooks) || map(space))
    return -1;
  if (gcb_watch_open(&space->watch, &space->view) ||
      (space->watch.ops && gcb_rescan_open(&space->marking.rescan)))
    return -1;
  return verify ? verify_writes(space) : 0;
}

gcb_space *gcb_space_new(size_t bytes, uint32_t memory, const gcb_barrier_ops *ops, bool verify) {
  long page_bytes = sysconf(_SC_PAGESIZE);
  if (page_bytes != (long)GCB_PAGE) {
    gcb_set_error("a page has %ld bytes here, and barriers tell pages of %zu apart: boot a kernel with those",
                  page_bytes, GCB_PAGE);
    return NULL;
  }
  gcb_space *space = aligned_alloc(_Alignof(gcb_space), sizeof *space);
  if (!space || bytes == 0 || bytes % GCB_BLOCK || bytes >> 36) {
    gcb_set_error("a heap has a whole number of 32 KiB blocks, below 64 GiB, not %zu bytes", bytes);
    free(space);
    return NULL;
  }
  memset(space, 0, sizeof *space);
  space->view = (gcb_view){.bytes = bytes, .memory = (gcb_memory)memory, .memfd = -1};
  gcb_watch_set_up(&space->watch, ops);
  gcb_blocks_lay_out(&space->blocks, bytes);
  gcb_marking_lay_out(&space->marking, &space->blocks, &space->watch);
  space->marking.forks = forks(space);
  tie(space);
  if (set_up(space, verify) == 0)
    return space;
  gcb_space_free(space);
  return NULL;
}

void gcb_space_free(gcb_space *space) {
  if (!space)
    return;
  const gcb_barrier_ops *ops = space->watch.ops;
  gcb_cycle_end_child(&space->cycle);
  gcb_crew_free(&space->marking);
  if (space->world.threads)
    gcb_world_end(&space->world); /* they may still be running, where a run was broken off */
  for (uint32_t i = 0; ops && ops->detach && i < space->world.thread_count; i++)
    ops->detach(&space->watch.barrier, space->world.threads[i].m.store, i);
  gcb_world_close(&space->world);
  gcb_watch_close(&space->watch);
  gcb_oracle_free(&space->cycle);
  gcb_sticky_free(&space->cycle);
  gcb_marking_close(&space->marking);
  gcb_blocks_close(&space->blocks);
  gcb_view_unmap(&space->view);
  gcb_metadata_unmap(&space->metadata);
  free(space);
}

int gcb_start(gcb_space *space, const gcb_program *program, uint32_t mutators, uint64_t seed,
              const uint64_t *operations, const void *params, const void *blob, size_t blob_bytes) {
  gcb_world *world = &space->world;
  if (world->threads)
    return gcb_set_error("a heap's mutators are started once");
  if (mutators == 0 || mutators > GCB_GLOBALS) /* programs give each a global */
    return gcb_set_error("a heap has 1 to %u mutators, not %u", (unsigned)GCB_GLOBALS, mutators);
  if (space->cycle.begun)
    return gcb_set_error("mutators are started before a cycle begins");
  space->watch.managed = true;
  space->watch.barrier.threads = mutators;
  if (gcb_ranges_open(&space->watch, &space->view) || gcb_blocks_admit(&space->blocks, mutators) ||
      gcb_rescan_admit(&space->marking.rescan, mutators) ||
      gcb_world_admit(world, mutators, seed, operations, params, blob, blob_bytes))
    return -1;
  if (space->watch.armed_pages)
    atomic_store_explicit(&space->blocks.free_first, true, memory_order_relaxed);
  space->marking.spins = world->spin_ns > 0;
  for (uint32_t i = 0; i < mutators; i++) {
    gcb_blocks_serve(&space->blocks, &world->threads[i].m);
    world->threads[i].m.oracle = space->cycle.oracle;
  }
  return gcb_world_start(world, program);
}

size_t gcb_metadata_bytes(const gcb_space *space) {
  return space->metadata.bytes + space->marking.metadata_bytes + gcb_watch_metadata_bytes(&space->watch) +
         gcb_sticky_metadata_bytes(&space->cycle);
}

void gcb_get_totals(gcb_space *space, gcb_totals *totals) {
  const gcb_world *world = &space->world;
  *totals = (gcb_totals){.wall_ns = world->built ? world->ended_ns - world->built_ns : 0,
                         .built_ns = world->built_ns,
                         .events_lost = world->events.lost,
                         .live_bytes = space->blocks.live_bytes,
                         .metadata_bytes = gcb_metadata_bytes(space),
                         .allocated_bytes = gcb_blocks_allocated_bytes(&space->blocks)};
  for (uint32_t i = 0; i < world->thread_count; i++) {
    const gcb_thread *t = &world->threads[i];
    totals->operations += t->m.operations;
    totals->cpu_ns += t->cpu_ns;
    totals->minor_faults += t->minor_faults;
  }
}
