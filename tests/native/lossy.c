/* A barrier that loses one page in a thousand of what uffd-wp-async reports, counted and not drawn: the
 * stress program must notice. */
#define gcb_barrier_definition sound
#include "../../gcbarrier/barriers/uffd_wp_async.c"
#undef gcb_barrier_definition

enum { ONE_IN = 1000 };

static int collect_most(gcb_barrier *barrier, bool rearm, gcb_dirty_set *dirty) {
  static size_t counted;
  if (sound.collect(barrier, rearm, dirty))
    return -1;
  for (size_t page = 0; page < dirty->granules; page++) {
    uint64_t bit = UINT64_C(1) << (page & 63), *word = &dirty->words[page >> 6];
    if (*word & bit && ++counted % ONE_IN == 0) {
      *word &= ~bit;
      dirty->count--;
    }
  }
  return 0;
}

static int open_sound(gcb_barrier *barrier) {
  return sound.open(barrier);
}
static int arm_sound(gcb_barrier *barrier) {
  return sound.arm(barrier);
}

GCB_BARRIER = {.open = open_sound,
               .arm = arm_sound,
               .collect = collect_most,
               .close = gcb_pagetables_close,
               .tracks = true};
