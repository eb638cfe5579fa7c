/* The card table: a byte for each card, marked by mutators (cards.h), read and cleared here. */
#include "barrier.h"
#include "fence.h"

#include <sys/mman.h>

#ifndef GCB_CARDS_CONDITIONAL
#define GCB_CARDS_CONDITIONAL 0 /* 1: mutators test a card before they mark it */
#endif
#define CARD_SHIFT ((unsigned)__builtin_ctz(GCB_PARAM_card_bytes))

static size_t cards_of(const gcb_barrier *barrier) {
  return barrier->range.bytes >> CARD_SHIFT;
}

static int open_barrier(gcb_barrier *barrier) {
  void *table = mmap(NULL, cards_of(barrier), PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  if (table == MAP_FAILED)
    return gcb_set_error("no memory for a card table of %zu bytes", cards_of(barrier));
  barrier->state = table;
  barrier->granule_shift = CARD_SHIFT;
  return GCB_CARDS_CONDITIONAL ? gcb_fence_open() : 0;
}

static int attach(gcb_barrier *barrier, uintptr_t *words, uint32_t mutator) {
  (void)mutator;
  words[0] = (uintptr_t)barrier->state - ((uintptr_t)barrier->range.base >> CARD_SHIFT);
  return 0;
}

/* A mark that a mutator sets meanwhile is one too many, or cleared, and then what it stood for has to be
 * visible to the marker: the fence keeps the marker's loads behind the clearing. A conditional mark may be
 * missing because of a test that came before the clearing; the mutators' fence makes that store visible. */
static int arm(gcb_barrier *barrier) {
  _Atomic uint64_t *words = barrier->state;
  /* relaxed: ordered by the fence */
  for (size_t word = 0; word < cards_of(barrier) / 8; word++)
    if (atomic_load_explicit(&words[word], memory_order_relaxed))
      atomic_store_explicit(&words[word], 0, memory_order_relaxed);
  atomic_thread_fence(memory_order_seq_cst);
  return GCB_CARDS_CONDITIONAL ? gcb_fence_mutators() : 0;
}

static int collect(gcb_barrier *barrier, bool rearm, gcb_dirty_set *dirty) {
  _Atomic uint8_t *cards = barrier->state;
  /* Eight cards at a time: most are clean. relaxed: the exchange below is what counts. */
  const _Atomic uint64_t *words = barrier->state;
  for (size_t word = 0; word < cards_of(barrier) / 8; word++) {
    if (atomic_load_explicit(&words[word], memory_order_relaxed) == 0)
      continue;
    for (size_t card = word * 8; card < word * 8 + 8; card++) {
      if (!atomic_load_explicit(&cards[card], memory_order_relaxed))
        continue;
      /* acquire: pairs with the mark's release. An exchange, and not a store: the page is read after this
       * returns, and a mark set from here on must not be taken for the one that is cleared. */
      if (rearm)
        (void)atomic_exchange_explicit(&cards[card], 0, memory_order_acq_rel);
      else
        atomic_thread_fence(memory_order_acquire);
      gcb_dirty_add(dirty, card, 1);
    }
  }
  return 0;
}

static void close_barrier(gcb_barrier *barrier) {
  if (barrier->state)
    munmap(barrier->state, cards_of(barrier));
  barrier->state = NULL;
}

GCB_BARRIER = {.open = open_barrier,
               .arm = arm,
               .collect = collect,
               .close = close_barrier,
               .attach = attach,
               .tracks = true,
               .stores_only = true};
