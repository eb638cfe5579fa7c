/* Which of many things is taken how often: pages that are written, records that are asked for. */
#ifndef GCB_SAMPLER_H
#define GCB_SAMPLER_H

#include "gcbarrier.h"

#include <math.h>

/* Which pages are written how often. Rank 0 is the hottest of `hot` pages, which lie evenly spread over all
 * `pages`. Pages are counted in allocation order: an address would make the run depend on the collector. */
typedef struct edits_sampler {
  uint32_t pages, hot, stride;
  uint64_t spacing; /* pages from one hot page to the next, as a 32.32 fixed-point number */
  double exponent, first, last, shortcut;
} edits_sampler;

/* -- Zipf ranks: rejection-inversion, W. Hoermann and G. Derflinger, "Rejection-inversion to generate
 * variates from monotone discrete distributions", ACM TOMACS 6(3), 1996. No table, for any exponent and any
 * number of pages: a table of the hot pages would itself take the cache that the mutator is measured with. */

/* (exp(x) - 1) / x and log(1 + x) / x, good near 0, where the exponent is near 1 */
static inline double edits_exp_ratio(double x) {
  return fabs(x) > 1e-8 ? expm1(x) / x : 1 + x / 2;
}
static inline double edits_log_ratio(double x) {
  return fabs(x) > 1e-8 ? log1p(x) / x : 1 - x / 2;
}
/* The density x^-exponent, its integral from 1, and that one's inverse. */
static inline double edits_density(double exponent, double x) {
  return exp(-exponent * log(x));
}
static inline double edits_integral(double exponent, double x) {
  double logarithm = log(x);
  return edits_exp_ratio((1 - exponent) * logarithm) * logarithm;
}
static inline double edits_inverse(double exponent, double area) {
  double scaled = area * (1 - exponent);
  return exp(edits_log_ratio(scaled < -1 ? -1 : scaled) * area); /* rounding may go below -1 */
}

static inline uint32_t edits_zipf_rank(gcb_mutator *m, const edits_sampler *s) {
  for (;;) {
    double area = s->last + gcb_random_unit(m) * (s->first - s->last);
    double x = edits_inverse(s->exponent, area), k = floor(x + 0.5);
    k = k < 1 ? 1 : k > s->hot ? s->hot : k;
    if (k - x <= s->shortcut || area >= edits_integral(s->exponent, k + 0.5) - edits_density(s->exponent, k))
      return (uint32_t)k - 1;
  }
}

static inline uint32_t edits_common_divisor(uint32_t a, uint32_t b) {
  while (b) {
    uint32_t rest = a % b;
    a = b;
    b = rest;
  }
  return a;
}

static inline void edits_sampler_start(edits_sampler *s, uint32_t pages, double hot_share, double exponent) {
  double hot = ceil(hot_share * pages);
  s->pages = pages;
  s->hot = hot < 1 ? 1 : hot > pages ? pages : (uint32_t)hot;
  s->spacing = ((uint64_t)pages << 32) / s->hot;
  /* Neighbours in rank must not be neighbours in the heap: a step near the golden section, without a divisor
   * in common so that every page has one rank. */
  s->stride = (uint32_t)(0.6180339887498949 * s->hot) | 1;
  while (edits_common_divisor(s->hot, s->stride) != 1)
    s->stride++;
  s->exponent = exponent;
  s->first = edits_integral(exponent, 1.5) - 1;
  s->last = edits_integral(exponent, s->hot + 0.5);
  s->shortcut = 2 - edits_inverse(exponent, edits_integral(exponent, 2.5) - edits_density(exponent, 2));
}

static inline uint32_t edits_page(gcb_mutator *m, const edits_sampler *s) {
  uint64_t at =
      s->exponent > 0 ? (uint64_t)edits_zipf_rank(m, s) * s->stride % s->hot : gcb_random_below(m, s->hot);
  return (uint32_t)((at * s->spacing) >> 32);
}

#endif
