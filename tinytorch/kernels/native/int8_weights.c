/* linear_w8: float32 rows times int8 weights, which are stored and read as bytes and multiplied as float32. */
#include "int8_weights.h"

#include <string.h>

enum { WEIGHTS, PARAMETERS };             /* of Op.owned */
enum { W, W_SCALE, BIAS, ARRAYS };        /* of Op.array */
enum { ROWS, I, O, ACT, SCALES, DIMS };   /* of Op.dim */
enum { ALONE = 1 << 18 };                 /* multiplications below which a thread takes longer to wake than to help */
enum { LANES = 16, CHUNK = 64 };          /* of the products in plain C */
/* Rows that a panel is multiplied with before the next one is. The same for any number of threads: how the rows of a block
   are cut into tiles decides the order of a sum. */
enum { BLOCK_ROWS = 96 };

static const WeightsProduct *product_of(int isa) {
#ifdef TT_X86
    if (isa == ISA_AVX512) {
        return &tt_int8_weights_avx512;
    }
    if (isa == ISA_AVX2) {
        return &tt_int8_weights_avx2;
    }
#endif
    (void)isa;
    return &tt_int8_weights_portable;
}

/* ---- Check and prepare ---- */

static int is_between(int64_t value, int64_t least, int64_t most) { return value >= least && value <= most; }

static const char *check_sizes(const Op *op, const int64_t *slot_bytes) {
    const int64_t *dim = op->dim;
    int64_t in_bytes, out_bytes, weight_bytes;
    if (__builtin_mul_overflow(dim[ROWS], 4 * dim[I], &in_bytes) ||
        __builtin_mul_overflow(dim[ROWS], 4 * dim[O], &out_bytes) ||
        __builtin_mul_overflow(dim[O], dim[I], &weight_bytes)) {
        return "the sizes overflow";
    }
    if (slot_bytes[0] != in_bytes || slot_bytes[1] != out_bytes) {
        return "a slot does not have the size that the dimensions say";
    }
    if (!op->array[W] || !op->array[W_SCALE]) {
        return "there are no weights or no scales";
    }
    if (op->array_bytes[W] != weight_bytes || op->array_bytes[W_SCALE] != 4 * dim[SCALES] ||
        (op->array[BIAS] && op->array_bytes[BIAS] != 4 * dim[O])) {
        return "an array does not have the size that the dimensions say";
    }
    return NULL;
}

const char *tt_weights_check(const Op *op, const int64_t *slot_bytes) {
    if (op->slot_count != 2 || op->dim_count != DIMS || op->scalar_count != 0 || op->array_count != ARRAYS) {
        return "linear_w8 takes 2 slots, 5 dimensions and 3 arrays";
    }
    const int64_t *dim = op->dim;
    if (!is_between(dim[ROWS], 1, INT32_MAX) || !is_between(dim[I], 1, INT32_MAX) || !is_between(dim[O], 1, INT32_MAX)) {
        return "a dimension is out of range";
    }
    if (!is_between(dim[ACT], ACT_NONE, ACT_RELU) || (dim[SCALES] != 1 && dim[SCALES] != dim[O])) {
        return "an unknown activation, or neither one scale nor one an output";
    }
    return check_sizes(op, slot_bytes);
}

int tt_weights_prepare(Op *op) {
    const int64_t lanes = product_of(op->isa)->lanes, in = op->dim[I], out = op->dim[O];
    const int64_t padded = (out + lanes - 1) / lanes * lanes;
    int8_t *packed = tt_alloc(op, WEIGHTS, padded * in);
    float *scale = tt_alloc(op, PARAMETERS, padded * 8);
    if (!packed || !scale) {
        return -1;
    }
    const int8_t *weights = op->array[W];
    const float *given_scale = op->array[W_SCALE], *given_bias = op->array[BIAS];
    for (int64_t o = 0; o < out; o++) {
        scale[o] = given_scale[op->dim[SCALES] == 1 ? 0 : o];
        scale[padded + o] = given_bias ? given_bias[o] : -0.0f; /* which changes nothing, not even a -0.0 */
        for (int64_t i = 0; i < in; i++) {
            packed[(o / lanes * in + i) * lanes + o % lanes] = weights[o * in + i];
        }
    }
    return 0;
}

