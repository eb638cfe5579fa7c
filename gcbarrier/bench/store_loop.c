/* The loop whose stores native/bench/costs.c times: compiled once for each barrier's inline store, as
 * mutators are.
 */
#include "gcbarrier.h"

void gcb_store_loop(gcb_mutator *m, char *base, size_t stride, size_t places, size_t each, uint32_t slots);

/* `each` stores to each of `places` objects, `stride` bytes apart; over their first `slots` slots in turn. */
void gcb_store_loop(gcb_mutator *m, char *base, size_t stride, size_t places, size_t each, uint32_t slots) {
  for (size_t place = 0; place < places; place++) {
    gcb_ref object = (gcb_ref)(void *)(base + place * stride);
    for (size_t left = each; left > 0;) {
      uint32_t run = left < slots ? (uint32_t)left : slots;
      for (uint32_t slot = 0; slot < run; slot++)
        gcb_store(m, object, slot, object);
      left -= run;
    }
  }
}
