/* What the files of the image family share: one output row of a pool, for each instruction set. */
#ifndef TT_IMAGE_H
#define TT_IMAGE_H
#include "op.h"

/* The window's rows, `rows` of them, `row_step` numbers apart, from the first that lies in the image. */
typedef struct {
    const float *in;
    int64_t rows, row_step;
    int64_t window_rows;                /* kh */
    int64_t channels, width;            /* of the input */
    int64_t out_width, columns, stride; /* columns: kw */
    int64_t padding;                    /* pixels on either side */
    float *across;                      /* room for a padded row: (width + 2·padding)·channels numbers */
    float *out;
} PoolRow;

#define DECLARE_POOLS(isa) void tt_max_pool_row_##isa(const PoolRow *), tt_avg_pool_row_##isa(const PoolRow *)
DECLARE_POOLS(portable);
DECLARE_POOLS(avx2);
DECLARE_POOLS(avx512);

#endif
