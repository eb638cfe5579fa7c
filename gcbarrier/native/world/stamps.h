/* When each operation began and ended: kept in order where there are few enough of them to keep them all.
 * Eight bytes each, so that a million are as many megabytes. */
#ifndef GCB_STAMPS_H
#define GCB_STAMPS_H

#include "include/gcbarrier.h"
#include "include/records.h"

/* Of all mutators together; each has an equal share. */
enum { GCB_STAMPS_AT_MOST = 1 << 20 };

typedef struct gcb_stamps {
  gcb_stamp *kept;
  size_t count, capacity;
  uint64_t first_ns, end_ns; /* where the first began, and the last ended */
  bool lost;                 /* there was one too many, or one that took too long: none counts */
} gcb_stamps;

int gcb_stamps_new(gcb_stamps *stamps, size_t capacity);
void gcb_stamps_free(gcb_stamps *stamps);

/* An operation that ends now and has taken so long; what lies before it was a sleep of its own will. */
static inline void gcb_stamps_keep(gcb_stamps *stamps, uint64_t took_ns, uint64_t now_ns) {
  uint64_t gap_ns = now_ns - stamps->end_ns - took_ns;
  if (GCB_UNLIKELY(stamps->count == stamps->capacity || (took_ns | gap_ns) > UINT32_MAX)) {
    stamps->lost = true;
    return;
  }
  stamps->kept[stamps->count++] = (gcb_stamp){.gap_ns = (uint32_t)gap_ns, .took_ns = (uint32_t)took_ns};
  stamps->end_ns = now_ns;
}

#endif
