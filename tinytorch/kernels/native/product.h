/* What the products of the dense, int4 and sparse families divide by, and what they share of how they run. */
#ifndef TT_PRODUCT_H
#define TT_PRODUCT_H
#include "op.h"

enum { LARGEST_DIM = 1 << 28 }; /* two of them times four bytes still fit an int64 */

static inline int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t quotient_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

/* How many threads a product of so many multiplications is worth, where `worth` of them take 5 us or more: a parallel region
   costs 1 to 2. */
static inline int threads_for(const Context *ctx, double multiplications, double worth) {
    return multiplications < worth ? 1 : ctx->threads;
}
#endif
