/* Convolution in float32 and int8 on channels-last images: what is asked for, packed weights, and blocks of work.

   conv2d_f32  slots in, out[, addend]; dims C, H, W, O, kh, kw, sh, sw, ph, pw, act, (1 if addend);
               arrays W float32 (O, C, kh, kw), bias (O) or None
   conv2d_i8   the same with int8 W; dims end with the number of weight scales (O or 1); arrays W, scales, bias or None,
               activation scale (1) or None for one a sample: max|x| / 127

   `addend` is added after the bias and before the activation, and may be `out`. conv2d_i8 equals kernels/quantized.py
   bit for bit; a NaN or an infinity makes all outputs of its sample NaN, with a calibrated scale a NaN only those whose
   window holds it. */
#include "conv.h"
#include "conv_winograd.h"
#include "parallel.h"
#include <math.h>
#include <string.h>

enum { PACKED, BIAS, SCALE, START, PLAN, FILTERS }; /* of Op.owned; float32 has zeros for START */
/* A block's input fits L2 together with its weights; with fewer products, waking a thread takes longer than it helps. */
enum { SLACK = 64, BLOCK_BYTES = 192 << 10, BLOCKS_A_THREAD = 4, PRODUCTS_A_THREAD = 1 << 18 };
enum { SMALL_BYTES = 16 << 10 }; /* a copy up to which one memset costs less than one for each row's padding */

/* What follows from the dims, the batch and the threads. That for one thread does not depend on the batch: it is kept. */
typedef struct {
    const ConvPath *path;
    int64_t out_height, out_width, padded_width;
    int64_t run, groups, panels, panel_bytes;
    int64_t rows, blocks; /* output rows in a block, blocks in a sample */
    int64_t copy_bytes;   /* 0: the input is read where it is */
    int64_t thread_bytes; /* scratch of one thread: the copy, then what tt_winograd_block needs */
} Plan;

static int is_i8(const Op *op) {
    return op->kind == &tt_conv_kinds[1];
}

/* The best path not above the program's instruction set. */
static const ConvPath *path_of(const Op *op) {
    static const ConvPath *const paths[2][ISA_COUNT] = {
#ifdef TT_X86
        {&tt_conv_f32_portable, NULL, &tt_conv_f32_avx2, &tt_conv_f32_avx512},
        {&tt_conv_i8_portable, NULL, &tt_conv_i8_avx2, &tt_conv_i8_avx512},
#elif defined(TT_ARM)
        {&tt_conv_f32_portable, &tt_conv_f32_neon, NULL, NULL},
        {&tt_conv_i8_portable, &tt_conv_i8_neon, NULL, NULL},
#else
        {&tt_conv_f32_portable, NULL, NULL, NULL},
        {&tt_conv_i8_portable, NULL, NULL, NULL},
#endif
    };
    int isa = op->isa;
    while (!paths[is_i8(op)][isa])
        isa--;
    return paths[is_i8(op)][isa];
}

static int64_t at_least(int64_t a, int64_t b) {
    return a > b ? a : b;
}

static int64_t aligned(int64_t bytes) {
    return (bytes + SLACK - 1) / SLACK * SLACK;
}

