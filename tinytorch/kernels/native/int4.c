/* Linear layers with weights of 4 bits: description, packing, rounding of activations, and plain C.

The whole is bound by how fast weights arrive, at 0.56 bytes each in groups of 64; the formula is that of
quantized_linear_int32 in kernels/quantized.py, bit for bit where activations are integers. */
#include "int4.h"

#include <string.h>

#include "int8_rows.h"
#include "lanes.h"

enum { ROWS_DIM, INPUTS_DIM, OUTPUTS_DIM, ACT_DIM, GROUP_DIM, DYNAMIC_DIM, DIMS };
enum { WEIGHTS, SCALE, BIAS, ARRAYS };
enum { INPUT, OUTPUT, SLOTS };
enum { PACKED, PACKED_BIAS };

enum { LARGEST_DIM = 1 << 28 };
enum { LARGEST_GROUP = 1 << 20 }; /* 15 * 127 times as much fits an int32 */
enum { PART_ROWS = 96, PART_PANELS = 4 };
#define LEAST_PARALLEL 2e5 /* multiplications below which waking threads costs more than they save */
enum { LINE = 64 };

static int64_t quotient_up(int64_t a, int64_t b) { return (a + b - 1) / b; }
static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t whole_lines(int64_t bytes) { return quotient_up(bytes, LINE) * LINE; }

