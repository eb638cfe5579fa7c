/* A heap as a whole: a struct of each folder, by value. Here they are tied to one another (space.c), and here
 * is what Python calls (api.h, api.c). It may include everything but the bench, and only the bench may
 * include it. */
#ifndef GCB_SPACE_H
#define GCB_SPACE_H

#include "cycle/cycle.h"
#include "heap/blocks.h"
#include "mark/marking.h"
#include "memory/metadata.h"
#include "memory/view.h"
#include "watch/watch.h"
#include "world/world.h"

struct gcb_runtime;

typedef struct gcb_space {
  gcb_view view;
  gcb_metadata metadata;
  gcb_watch watch;
  gcb_blocks blocks;
  gcb_marking marking;
  gcb_world world;
  gcb_cycle cycle;
  const struct gcb_runtime *runtime; /* foreign.c; null: mutators allocate from this space */
} gcb_space;

#endif
