/* Per-mutator buffers in chunks: the mutator appends at one end, the collector takes at the other, at any
 * time and without a lock. An entry is a word. */
#ifndef GCB_BUFFERS_H
#define GCB_BUFFERS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#define GCB_CHUNK_ENTRIES 1024u

typedef struct gcb_chunk {
  struct gcb_chunk *next;
  uintptr_t entries[GCB_CHUNK_ENTRIES];
} gcb_chunk;

typedef struct gcb_buffer {
  /* The mutator's. */
  gcb_chunk *last, *spare;
  _Atomic uint64_t published; /* entries ever appended; the mutator alone writes it */
  _Atomic uint32_t open;      /* the collector writes it: append at all? */
  /* The collector's, on a line of its own. */
  _Alignas(64) gcb_chunk *first;
  uint64_t taken;
  _Atomic(gcb_chunk *) spent; /* on their way back to the mutator: it takes all at once */
  uintptr_t *words;           /* the mutator's gcb_mutator.store */
  struct gcb_buffer *next;
} gcb_buffer;

typedef _Atomic(gcb_buffer *) gcb_buffers;

/* One that was used before, if the collector has returned any: it costs no fault. NULL: there is no memory.
 */
static inline gcb_chunk *gcb_chunk_new(gcb_buffer *buffer) {
  if (!buffer->spare)
    /* acquire: sees the links */
    buffer->spare = atomic_exchange_explicit(&buffer->spent, NULL, memory_order_acquire);
  gcb_chunk *chunk = buffer->spare;
  if (chunk)
    buffer->spare = chunk->next;
  return chunk ? chunk : malloc(sizeof *chunk);
}

/* By the collector. The list is only ever taken whole, so what `next` says stays true until it is published.
 */
static inline void gcb_chunk_return(gcb_buffer *buffer, gcb_chunk *chunk) {
  chunk->next = atomic_load_explicit(&buffer->spent, memory_order_relaxed);
  while (!atomic_compare_exchange_weak_explicit(&buffer->spent, &chunk->next, chunk, memory_order_release,
                                                memory_order_relaxed))
    ;
}

/* false: there is no memory. */
static inline bool gcb_append(gcb_buffer *buffer, uintptr_t entry) {
  /* relaxed: its own */
  uint64_t at = atomic_load_explicit(&buffer->published, memory_order_relaxed);
  if (at % GCB_CHUNK_ENTRIES == 0 && at > 0) {
    gcb_chunk *chunk = gcb_chunk_new(buffer);
    if (!chunk)
      return false;
    chunk->next = NULL;
    buffer->last->next = chunk;
    buffer->last = chunk;
  }
  buffer->last->entries[at % GCB_CHUNK_ENTRIES] = entry;
  /* release: whoever sees the count sees the entries, and the link to the chunk that holds them */
  atomic_store_explicit(&buffer->published, at + 1, memory_order_release);
  return true;
}

/* In the mutator's thread, several at once. NULL: there is no memory. */
static inline gcb_buffer *gcb_buffer_new(gcb_buffers *all, uintptr_t *words) {
  gcb_buffer *buffer = aligned_alloc(_Alignof(gcb_buffer), sizeof *buffer);
  gcb_chunk *chunk = malloc(sizeof *chunk);
  if (!buffer || !chunk) {
    free(buffer);
    free(chunk);
    return NULL;
  }
  chunk->next = NULL;
  *buffer = (gcb_buffer){.last = chunk, .first = chunk, .words = words};
  buffer->next = atomic_load_explicit(all, memory_order_relaxed);
  /* release: publishes the buffer; the collector acquires */
  while (!atomic_compare_exchange_weak_explicit(all, &buffer->next, buffer, memory_order_release,
                                                memory_order_relaxed))
    ;
  return buffer;
}

/* How far a drain goes: what is published by now, however fast the mutator appends meanwhile. */
static inline uint64_t gcb_published(const gcb_buffer *buffer) {
  return atomic_load_explicit(&buffer->published, memory_order_acquire);
}

/* The oldest entry below `limit`, if there is one left. */
static inline bool gcb_take(gcb_buffer *buffer, uint64_t limit, uintptr_t *entry) {
  if (buffer->taken == limit)
    return false;
  /* Not earlier: the mutator links the next chunk only when it has an entry for it. */
  if (buffer->taken % GCB_CHUNK_ENTRIES == 0 && buffer->taken > 0) {
    gcb_chunk *spent = buffer->first;
    buffer->first = spent->next;
    gcb_chunk_return(buffer, spent);
  }
  *entry = buffer->first->entries[buffer->taken++ % GCB_CHUNK_ENTRIES];
  return true;
}

static inline void gcb_discard(gcb_buffer *buffer) {
  uintptr_t entry;
  for (uint64_t limit = gcb_published(buffer); gcb_take(buffer, limit, &entry);)
    ;
}

static inline void gcb_chunks_free(gcb_chunk *chunk) {
  while (chunk) {
    gcb_chunk *next = chunk->next;
    free(chunk);
    chunk = next;
  }
}

/* When all mutators have ended. */
static inline void gcb_buffers_free(gcb_buffers *all) {
  gcb_buffer *buffer = atomic_load_explicit(all, memory_order_acquire);
  while (buffer) {
    gcb_buffer *next = buffer->next;
    gcb_chunks_free(buffer->first);
    gcb_chunks_free(buffer->spare);
    gcb_chunks_free(atomic_load_explicit(&buffer->spent, memory_order_acquire));
    free(buffer);
    buffer = next;
  }
}

#endif
