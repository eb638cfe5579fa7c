/* The Boehm-Demers-Weiser collector under the core's mutators: its memory, its threads and its own events.
 *
 * Its roots are the handles and globals, exactly, and the stacks and registers of the mutators,
 * conservatively. Data segments of the program and of its libraries (an interpreter's, here) are none: no
 * mutator keeps references there. */
#include "runtime.h"

#define GC_THREADS
#define GC_NO_THREAD_REDIRECTS
#include <gc/gc.h>
#include <gc/gc_mark.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { FIRST_MARK_STACK = 4096 }; /* entries that it has at first */

/* The library is one for the whole process, and so is this. But for the atomics it is written under the
 * library's allocation lock, which every callback holds. */
static struct bdwgc {
  gcb_space *space;
  GC_push_other_roots_proc push_stacks;
  uint64_t allocated_before; /* by open() */
  _Atomic uint64_t collecting_ns;
  char warning[256];
  char facts[128];
  /* of the collection under way */
  bool collecting, full;
  uint32_t cycle, pause;
  uint64_t begin_ns, cpu_ns, stop_ns, mark_ns, resume_ns, reclaim_ns;
  long switches;
} own;

static uint64_t thread_cpu_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static long switches(void) {
  struct rusage usage;
  getrusage(RUSAGE_THREAD, &usage);
  return usage.ru_nivcsw;
}

static void record(gcb_event_kind kind, uint64_t start_ns, uint64_t value, uint16_t flags) {
  bool outside = kind == GCB_EV_SWEEP || kind == GCB_EV_CYCLE;
  gcb_record_full(own.space, (gcb_event){.start_ns = start_ns,
                                         .end_ns = gcb_now_ns(),
                                         .value = value,
                                         .cycle = own.cycle,
                                         .pause = outside ? 0 : own.pause,
                                         .kind = (uint16_t)kind,
                                         .flags = flags});
}

static void begin(void) {
  if (own.collecting)
    return;
  own.collecting = true;
  own.begin_ns = gcb_now_ns();
  own.cpu_ns = thread_cpu_ns();
  own.cycle++;
}

/* Of whole blocks that hold something; what lives in them is known when they have been swept, which it does
 * later. */
static uint64_t occupied_bytes(void) {
  struct GC_prof_stats_s stats;
  GC_get_prof_stats_unsafe(&stats, sizeof stats);
  return stats.heapsize_full - stats.free_bytes_full;
}

static void end(void) {
  record(GCB_EV_SWEEP, own.reclaim_ns, 0, 0);
  record(GCB_EV_CYCLE, own.begin_ns, occupied_bytes(), 0);
  own.collecting = own.full = false;
  atomic_fetch_add_explicit(&own.collecting_ns, thread_cpu_ns() - own.cpu_ns, memory_order_relaxed);
}

static void GC_CALLBACK on_full(void) {
  begin();
  own.full = true;
}

static void GC_CALLBACK on_event(GC_EventType event) {
  switch (event) {
  case GC_EVENT_START:
    begin();
    break;
  case GC_EVENT_PRE_STOP_WORLD:
    begin();
    own.switches = switches();
    own.pause++;
    own.stop_ns = gcb_now_ns();
    break;
  case GC_EVENT_POST_STOP_WORLD:
    record(GCB_EV_TTSP, own.stop_ns, 0, 0);
    break;
  case GC_EVENT_MARK_START:
    own.mark_ns = gcb_now_ns();
    break;
  case GC_EVENT_MARK_END: /* roots and dirty bits included: it tells nothing between */
    record(GCB_EV_MARK, own.mark_ns, 0, 0);
    break;
  case GC_EVENT_PRE_START_WORLD:
    own.resume_ns = gcb_now_ns();
    break;
  case GC_EVENT_POST_START_WORLD:
    record(GCB_EV_RESUME, own.resume_ns, 0, 0);
    record(GCB_EV_PAUSE, own.stop_ns, own.full ? GCB_PAUSE_FULL : GCB_PAUSE_REMARK,
           switches() == own.switches ? 0 : GCB_EVF_PREEMPTED);
    break;
  case GC_EVENT_RECLAIM_START:
    own.reclaim_ns = gcb_now_ns();
    break;
  case GC_EVENT_RECLAIM_END:
    end();
    break;
  default:
    break;
  }
}

static void GC_CALLBACK on_warning(char *format, GC_word argument) {
  snprintf(own.warning, sizeof own.warning, format, argument);
  own.warning[strcspn(own.warning, "\n")] = 0;
}

/* The library ends the process when this returns, and what was said last is the invocation's error. Each page
 * that is protected between others that are not is a mapping of its own to the kernel. */
static void GC_CALLBACK on_abort(const char *message) {
  if (!message)
    return; /* an exit that was asked for */
  dprintf(STDERR_FILENO, "the Boehm collector gave up: %s\n", message);
  if (strstr(message, "mprotect"))
    dprintf(STDERR_FILENO,
            "its dirty bits take more mappings than vm.max_map_count allows: have root raise that, "
            "or choose bdwgc.incremental=false\n");
}

static int push_run(void *self, _Atomic(gcb_ref) *roots, size_t count) {
  (void)self;
  GC_push_all((void *)roots, (void *)(roots + count));
  return 0;
}

/* A mutator that is stopped has been stopped by a signal, at any instruction. */
static void GC_CALLBACK push_roots(void) {
  own.push_stacks();
  gcb_each_root(own.space, push_run, NULL);
}

