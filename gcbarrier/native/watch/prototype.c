/* A barrier whose arm() and collect() are Python's: what barriers/_prototype.c calls. */
#include "include/prototype.h"

static _Thread_local gcb_prototype bound;

void gcb_prototype_bind(int (*arm)(void *), int (*collect)(void *, bool, uint64_t *, size_t), void *self) {
  bound = (gcb_prototype){arm, collect, self};
}

gcb_prototype gcb_prototype_bound(void) {
  return bound;
}
