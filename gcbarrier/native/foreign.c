/* A space whose mutators allocate from a runtime of their own (runtime.h). */
#include "include/runtime.h"

#include <dlfcn.h>
#include <stdlib.h>

#define EVENTS ((size_t)1 << 20) /* nobody takes them before the end: mutators are stopped anywhere */

int gcb_adopt(gcb_space *space, const char *path, size_t bytes) {
  void *object = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (!object)
    return gcb_set_error("%s", dlerror());
  const gcb_runtime *runtime = dlsym(object, "gcb_runtime_definition");
  if (!runtime)
    return gcb_set_error("%s defines no GCB_RUNTIME", path);
  if (space->threads)
    return gcb_set_error("a heap's mutators run already");
  free(space->events);
  space->event_capacity = EVENTS;
  space->events = calloc(EVENTS, sizeof *space->events);
  if (!space->events)
    return gcb_set_error("no memory for %zu events", EVENTS);
  if (runtime->open(space, bytes))
    return -1;
  space->runtime = runtime;
  return 0;
}

int gcb_foreign_enter(gcb_thread *t) {
  const gcb_runtime *runtime = t->space->runtime;
  return runtime ? runtime->enter(&t->m) : 0;
}

void gcb_foreign_leave(gcb_thread *t) {
  const gcb_runtime *runtime = t->space->runtime;
  if (runtime)
    runtime->leave(&t->m);
}

void gcb_foreign_built(gcb_thread *t) {
  const gcb_runtime *runtime = t->space->runtime;
  if (runtime)
    runtime->built(&t->m);
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
