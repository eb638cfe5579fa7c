/* One thread's page faults as the kernel logs them: software perf events that sample each fault's address
 * into a ring (perf_event_open(2); include/uapi/linux/perf_event.h has the ring's protocol).
 *
 * A record is written by the faulting thread itself, in the kernel, after the page has become writable and
 * before the thread goes on. So a drain with that thread stopped has them all; one beside it may miss the
 * fault that is just being handled, and the next drain has it. That holds for the events MIN and MAJ, which
 * are counted when a fault is over (mm/memory.c, mm_account_fault), and not for PERF_COUNT_SW_PAGE_FAULTS,
 * which is counted when it begins: a drain could take a record, find its page still armed, forget it, and
 * never hear of it again. */
#ifndef GCB_FAULT_RING_H
#define GCB_FAULT_RING_H

#include "barrier.h"

#include <errno.h>
#include <linux/perf_event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

typedef struct gcb_fault_ring {
  struct gcb_fault_ring *next; /* the barrier's list */
  int fd, major_fd;            /* the second event writes into the first one's ring */
  struct perf_event_mmap_page *page;
  char *data;
  size_t bytes;    /* of data: a power of two */
  uint64_t tail;   /* read up to here */
  uint64_t before; /* where the tail was before the last drain, unless that one had a scan follow */
  bool in_kernel;  /* what the kernel stores for the thread is logged too */
} gcb_fault_ring;

static inline int gcb_fault_event(uint64_t which, bool in_kernel) {
  struct perf_event_attr event = {.type = PERF_TYPE_SOFTWARE,
                                  .size = sizeof event,
                                  .config = which,
                                  .sample_period = 1,
                                  .sample_type = PERF_SAMPLE_ADDR,
                                  .exclude_kernel = !in_kernel,
                                  .exclude_hv = 1,
                                  .watermark = 1, /* nobody polls: as few wake-ups as there can be */
                                  .wakeup_watermark = UINT32_MAX};
  return (int)syscall(SYS_perf_event_open, &event, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);
}

static inline void gcb_fault_ring_close(gcb_fault_ring *ring) {
  if (ring->page)
    munmap(ring->page, GCB_PAGE + ring->bytes);
  if (ring->fd >= 0)
    close(ring->fd);
  if (ring->major_fd >= 0)
    close(ring->major_fd);
  ring->page = NULL;
  ring->fd = ring->major_fd = -1;
}

/* The calling thread's faults from now on. False: the kernel gives no event, or no ring at all. What
 * memory it may lock is limited (RLIMIT_MEMLOCK, kernel.perf_event_mlock_kb): a smaller ring is better than
 * none, it only loses records sooner. */
static inline bool gcb_fault_ring_open(gcb_fault_ring *ring, size_t bytes) {
  size_t page = GCB_PAGE;
  *ring = (gcb_fault_ring){.fd = gcb_fault_event(PERF_COUNT_SW_PAGE_FAULTS_MIN, true), .in_kernel = true};
  if (ring->fd < 0) {
    ring->in_kernel = false;
    ring->fd = gcb_fault_event(PERF_COUNT_SW_PAGE_FAULTS_MIN, false);
  }
  ring->major_fd = gcb_fault_event(PERF_COUNT_SW_PAGE_FAULTS_MAJ, ring->in_kernel);
  for (ring->bytes = bytes; ring->bytes >= page && ring->fd >= 0 && ring->major_fd >= 0; ring->bytes /= 2) {
    void *mapped = mmap(NULL, page + ring->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, ring->fd, 0);
    if (mapped == MAP_FAILED)
      continue;
    ring->page = mapped;
    ring->data = (char *)mapped + page;
    /* Now, and not at a first look inside a pause. */
    (void)madvise(mapped, page + ring->bytes, MADV_POPULATE_WRITE);
    if (ioctl(ring->major_fd, PERF_EVENT_IOC_SET_OUTPUT, ring->fd) == 0)
      return true;
    break;
  }
  gcb_fault_ring_close(ring);
  return false;
}

static inline uint64_t gcb_fault_word(const gcb_fault_ring *ring, uint64_t at) {
  uint64_t word;
  memcpy(&word, ring->data + (at & (ring->bytes - 1)), sizeof word); /* records are aligned to eight bytes */
  return word;
}

enum { GCB_FAULT_AHEAD = 16 * 16 }; /* bytes of the ring: so many records of a sample */

/* Adds the pages of the range that the thread has faulted on since the last drain. False: records may have
 * been lost, and only a look at the page tables, begun after this drain, can tell what they were; the caller
 * takes that look before the next drain.
 *
 * A ring without room loses what comes, and says so (PERF_RECORD_LOST) only with the next record that finds
 * room, which may never come. So it is taken to have lost some as soon as it may have been full: a kernel
 * that found no room saw the tail of this drain or the last, and a head not beyond today's.
 *
 * `keep`: the records stay in the ring, for a drain that has more time. */
static inline bool gcb_fault_ring_drain(gcb_fault_ring *ring, const gcb_range *range, gcb_dirty_set *set,
                                        bool keep) {
  enum { ROOM = 64 }; /* for a sample and a notice of loss */
  _Atomic uint64_t *shared_head = (_Atomic uint64_t *)(void *)&ring->page->data_head,
                   *shared_tail = (_Atomic uint64_t *)(void *)&ring->page->data_tail;
  /* acquire: the records up to the head are written (the ring's protocol) */
  uint64_t head = atomic_load_explicit(shared_head, memory_order_acquire), at = ring->tail;
  bool complete = head - ring->before <= ring->bytes - ROOM;
  while (at < head) {
    /* The addresses are all known, and in a large heap each is two cache misses in the set: many at a time.
     */
    if (head - at > GCB_FAULT_AHEAD + sizeof(uint64_t)) {
      uint64_t ahead =
          (gcb_fault_word(ring, at + GCB_FAULT_AHEAD + sizeof(uint64_t)) - (uintptr_t)range->base) >>
          GCB_PAGE_SHIFT;
      if (ahead < set->granules) {
        __builtin_prefetch(&set->words[ahead >> 6], 1);
        __builtin_prefetch(&set->summary[ahead >> 12], 1);
      }
    }
    struct perf_event_header record;
    uint64_t first = gcb_fault_word(ring, at);
    memcpy(&record, &first, sizeof record);
    if (record.type == PERF_RECORD_SAMPLE) {
      uint64_t offset = gcb_fault_word(ring, at + sizeof record) - (uintptr_t)range->base;
      if (offset < range->bytes)
        gcb_dirty_add(set, offset >> GCB_PAGE_SHIFT, 1);
    } else if (record.type == PERF_RECORD_LOST || record.type == PERF_RECORD_THROTTLE)
      complete = false;
    if (record.size == 0) { /* no record at all */
      complete = false;
      break;
    }
    at += record.size;
  }
  if (keep)
    return complete;
  /* release: the kernel may write over what was read, once it was (the ring's protocol) */
  atomic_store_explicit(shared_tail, head, memory_order_release);
  ring->before = complete ? ring->tail : head;
  ring->tail = head;
  return complete;
}

#endif
