/* Bitmaps that several threads read and one writes at a time, word by word. */
#ifndef GCB_BITS_H
#define GCB_BITS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GCB_WORDS(bits) (((bits) + 63) / 64)

static inline uint64_t gcb_word(_Atomic uint64_t *bitmap, size_t word) {
  /* acquire: a bit in `black` says that the object's header is written */
  return atomic_load_explicit(&bitmap[word], memory_order_acquire);
}
static inline bool gcb_bit(_Atomic uint64_t *bitmap, size_t granule) {
  return gcb_word(bitmap, granule >> 6) >> (granule & 63) & 1;
}

/* Without an instruction that not every processor has. */
static inline uint32_t gcb_count_bits(uint64_t bits) {
  bits -= bits >> 1 & UINT64_C(0x5555555555555555);
  bits = (bits & UINT64_C(0x3333333333333333)) + (bits >> 2 & UINT64_C(0x3333333333333333));
  bits = (bits + (bits >> 4)) & UINT64_C(0x0f0f0f0f0f0f0f0f);
  return (uint32_t)(bits * UINT64_C(0x0101010101010101) >> 56);
}

#endif
