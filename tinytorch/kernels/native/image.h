/* What the files of the image family share: one output row of a pool, and a transposition, for each instruction set. */
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

/* The transposition makes (columns, rows) from (rows, columns). */
#define DECLARE_IMAGE(isa)                                                                                                  \
    void tt_max_pool_row_##isa(const PoolRow *);                                                                            \
    void tt_avg_pool_row_##isa(const PoolRow *);                                                                            \
    void tt_transpose_##isa(const float *in, float *out, int64_t rows, int64_t columns);
DECLARE_IMAGE(portable)
DECLARE_IMAGE(avx2)
DECLARE_IMAGE(avx512)

#endif
