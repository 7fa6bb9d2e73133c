/* Linear layers of which whole blocks of 16 outputs by one input are zero: description, tiles of rows, and plain C. */
#include "sparse.h"

#include <string.h>

#include "lanes.h"
#include "parallel.h"
#include "product.h"

enum { ROWS_DIM, INPUTS_DIM, OUTPUTS_DIM, ACT_DIM, BLOCKS_DIM, DIMS };
enum { VALUES, COLUMNS, ENDS, BIAS, ARRAYS };
enum { INPUT, OUTPUT, SLOTS };
enum { PADDED_BIAS };

enum { CHUNK_BYTES = 384 << 10 }; /* of activations that every block row reads: they stay in a cache of 1 MB */

static int64_t block_rows_of(int64_t outputs) { return quotient_up(outputs, SPARSE_BLOCK); }

/* The indices are read while it runs, but they are the caller's memory: prepare() copies what it has checked. */
static const char *check_indices(const Op *op) {
    const int32_t *columns = op->array[COLUMNS], *ends = op->array[ENDS];
    const int64_t blocks = op->dim[BLOCKS_DIM], block_rows = block_rows_of(op->dim[OUTPUTS_DIM]);
    for (int64_t i = 0; i < blocks; i++)
        if (columns[i] < 0 || columns[i] >= op->dim[INPUTS_DIM]) return "a block's column is not an input";
    for (int64_t i = 0; i < block_rows; i++)
        if (ends[i] < (i ? ends[i - 1] : 0)) return "the ends of the block rows decrease";
    return ends[block_rows - 1] == blocks ? NULL : "the last block row does not end with the last block";
}

static const char *check(const Op *op, const int64_t *slot_bytes) {
    if (op->slot_count != SLOTS || op->dim_count != DIMS || op->scalar_count != 0 || op->array_count != ARRAYS)
        return "linear_bs16 takes 2 slots, 5 dimensions and 4 arrays";
    for (int i = ROWS_DIM; i <= OUTPUTS_DIM; i++)
        if (op->dim[i] < 1 || op->dim[i] > LARGEST_DIM) return "a dimension is not within 1 and 2**28";
    if (op->dim[ACT_DIM] < ACT_NONE || op->dim[ACT_DIM] > ACT_RELU) return "an unknown activation";
    const int64_t rows = op->dim[ROWS_DIM], outputs = op->dim[OUTPUTS_DIM], blocks = op->dim[BLOCKS_DIM];
    if (blocks < 0 || blocks > INT32_MAX) return "the number of blocks is not within 0 and 2**31 - 1";
    if (slot_bytes[INPUT] != rows * op->dim[INPUTS_DIM] * 4 || slot_bytes[OUTPUT] != rows * outputs * 4)
        return "a slot does not have the size that the dimensions say";
    if (op->array_bytes[VALUES] != blocks * SPARSE_BLOCK * 4 || op->array_bytes[COLUMNS] != blocks * 4)
        return "there is not one column and 16 values for each block";
    if (blocks && (!op->array[VALUES] || !op->array[COLUMNS])) return "the blocks have no values or no columns";
    if (!op->array[ENDS] || op->array_bytes[ENDS] != block_rows_of(outputs) * 4)
        return "the ends are not one for each 16 outputs";
    if (op->array[BIAS] && op->array_bytes[BIAS] != outputs * 4) return "the bias is not one for each output";
    return check_indices(op);
}

static int copy(Op *op, int which, int64_t padding) {
    char *to = tt_alloc(op, which, op->array_bytes[which] + padding);
    if (!to) return -1;
    if (op->array_bytes[which]) memcpy(to, op->array[which], (size_t)op->array_bytes[which]);
    memset(to + op->array_bytes[which], 0, (size_t)padding);
    return 0;
}

/* Copies are aligned, and nobody changes an index after it was checked. */
static int prepare(Op *op) {
    if (copy(op, VALUES, 0) || copy(op, COLUMNS, SPARSE_AHEAD * 4) || copy(op, ENDS, 0)) return -1;
    const int64_t outputs = op->dim[OUTPUTS_DIM], padded = block_rows_of(outputs) * SPARSE_BLOCK;
    float *bias = tt_alloc(op, BIAS, padded * 4);
    if (!bias) return -1;
    memset(bias, 0, (size_t)padded * 4);
    if (op->array[BIAS]) memcpy(bias, op->array[BIAS], (size_t)outputs * 4);
    return 0;
}

/* ---- Plain C ---- */

enum { PIECES = SPARSE_BLOCK / LANES };

static inline __attribute__((always_inline)) void portable(const Sparse *s, const SparseTile *t, int rows) {
    Lanes sum[LANES_ROWS][PIECES];
    for (int r = 0; r < rows; r++) memcpy(sum[r], s->bias + t->block_row * SPARSE_BLOCK, sizeof sum[r]);
    for (int64_t i = t->block_row ? s->ends[t->block_row - 1] : 0; i < s->ends[t->block_row]; i++) {
        const float *x = t->x + (int64_t)s->columns[i] * rows;
        for (int r = 0; r < rows; r++)
            for (int p = 0; p < PIECES; p++) sum[r][p] = multiply_add(sum[r][p], x[r], ((const Lanes *)(s->values + i * SPARSE_BLOCK))[p]);
    }
    const int64_t first = t->block_row * SPARSE_BLOCK, count = least(SPARSE_BLOCK, s->outputs - first);
    for (int r = 0; r < t->rows; r++) {
        float all[SPARSE_BLOCK], *y = s->y + (t->row + r) * s->outputs + first;
        memcpy(all, sum[r], sizeof all);
        for (int64_t i = 0; i < count; i++) y[i] = s->act == ACT_RELU && all[i] < 0 ? 0 : all[i];
    }
}

