/* Products of rows with int8 weights: check, packing, and how the work is cut into tiles.

linear_i8 rounds its rows to int8 and multiplies integers. A block of rows is rounded into scratch, then multiplied by
one panel of weights after the other: a panel stays in the first-level cache for all rows of the block. */
#include "int8.h"
#include "int8_weights.h"

#include <math.h>
#include <string.h>

enum { WEIGHTS, PARAMETERS };                                        /* of Op.owned */
enum { W, W_SCALE, BIAS, X_SCALE, OUT_SCALE, ARRAYS };               /* of Op.array */
enum { ROWS, I, O, ACT, IN_TYPE, OUT_TYPE, SCALES, DIMS };           /* of Op.dim */
enum { FLOAT32, INT8 };                                              /* of a slot */
enum {
    MOST_INPUTS = INT32_MAX / (127 * 128), /* more products of bytes could overflow a sum */
    BLOCK_ROWS = MOST_TILE_ROWS,           /* a multiple of TILE_ROWS; so many rows fit the second-level cache */
    TILE_ROWS = 12,                        /* the most rows that a product takes at once */
    LINE = 64,                             /* bytes of a cache line */
    ALONE = 1 << 19,                       /* multiplications below which a thread takes longer to wake than to help */
};

static int64_t rounded_up(int64_t n, int64_t multiple) { return (n + multiple - 1) / multiple * multiple; }

static const Int8Product *product_of(int isa) {
#ifdef TT_X86
    if (isa == ISA_AVX512) {
        return &tt_int8_product_avx512;
    }
    if (isa == ISA_AVX2) {
        return &tt_int8_product_avx2;
    }
#endif
#ifdef TT_ARM
    if (isa == ISA_NEON) {
        return &tt_int8_product_neon;
    }
#endif
    (void)isa;
    return &tt_int8_product_portable;
}

/* ---- Check and prepare ---- */

static const char *check_sizes(const Op *op, const int64_t *slot_bytes) {
    const int64_t *dim = op->dim;
    int64_t in_bytes, out_bytes, weight_bytes;
    if (__builtin_mul_overflow(dim[ROWS], dim[I] * (dim[IN_TYPE] == INT8 ? 1 : 4), &in_bytes) ||
        __builtin_mul_overflow(dim[ROWS], dim[O] * (dim[OUT_TYPE] == INT8 ? 1 : 4), &out_bytes) ||
        __builtin_mul_overflow(dim[O], dim[I], &weight_bytes)) {
        return "the sizes overflow";
    }
    if (slot_bytes[0] != in_bytes || slot_bytes[1] != out_bytes) {
        return "a slot does not have the size that the dimensions say";
    }
    const int64_t expected[ARRAYS] = {weight_bytes, 4 * dim[SCALES], 4 * dim[O], 4, 4};
    for (int i = 0; i < op->array_count; i++) {
        if (op->array[i] && op->array_bytes[i] != expected[i]) {
            return "an array does not have the size that the dimensions say";
        }
    }
    return op->array[W] && op->array[W_SCALE] ? NULL : "there are no weights or no scales";
}

static int is_between(int64_t value, int64_t least, int64_t most) { return value >= least && value <= most; }

static const char *check_dims(const int64_t *dim) {
    if (!is_between(dim[ROWS], 1, INT32_MAX) || !is_between(dim[I], 1, MOST_INPUTS) || !is_between(dim[O], 1, INT32_MAX)) {
        return "a dimension is out of range";
    }
    if (!is_between(dim[ACT], ACT_NONE, ACT_RELU) || (dim[SCALES] != 1 && dim[SCALES] != dim[O])) {
        return "an unknown activation, or neither one scale nor one an output";
    }
    return NULL;
}

static const char *check(const Op *op, const int64_t *slot_bytes) {
    if (op->slot_count != 2 || op->dim_count != DIMS || op->scalar_count != 0 || op->array_count != ARRAYS) {
        return "linear_i8 takes 2 slots, 7 dimensions and 5 arrays";
    }
    if (!is_between(op->dim[IN_TYPE], FLOAT32, INT8) || !is_between(op->dim[OUT_TYPE], FLOAT32, INT8)) {
        return "an unknown type of a slot";
    }
    if ((op->dim[IN_TYPE] == INT8 && !op->array[X_SCALE]) || (op->dim[OUT_TYPE] == INT8 && !op->array[OUT_SCALE])) {
        return "a slot of int8 without its scale";
    }
    const char *problem = check_dims(op->dim);
    return problem ? problem : check_sizes(op, slot_bytes);
}