static Plan plan_of(const Op *op, int64_t batch, int threads) {
    const int64_t *d = op->dim;
    Plan p = {.path = path_of(op)};
    p.padded_width = d[W] + 2 * d[PW];
    p.out_height = (d[H] + 2 * d[PH] - d[KH]) / d[SH] + 1;
    p.out_width = (p.padded_width - d[KW]) / d[SW] + 1;
    p.run = d[KW] * d[C];
    p.groups = (p.run + p.path->group - 1) / p.path->group;
    p.panels = (d[O] + LANES - 1) / LANES;
    p.panel_bytes = d[KH] * p.groups * LANES * p.path->group * p.path->weight_bytes;
    int64_t row_bytes = p.padded_width * d[C] * p.path->element_bytes;
    p.rows = p.out_height;
    if (threads > 1 && batch < (int64_t)BLOCKS_A_THREAD * threads)
        p.rows = (p.out_height + threads - 1) / threads;
    const int is_winograd = op->owned[FILTERS] != NULL;
    const int is_copied = p.path->convert || d[PH] || d[PW] || is_winograd;
    if (is_copied) {
        int64_t fitting = (BLOCK_BYTES / row_bytes - d[KH]) / d[SH] + 1;
        if (fitting < p.rows) /* but never so few rows that most of each block would be overlap */
            p.rows = at_least(fitting, p.rows < d[KH] ? p.rows : d[KH]);
    }
    const int64_t blocks = (p.out_height + p.rows - 1) / p.rows;
    p.rows = (p.out_height + blocks - 1) / blocks; /* equal ones */
    if (is_winograd)                               /* whole tiles */
        p.rows += p.rows % 2;
    p.blocks = (p.out_height + p.rows - 1) / p.rows;
    if (is_copied) /* with a row and a pixel more for tiles that reach over the edge */
        p.copy_bytes = aligned(((p.rows - 1) * d[SH] + d[KH] + is_winograd) * row_bytes + d[C] * 4 + SLACK);
    p.thread_bytes = p.copy_bytes + (is_winograd ? aligned(tt_winograd_scratch_bytes(d[C], d[O])) : 0);
    return p;
}

/* Copies `count` floats into owned[which], padded to whole panels with `rest`; a single one is for every output. */
static int own_floats(Op *op, int which, const float *values, int64_t count, float rest) {
    int64_t outputs = op->dim[O], padded = (outputs + LANES - 1) / LANES * LANES;
    float *copy = tt_alloc(op, which, 4 * padded);
    if (!copy)
        return -1;
    for (int64_t o = 0; o < padded; o++)
        copy[o] = o < outputs && values ? values[count == 1 ? 0 : o] : rest;
    return 0;
}

static void put_weight(char *packed, const ConvPath *path, const char *weight) {
    if (path->weight_bytes == 2)
        *(int16_t *)packed = *(const int8_t *)weight;
    else
        memcpy(packed, weight, (size_t)path->weight_bytes);
}

static int keep_plan(Op *op) {
    Plan *plan = tt_alloc(op, PLAN, sizeof *plan);
    if (!plan)
        return -1;
    *plan = plan_of(op, 1, 1);
    return 0;
}

static int pack(Op *op) {
    const int64_t *d = op->dim;
    if (keep_plan(op))
        return -1;
    const Plan p = *(const Plan *)op->owned[PLAN];
    const int64_t group = p.path->group, size = p.path->weight_bytes, taken = is_i8(op) ? 1 : 4;
    char *packed = tt_alloc(op, PACKED, p.panels * p.panel_bytes);
    if (!packed)
        return -1;
    memset(packed, 0, (size_t)(p.panels * p.panel_bytes));
    const char *weight = op->array[WEIGHTS];
    for (int64_t o = 0; o < d[O]; o++)
        for (int64_t c = 0; c < d[C]; c++)
            for (int64_t row = 0; row < d[KH]; row++)
                for (int64_t column = 0; column < d[KW]; column++, weight += taken) {
                    int64_t k = column * d[C] + c; /* in the window's row */
                    int64_t at = (row * p.groups + k / group) * LANES + o % LANES;
                    put_weight(packed + o / LANES * p.panel_bytes + (at * group + k % group) * size, p.path, weight);
                }
    return 0;
}

static int prepare_f32(Op *op) {
    const int64_t *d = op->dim;
    if (tt_winograd_fits(op)) {
        float *filters = tt_alloc(op, FILTERS, tt_winograd_weight_bytes(d[C], d[O]));
        if (!filters || own_floats(op, START, NULL, 0, 0))
            return -1;
        tt_winograd_pack(op->array[WEIGHTS], d[C], d[O], filters);
    }
    /* -0: the one number that leaves every other as it is when added. */
    return pack(op) || own_floats(op, BIAS, op->array[F32_BIAS], d[O], -0.0f) ? -1 : 0;
}

