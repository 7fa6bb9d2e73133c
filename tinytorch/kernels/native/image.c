/* Pools and changes of layout: what is asked for, and rows of work; the portable functions.

   max_pool, avg_pool            slots in, out; dims C, H, W, kh, kw, sh, sw, ph, pw; as kernels/reference.py: padding never
                              wins a maximum, and counts as zeros in a mean
   nchw_to_nhwc, nhwc_to_nchw    slots in, out; dims C, H, W */
#define ROW(name) tt_##name##_pool_row_portable
#include "image_body.h"

#include <string.h>

#include "parallel.h"

enum { C, H, W, KH, KW, SH, SW, PH, PW, LAYOUT_DIMS = W + 1, POOL_DIMS = PW + 1 }; /* of Op.dim */
enum { NUMBERS_A_THREAD = 1 << 15, TILE = 16 }; /* with fewer numbers, waking a thread takes longer than it helps */

typedef void (*RunRow)(const PoolRow *);
typedef void (*Transpose)(const float *in, float *out, int64_t rows, int64_t columns);

static int64_t out_height(const Op *op) {
    return (op->dim[H] + 2 * op->dim[PH] - op->dim[KH]) / op->dim[SH] + 1;
}

static int64_t out_width(const Op *op) {
    return (op->dim[W] + 2 * op->dim[PW] - op->dim[KW]) / op->dim[SW] + 1;
}

/* The bytes of height·width·C floats, or -1 when they are more than any memory holds. */
static int64_t image_bytes(const Op *op, int64_t height, int64_t width) {
    int64_t bytes;
    if (__builtin_mul_overflow(height, width, &bytes) || __builtin_mul_overflow(bytes, 4 * op->dim[C], &bytes))
        return -1;
    return bytes <= (int64_t)1 << 48 ? bytes : -1;
}

static const char *check_image(const Op *op, int dims) {
    if (op->slot_count != 2 || op->dim_count != dims || op->scalar_count || op->array_count)
        return "it takes the slots in and out, no scalars and no arrays";
    if (op->slot[0] == op->slot[1])
        return "in and out must be different slots";
    for (int i = 0; i < dims; i++)
        if (op->dim[i] < (i < PH ? 1 : 0) || op->dim[i] > INT32_MAX)
            return "C, H, W, kernel and stride must be at least 1, padding at least 0";
    return NULL;
}

static const char *check_pool(const Op *op, const int64_t *slot_bytes) {
    const char *wrong = check_image(op, POOL_DIMS);
    if (wrong)
        return wrong;
    const int64_t *d = op->dim;
    if (d[H] + 2 * d[PH] < d[KH] || d[W] + 2 * d[PW] < d[KW])
        return "the window is larger than the padded image";
    if (image_bytes(op, d[H] + 2 * d[PH], d[W] + 2 * d[PW]) < 0 || image_bytes(op, out_height(op), out_width(op)) < 0)
        return "the image is too large";
    if (slot_bytes[0] != image_bytes(op, d[H], d[W]) || slot_bytes[1] != image_bytes(op, out_height(op), out_width(op)))
        return "the slots must hold H·W·C numbers in and H'·W'·C out";
    return NULL;
}

static const char *check_layout(const Op *op, const int64_t *slot_bytes) {
    const char *wrong = check_image(op, LAYOUT_DIMS);
    if (wrong)
        return wrong;
    const int64_t bytes = image_bytes(op, op->dim[H], op->dim[W]);
    return bytes < 0 || slot_bytes[0] != bytes || slot_bytes[1] != bytes ? "both slots must hold H·W·C numbers" : NULL;
}

static int useful_threads(const Op *op, const Context *ctx) {
    const double numbers = (double)ctx->batch * op->dim[H] * op->dim[W] * op->dim[C];
    return numbers < (double)NUMBERS_A_THREAD * ctx->threads ? 1 : ctx->threads;
}

static int64_t row_bytes(const Op *op) {
    return (4 * op->dim[C] * (op->dim[W] + 2 * op->dim[PW]) + 63) / 64 * 64;
}

static int64_t pool_scratch(const Op *op, int64_t batch, int threads) {
    (void)batch;
    return threads * row_bytes(op);
}

typedef struct {
    const Op *op;
    const Context *ctx;
    int64_t height, width; /* of the output */
    RunRow run_row;
} PoolTask;

