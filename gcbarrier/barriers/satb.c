/* Takes what mutators have overwritten, and has it marked. */
#include "barrier.h"
#include "buffers.h"

/* barrier->state: the buffers. */
static gcb_buffer *buffers_of(const gcb_barrier *barrier) {
  gcb_buffers *all = barrier->state;
  return atomic_load_explicit(all, memory_order_acquire); /* acquire: pairs with attach() */
}

static int open_barrier(gcb_barrier *barrier) {
  barrier->state = calloc(1, sizeof(gcb_buffers));
  return barrier->state ? 0 : gcb_set_error("no memory for the buffers");
}

static int attach(gcb_barrier *barrier, uintptr_t *words, uint32_t mutator) {
  gcb_buffer *buffer = gcb_buffer_new(barrier->state, words);
  if (!buffer)
    return gcb_set_error("no memory for the buffer of mutator %u", mutator);
  words[1] = (uintptr_t)buffer;
  return 0;
}

/* In the pause of the snapshot, or a path could be cut after it and before the mutator knows. */
static int arm(gcb_barrier *barrier) {
  for (gcb_buffer *buffer = buffers_of(barrier); buffer; buffer = buffer->next) {
    gcb_discard(buffer); /* of a cycle that was given up: the objects may be gone */
    buffer->words[0] = 1;
  }
  return 0;
}

static int disarm(gcb_barrier *barrier) {
  for (gcb_buffer *buffer = buffers_of(barrier); buffer; buffer = buffer->next)
    buffer->words[0] = 0;
  return 0;
}

/* Takes what is published: with mutators running what there is by now, with mutators stopped everything.
 * The count that it returns is of entries, not granules. */
static int collect(gcb_barrier *barrier, bool rearm, gcb_dirty_set *dirty) {
  (void)rearm;
  for (gcb_buffer *buffer = buffers_of(barrier); buffer; buffer = buffer->next) {
    uint64_t limit = gcb_published(buffer);
    for (uintptr_t entry; gcb_take(buffer, limit, &entry); dirty->count++)
      gcb_grey(barrier, (const void *)entry);
  }
  return 0;
}

static void close_barrier(gcb_barrier *barrier) {
  if (!barrier->state)
    return;
  gcb_buffers_free(barrier->state);
  free(barrier->state);
  barrier->state = NULL;
}

GCB_BARRIER = {.open = open_barrier,
               .arm = arm,
               .collect = collect,
               .disarm = disarm,
               .close = close_barrier,
               .attach = attach,
               .tracks = true,
               .stores_only = true,
               .snapshot = true};