static void portable_one(const Sparse *s, const SparseTile *t) { portable(s, t, 1); }
static void portable_tile(const Sparse *s, const SparseTile *t) { portable(s, t, LANES_ROWS); }
static const SparseKernel portable_kernel = {portable_one, portable_tile, LANES_ROWS};

static const SparseKernel *kernel_of(int isa) {
#ifdef TT_X86
    if (isa == ISA_AVX512) return &tt_sparse_avx512;
    if (isa == ISA_AVX2) return &tt_sparse_avx2;
#endif
    (void)isa;
    return &portable_kernel;
}

/* ---- Running ---- */

static int64_t scratch(const Op *op, int64_t batch, int threads) {
    (void)threads;
    const int64_t rows = batch * op->dim[ROWS_DIM], inputs = op->dim[INPUTS_DIM];
    if ((double)rows * (double)inputs > 1e15) return -1;
    return rows > 1 ? (rows + kernel_of(op->isa)->rows) * inputs * 4 : 0;
}

/* A product, how it is computed, and how many rows go through all block rows in turn. */
typedef struct {
    Sparse product;
    const SparseKernel *kernel;
    const float *source; /* (rows, inputs) */
    float *tiles;        /* the same by tiles, each input by input */
    int64_t block_rows, chunk;
} Task;

/* Rows beyond the last are zeros. Sixteen inputs of a row, one line of memory, at a time: rows of 4 KB share few places in
   a cache, and a line would be gone before its second input is read. */
static void transpose_tile(const void *task, int64_t item, int thread) {
    (void)thread;
    const Task *t = task;
    const Sparse *s = &t->product;
    const int64_t tile_rows = t->kernel->rows, row = item * tile_rows, rows = least(tile_rows, s->rows - row);
    const float *x = t->source + row * s->inputs;
    float *to = t->tiles + row * s->inputs;
    if (rows < tile_rows) memset(to, 0, (size_t)(tile_rows * s->inputs) * 4);
    for (int64_t first = 0; first < s->inputs; first += 16) {
        const int64_t end = least(first + 16, s->inputs);
        for (int64_t r = 0; r < rows; r++)
            for (int64_t k = first; k < end; k++) to[k * tile_rows + r] = x[r * s->inputs + k];
    }
}

/* One block row for a chunk of rows. */
static void run_block_row(const void *task, int64_t item, int thread) {
    (void)thread;
    const Task *t = task;
    const Sparse *s = &t->product;
    const int64_t block_row = item % t->block_rows, tile_rows = t->kernel->rows;
    if (s->rows == 1) {
        t->kernel->one(s, &(SparseTile){s->x, 0, 1, block_row});
        return;
    }
    int64_t row = item / t->block_rows * t->chunk;
    const int64_t end = least(row + t->chunk, s->rows);
    for (; row < end; row += tile_rows)
        t->kernel->tile(s, &(SparseTile){s->x + row * s->inputs, row, least(tile_rows, end - row), block_row});
}

static void run(const Op *op, const Context *ctx) {
    const SparseKernel *kernel = kernel_of(op->isa);
    const int64_t inputs = op->dim[INPUTS_DIM], outputs = op->dim[OUTPUTS_DIM], tile_bytes = kernel->rows * inputs * 4;
    Task t = {
        .product =
            {
                .values = op->owned[VALUES],
                .columns = op->owned[COLUMNS],
                .ends = op->owned[ENDS],
                .bias = op->owned[BIAS],
                .y = (float *)ctx->slot[op->slot[OUTPUT]],
                .rows = ctx->batch * op->dim[ROWS_DIM],
                .inputs = inputs,
                .outputs = outputs,
                .act = (int)op->dim[ACT_DIM],
            },
        .kernel = kernel,
        .source = (const float *)ctx->slot[op->slot[INPUT]],
        .tiles = (float *)ctx->scratch,
        .block_rows = block_rows_of(outputs),
        .chunk = kernel->rows * (tile_bytes < CHUNK_BYTES ? CHUNK_BYTES / tile_bytes : 1),
    };
    const int64_t rows = t.product.rows;
    const int threads = threads_for(ctx, (double)rows * op->dim[BLOCKS_DIM] * SPARSE_BLOCK, 2e5);
    t.product.x = rows == 1 ? t.source : t.tiles;
    if (rows > 1) tt_for_each(quotient_up(rows, kernel->rows), threads, transpose_tile, &t);
    tt_for_each(t.block_rows * quotient_up(rows, t.chunk), threads, run_block_row, &t);
}

const OpKind tt_sparse_kinds[] = {
    {.name = "linear_bs16", .check = check, .prepare = prepare, .scratch = scratch, .run[ISA_PORTABLE] = run},
    {.name = NULL},
};