/* Seven eighths of the pages are there before the clock starts; the core's own heaps have all of theirs. */
static int populate(size_t bytes) {
  char *most = GC_malloc_atomic_ignore_off_page(bytes - bytes / 8);
  if (!most)
    return gcb_set_error("the Boehm collector has no memory of %zu MiB", bytes >> 20);
  memset(most, 0, bytes - bytes / 8);
  GC_free(most);
  return 0;
}

static int take_first(void *self, _Atomic(gcb_ref) *roots, size_t count) {
  *(_Atomic(gcb_ref) **)self = roots;
  return count > 0;
}

/* Its mark stack doubles after a collection in which it was full, and no call asks for more. A list of which
 * each element refers to a leaf before it refers to the next has all of its leaves on the stack when its end
 * is reached. */
static int grow_mark_stack(size_t entries) {
  size_t size = FIRST_MARK_STACK;
  if (entries <= size)
    return 0;
  _Atomic(gcb_ref) *root = NULL;
  gcb_each_root(own.space, take_first, (void *)&root);
  void **list = NULL;
  for (size_t i = 0; i < entries; i++) {
    void **element = GC_malloc(2 * sizeof *element);
    void *leaf = GC_malloc(sizeof(void *));
    if (!element || !leaf)
      return gcb_set_error("the Boehm collector's heap is too small to have a mark stack of %zu entries",
                           entries);
    element[0] = leaf;
    element[1] = list;
    list = element;
    /* relaxed: there is no other thread */
    atomic_store_explicit(root, (gcb_ref)(void *)list, memory_order_relaxed);
  }
  for (; size < entries; size *= 2)
    GC_gcollect();
  atomic_store_explicit(root, NULL, memory_order_relaxed);
  GC_gcollect();
  return 0;
}

static int open_bdwgc(gcb_space *space, size_t bytes) {
  if (own.space || GC_is_init_called())
    return gcb_set_error("the Boehm collector has one heap in a process, and there is one already");
  own.space = space;
  /* It would give free memory back to the kernel, and take it again page by page. */
  setenv("GC_UNMAP_THRESHOLD", "0", 1);
  GC_set_all_interior_pointers(0);
  GC_set_no_dls(1);
  GC_set_markers_count(GCB_PARAM_markers);
  GC_set_warn_proc(on_warning);
  GC_set_abort_func(on_abort);
  GC_init();
  GC_clear_roots();
  GC_allow_register_threads();
  GC_start_mark_threads(); /* or they would start with the first collection, or never */
  GC_set_full_freq(GCB_PARAM_full_every - 1);
  GC_set_free_space_divisor(GCB_PARAM_free_space_divisor);
  size_t there = GC_get_heap_size();
  if (bytes > there && !GC_expand_hp(bytes - there))
    return gcb_set_error("the Boehm collector has no memory of %zu MiB", bytes >> 20);
  GC_set_max_heap_size(bytes);
  if (populate(bytes))
    return -1;
  own.push_stacks = GC_get_push_other_roots();
  GC_set_push_other_roots(push_roots);
  if (grow_mark_stack(GCB_PARAM_mark_stack))
    return -1;
  if (GCB_PARAM_incremental) {
    /* Generational, without slices of marking in the mutators' threads: those are pauses that it does not
     * tell of. */
    GC_set_time_limit(GC_TIME_UNLIMITED);
    GC_enable_incremental();
  }
  GC_set_start_callback(on_full);
  GC_set_on_collection_event(on_event);
  own.allocated_before = GC_get_total_bytes();
  /* The collector's thread is none of its: nobody stops it, and its stack holds no references. */
  GC_unregister_my_thread();
  return 0;
}

static int enter(gcb_mutator *m) {
  (void)m;
  struct GC_stack_base base;
  if (GC_get_stack_base(&base) != GC_SUCCESS || GC_register_my_thread(&base) != GC_SUCCESS)
    return gcb_set_error("the Boehm collector does not take this thread");
  return 0;
}

static void built(gcb_mutator *m) {
  (void)m;
  GC_gcollect();
}

static void leave(gcb_mutator *m) {
  (void)m;
  GC_unregister_my_thread();
}

/* It collects in no thread that it does not know. */
static int collect(void) {
  if (enter(NULL))
    return -1;
  GC_gcollect();
  leave(NULL);
  return 0;
}

static uint64_t allocated_bytes(void) {
  return GC_get_total_bytes() - own.allocated_before;
}

static uint64_t collecting_ns(void) {
  return atomic_load_explicit(&own.collecting_ns, memory_order_relaxed);
}

static const char *facts(void) {
  bool incremental = GC_is_incremental_mode();
  const char *vdb = !incremental                                            ? "none"
                    : GC_incremental_protection_needs() == GC_PROTECTS_NONE ? "soft-dirty"
                                                                            : "mprotect";
  unsigned version = GC_get_version();
  snprintf(own.facts, sizeof own.facts, "bdwgc=%u.%u.%u incremental=%d vdb=%s markers=%d own_heap_bytes=%zu",
           version >> 16, version >> 8 & 255, version & 255, incremental, vdb, GC_get_parallel() + 1,
           GC_get_heap_size());
  return own.facts;
}

static int check(void) {
  if (GCB_PARAM_incremental && !GC_is_incremental_mode())
    return gcb_set_error("the Boehm collector's incremental mode was asked for and is off%s%s: its "
                         "collections were full ones; "
                         "unset GC_DISABLE_INCREMENTAL, or choose bdwgc.incremental=false",
                         *own.warning ? ", and it said: " : "", own.warning);
  return 0;
}

GCB_RUNTIME = {.open = open_bdwgc,
               .enter = enter,
               .built = built,
               .leave = leave,
               .collect = collect,
               .allocated_bytes = allocated_bytes,
               .collecting_ns = collecting_ns,
               .facts = facts,
               .check = check};
