/* What Python calls, handed on to the folder that does it. What concerns more than one is in space.c. */
#include "api.h"
#include "include/prototype.h"
#include "include/write_watch.h"
#include "space.h"

bool gcb_alias_huge(const gcb_space *space) {
  return space->view.alias_huge;
}

int64_t gcb_tracked_huge_bytes(const gcb_space *space) {
  size_t bytes = gcb_huge_mapped_bytes(space->view.tracked);
  return bytes == SIZE_MAX ? -1 : (int64_t)bytes;
}

char *gcb_space_address(const gcb_space *space) {
  return space->view.tracked;
}

/* world/ */

void gcb_time_operations(gcb_space *space) {
  space->world.timed = true;
}

int gcb_place_mutators(gcb_space *space, const uint32_t *cpus, size_t count) {
  return gcb_world_place(&space->world, cpus, count);
}

void gcb_get_ran(gcb_space *space, gcb_ran *each) {
  for (uint32_t i = 0; i < space->world.thread_count; i++)
    each[i] = space->world.threads[i].ran;
}

int gcb_stress_mutators(gcb_space *space, uint64_t every) {
  const gcb_barrier_ops *ops = space->watch.ops;
  if (space->view.alias == space->view.tracked && ops && ops->tracks && !ops->fork)
    return gcb_set_error(
        "stress poisons what was freed through the collector's own view, and this memory has one "
        "view, which the barrier watches: choose shmem");
  if (every == 0)
    return gcb_set_error("stress collects at every so many safepoints: at least 1");
  space->world.stress_every = every;
  return gcb_blocks_stress(&space->blocks);
}

int gcb_wait(gcb_space *space, uint64_t timeout_ns) {
  return gcb_service_wait(&space->world, timeout_ns);
}

void gcb_finish(gcb_space *space) {
  gcb_service_finish(&space->world);
}

void gcb_abandon(gcb_space *space) {
  gcb_service_abandon(&space->world);
}

void gcb_set_trigger(gcb_space *space, uint64_t bytes) {
  gcb_service_set_trigger(&space->world, &space->blocks.trigger_bytes, bytes);
}

int gcb_join(gcb_space *space, const gcb_program *program, uint64_t *checksum) {
  bool lost = gcb_oracle_lost_object(&space->cycle);
  if (gcb_world_join(&space->world, program, lost ? NULL : checksum))
    return -1;
  return lost ? gcb_set_error("there is no checksum: an object of the heap has been lost") : 0;
}

void gcb_get_operations(gcb_space *space, uint64_t *each) {
  for (uint32_t i = 0; i < space->world.thread_count; i++)
    each[i] = space->world.threads[i].m.operations;
}

void gcb_get_operation_times(gcb_space *space, uint64_t *counts) {
  gcb_world_operation_times(&space->world, counts);
}

size_t gcb_get_stamps(gcb_space *space, uint32_t mutator, uint64_t *first_ns, gcb_stamp *stamps) {
  return gcb_world_stamps(&space->world, mutator, first_ns, stamps);
}

size_t gcb_get_slow_operations(gcb_space *space, gcb_slow_operation *slow, size_t capacity) {
  return gcb_world_slow_operations(&space->world, slow, capacity);
}

size_t gcb_take_events(gcb_space *space, void *events, size_t capacity) {
  return gcb_service_take_events(&space->world, events, capacity);
}

void gcb_ask_to_help(gcb_space *space, uint64_t hold_ns) {
  gcb_world_ask_to_help(&space->world, hold_ns);
}

void gcb_stop(gcb_space *space) {
  gcb_stop_world(&space->world, false);
}

void gcb_resume(gcb_space *space) {
  if (space->world.stop_depth > 0)
    gcb_resume_world(&space->world, GCB_PAUSE_PROTOTYPE);
}

/* heap/ and mark/ */

uint64_t gcb_allocated_bytes(gcb_space *space) {
  return gcb_blocks_allocated_bytes(&space->blocks);
}

int gcb_set_markers(gcb_space *space, uint32_t markers) {
  return gcb_marking_set_markers(&space->marking, markers);
}

uint64_t gcb_markers_cpu_ns(const gcb_space *space) {
  return gcb_marking_helpers_cpu_ns(&space->marking);
}

/* cycle/ */

