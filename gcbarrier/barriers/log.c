/* The log's other end: sets the bits, takes the entries and turns them into granules. */
#include "gcbarrier.h"
#include "barrier.h"
#include "fence.h"
#include "log.h"

#include <sys/mman.h>

#define LOG_SHIFT 7

typedef struct log {
  _Atomic uint64_t *words;
  uintptr_t biased;
  gcb_buffers buffers;
} log;

static size_t table_bytes(const gcb_barrier *barrier) {
  return barrier->range.bytes / GCB_GRANULE / 8;
}

static int open_barrier(gcb_barrier *barrier) {
  log *log = calloc(1, sizeof *log);
  if (!log)
    return gcb_set_error("no memory for a log");
  barrier->state = log;
  void *table = mmap(NULL, table_bytes(barrier), PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  if (table == MAP_FAILED)
    return gcb_set_error("no memory for a log's table of %zu bytes", table_bytes(barrier));
  log->words = table;
  log->biased = (uintptr_t)table - ((uintptr_t)barrier->range.base >> 10) * sizeof(uint64_t);
  barrier->granule_shift = LOG_SHIFT;
  return gcb_fence_open();
}

static int attach(gcb_barrier *barrier, uintptr_t *words, uint32_t mutator) {
  log *log = barrier->state;
  gcb_buffer *buffer = gcb_buffer_new(&log->buffers, words);
  if (!buffer)
    return gcb_set_error("no memory for the log of mutator %u", mutator);
  words[0] = log->biased;
  words[1] = (uintptr_t)buffer;
  return 0;
}

static gcb_buffer *buffers_of(log *log) {
  return atomic_load_explicit(&log->buffers, memory_order_acquire); /* acquire: pairs with attach() */
}

static int arm(gcb_barrier *barrier) {
  log *log = barrier->state;
  /* What a cycle that was given up has left refers to objects that may be gone. First: from the moment a bit
   * is set, its entry counts. */
  for (gcb_buffer *buffer = buffers_of(log); buffer; buffer = buffer->next) {
    gcb_discard(buffer);
    atomic_store_explicit(&buffer->open, 1, memory_order_relaxed);
  }
  /* release: whoever finds a bit set finds its buffer open. A bit that a mutator clears meanwhile is set
   * again, or cleared and logged. */
  for (size_t word = 0; word < table_bytes(barrier) / sizeof *log->words; word++)
    atomic_store_explicit(&log->words[word], ~UINT64_C(0), memory_order_release);
  /* A store whose test came before is visible from here on (log.h), and the marker has not begun. */
  return gcb_fence_mutators();
}

/* From now on nobody would empty the buffers. relaxed: the mutators are stopped. */
static int disarm(gcb_barrier *barrier) {
  for (gcb_buffer *buffer = buffers_of(barrier->state); buffer; buffer = buffer->next)
    atomic_store_explicit(&buffer->open, 0, memory_order_relaxed);
  return 0;
}

static void report(const gcb_barrier *barrier, uintptr_t entry, gcb_dirty_set *dirty) {
  size_t from = (entry & ~(uintptr_t)GCB_LOG_FLAGS) - (uintptr_t)barrier->range.base, to;
  if (entry & GCB_LOG_PIECE) {
    to = from + GCB_LOG_PIECE_BYTES;
    if (to > barrier->range.bytes) /* the last piece may be shorter */
      to = barrier->range.bytes;
  } else {
    gcb_ref object = (gcb_ref)entry;
    from += sizeof object->header;
    to = from + gcb_reference_count(object) * sizeof(gcb_ref);
  }
  size_t first = from >> LOG_SHIFT, last = (to - 1) >> LOG_SHIFT;
  gcb_dirty_add(dirty, first, last - first + 1);
}

/* An entry comes at the latest when its mutator is stopped: there is no safepoint between the cleared bit and
 * the entry. What other mutators store into the object meanwhile, without a word, is looked at then. */
static int collect(gcb_barrier *barrier, bool rearm, gcb_dirty_set *dirty) {
  log *log = barrier->state;
  for (gcb_buffer *buffer = buffers_of(log); buffer; buffer = buffer->next) {
    uint64_t limit = gcb_published(buffer);
    for (uintptr_t entry; gcb_take(buffer, limit, &entry);) {
      report(barrier, entry, dirty);
      uintptr_t key = gcb_log_key(entry);
      /* relaxed: the fence below orders it before the rescan, as it does the mutators' tests */
      if (rearm)
        atomic_fetch_or_explicit(gcb_log_word(log->biased, key), gcb_log_bit(key), memory_order_relaxed);
    }
  }
  return rearm ? gcb_fence_mutators() : 0;
}

static void close_barrier(gcb_barrier *barrier) {
  log *log = barrier->state;
  if (!log)
    return;
  gcb_buffers_free(&log->buffers);
  if (log->words)
    munmap((void *)log->words, table_bytes(barrier));
  free(log);
  barrier->state = NULL;
}

GCB_BARRIER = {.open = open_barrier,
               .arm = arm,
               .collect = collect,
               .disarm = disarm,
               .close = close_barrier,
               .attach = attach,
               .tracks = true,
               .stores_only = true};
