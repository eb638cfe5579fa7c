/* A space whose mutators allocate from a runtime of their own (include/runtime.h). */
#include "include/runtime.h"
#include "api.h"
#include "base/library.h"
#include "space.h"

#define EVENTS ((size_t)1 << 20) /* nobody takes them before the end: mutators are stopped anywhere */

int gcb_adopt(gcb_space *space, const char *path, size_t bytes) {
  if (space->world.threads)
    return gcb_set_error("a heap's mutators run already");
  void *library = gcb_open_library(path);
  if (!library)
    return -1;
  const gcb_runtime *runtime = gcb_find_symbol(library, "gcb_runtime_definition");
  if (!runtime) {
    gcb_close_library(library);
    return gcb_set_error("%s defines no GCB_RUNTIME", path);
  }
  if (gcb_events_open(&space->world.events, EVENTS) || runtime->open(space, bytes))
    return -1;
  space->runtime = runtime;
  return 0;
}

void gcb_record_full(gcb_space *space, gcb_event event) {
  gcb_events_add(&space->world.events, event);
}

int gcb_each_root(gcb_space *space, gcb_root_visitor *visit, void *self) {
  return gcb_world_each_root(&space->world, visit, self);
}

int gcb_foreign_collect(gcb_space *space) {
  return space->runtime->collect();
}

uint64_t gcb_foreign_allocated_bytes(const gcb_space *space) {
  return space->runtime->allocated_bytes();
}

uint64_t gcb_foreign_collecting_ns(const gcb_space *space) {
  return space->runtime->collecting_ns();
}

const char *gcb_foreign_facts(const gcb_space *space) {
  return space->runtime->facts();
}

int gcb_foreign_check(const gcb_space *space) {
  return space->runtime->check();
}