static int prepare_i8(Op *op) {
    const int64_t *d = op->dim, window = d[C] * d[KH] * d[KW], padded = (d[O] + LANES - 1) / LANES * LANES;
    int32_t *start = tt_alloc(op, START, 4 * padded);
    if (!start || pack(op) || own_floats(op, SCALE, op->array[I8_SCALES], d[SCALES], 0)
        || own_floats(op, BIAS, op->array[I8_BIAS], d[O], -0.0f))
        return -1;
    memset(start, 0, (size_t)(4 * padded));
    const int8_t *weight = op->array[WEIGHTS];
    for (int64_t o = 0; o < d[O]; o++) {
        int64_t sum = 0;
        for (int64_t k = 0; k < window; k++)
            sum += *weight++;
        start[o] = (int32_t)(uint32_t)(sum * path_of(op)->start_factor); /* modulo 2**32, as the sums themselves */
    }
    return 0;
}

static int64_t scales_bytes(const Op *op, int64_t batch) {
    return is_i8(op) && !op->array[I8_X_SCALE] ? (4 * batch + 63) / 64 * 64 : 0;
}

/* A block is largest for one thread: a plan for several only divides it, and a smaller batch may be one thread's. */
static int64_t scratch(const Op *op, int64_t batch, int threads) {
    return scales_bytes(op, batch) + threads * ((const Plan *)op->owned[PLAN])->thread_bytes;
}

static int useful_threads(const Op *op, const Context *ctx, const Plan *p) {
    if (ctx->threads == 1)
        return 1;
    const double products = (double)ctx->batch * p->out_height * p->out_width * op->dim[O] * op->dim[KH] * p->run;
    return products < (double)PRODUCTS_A_THREAD * ctx->threads ? 1 : ctx->threads;
}

/* max(max|x|, least) / 127; the least number's scale is the smallest normal one, so that zeros stay zeros. */
static float dynamic_scale(const ConvPath *path, const float *x, int64_t count) {
    float largest = 127 * 0x1p-126f;
    int32_t bits = path->largest(x, count), least;
    memcpy(&least, &largest, 4);
    if (bits > least)
        memcpy(&largest, &bits, 4);
    return largest / 127;
}

/* Copies the input rows of a block that begins with output row `first`, padded; nonzero if a NaN is among them. */
static int copy_rows(const Op *op, const Plan *p, const float *x, float scale, int64_t first, int64_t rows, char *copy) {
    const int64_t *d = op->dim, size = p->path->element_bytes;
    const int64_t side = d[PW] * d[C] * size, middle = d[W] * d[C], row_bytes = 2 * side + middle * size;
    const int64_t count = (rows - 1) * d[SH] + d[KH];
    const int is_small = count * row_bytes <= SMALL_BYTES && (d[PH] || d[PW]);
    int has_nan = 0;
    if (is_small)
        memset(copy, p->path->zero, (size_t)(count * row_bytes));
    for (int64_t i = 0; i < count; i++, copy += row_bytes) {
        const int64_t y = first * d[SH] + i - d[PH];
        const int is_inside = y >= 0 && y < d[H];
        if (!is_small) {
            memset(copy, p->path->zero, (size_t)(is_inside ? side : row_bytes));
            memset(copy + row_bytes - side, p->path->zero, (size_t)side);
        }
        if (is_inside && p->path->convert)
            has_nan |= p->path->convert(x + y * middle, middle, scale, copy + side);
        else if (is_inside)
            memcpy(copy + side, x + y * middle, (size_t)(middle * 4));
    }
    return has_nan;
}

static int window_has_nan(const Op *op, const float *x, float scale, int64_t row, int64_t column) {
    const int64_t *d = op->dim;
    for (int64_t i = 0; i < d[KH]; i++)
        for (int64_t j = 0; j < d[KW]; j++) {
            int64_t y = row * d[SH] + i - d[PH], z = column * d[SW] + j - d[PW];
            for (int64_t c = 0; y >= 0 && y < d[H] && z >= 0 && z < d[W] && c < d[C]; c++)
                if (isnan(x[(y * d[W] + z) * d[C] + c] / scale))
                    return 1;
        }
    return 0;
}

/* Integers cannot hold a NaN: where a window has one, the outputs are set. */
static void restore_nan(const Op *op, const ConvBlock *b, const float *x, int64_t first) {
    for (int64_t i = 0; i < b->pixels; i++)
        if (window_has_nan(op, x, b->x_scale, first + i / b->width, i % b->width))
            for (int64_t o = 0; o < b->outputs; o++)
                b->out[i * b->outputs + o] = NAN;
}

