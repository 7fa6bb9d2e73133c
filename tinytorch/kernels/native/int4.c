/* Linear layers with weights of 4 bits: description, packing, rounding of activations, and plain C.

The whole is bound by how fast weights arrive, at 0.56 bytes each in groups of 64; the formula is that of
quantized_linear_int32 in kernels/quantized.py, bit for bit where activations are integers. */
#include "int4.h"

#include <string.h>

#include "int8_rows.h"
#include "parallel.h"
#include "product.h"

enum { ROWS_DIM, INPUTS_DIM, OUTPUTS_DIM, ACT_DIM, GROUP_DIM, DYNAMIC_DIM, DIMS };
enum { WEIGHTS, SCALE, BIAS, ARRAYS };
enum { INPUT, OUTPUT, SLOTS };
enum { PACKED, PACKED_BIAS };

enum { LARGEST_GROUP = 1 << 20 }; /* 15 * 127 times as much fits an int32 */
enum { PART_ROWS = 96, PART_PANELS = 4 };
enum { MANY_ROWS = 10 }; /* from so many on, multiplying weights out costs less than unpacking them for each few rows */
enum { LINE = 64 };

static int64_t whole_lines(int64_t bytes) { return quotient_up(bytes, LINE) * LINE; }

/* The sizes that follow from the dims. */
static Int4 sizes_of(const Op *op) {
    Int4 p = {.inputs = op->dim[INPUTS_DIM], .outputs = op->dim[OUTPUTS_DIM], .act = (int)op->dim[ACT_DIM]};
    p.is_dynamic = op->dim[DYNAMIC_DIM] == 1;
    p.panels = quotient_up(p.outputs, INT4_PANEL);
    p.group = least(op->dim[GROUP_DIM], p.inputs);
    p.groups = quotient_up(p.inputs, p.group);
    p.group_blocks = quotient_up(p.group, INT4_BLOCK);
    p.blocks = (p.groups - 1) * p.group_blocks + quotient_up(p.inputs - (p.groups - 1) * p.group, INT4_BLOCK);
    p.padded = p.blocks * INT4_BLOCK;
    return p;
}

static const char *check(const Op *op, const int64_t *slot_bytes) {
    if (op->slot_count != SLOTS || op->dim_count != DIMS || op->scalar_count != 0 || op->array_count != ARRAYS)
        return "linear_i4 takes 2 slots, 6 dimensions and 3 arrays";
    for (int i = ROWS_DIM; i <= OUTPUTS_DIM; i++)
        if (op->dim[i] < 1 || op->dim[i] > LARGEST_DIM) return "a dimension is not within 1 and 2**28";
    if (op->dim[GROUP_DIM] < 1) return "a group has no inputs";
    if (op->dim[ACT_DIM] < ACT_NONE || op->dim[ACT_DIM] > ACT_RELU) return "an unknown activation";
    if (op->dim[DYNAMIC_DIM] < 0 || op->dim[DYNAMIC_DIM] > 1) return "activations are 0 (float32) or 1 (int8)";
    const Int4 p = sizes_of(op);
    if (op->dim[DYNAMIC_DIM] && p.group > LARGEST_GROUP) return "a group's integer sum can overflow";
    if (slot_bytes[INPUT] != op->dim[ROWS_DIM] * p.inputs * 4 || slot_bytes[OUTPUT] != op->dim[ROWS_DIM] * p.outputs * 4)
        return "a slot does not have the size that the dimensions say";
    if (!op->array[WEIGHTS] || op->array_bytes[WEIGHTS] != p.outputs * quotient_up(p.inputs, 2))
        return "the weights are not two a byte, outputs times inputs";
    if (!op->array[SCALE] || op->array_bytes[SCALE] != p.outputs * p.groups * 4)
        return "the scales are not one for each output and group";
    if (op->array[BIAS] && op->array_bytes[BIAS] != p.outputs * 4) return "the bias is not one for each output";
    return NULL;
}

