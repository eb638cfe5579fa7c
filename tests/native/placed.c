/* Whether there is room to spin for mutators that are put in their places, where this process may run on two
 * processors.
 *
 *     placed PROCESSOR PROCESSOR
 *
 * Exit status 1, with the reason on stdout, where it is not as it should be. */
#include "api.h"
#include "space.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

static int expect(gcb_space *space, const uint32_t *cpus, size_t places, uint32_t mutators, bool room) {
  if (gcb_world_place(&space->world, cpus, places))
    return 1;
  if (gcb_world_has_room(&space->world, mutators) == room)
    return 0;
  printf("%u mutators in %zu places: %s\n", (unsigned)mutators, places, room ? "no room" : "room");
  return 1;
}

int main(int count, char **arguments) {
  if (count != 3)
    return 1;
  uint32_t cpus[2];
  cpu_set_t both;
  CPU_ZERO(&both);
  for (int i = 0; i < 2; i++) {
    cpus[i] = (uint32_t)strtoul(arguments[i + 1], NULL, 10);
    CPU_SET(cpus[i], &both);
  }
  gcb_space *space = gcb_space_new((size_t)1 << 20, 0, NULL, false);
  if (!space || sched_setaffinity(0, sizeof both, &both))
    return 1;
  int wrong = expect(space, cpus, 0, 1, true) + expect(space, cpus, 0, 2, false) +
              expect(space, cpus, 1, 1, true) + expect(space, cpus, 1, 2, false) +
              expect(space, cpus, 2, 2, false);
  gcb_space_free(space);
  return wrong > 0;
}