typedef struct {
    const Op *op;
    const Context *ctx;
    Plan plan;
    float *scales; /* dynamic: one a sample, in scratch */
    char *scratch; /* of all threads */
} Task;

static const float *sample_of(const Task *t, int64_t sample) {
    const int64_t *d = t->op->dim;
    return (const float *)t->ctx->slot[t->op->slot[0]] + sample * d[H] * d[W] * d[C];
}

static void find_scale(const void *task, int64_t sample, int thread) {
    const Task *t = task;
    const int64_t *d = t->op->dim;
    (void)thread;
    t->scales[sample] = dynamic_scale(t->plan.path, sample_of(t, sample), d[H] * d[W] * d[C]);
}

static float x_scale_of(const Task *t, int64_t sample) {
    if (!is_i8(t->op))
        return 0;
    if (t->op->array[I8_X_SCALE])
        return *(const float *)t->op->array[I8_X_SCALE];
    if (t->plan.blocks == 1) /* here, so that the sample is still in the cache when it is rounded */
        find_scale(t, sample, 0);
    return t->scales[sample];
}

static void run_block(const void *task, int64_t item, int thread) {
    const Task *t = task;
    const Op *op = t->op;
    const Plan *p = &t->plan;
    const int64_t *d = op->dim, sample = item / p->blocks, first = item % p->blocks * p->rows;
    const int64_t rows = first + p->rows < p->out_height ? p->rows : p->out_height - first;
    const int64_t size = p->path->element_bytes, row_bytes = p->padded_width * d[C] * size;
    const int64_t done = (sample * p->out_height + first) * p->out_width;
    const float *x = sample_of(t, sample);
    const int64_t copied = ((rows - 1) * d[SH] + d[KH]) * p->padded_width * d[C]; /* numbers */
    char *copy = t->scratch + thread * p->thread_bytes;
    ConvBlock b = {
        .image = copy, .pixel_bytes = d[SW] * d[C] * size, .line_bytes = d[SH] * row_bytes, .window_row_bytes = row_bytes,
        .window_rows = d[KH], .groups = p->groups, .width = p->out_width, .pixels = rows * p->out_width, .outputs = d[O],
        .weights = op->owned[PACKED], .panel_bytes = p->panel_bytes, .bias = op->owned[BIAS], .scale = op->owned[SCALE],
        .start = op->owned[START], .x_scale = x_scale_of(t, sample), .act = (int)d[ACT],
        .out = (float *)t->ctx->slot[op->slot[1]] + done * d[O],
    };
    if (d[HAS_ADDEND])
        b.addend = (const float *)t->ctx->slot[op->slot[2]] + done * d[O];
    int has_nan = 0;
    if (p->copy_bytes)
        has_nan = copy_rows(op, p, x, b.x_scale, first, rows, copy);
    else
        b.image = (const char *)x + first * b.line_bytes;
    if (!is_i8(op) && op->owned[FILTERS] && p->path->largest((const float *)copy, copied) < WINOGRAD_LIMIT)
        tt_winograd_block(&b, p->path, d[C], op->owned[FILTERS], op->owned[START], copy + p->copy_bytes);
    else
        p->path->block(&b);
    if (has_nan)
        restore_nan(op, &b, x, first);
}

static void run(const Op *op, const Context *ctx) {
    const Plan *undivided = op->owned[PLAN];
    const int threads = useful_threads(op, ctx, undivided);
    const Task task = {
        op, ctx, threads == 1 ? *undivided : plan_of(op, ctx->batch, threads),
        (float *)ctx->scratch, ctx->scratch + scales_bytes(op, ctx->batch),
    };
    if (scales_bytes(op, ctx->batch) && task.plan.blocks > 1)
        tt_for_each(ctx->batch, threads, find_scale, &task);
    tt_for_each(ctx->batch * task.plan.blocks, threads, run_block, &task);
}

const OpKind tt_conv_kinds[] = {
    {.name = "conv2d_f32", .check = tt_conv_check_f32, .prepare = prepare_f32, .scratch = scratch, .run = {run}},
    {.name = "conv2d_i8", .check = tt_conv_check_i8, .prepare = prepare_i8, .scratch = scratch, .run = {run}},
    {0},
};