/* Put the weights of an output into a panel, which holds zeros (0 plus 8 in each half byte). */
static void pack_output(const Int4 *p, const uint8_t *nibbles, const float *scale, int64_t lane, uint8_t *panel) {
    for (int64_t group = 0; group < p->groups; group++) {
        uint8_t *to = panel + group * (1 + p->group_blocks) * INT4_BLOCK_BYTES;
        memcpy(to + lane * 4, scale + group, 4);
        const int64_t first = group * p->group, count = least(p->group, p->inputs - first);
        for (int64_t i = 0; i < count; i++) {
            const int64_t from = first + i, in_block = i % INT4_BLOCK;
            const uint8_t nibble = ((from % 2 ? nibbles[from / 2] >> 4 : nibbles[from / 2]) & 15) ^ INT4_OFFSET;
            uint8_t *byte = to + (1 + i / INT4_BLOCK) * INT4_BLOCK_BYTES + lane * 4 + in_block % 4;
            *byte = in_block < 4 ? (uint8_t)((*byte & 0xf0) | nibble) : (uint8_t)((*byte & 0x0f) | nibble << 4);
        }
    }
}

static int prepare(Op *op) {
    const Int4 p = sizes_of(op);
    const int64_t panel_bytes = int4_panel_bytes(&p);
    uint8_t *packed = tt_alloc(op, PACKED, p.panels * panel_bytes);
    float *bias = tt_alloc(op, PACKED_BIAS, p.panels * INT4_PANEL * 4);
    if (!packed || !bias) return -1;
    memset(packed, INT4_OFFSET << 4 | INT4_OFFSET, (size_t)(p.panels * panel_bytes));
    for (int64_t i = 0; i < p.outputs; i++) {
        const uint8_t *nibbles = (const uint8_t *)op->array[WEIGHTS] + i * quotient_up(p.inputs, 2);
        const float *scale = (const float *)op->array[SCALE] + i * p.groups;
        pack_output(&p, nibbles, scale, i % INT4_PANEL, packed + i / INT4_PANEL * panel_bytes);
    }
    memset(bias, 0, (size_t)(p.panels * INT4_PANEL) * 4);
    if (op->array[BIAS]) memcpy(bias, op->array[BIAS], (size_t)p.outputs * 4);
    return 0;
}

/* ---- Activations ---- */

/* Move the groups of a row, of which `size` bytes make an item, apart to where each begins with a block. */
static void spread_groups(const Int4 *p, char *row, size_t size) {
    for (int64_t group = p->groups - 1; group >= 0; group--) {
        const int64_t first = group * p->group, to = group * p->group_blocks * INT4_BLOCK;
        const int64_t count = least(p->group, p->inputs - first), end = int4_group_end(p, group) * INT4_BLOCK;
        if (to != first) memmove(row + (size_t)to * size, row + (size_t)first * size, (size_t)count * size);
        memset(row + (size_t)(to + count) * size, 0, (size_t)(end - to - count) * size);
    }
}

static void sum_groups(const Int4 *p, const int8_t *q, int32_t *offset) {
    for (int64_t group = 0; group < p->groups; group++) {
        const int64_t end = int4_group_end(p, group) * INT4_BLOCK;
        int32_t sum = 0;
        for (int64_t i = group * p->group_blocks * INT4_BLOCK; i < end; i++) sum += q[i];
        offset[group] = -INT4_OFFSET * sum;
    }
}

/* ---- Kernels ---- */

/* What an instruction set multiplies with. many: NULL where real is as fast. */
typedef struct {
    RunInt4 dynamic, real, many;
} Kernel;

static const Kernel kernels[ISA_COUNT] = {
    [ISA_PORTABLE] = {tt_int4_portable, tt_int4_portable, tt_int4_many_portable},
#ifdef TT_ARM
    [ISA_NEON] = {tt_int4_dynamic_neon, tt_int4_portable, tt_int4_many_portable},
#endif
#ifdef TT_X86
    [ISA_AVX2] = {tt_int4_dynamic_avx2, tt_int4_float_avx2, tt_int4_many_avx2},
    [ISA_AVX512] = {tt_int4_dynamic_avx512, tt_int4_float_avx512, NULL},
#endif
};

static const Kernel *kernel_of(int isa) {
    while (!kernels[isa].dynamic) isa--;
    return &kernels[isa];
}

static int multiplies_out(const Int4 *p, const Kernel *kernel) {
    return !p->is_dynamic && kernel->many && p->rows >= MANY_ROWS;
}

/* A product, how its activations are rounded, by which kernel it is computed, and in parts of how many rows and panels. */
typedef struct {
    Int4 product;
    const Int8Rows *rounding;
    int keeps_floats; /* plain C multiplies integers as float32 */
    RunInt4 run;
    int64_t rows, panels;
} Task;