/* The sizes that follow from the dims. */
static Int4 sizes_of(const Op *op) {
    Int4 p = {.inputs = op->dim[INPUTS_DIM], .outputs = op->dim[OUTPUTS_DIM], .act = (int)op->dim[ACT_DIM]};
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

/* Where the activations of `rows` rows lie in the scratch memory. */
typedef struct {
    float *x, *x_scale;
    int8_t *q;
    int32_t *offset;
} Activations;

static int64_t lay_out(const Int4 *p, int64_t rows, char *scratch, Activations *a) {
    char *at = scratch;
    a->x = (float *)at;
    at += whole_lines(rows * p->padded * 4);
    a->q = (int8_t *)at;
    at += whole_lines(rows * p->padded);
    a->offset = (int32_t *)at;
    at += whole_lines(rows * p->groups * 4);
    a->x_scale = (float *)at;
    at += whole_lines(rows * 4);
    return at - scratch;
}

static int64_t scratch(const Op *op, int64_t batch, int threads) {
    (void)threads;
    const Int4 p = sizes_of(op);
    Activations unused;
    static char origin;
    const double rows = (double)batch * (double)op->dim[ROWS_DIM];
    if (rows * (double)p.padded > 1e15) return -1;
    return lay_out(&p, batch * op->dim[ROWS_DIM], &origin, &unused);
}

typedef struct {
    const float *x;
    const Int8Rows *rounding; /* NULL: activations stay float32 */
    int keeps_floats;         /* plain C multiplies the integers as float32 */
} Source;

static void prepare_row(const Int4 *p, const Source *source, const Activations *a, int64_t row) {
    const float *from = source->x + row * p->inputs;
    float *x = a->x + row * p->padded;
    if (!source->rounding) {
        memcpy(x, from, (size_t)p->inputs * 4);
        spread_groups(p, (char *)x, sizeof *x);
        return;
    }
    int8_t *q = a->q + row * p->padded;
    a->x_scale[row] = tt_int8_row(source->rounding, from, p->inputs, NULL, FLIP_NONE, (uint8_t *)q);
    spread_groups(p, (char *)q, sizeof *q);
    sum_groups(p, q, a->offset + row * p->groups);
    for (int64_t i = 0; source->keeps_floats && i < p->padded; i++) x[i] = q[i];
}

/* ---- Running ---- */

static Int4Part part_at(const Int4 *p, int64_t index, int64_t across) {
    const int64_t row = index / across * PART_ROWS, panel = index % across * PART_PANELS;
    return (Int4Part){row, least(row + PART_ROWS, p->rows), panel, least(panel + PART_PANELS, p->panels)};
}

static void run(const Op *op, const Context *ctx, RunInt4 run_part, int is_portable) {
    Int4 p = sizes_of(op);
    p.rows = ctx->batch * op->dim[ROWS_DIM];
    const int is_dynamic = op->dim[DYNAMIC_DIM] == 1;
    const Source source = {(const float *)ctx->slot[op->slot[INPUT]], is_dynamic ? tt_int8_rows(op->isa) : NULL, is_portable};
    Activations a;
    lay_out(&p, p.rows, ctx->scratch, &a);
    p.weights = op->owned[PACKED];
    p.bias = op->owned[PACKED_BIAS];
    p.y = (float *)ctx->slot[op->slot[OUTPUT]];
    p.x = a.x;
    p.q = is_dynamic ? a.q : NULL;
    p.x_scale = a.x_scale;
    p.offset = a.offset;
    const int64_t across = quotient_up(p.panels, PART_PANELS), parts = across * quotient_up(p.rows, PART_ROWS);
    const double multiplications = (double)p.rows * (double)p.inputs * (double)p.outputs;
    if (ctx->threads == 1 || multiplications < LEAST_PARALLEL) { /* even a region of one thread costs 0.2 us */
        for (int64_t row = 0; row < p.rows; row++) prepare_row(&p, &source, &a, row);
        for (int64_t i = 0; i < parts; i++) {
            const Int4Part part = part_at(&p, i, across);
            run_part(&p, &part);
        }
        return;
    }
#pragma omp parallel num_threads(ctx->threads)
    {
#pragma omp for schedule(static)
        for (int64_t row = 0; row < p.rows; row++) prepare_row(&p, &source, &a, row);
#pragma omp for schedule(static)
        for (int64_t i = 0; i < parts; i++) {
            const Int4Part part = part_at(&p, i, across);
            run_part(&p, &part);
        }
    }
}

/* ---- Plain C ---- */

enum { PIECES = INT4_PANEL / LANES };
enum { EXACT_BLOCKS = 2048 }; /* a float32 sum of 16,384 products of at most 8 * 127 is exact */

static inline void add_blocks(const uint8_t *blocks, const float *x, int64_t count, Lanes sum[PIECES]) {
    for (int64_t block = 0; block < count; block++, x += INT4_BLOCK)
        for (int piece = 0; piece < PIECES; piece++) {
            const WordLanes words = ((const WordLanes *)(blocks + block * INT4_BLOCK_BYTES))[piece];
            for (int i = 0; i < INT4_BLOCK; i++) {
                const IntegerLanes weight = (IntegerLanes)(words >> (4 * i) & 15) - INT4_OFFSET;
                sum[piece] += __builtin_convertvector(weight, Lanes) * x[i % 2 * 4 + i / 2];
            }
        }
}

static void add_group(const Int4 *p, int64_t row, int64_t panel, int64_t group, Lanes total[PIECES]) {
    const Lanes *scale = (const Lanes *)int4_group(p, panel, group);
    const uint8_t *blocks = (const uint8_t *)scale + INT4_BLOCK_BYTES;
    const int64_t first = group * p->group_blocks, count = int4_group_end(p, group) - first;
    const float *x = p->x + row * p->padded + first * INT4_BLOCK;
    if (!p->q) {
        Lanes sum[PIECES] = {{0}};
        add_blocks(blocks, x, count, sum);
        for (int piece = 0; piece < PIECES; piece++) total[piece] += sum[piece] * scale[piece];
        return;
    }
    IntegerLanes integers[PIECES] = {{0}};
    for (int64_t block = 0; block < count; block += EXACT_BLOCKS) {
        Lanes sum[PIECES] = {{0}};
        add_blocks(blocks + block * INT4_BLOCK_BYTES, x + block * INT4_BLOCK, least(EXACT_BLOCKS, count - block), sum);
        for (int piece = 0; piece < PIECES; piece++) integers[piece] += __builtin_convertvector(sum[piece], IntegerLanes);
    }
    for (int piece = 0; piece < PIECES; piece++)
        total[piece] += __builtin_convertvector(integers[piece], Lanes) * (p->x_scale[row] * scale[piece]);
}

static void portable_panel(const Int4 *p, int64_t row, int64_t panel) {
    Lanes total[PIECES];
    for (int piece = 0; piece < PIECES; piece++) total[piece] = -(Lanes){0}; /* -0.0 + x is x, whatever its sign */
    for (int64_t group = 0; group < p->groups; group++) add_group(p, row, panel, group, total);
    const int64_t first = panel * INT4_PANEL, count = least(INT4_PANEL, p->outputs - first);
    float sum[INT4_PANEL], *y = p->y + row * p->outputs + first;
    memcpy(sum, total, sizeof sum);
    for (int64_t i = 0; i < count; i++) {
        const float value = sum[i] + p->bias[first + i];
        y[i] = p->act == ACT_RELU && value < 0 ? 0 : value;
    }
}

static void portable_part(const Int4 *p, const Int4Part *part) {
    for (int64_t panel = part->panel; panel < part->panel_end; panel++)
        for (int64_t row = part->row; row < part->row_end; row++) portable_panel(p, row, panel);
}

static void run_portable(const Op *op, const Context *ctx) { run(op, ctx, portable_part, 1); }
#ifdef TT_X86
static void run_avx2(const Op *op, const Context *ctx) {
    run(op, ctx, op->dim[DYNAMIC_DIM] ? tt_int4_dynamic_avx2 : tt_int4_float_avx2, 0);
}
static void run_avx512(const Op *op, const Context *ctx) {
    run(op, ctx, op->dim[DYNAMIC_DIM] ? tt_int4_dynamic_avx512 : tt_int4_float_avx512, 0);
}
#endif

#ifdef TT_ARM
static void run_neon(const Op *op, const Context *ctx) {
    run(op, ctx, op->dim[DYNAMIC_DIM] ? tt_int4_dynamic_neon : portable_part, 0);
}
#endif

const OpKind tt_int4_kinds[] = {
    {
        .name = "linear_i4",
        .check = check,
        .prepare = prepare,
        .scratch = scratch,
        .run[ISA_PORTABLE] = run_portable,
#ifdef TT_ARM
        .run[ISA_NEON] = run_neon,
#endif
#ifdef TT_X86
        .run[ISA_AVX2] = run_avx2,
        .run[ISA_AVX512] = run_avx512,
#endif
    },
    {.name = NULL},
};
