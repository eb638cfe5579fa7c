#include "runtime.h"

#include <sys/mman.h>

static gcb_space *space;
static char *memory;
static size_t size;
static _Atomic size_t used;

static int open_bump(gcb_space *of, size_t bytes) {
  memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  if (memory == MAP_FAILED)
    return gcb_set_error("no memory for a heap of %zu bytes", bytes);
  space = of;
  size = bytes;
  return 0;
}

static char *next_chunk(gcb_mutator *m, size_t bytes) {
  size_t wanted = bytes > GCB_PARAM_chunk_bytes ? bytes : GCB_PARAM_chunk_bytes;
  size_t at = atomic_fetch_add_explicit(&used, wanted, memory_order_relaxed);
  if (at + wanted > size)
    gcb_fail(m, "out of memory: nothing is ever collected");
  m->limit = memory + at + wanted;
  return memory + at;
}

static int enter(gcb_mutator *m) {
  m->store[0] = (uintptr_t)next_chunk;
  return 0;
}

static void nothing(gcb_mutator *m) {
  (void)m;
}

static int collect(void) {
  static uint32_t number;
  gcb_event event = {.start_ns = gcb_now_ns(), .cycle = ++number, .pause = number, .kind = GCB_EV_PAUSE};
  event.value = GCB_PAUSE_FULL;
  event.end_ns = gcb_now_ns();
  gcb_record_full(space, event);
  event.pause = 0;
  event.kind = GCB_EV_CYCLE;
  event.value = used;
  gcb_record_full(space, event);
  return 0;
}

static uint64_t allocated_bytes(void) {
  return used;
}

static uint64_t collecting_ns(void) {
  return 0;
}

static const char *facts(void) {
  return "chunks=handed-out-once";
}

static int check(void) {
  return 0;
}

GCB_RUNTIME = {.open = open_bump,
               .enter = enter,
               .built = nothing,
               .leave = nothing,
               .collect = collect,
               .allocated_bytes = allocated_bytes,
               .collecting_ns = collecting_ns,
               .facts = facts,
               .check = check};