int gcb_begin_cycle(gcb_space *space) {
  return gcb_cycle_begin(&space->cycle);
}

int gcb_arm(gcb_space *space, bool black) {
  return gcb_cycle_arm(&space->cycle, black);
}

int gcb_allocate_black_from_now(gcb_space *space) {
  return gcb_cycle_allocate_black(&space->cycle);
}

int gcb_snapshot(gcb_space *space) {
  return gcb_cycle_snapshot(&space->cycle);
}

int gcb_fork(gcb_space *space) {
  return gcb_cycle_fork(&space->cycle);
}

int gcb_await_child(gcb_space *space, uint64_t timeout_ns) {
  return gcb_cycle_await_child(&space->cycle, timeout_ns);
}

int gcb_flip(gcb_space *space) {
  return gcb_cycle_flip(&space->cycle);
}

int gcb_mark(gcb_space *space, bool roots) {
  return gcb_cycle_mark(&space->cycle, roots);
}

int64_t gcb_collect(gcb_space *space, bool rearm, bool stopped) {
  return gcb_cycle_collect(&space->cycle, rearm, stopped);
}

int gcb_rescan(gcb_space *space) {
  return gcb_cycle_rescan(&space->cycle);
}

double gcb_left_ns(const gcb_space *space) {
  return gcb_rounds_left_ns(&space->cycle.rounds, gcb_now_ns());
}

int gcb_remark(gcb_space *space, uint32_t rounds, uint64_t aim_ns) {
  return gcb_cycle_remark(&space->cycle, rounds, aim_ns);
}

int gcb_full(gcb_space *space) {
  return gcb_cycle_full(&space->cycle);
}

int gcb_stick(gcb_space *space, uint32_t survivals) {
  return gcb_cycle_stick(&space->cycle, survivals);
}

int gcb_forget_marks(gcb_space *space) {
  return gcb_cycle_forget_marks(&space->cycle);
}

int64_t gcb_remember(gcb_space *space, bool stopped) {
  return gcb_cycle_remember(&space->cycle, stopped);
}

int gcb_minor(gcb_space *space) {
  return gcb_cycle_minor(&space->cycle);
}

void gcb_get_generation(const gcb_space *space, gcb_generation *seen) {
  *seen = gcb_sticky_seen(&space->cycle);
}

int gcb_sweep(gcb_space *space) {
  return gcb_cycle_sweep(&space->cycle);
}

void gcb_end_cycle(gcb_space *space) {
  gcb_cycle_end(&space->cycle);
}

void gcb_get_verification(gcb_space *space, gcb_verification *verification) {
  *verification = gcb_oracle_verification(&space->cycle);
}

/* watch/ */

uint32_t gcb_barrier_promises(const gcb_barrier_ops *ops) {
  return (ops->tracks ? GCB_TRACKS : 0u) | (ops->snapshot ? GCB_SNAPSHOT : 0u) | (ops->fork ? GCB_FORK : 0u);
}

const char *gcb_tally_name(const gcb_space *space, size_t i) {
  return i < GCB_TALLIES ? space->watch.barrier.tallies[i].what : NULL;
}

uint64_t gcb_tally_count(const gcb_space *space, size_t i) {
  return space->watch.barrier.tallies[i].count;
}

int gcb_watch_attach(gcb_space *space) {
  return gcb_alone_attach(&space->watch);
}

int gcb_watch_arm(gcb_space *space) {
  return gcb_alone_arm(&space->watch);
}

int64_t gcb_watch_collect(gcb_space *space, bool rearm) {
  return gcb_alone_collect(&space->watch, rearm);
}

const uint64_t *gcb_watch_words(const gcb_space *space) {
  return space->watch.dirty.words;
}

size_t gcb_granule_bytes(const gcb_space *space) {
  return (size_t)1 << space->watch.barrier.granule_shift;
}

int gcb_begin_write_watch(gcb_space *space) {
  return gcb_written_begin(&space->watch);
}

int gcb_get_write_watch(gcb_space *space, uint32_t flags, void *base, size_t size, void **addresses,
                        size_t *count, uint32_t *granularity) {
  return gcb_written_get(&space->watch, flags, base, size, addresses, count, granularity);
}

int gcb_reset_write_watch(gcb_space *space, void *base, size_t size) {
  return gcb_written_reset(&space->watch, base, size);
}