static void prepare_row(const void *task, int64_t row, int thread) {
    (void)thread;
    const Task *t = task;
    const Int4 *p = &t->product;
    const float *source = p->source + row * p->inputs;
    float *x = p->x + row * p->padded;
    if (!p->is_dynamic) {
        memcpy(x, source, (size_t)p->inputs * 4);
        spread_groups(p, (char *)x, sizeof *x);
        return;
    }
    int8_t *q = p->q + row * p->padded;
    p->x_scale[row] = tt_int8_row(t->rounding, source, p->inputs, NULL, FLIP_NONE, (uint8_t *)q);
    spread_groups(p, (char *)q, sizeof *q);
    sum_groups(p, q, p->offset + row * p->groups);
    for (int64_t i = 0; t->keeps_floats && i < p->padded; i++) x[i] = q[i];
}

/* ---- Scratch memory ---- */

/* The next `bytes` of scratch memory, in whole lines. */
static void *next(char *scratch, int64_t *used, int64_t bytes) {
    const int64_t at = *used;
    *used += whole_lines(bytes);
    return scratch ? scratch + at : NULL;
}

/* Lay what a product needs besides its weights out in scratch memory; return how much that is. It grows with the rows: a
   program's last samples may be fewer. */
static int64_t lay_out(Int4 *p, const Kernel *kernel, int threads, char *scratch) {
    const int is_many = multiplies_out(p, kernel), keeps_floats = kernel->dynamic == tt_int4_portable;
    const int64_t integers = p->is_dynamic ? p->rows : 0;
    const int64_t floats = is_many ? MANY_ROWS - 1 : p->is_dynamic && !keeps_floats ? 0 : p->rows;
    int64_t used = 0;
    p->x = next(scratch, &used, floats * p->padded * 4);
    p->q = next(scratch, &used, integers * p->padded);
    p->offset = next(scratch, &used, integers * p->groups * 4);
    p->x_scale = next(scratch, &used, integers * 4);
    p->multiplied_out = next(scratch, &used, is_many ? threads * p->inputs * INT4_PANEL * 4 : 0);
    return used;
}

static int64_t scratch(const Op *op, int64_t batch, int threads) {
    Int4 p = sizes_of(op);
    if ((double)batch * (double)op->dim[ROWS_DIM] * (double)p.padded > 1e15) return -1;
    p.rows = batch * op->dim[ROWS_DIM];
    return lay_out(&p, kernel_of(op->isa), threads, NULL);
}

/* ---- Running ---- */

static void run_part(const void *task, int64_t item, int thread) {
    (void)thread;
    const Task *t = task;
    const Int4 *p = &t->product;
    const int64_t across = quotient_up(p->panels, t->panels);
    const int64_t row = item / across * t->rows, panel = item % across * t->panels;
    const Int4Part part = {row, least(row + t->rows, p->rows), panel, least(panel + t->panels, p->panels)};
    t->run(p, &part);
}

static void run(const Op *op, const Context *ctx) {
    Int4 p = sizes_of(op);
    p.rows = ctx->batch * op->dim[ROWS_DIM];
    if (!p.rows) return;
    const Kernel *kernel = kernel_of(op->isa);
    const int is_many = multiplies_out(&p, kernel);
    lay_out(&p, kernel, ctx->threads, ctx->scratch);
    p.weights = op->owned[PACKED];
    p.bias = op->owned[PACKED_BIAS];
    p.source = (const float *)ctx->slot[op->slot[INPUT]];
    p.y = (float *)ctx->slot[op->slot[OUTPUT]];
    const Task task = {
        .product = p,
        .rounding = tt_int8_rows(op->isa),
        .keeps_floats = kernel->dynamic == tt_int4_portable,
        .run = is_many ? kernel->many : p.is_dynamic ? kernel->dynamic : kernel->real,
        .rows = is_many ? p.rows : PART_ROWS,
        .panels = is_many ? 1 : PART_PANELS,
    };
    const int threads = threads_for(ctx, (double)p.rows * p.inputs * p.outputs, 2e6);
    const int preparing = (int)least(p.rows, threads);
    if (!is_many) tt_for_each(p.rows, preparing, prepare_row, &task); /* these read the activations as they are given */
    tt_for_each(quotient_up(p.panels, task.panels) * quotient_up(p.rows, task.rows), threads, run_part, &task);
}

const OpKind tt_int4_kinds[] = {
    {.name = "linear_i4", .check = check, .prepare = prepare, .scratch = scratch, .run[ISA_PORTABLE] = run},
    {.name = NULL},
};