/* Lay the weights out as Int8Tile wants them, and sum those of each output. `packed` and `sums` are zeros. */
static void pack(const Int8Product *p, const int8_t *weights, int64_t in, int64_t out, int8_t *packed, int32_t *sums) {
    const int64_t width = p->width, step_bytes = p->lanes * width, panel_bytes = rounded_up(in, width) * p->lanes;
    for (int64_t o = 0; o < out; o++) {
        const int8_t *row = weights + o * in;
        int8_t *lane = packed + o / p->lanes * panel_bytes + o % p->lanes * width;
        for (int64_t i = 0; i < in; i += width, lane += step_bytes) {
            memcpy(lane, row + i, (size_t)(in - i < width ? in - i : width));
        }
        for (int64_t i = 0; i < in; i++) {
            sums[o] += row[i];
        }
    }
}

static int prepare(Op *op) {
    const Int8Product *product = product_of(op->isa);
    const int64_t in = op->dim[I], out = op->dim[O], padded = rounded_up(out, product->lanes);
    int8_t *packed = tt_alloc(op, WEIGHTS, padded * rounded_up(in, product->width));
    float *scale = tt_alloc(op, PARAMETERS, padded * 12);
    if (!packed || !scale) {
        return -1;
    }
    float *bias = scale + padded;
    int32_t *start = (int32_t *)(bias + padded);
    const float *w_scale = op->array[W_SCALE], *given_bias = op->array[BIAS];
    pack(product, op->array[W], in, out, packed, start);
    for (int64_t o = 0; o < padded; o++) {
        const int is_output = o < out;
        scale[o] = !is_output ? 0.0f : w_scale[op->dim[SCALES] == 1 ? 0 : o];
        bias[o] = is_output && given_bias ? given_bias[o] : -0.0f;
        start[o] = (int32_t)(0u - product->flip * (uint32_t)start[o]); /* q + 128 adds 128 times the sum of the weights */
    }
    return 0;
}

/* ---- Run ---- */

/* How the rows of a call are cut, and where a block's numbers lie in scratch. */
typedef struct {
    int64_t rows, block_rows, x_stride;
    int64_t x_at, y_at, bytes; /* of a block in scratch: the scales are first; y only where the output is int8 */
    int threads;
} Cut;

static Cut cut(const Op *op, int64_t batch, int threads) {
    Cut c = {.rows = batch * op->dim[ROWS], .threads = threads};
    const int64_t share = rounded_up((c.rows + threads - 1) / threads, TILE_ROWS);
    c.block_rows = c.rows < TILE_ROWS ? c.rows : share < BLOCK_ROWS ? share : BLOCK_ROWS;
    /* An odd number of lines: at a power of two all rows of a tile would compete for the same places in the cache. */
    c.x_stride = rounded_up(op->dim[I], LINE) | LINE;
    c.x_at = rounded_up(c.block_rows * 4, LINE);
    c.y_at = c.x_at + c.block_rows * c.x_stride;
    c.bytes = c.y_at + (op->dim[OUT_TYPE] == INT8 ? rounded_up(c.block_rows * op->dim[O] * 4, LINE) : 0);
    return c;
}

static int64_t scratch(const Op *op, int64_t batch, int threads) {
    int64_t rows;
    if (__builtin_mul_overflow(batch, op->dim[ROWS], &rows)) {
        return -1;
    }
    return cut(op, batch, threads).bytes * threads;
}

/* One block of rows on its way: the rows from `first` on, in scratch at `memory`. */
typedef struct {
    const Op *op;
    const Context *ctx;
    const Int8Product *product;
    const Int8Rows *rounding;
    const Cut *cut;
    char *memory;
    int64_t first, rows;
} Block;

/* Copy int8 that were rounded before; not 0 if one of them stands for a NaN. */
static int copy_integers(const int8_t *x, int64_t n, uint8_t flip, uint8_t *q) {
    uint8_t nans = 0; /* of the same size as what is copied: then a vector holds as many of them */
    for (int64_t i = 0; i < n; i++) {
        nans |= (uint8_t)(x[i] == INT8_NAN);
        q[i] = (uint8_t)x[i] ^ flip;
    }
    return nans;
}

static void round_rows(const Block *b) {
    const int64_t in = b->op->dim[I];
    const char *slot = b->ctx->slot[b->op->slot[0]];
    const float *static_scale = b->op->array[X_SCALE];
    const uint8_t flip = b->product->flip;
    float *scales = (float *)b->memory;
    for (int64_t row = 0; row < b->rows; row++) {
        uint8_t *q = (uint8_t *)b->memory + b->cut->x_at + row * b->cut->x_stride;
        const int64_t at = (b->first + row) * in;
        if (b->op->dim[IN_TYPE] == FLOAT32) {
            scales[row] = tt_int8_row(b->rounding, (const float *)slot + at, in, static_scale, flip, q);
        } else {
            scales[row] = copy_integers((const int8_t *)slot + at, in, flip, q) ? NAN : *static_scale;
        }
        memset(q + in, flip, (size_t)(rounded_up(in, b->product->width) - in));
    }
}

