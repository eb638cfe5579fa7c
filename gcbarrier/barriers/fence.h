/* An asymmetric fence (membarrier(2)): every running thread of the process passes a full fence while the
 * collector waits, so that the mutators' inline store needs none of its own. */
#ifndef GCB_FENCE_H
#define GCB_FENCE_H

#include "barrier.h"

#include <errno.h>
#include <linux/membarrier.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static inline int gcb_fence_call(int command) {
  if (syscall(SYS_membarrier, command, 0, 0) == 0)
    return 0;
  return gcb_set_error("membarrier(2), which Linux 4.14 and later have, fails: %s", strerror(errno));
}
/* Once, before the first gcb_fence_mutators(). */
static inline int gcb_fence_open(void) {
  return gcb_fence_call(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED);
}
static inline int gcb_fence_mutators(void) {
  return gcb_fence_call(MEMBARRIER_CMD_PRIVATE_EXPEDITED);
}

#endif