/* ---- Run ---- */

/* The products number `task` to before `end`: of each block of rows, one by one, with each panel. */
static void run_tasks(const Op *op, const Context *ctx, int64_t task, int64_t end) {
    const WeightsProduct *product = product_of(op->isa);
    const int64_t lanes = product->lanes, in = op->dim[I], out = op->dim[O], rows = ctx->batch * op->dim[ROWS];
    const int64_t panels = (out + lanes - 1) / lanes;
    const float *scale = op->owned[PARAMETERS];
    for (; task < end; task++) {
        const int64_t row = task / panels * BLOCK_ROWS, at = task % panels * lanes;
        const WeightsTile tile = {
            .weights = (const int8_t *)op->owned[WEIGHTS] + at * in,
            .weight_scale = scale + at,
            .bias = scale + panels * lanes + at,
            .x = (const float *)ctx->slot[op->slot[0]] + row * in,
            .y = (float *)ctx->slot[op->slot[1]] + row * out + at,
            .inputs = in,
            .rows = rows - row < BLOCK_ROWS ? rows - row : BLOCK_ROWS,
            .y_stride = out,
            .outputs = out - at < lanes ? out - at : lanes,
            .act = (int)op->dim[ACT],
        };
        product->product(&tile);
    }
}

void tt_weights_run(const Op *op, const Context *ctx) {
    const int64_t lanes = product_of(op->isa)->lanes, rows = ctx->batch * op->dim[ROWS];
    const int64_t tasks = (rows + BLOCK_ROWS - 1) / BLOCK_ROWS * ((op->dim[O] + lanes - 1) / lanes);
    const int is_small = rows * op->dim[I] < ALONE && rows * op->dim[I] * op->dim[O] < ALONE;
    const int threads = is_small ? 1 : ctx->threads;
    if (threads == 1) {
        run_tasks(op, ctx, 0, tasks);
        return;
    }
#pragma omp parallel for num_threads(threads)
    for (int part = 0; part < threads; part++) {
        run_tasks(op, ctx, tasks * part / threads, tasks * (part + 1) / threads);
    }
}

/* ---- Plain C ---- */

static void add_products(const float *x, const float *weights, int64_t inputs, float *sums) {
    float own[LANES]; /* in registers: `sums` might be where x is, as far as a compiler can see */
    memcpy(own, sums, sizeof own);
    for (int64_t i = 0; i < inputs; i++) {
#pragma omp simd
        for (int lane = 0; lane < LANES; lane++) {
            own[lane] += x[i] * weights[i * LANES + lane];
        }
    }
    memcpy(sums, own, sizeof own);
}

/* Weights are made float32 once for all rows, CHUNK inputs at a time. */
static void product_portable(const WeightsTile *t) {
    float sums[BLOCK_ROWS][LANES], weights[CHUNK * LANES];
    memset(sums, 0, (size_t)t->rows * sizeof *sums);
    for (int64_t first = 0; first < t->inputs; first += CHUNK) {
        const int64_t inputs = t->inputs - first < CHUNK ? t->inputs - first : CHUNK;
        for (int64_t i = 0; i < inputs * LANES; i++) {
            weights[i] = t->weights[first * LANES + i];
        }
        for (int64_t row = 0; row < t->rows; row++) {
            add_products(t->x + row * t->inputs + first, weights, inputs, sums[row]);
        }
    }
    for (int64_t row = 0; row < t->rows; row++) {
        float *y = t->y + row * t->y_stride;
        for (int64_t lane = 0; lane < t->outputs; lane++) {
            const float value = sums[row][lane] * t->weight_scale[lane] + t->bias[lane];
            y[lane] = t->act == ACT_RELU && value < 0.0f ? 0.0f : value; /* a NaN stays a NaN */
        }
    }
}

const WeightsProduct tt_int8_weights_portable = {LANES, product_portable};
