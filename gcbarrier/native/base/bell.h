/* A counter to wait on: who waits looks what it is, looks whether there is anything to wait for, and then
 * waits until it has been rung. */
#ifndef GCB_BELL_H
#define GCB_BELL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct gcb_bell {
  _Atomic uint32_t count, sleepers;
} gcb_bell;

void gcb_ring(gcb_bell *bell);
uint32_t gcb_heard(gcb_bell *bell);
/* Waits until the bell has rung since `seen`: spinning first, for at most spin_ns. */
void gcb_wait_for(gcb_bell *bell, uint32_t seen, uint64_t spin_ns);
/* The same, and while it spins it calls `idle`; a turn in which that had something to do does not count. */
void gcb_wait_busily(gcb_bell *bell, uint32_t seen, uint64_t spin_ns, bool (*idle)(void *self), void *self);

/* In a loop that waits for another thread. */
static inline void gcb_relax(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

#endif
