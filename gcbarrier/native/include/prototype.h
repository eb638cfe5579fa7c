/* What a barrier in Python is to the core: two functions and what they are called with. */
#ifndef GCB_PROTOTYPE_H
#define GCB_PROTOTYPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct gcb_prototype {
  int (*arm)(void *self);
  int (*collect)(void *self, bool rearm, uint64_t *words, size_t pages); /* sets the bits of dirty pages */
  void *self;
} gcb_prototype;

/* From Python, for the next space of this thread. */
void gcb_prototype_bind(int (*arm)(void *self),
                        int (*collect)(void *self, bool rearm, uint64_t *words, size_t pages), void *self);
/* What this thread has bound last; a space that is made now is that prototype's. */
gcb_prototype gcb_prototype_bound(void);

#endif