static void pool_row(const void *task, int64_t item, int thread) {
    const PoolTask *t = task;
    const Op *op = t->op;
    const int64_t *d = op->dim, line = d[W] * d[C], sample = item / t->height;
    const int64_t top = (item - sample * t->height) * d[SH] - d[PH];
    const int64_t first = top < 0 ? 0 : top, end = top + d[KH] < d[H] ? top + d[KH] : d[H];
    PoolRow row = {
        .rows = end > first ? end - first : 0, .row_step = line, .window_rows = d[KH], .channels = d[C], .width = d[W],
        .out_width = t->width, .columns = d[KW], .stride = d[SW], .padding = d[PW],
        .across = (float *)(t->ctx->scratch + thread * row_bytes(op)),
        .out = (float *)t->ctx->slot[op->slot[1]] + item * t->width * d[C],
    };
    if (row.rows) /* a window may lie outside of the image altogether */
        row.in = (const float *)t->ctx->slot[op->slot[0]] + (sample * d[H] + first) * line;
    t->run_row(&row);
}

static void run_pool(const Op *op, const Context *ctx, RunRow run_row) {
    const PoolTask task = {op, ctx, out_height(op), out_width(op), run_row};
    tt_for_each(ctx->batch * task.height, useful_threads(op, ctx), pool_row, &task);
}

/* In tiles of which both sides stay in the nearest cache. */
void tt_transpose_portable(const float *restrict in, float *restrict out, int64_t rows, int64_t columns) {
    for (int64_t i = 0; i < rows; i += TILE)
        for (int64_t j = 0; j < columns; j += TILE)
            for (int64_t y = j; y < j + TILE && y < columns; y++)
                for (int64_t x = i; x < i + TILE && x < rows; x++)
                    out[y * rows + x] = in[x * columns + y];
}

/* Images of three colours: in one pass, which compilers turn into vectors. */
static void interleave3(const float *restrict in, float *restrict out, int64_t count) {
    for (int64_t i = 0; i < count; i++)
        for (int c = 0; c < 3; c++)
            out[3 * i + c] = in[c * count + i];
}

typedef struct {
    const float *in;
    float *out;
    int64_t rows, columns;
    Transpose transpose;
} LayoutTask;

static void change_layout(const void *task, int64_t sample, int thread) {
    const LayoutTask *t = task;
    const int64_t count = t->rows * t->columns;
    const float *in = t->in + sample * count;
    float *out = t->out + sample * count;
    (void)thread;
    if (t->rows == 1 || t->columns == 1)
        memcpy(out, in, (size_t)(4 * count));
    else if (t->rows == 3)
        interleave3(in, out, t->columns);
    else
        t->transpose(in, out, t->rows, t->columns);
}

static void run_layout(const Op *op, const Context *ctx, Transpose transpose, int64_t rows, int64_t columns) {
    const LayoutTask task = {
        (const float *)ctx->slot[op->slot[0]], (float *)ctx->slot[op->slot[1]], rows, columns, transpose,
    };
    tt_for_each(ctx->batch, useful_threads(op, ctx), change_layout, &task);
}

#define DEFINE_RUNS(isa)                                                                                                    \
    static void max_pool_##isa(const Op *op, const Context *ctx) { run_pool(op, ctx, tt_max_pool_row_##isa); }              \
    static void avg_pool_##isa(const Op *op, const Context *ctx) { run_pool(op, ctx, tt_avg_pool_row_##isa); }              \
    static void nchw_to_nhwc_##isa(const Op *op, const Context *ctx) {                                                      \
        run_layout(op, ctx, tt_transpose_##isa, op->dim[C], op->dim[H] * op->dim[W]);                                       \
    }                                                                                                                       \
    static void nhwc_to_nchw_##isa(const Op *op, const Context *ctx) {                                                      \
        run_layout(op, ctx, tt_transpose_##isa, op->dim[H] * op->dim[W], op->dim[C]);                                       \
    }
DEFINE_RUNS(portable)
#ifdef TT_X86
DEFINE_RUNS(avx2)
DEFINE_RUNS(avx512)
#define RUNS(name) {name##_portable, NULL, name##_avx2, name##_avx512}
#else
#define RUNS(name) {name##_portable} /* on Arm, where every processor has NEON, these are NEON too */
#endif

const OpKind tt_image_kinds[] = {
    {.name = "max_pool", .check = check_pool, .scratch = pool_scratch, .run = RUNS(max_pool)},
    {.name = "avg_pool", .check = check_pool, .scratch = pool_scratch, .run = RUNS(avg_pool)},
    {.name = "nchw_to_nhwc", .check = check_layout, .run = RUNS(nchw_to_nhwc)},
    {.name = "nhwc_to_nchw", .check = check_layout, .run = RUNS(nhwc_to_nchw)},
    {0},
};
