/* Reads the bits and then protects the whole range: a page that is first written between the two is never
 * reported. The racing stores must show it. */
#define gcb_barrier_definition sound
#include "../../gcbarrier/barriers/uffd_wp_pagemap.c"
#undef gcb_barrier_definition

static int open_sound(gcb_barrier *barrier) {
  return sound.open(barrier);
}
static int arm_sound(gcb_barrier *barrier) {
  return sound.arm(barrier);
}

static int collect_in_two_steps(gcb_barrier *barrier, bool rearm, gcb_dirty_set *dirty) {
  if (sound.collect(barrier, false, dirty))
    return -1;
  return rearm ? sound.arm(barrier) : 0;
}

GCB_BARRIER = {.open = open_sound,
               .arm = arm_sound,
               .collect = collect_in_two_steps,
               .close = gcb_pagetables_close,
               .tracks = true};
