/* The float32 product of a linear layer: its description, packing, division into blocks, and plain C.

Weights are packed 16 outputs a panel, input by input, so that every instruction set reads them in sequence and needs no
sum across a register. One vector is bounded by how fast they arrive; many vectors by arithmetic: see the tiles in
dense_*.c. */
#include <string.h>

#include "dense.h"
#include "parallel.h"
#include "product.h"

enum { ROWS_DIM, INPUTS_DIM, OUTPUTS_DIM, ACT_DIM, DIMS };
enum { WEIGHTS, BIAS, ARRAYS };
enum { INPUT, OUTPUT, SLOTS };

/* Rows a block: with a block of four panels they stay in a cache of 1 MB for up to 1,024 inputs. A multiple of the six
   rows of a tile. */
enum { BLOCK_ROWS = 96, BLOCK_PANELS = 4 };

static int64_t panels_of(int64_t outputs) { return quotient_up(outputs, DENSE_PANEL); }

static const char *check(const Op *op, const int64_t *slot_bytes) {
    if (op->slot_count != SLOTS || op->dim_count != DIMS || op->scalar_count != 0 || op->array_count != ARRAYS)
        return "linear_f32 takes 2 slots, 4 dimensions and 2 arrays";
    for (int i = ROWS_DIM; i <= OUTPUTS_DIM; i++)
        if (op->dim[i] < 1 || op->dim[i] > LARGEST_DIM) return "a dimension is not within 1 and 2**28";
    if (op->dim[ACT_DIM] != ACT_NONE && op->dim[ACT_DIM] != ACT_RELU) return "an unknown activation";
    const int64_t rows = op->dim[ROWS_DIM], inputs = op->dim[INPUTS_DIM], outputs = op->dim[OUTPUTS_DIM];
    if (slot_bytes[INPUT] != rows * inputs * 4 || slot_bytes[OUTPUT] != rows * outputs * 4)
        return "a slot does not have the size that the dimensions say";
    if (!op->array[WEIGHTS] || op->array_bytes[WEIGHTS] != outputs * inputs * 4)
        return "the weights are not outputs times inputs";
    if (op->array[BIAS] && op->array_bytes[BIAS] != outputs * 4) return "the bias is not one an output";
    return NULL;
}

static int prepare(Op *op) {
    const int64_t inputs = op->dim[INPUTS_DIM], outputs = op->dim[OUTPUTS_DIM], panels = panels_of(outputs);
    const float *weights = op->array[WEIGHTS];
    float *packed = tt_alloc(op, WEIGHTS, panels * inputs * DENSE_PANEL * 4);
    float *bias = tt_alloc(op, BIAS, panels * DENSE_PANEL * 4);
    if (!packed || !bias) return -1;
    for (int64_t output = 0; output < panels * DENSE_PANEL; output++) {
        float *to = packed + output / DENSE_PANEL * inputs * DENSE_PANEL + output % DENSE_PANEL;
        for (int64_t k = 0; k < inputs; k++) to[k * DENSE_PANEL] = output < outputs ? weights[output * inputs + k] : 0;
    }
    memset(bias, 0, (size_t)(panels * DENSE_PANEL) * 4);
    if (op->array[BIAS]) memcpy(bias, op->array[BIAS], (size_t)outputs * 4);
    return 0;
}

static Dense product_of(const Op *op, const Context *ctx) {
    return (Dense){
        .x = (const float *)ctx->slot[op->slot[INPUT]],
        .y = (float *)ctx->slot[op->slot[OUTPUT]],
        .weights = op->owned[WEIGHTS],
        .bias = op->owned[BIAS],
        .rows = ctx->batch * op->dim[ROWS_DIM],
        .inputs = op->dim[INPUTS_DIM],
        .outputs = op->dim[OUTPUTS_DIM],
        .stride = op->dim[OUTPUTS_DIM],
        .act = (int)op->dim[ACT_DIM],
    };
}

/* A product, how it is computed, and how many blocks are side by side. */
typedef struct {
    Dense product;
    RunDenseBlock run;
    int64_t across;
} Task;

static void run_item(const void *task, int64_t item, int thread) {
    (void)thread;
    const Task *t = task;
    const Dense *d = &t->product;
    const int64_t row = item / t->across * BLOCK_ROWS, panel = item % t->across * BLOCK_PANELS;
    const DenseBlock block = {
        .row = row,
        .row_end = least(row + BLOCK_ROWS, d->rows),
        .panel = panel,
        .panel_end = least(panel + BLOCK_PANELS, panels_of(d->outputs)),
    };
    t->run(d, &block);
}

static void run(const Op *op, const Context *ctx, RunDenseBlock run_block) {
    const Dense d = product_of(op, ctx);
    const Task task = {d, run_block, quotient_up(panels_of(d.outputs), BLOCK_PANELS)};
    const int64_t items = task.across * quotient_up(d.rows, BLOCK_ROWS);
    tt_for_each(items, threads_for(ctx, (double)d.rows * d.inputs * d.outputs, 2e5), run_item, &task);
}

static void run_portable(const Op *op, const Context *ctx) { run(op, ctx, tt_dense_portable); }
#ifdef TT_X86
static void run_avx2(const Op *op, const Context *ctx) { run(op, ctx, tt_dense_avx2); }
static void run_avx512(const Op *op, const Context *ctx) { run(op, ctx, tt_dense_avx512); }
#endif

const OpKind tt_dense_kinds[] = {
    {
        .name = "linear_f32",
        .check = check,
        .prepare = prepare,
        .run[ISA_PORTABLE] = run_portable,
#ifdef TT_X86
        .run[ISA_AVX2] = run_avx2,
        .run[ISA_AVX512] = run_avx512,
#endif
    },
    {.name = NULL},
};
