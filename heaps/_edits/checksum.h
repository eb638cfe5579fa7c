/* What the checksum of a heap is made with. */
#ifndef GCB_CHECKSUM_H
#define GCB_CHECKSUM_H

#include "gcbarrier.h"

/* -- Checksums. They must survive what they are to find: a header is believed only if it is the one expected,
 * a reference is followed only if it could be one. */
static inline void edits_mix(uint64_t *sum, uint64_t value) {
  uint64_t x = (*sum ^ value) * UINT64_C(0x9e3779b97f4a7c15);
  *sum = x ^ (x >> 29);
}
static inline uint64_t edits_header(uint32_t references, size_t raw_bytes) {
  return (uint64_t)references << 32 | gcb_size(references, raw_bytes) / GCB_GRANULE;
}
/* Whether a reference has the alignment of an object and lies no further from another than a heap is large.
 */
static inline bool edits_plausible(gcb_ref reference, gcb_ref near) {
  uintptr_t a = (uintptr_t)reference, b = (uintptr_t)near;
  return a && b && a % GCB_GRANULE == 0 && (a > b ? a - b : b - a) >> 36 == 0;
}

#endif
