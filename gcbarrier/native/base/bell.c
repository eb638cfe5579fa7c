/* Bells over futexes. */
#include "base/bell.h"
#include "include/event.h"

#include <limits.h>
#include <linux/futex.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

static void futex_wait(_Atomic uint32_t *word, uint32_t seen) {
  syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, seen, NULL, NULL, 0);
}
static void futex_wake_all(_Atomic uint32_t *word) {
  syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

/* Counts the bell on, and pays for a system call only if somebody sleeps on it.
 * seq_cst here and in gcb_wait_busily(): this thread writes `count` and reads `sleepers`, a sleeper writes
 * `sleepers` and then has the kernel read `count`; were either order lost, the sleeper would miss the wake.
 */
void gcb_ring(gcb_bell *bell) {
  atomic_fetch_add_explicit(&bell->count, 1, memory_order_seq_cst);
  if (atomic_load_explicit(&bell->sleepers, memory_order_seq_cst))
    futex_wake_all(&bell->count);
}

uint32_t gcb_heard(gcb_bell *bell) {
  return atomic_load_explicit(&bell->count, memory_order_seq_cst);
}

void gcb_wait_busily(gcb_bell *bell, uint32_t seen, uint64_t spin_ns, bool (*idle)(void *self), void *self) {
  uint64_t until = spin_ns ? gcb_now_ns() + spin_ns : 0;
  for (uint32_t turn = 1; until; turn++) {
    if (gcb_heard(bell) != seen)
      return;
    if (idle && idle(self))
      until = gcb_now_ns() + spin_ns;
    gcb_relax();
    if (turn % 64 == 0 && gcb_now_ns() > until)
      break;
  }
  atomic_fetch_add_explicit(&bell->sleepers, 1, memory_order_seq_cst);
  while (gcb_heard(bell) == seen)
    futex_wait(&bell->count, seen);
  atomic_fetch_sub_explicit(&bell->sleepers, 1, memory_order_relaxed);
}

void gcb_wait_for(gcb_bell *bell, uint32_t seen, uint64_t spin_ns) {
  gcb_wait_busily(bell, seen, spin_ns, NULL, NULL);
}