/* Multiply the block by the panels from `panel` to before `end`. */
static void multiply(const Block *b, int64_t panel, int64_t end) {
    if (panel == end) {
        return; /* there are more threads than panels */
    }
    const Op *op = b->op;
    const int64_t lanes = b->product->lanes, width = b->product->width, out = op->dim[O];
    const int64_t steps = (op->dim[I] + width - 1) / width, padded = rounded_up(out, lanes);
    const float *scale = op->owned[PARAMETERS], *bias = scale + padded;
    const int32_t *start = (const int32_t *)(bias + padded);
    float *y = op->dim[OUT_TYPE] == INT8 ? (float *)(b->memory + b->cut->y_at)
                                         : (float *)b->ctx->slot[op->slot[1]] + b->first * out;
    const int64_t at = panel * lanes, stop = end * lanes < out ? end * lanes : out;
    const Int8Tile tile = {
        .weights = (const int8_t *)op->owned[WEIGHTS] + at * steps * width,
        .start = start + at,
        .weight_scale = scale + at,
        .bias = bias + at,
        .x = (const uint8_t *)b->memory + b->cut->x_at,
        .x_scale = (const float *)b->memory,
        .y = y + at,
        .steps = steps,
        .rows = b->rows,
        .x_stride = b->cut->x_stride,
        .y_stride = out,
        .outputs = stop - at,
        .act = (int)op->dim[ACT],
    };
    b->product->product(&tile);
}

static void store_integers(const Block *b) {
    const int64_t out = b->op->dim[O];
    const float *y = (const float *)(b->memory + b->cut->y_at), *scale = b->op->array[OUT_SCALE];
    uint8_t *slot = (uint8_t *)b->ctx->slot[b->op->slot[1]] + b->first * out;
    (void)b->rounding->round(y, b->rows * out, *scale, FLIP_NONE, slot); /* a NaN is marked in the slot */
}

static void run_block(const Block *b, int threads) {
    const int64_t panels = (b->op->dim[O] + b->product->lanes - 1) / b->product->lanes;
    round_rows(b);
    if (threads == 1) {
        multiply(b, 0, panels);
    } else {
#pragma omp parallel for num_threads(threads)
        for (int part = 0; part < threads; part++) {
            multiply(b, panels * part / threads, panels * (part + 1) / threads);
        }
    }
    if (b->op->dim[OUT_TYPE] == INT8) {
        store_integers(b);
    }
}

/* Every `threads`-th block from number `part` on; `inner` threads share a block. */
static void run_blocks(const Block *whole, int part, int threads, int inner) {
    Block b = *whole;
    b.memory += part * b.cut->bytes;
    for (b.first = part * b.cut->block_rows; b.first < b.cut->rows; b.first += threads * b.cut->block_rows) {
        const int64_t left = b.cut->rows - b.first;
        b.rows = left < b.cut->block_rows ? left : b.cut->block_rows;
        run_block(&b, inner);
    }
}

static void run(const Op *op, const Context *ctx) {
    const Cut c = cut(op, ctx->batch, ctx->threads);
    const int is_small = c.rows * op->dim[I] < ALONE && c.rows * op->dim[I] * op->dim[O] < ALONE;
    const int threads = is_small ? 1 : ctx->threads;
    const Block whole = {
        .op = op, .ctx = ctx, .product = product_of(op->isa), .rounding = tt_int8_rows(op->isa), .cut = &c,
        .memory = ctx->scratch,
    };
    if (threads == 1 || c.rows < (int64_t)threads * TILE_ROWS) {
        run_blocks(&whole, 0, 1, threads);
        return;
    }
#pragma omp parallel for num_threads(threads)
    for (int part = 0; part < threads; part++) {
        run_blocks(&whole, part, threads, 1);
    }
}

const OpKind tt_int8_kinds[] = {
    {.name = "linear_i8", .check = check, .prepare = prepare, .scratch = scratch, .run = {run, run, run, run}},
    {.name = "linear_w8",
     .check = tt_weights_check,
     .prepare = tt_weights_prepare,
     .run = {tt_weights_run, tt_weights_run, tt_weights_run, tt_weights_run}},
    {.name = NULL},
};
