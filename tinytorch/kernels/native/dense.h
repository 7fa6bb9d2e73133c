/* What the files of the dense family share: a float32 product of vectors with a packed matrix. */
#ifndef TT_DENSE_H
#define TT_DENSE_H
#include "op.h"

enum { DENSE_PANEL = 16 }; /* outputs that lie together in the packed matrix: one AVX-512 register, two of AVX2 */

/* y = act(x (rows, inputs) . weights + bias) */
typedef struct {
    const float *x;
    float *y;             /* (rows, stride), of which the first `outputs` of each row are written */
    const float *weights; /* (panels, inputs, DENSE_PANEL), zeros beyond the last output */
    const float *bias;    /* (panels, DENSE_PANEL) */
    int64_t rows, inputs, outputs, stride;
    int act;
} Dense;

/* Some rows of some panels of a product: what one thread computes at a time. */
typedef struct {
    int64_t row, row_end, panel, panel_end;
} DenseBlock;

typedef void (*RunDenseBlock)(const Dense *, const DenseBlock *);

void tt_dense_portable(const Dense *, const DenseBlock *);
void tt_dense_avx512(const Dense *, const DenseBlock *);
void tt_dense_avx2(const Dense *, const DenseBlock *);
#endif
