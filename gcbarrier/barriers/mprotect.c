/* Page protection and SIGSEGV (mprotect(2), sigaction(2)). A store into a protected page raises the signal;
 * the handler, in the storing thread, makes the page writable, sets its bit, and lets the store run again.
 *
 * Writable first, the bit after. With the bit first, a collect() between the two takes the bit, protects what
 * is protected still, and the store comes after it unreported. As it is, a page is writable without a bit
 * only while some thread is in the handler for it: a collect() at that moment may miss what other threads
 * store there, and the next one has it; with the mutators stopped nobody is in the handler.
 *
 * collect() takes the bits out first and protects after. A handler that is late, because another thread
 * faulted on the same page, may so undo a protection at any moment; it then sets the bit, and the next
 * collect() has the page. And a page may be protected with its bit set: one report too many. Between taking
 * and protecting, stores go unnoticed, but into pages only whose contents are read after collect() has
 * returned. */
#include <signal.h>

#define GCB_FAULT_SIGNAL SIGSEGV
#define GCB_FAULT_CODE SEGV_ACCERR /* mapped, and not permitted */
#include "fault_signals.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

typedef struct watch {
  gcb_fault_range range; /* the first member: the handler hands it back */
  size_t words;
  _Atomic uint64_t *written; /* a bit per page */
  /* The kernel could not split the mapping any further: all is writable, and anything may be written. */
  atomic_bool all_writable;
  uint64_t *taken; /* what this collect() took; the collector's thread only */
} watch;

static int change(const watch *w, size_t first_page, size_t pages, int protection) {
  return mprotect(w->range.base + (first_page << GCB_PAGE_SHIFT), pages << GCB_PAGE_SHIFT, protection);
}

/* One protection for all: the mapping is whole again, so it needs no more mappings than there are. */
static int make_all_writable(watch *w) {
  if (mprotect(w->range.base, w->range.bytes, PROT_READ | PROT_WRITE))
    return -1;
  /* release, and after the change, for the same reason as a page's bit */
  atomic_store_explicit(&w->all_writable, true, memory_order_release);
  return 0;
}

/* In the handler: mprotect() is no more than its system call. */
static bool make_writable(watch *w, size_t page) {
  if (change(w, page, 1, PROT_READ | PROT_WRITE))
    return errno == ENOMEM && make_all_writable(w) == 0;
  /* release: the collector that sees the bit sees the page writable, and doesn't protect it in vain */
  atomic_fetch_or_explicit(&w->written[page >> 6], UINT64_C(1) << (page & 63), memory_order_release);
  return true;
}

static bool gcb_resolve_fault(gcb_fault_range *range, size_t page) {
  return make_writable((watch *)range, page);
}

static int open_barrier(gcb_barrier *barrier) {
  watch *w = calloc(1, sizeof *w);
  barrier->state = w;
  if (!w)
    return gcb_set_error("no memory for the barrier's state");
  w->range.base = barrier->range.base;
  w->range.bytes = barrier->range.bytes;
  w->range.owner = getpid();
  w->words = ((w->range.bytes >> GCB_PAGE_SHIFT) + 63) / 64;
  w->written = calloc(w->words, sizeof *w->written);
  w->taken = calloc(w->words, sizeof *w->taken);
  if (!w->written || !w->taken)
    return gcb_set_error("no memory for the barrier's state");
  return gcb_enter_faults(&w->range);
}

static void close_barrier(gcb_barrier *barrier) {
  watch *w = barrier->state;
  if (!w)
    return;
  (void)change(w, 0, w->range.bytes >> GCB_PAGE_SHIFT, PROT_READ | PROT_WRITE);
  if (w->range.entered)
    gcb_withdraw_faults(&w->range);
  free((void *)w->written);
  free(w->taken);
  free(w);
  barrier->state = NULL;
}

static int too_many_mappings(const watch *w) {
  size_t pages = w->range.bytes >> GCB_PAGE_SHIFT;
  unsigned long limit = 0;
  FILE *file = fopen("/proc/sys/vm/max_map_count", "re");
  if (file) {
    if (fscanf(file, "%lu", &limit) != 1)
      limit = 0;
    fclose(file);
  }
  return gcb_set_error("written pages in between others that were not split the heap into more mappings than "
                       "vm.max_map_count = %lu allows; have root run `sysctl vm.max_map_count=%zu`, or take "
                       "a barrier that splits none",
                       limit, pages + (size_t)limit);
}

static int protect(watch *w, size_t first_page, size_t pages) {
  if (change(w, first_page, pages, PROT_READ) == 0)
    return 0;
  int reason = errno;
  /* Also where it is not for the mappings: what can't be protected counts as written. */
  if (make_all_writable(w) || reason != ENOMEM)
    return gcb_set_error("the heap can't be write-protected: %s", strerror(reason));
  return too_many_mappings(w);
}

/* Forget first, protect after: the other way round, a store that faults in between would be forgotten. One
 * that comes before its page is protected here leaves a bit too many. */
static int arm(gcb_barrier *barrier) {
  watch *w = barrier->state;
  /* relaxed: nothing is read on the strength of what is thrown away */
  atomic_store_explicit(&w->all_writable, false, memory_order_relaxed);
  for (size_t word = 0; word < w->words; word++)
    atomic_store_explicit(&w->written[word], 0, memory_order_relaxed);
  return protect(w, 0, w->range.bytes >> GCB_PAGE_SHIFT);
}

static void take(watch *w, bool out) {
  for (size_t word = 0; word < w->words; word++) {
    /* acquire: pairs with the handler's release. Most words are empty, and an exchange costs more. */
    w->taken[word] = atomic_load_explicit(&w->written[word], memory_order_acquire);
    if (out && w->taken[word])
      w->taken[word] = atomic_exchange_explicit(&w->written[word], 0, memory_order_acq_rel);
  }
}

static int collect(gcb_barrier *barrier, bool rearm, gcb_dirty_set *dirty) {
  watch *w = barrier->state;
  size_t pages = w->range.bytes >> GCB_PAGE_SHIFT;
  int failed = 0;
  take(w, rearm);
  /* Nothing is worth protecting in between what is not. acquire: as for the bits. */
  bool protecting = rearm && !atomic_load_explicit(&w->all_writable, memory_order_acquire);
  for (size_t at = 0, first, end; gcb_next_run(w->taken, &at, pages, &first, &end);) {
    gcb_dirty_add(dirty, first, end - first);
    /* Just what was taken, run by run. */
    if (protecting && !failed)
      failed = protect(w, first, end - first);
  }
  /* It stays so until everything is armed anew: what was written since can't be told any more, and a
   * collector that went on would compare this barrier with others at what it can't do. */
  if (!atomic_load_explicit(&w->all_writable, memory_order_acquire))
    return failed;
  gcb_dirty_add(dirty, 0, pages);
  return failed ? failed : too_many_mappings(w);
}

GCB_BARRIER = {.open = open_barrier, .arm = arm, .collect = collect, .close = close_barrier, .tracks = true};
