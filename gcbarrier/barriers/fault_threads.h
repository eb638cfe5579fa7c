/* The fault logs of all threads that write: how they share the memory that a user may lock, and whether what
 * they tell together is everything. A ring is its thread's (fault_ring.h); the list of them is here. */
#ifndef GCB_FAULT_THREADS_H
#define GCB_FAULT_THREADS_H

#include "fault_ring.h"

#include <stdint.h>
#include <stdio.h>
#include <sys/resource.h>

/* Why the logs may not know all that was opened since they were last asked. */
typedef enum gcb_fault_gap {
  GCB_NO_GAP,
  GCB_GAP_LOST,  /* records may have been lost */
  GCB_GAP_LATE,  /* a thread's log begins only now, and it may have written before */
  GCB_GAP_BLIND, /* a thread has no log; or none is known, and any may be writing */
} gcb_fault_gap;

typedef struct gcb_fault_threads {
  gcb_fault_ring *_Atomic rings;
  _Atomic uint32_t attached, unlogged, user_only; /* threads */
  _Atomic bool late;                              /* one has come since the logs were last asked */
  size_t wanted_bytes;                            /* of each ring */
  size_t lockable_bytes;                          /* of all together; SIZE_MAX: as much as there is */
} gcb_fault_threads;

/* What a file of /proc says; `otherwise` where it can't be read. */
static inline long gcb_proc_number(const char *path, long otherwise) {
  FILE *file = fopen(path, "re");
  long number = otherwise;
  if (!file)
    return otherwise;
  if (fscanf(file, "%ld", &number) != 1)
    number = otherwise;
  fclose(file);
  return number;
}

/* Whether the process may lock more than its limit (CAP_IPC_LOCK, of the first user namespace: a root of
 * another has it and it counts for nothing). Found out by doing: nothing is touched, so nothing is locked but
 * addresses. */
static inline bool gcb_locks_beyond(size_t limit) {
  size_t bytes = (limit / GCB_PAGE + 1) * GCB_PAGE;
  void *mapped =
      mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapped == MAP_FAILED)
    return false;
  bool locked = mlock2(mapped, bytes, MLOCK_ONFAULT) == 0;
  munmap(mapped, bytes);
  return locked;
}

/* The kernel's rule (kernel/events/core.c, perf_mmap): so much for each processor that is online, of all of a
 * user's processes together, and beyond it what the process may lock. Other processes' rings are not seen
 * from here: where they have taken some, gcb_fault_ring_open() tries smaller ones. */
static inline size_t gcb_lockable_bytes(void) {
  struct rlimit limit;
  long each_kib = gcb_proc_number("/proc/sys/kernel/perf_event_mlock_kb", 0),
       processors = sysconf(_SC_NPROCESSORS_ONLN);
  if (getrlimit(RLIMIT_MEMLOCK, &limit))
    limit.rlim_cur = 0;
  if (limit.rlim_cur == RLIM_INFINITY || gcb_proc_number("/proc/sys/kernel/perf_event_paranoid", 2) < 0 ||
      gcb_locks_beyond((size_t)limit.rlim_cur))
    return SIZE_MAX;
  return (size_t)limit.rlim_cur + ((size_t)each_kib << 10) * (size_t)(processors > 0 ? processors : 1);
}

static inline void gcb_fault_threads_open(gcb_fault_threads *threads, size_t wanted_bytes) {
  threads->wanted_bytes = wanted_bytes;
  threads->lockable_bytes = gcb_lockable_bytes();
}

/* Of the ring of the n-th thread, counted from 0: the largest power of two that leaves the others theirs. An
 * equal part for each that is expected; any beyond them, or where nobody knows how many will come, half of
 * what those before it left. */
static inline size_t gcb_fault_share(const gcb_fault_threads *threads, uint32_t expected, uint32_t n) {
  size_t halvings = n < 62 ? n + 1 : 63, bytes = threads->wanted_bytes;
  if (threads->lockable_bytes == SIZE_MAX)
    return bytes;
  size_t mine = n < expected ? threads->lockable_bytes / expected : threads->lockable_bytes >> halvings;
  while (bytes > GCB_PAGE && bytes + GCB_PAGE > mine) /* with the page that has the ring's two ends */
    bytes /= 2;
  return bytes;
}

/* The calling thread. It may come while the barrier is armed. One that gets no ring writes all the same: it
 * only makes every collect ask the page tables. */
static inline int gcb_fault_threads_attach(gcb_fault_threads *threads, uint32_t expected, uintptr_t *words) {
  gcb_fault_ring *ring = malloc(sizeof *ring);
  if (!ring)
    return gcb_set_error("no memory for a thread's fault log");
  words[0] = (uintptr_t)ring;
  /* relaxed: counts. The collector's thread reads them after the attached thread has told it
   * (world/threads.c, watch/alone.c). */
  uint32_t n = atomic_fetch_add_explicit(&threads->attached, 1, memory_order_relaxed);
  bool logged = gcb_fault_ring_open(ring, gcb_fault_share(threads, expected, n));
  if (!logged)
    atomic_fetch_add_explicit(&threads->unlogged, 1, memory_order_relaxed);
  else if (!ring->in_kernel)
    atomic_fetch_add_explicit(&threads->user_only, 1, memory_order_relaxed);
  /* Once the ring logs, and before it can be asked. release: who takes it sees all pages opened that this
   * thread has opened without a record. */
  atomic_store_explicit(&threads->late, true, memory_order_release);
  ring->next = atomic_load_explicit(&threads->rings, memory_order_relaxed);
  /* release: who finds the ring finds it made; several threads may attach at once */
  while (!atomic_compare_exchange_weak_explicit(&threads->rings, &ring->next, ring, memory_order_release,
                                                memory_order_relaxed))
    ;
  return 0;
}

/* Nothing is collected any more. */
static inline void gcb_fault_threads_detach(gcb_fault_threads *threads, uintptr_t *words) {
  gcb_fault_ring *ring = (gcb_fault_ring *)words[0],
                 *first = atomic_load_explicit(&threads->rings, memory_order_acquire);
  if (!ring)
    return;
  if (first == ring)
    atomic_store_explicit(&threads->rings, ring->next, memory_order_relaxed);
  for (gcb_fault_ring *each = first; each; each = each->next)
    if (each->next == ring)
      each->next = ring->next;
  gcb_fault_ring_close(ring);
  free(ring);
  words[0] = 0;
}

/* What the rings hold goes into a set, and stays in them with `keep`. Where there is a gap, only a look at
 * the page tables, begun after this, can tell what is in it; without `keep` the caller owes that look, since
 * the gap is not told of again. */
static inline gcb_fault_gap gcb_fault_threads_read(gcb_fault_threads *threads, const gcb_range *range,
                                                   gcb_dirty_set *set, bool keep) {
  /* acquire: pairs with attach */
  gcb_fault_ring *ring = atomic_load_explicit(&threads->rings, memory_order_acquire);
  bool blind = !ring || atomic_load_explicit(&threads->unlogged, memory_order_relaxed) > 0, lost = false;
  /* acquire: what the thread wrote before is what the look at the page tables finds */
  bool late = keep ? atomic_load_explicit(&threads->late, memory_order_acquire)
                   : atomic_exchange_explicit(&threads->late, false, memory_order_acquire);
  for (; ring; ring = ring->next)
    if (ring->page && !gcb_fault_ring_drain(ring, range, set, keep))
      lost = true;
  return blind ? GCB_GAP_BLIND : late ? GCB_GAP_LATE : lost ? GCB_GAP_LOST : GCB_NO_GAP;
}

#endif
