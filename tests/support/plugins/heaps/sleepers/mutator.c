/* Each operation looks at the clock until its time is over, then sleeps. */
#include "gcb_params.h"
#include "gcbarrier.h"

#include <time.h>

static uint64_t now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void gcb_build(gcb_mutator *m) {
  (void)m;
}

void gcb_mutate(gcb_mutator *m) {
  const gcb_params *p = m->params;
  while (gcb_next(m)) {
    for (uint64_t start_ns = now_ns(); now_ns() - start_ns < (uint64_t)p->burn_ns;)
      ;
    gcb_pace(m, p->rate_per_s);
  }
}

uint64_t gcb_checksum(gcb_mutator *m) {
  return m->operations;
}
