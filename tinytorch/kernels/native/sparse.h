/* What the files of the sparse family share: a product that skips blocks of 16 outputs by one input that are zero.

For one row, inputs are read where they are. For several, tiles of rows are laid out input by input, so that the values
of one input for all rows of a tile lie together. */
#ifndef TT_SPARSE_H
#define TT_SPARSE_H
#include "op.h"

enum { SPARSE_BLOCK = 16 };
enum { SPARSE_AHEAD = 8 }; /* blocks whose inputs are prefetched ahead of where a tile's product reads */

typedef struct {
    const float *values;    /* (blocks, SPARSE_BLOCK), by block row */
    const int32_t *columns; /* (blocks), then SPARSE_AHEAD zeros: the input of each block */
    const int32_t *ends;    /* (block rows): where the blocks of each end */
    const float *bias;      /* (block rows, SPARSE_BLOCK) */
    const float *x;         /* (rows, inputs), or the tiles one after the other */
    float *y;               /* (rows, outputs) */
    int64_t rows, inputs, outputs;
    int act;
} Sparse;

/* One block row of a product with one tile of rows. */
typedef struct {
    const float *x; /* (inputs, rows of a tile) */
    int64_t row, rows, block_row;
} SparseTile;

typedef void (*RunSparse)(const Sparse *, const SparseTile *);

/* How an instruction set multiplies: one row, and a tile of `rows`, at least two. */
typedef struct {
    RunSparse one, tile;
    int64_t rows;
} SparseKernel;

#ifdef TT_X86
extern const SparseKernel tt_sparse_avx512, tt_sparse_avx2;
#endif
#endif
