/* The memory of operations' stamps. */
#include "world/stamps.h"
#include "include/error.h"

#include <stdlib.h>
#include <string.h>

int gcb_stamps_new(gcb_stamps *stamps, size_t capacity) {
  *stamps = (gcb_stamps){.capacity = capacity, .kept = malloc(capacity * sizeof *stamps->kept)};
  if (!stamps->kept)
    return gcb_set_error("no memory for the stamps of %zu operations", capacity);
  /* Populated: no fault of it is an operation's. Not with zeros, which would make it a calloc() that is not.
   */
  memset(stamps->kept, 0xff, capacity * sizeof *stamps->kept);
  return 0;
}

void gcb_stamps_free(gcb_stamps *stamps) {
  free(stamps->kept);
  stamps->kept = NULL;
}
