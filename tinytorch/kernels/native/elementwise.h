/* Elementwise operations and those over rows of a vector; private to elementwise*.c. */
#ifndef TT_ELEMENTWISE_H
#define TT_ELEMENTWISE_H
#include "op.h"

enum { UNARY_RELU = 1, UNARY_SIGMOID, UNARY_TANH, UNARY_GELU };

/* Works on the items from `first` up to `last` of a batch: single values, or whole rows. */
typedef void (*Range)(const Op *, const Context *, int64_t first, int64_t last);

/* Divide the items of a batch among the threads; `size` is the number of values in one item. */
void tt_elementwise_split(const Op *op, const Context *ctx, Range range, int64_t items, int64_t size);

/* The number of values after which affine's repeated factors and offsets begin anew: whole pixels. */
static inline int64_t tt_affine_block(const Op *op) {
    int64_t channels = op->dim[1], pixels = (255 + channels) / channels; /* some 256 values: long enough for a vector loop */
    return channels * pixels;
}

#define DECLARE_ELEMENTWISE(isa)                                                                                            \
    void tt_add_##isa(const Op *, const Context *);                                                                         \
    void tt_affine_##isa(const Op *, const Context *);                                                                      \
    void tt_layer_norm_##isa(const Op *, const Context *);                                                                  \
    void tt_quantize_i8_##isa(const Op *, const Context *);                                                                 \
    void tt_softmax_##isa(const Op *, const Context *);                                                                     \
    void tt_unary_##isa(const Op *, const Context *);
DECLARE_ELEMENTWISE(portable)
DECLARE_ELEMENTWISE(neon)
DECLARE_ELEMENTWISE(avx2)
DECLARE_ELEMENTWISE(avx512)
#endif
