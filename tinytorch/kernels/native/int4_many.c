/* Products of many rows with 4-bit weights and float32 activations: a panel at a time is multiplied out, for the float32
product. Unpacking costs the more the fewer rows share it, and AVX2 and plain C unpack slowly. */
#include "dense.h"
#include "int4.h"
#include "lanes.h"
#include "parallel.h"

enum { PIECES = INT4_PANEL / LANES };

/* Multiply the weights of a panel by their scales into (inputs, INT4_PANEL). */
static void multiply_out(const Int4 *p, int64_t panel, float *to) {
    for (int64_t group = 0; group < p->groups; group++) {
        const Lanes *scale = (const Lanes *)int4_group(p, panel, group);
        const int64_t first = group * p->group, left = p->inputs - first, count = left < p->group ? left : p->group;
        for (int64_t i = 0; i < count; i++, to += INT4_PANEL) {
            const WordLanes *words = (const WordLanes *)((const uint8_t *)scale + (1 + i / INT4_BLOCK) * INT4_BLOCK_BYTES);
            const int in_block = (int)(i % INT4_BLOCK), shift = in_block % 4 * 8 + in_block / 4 * 4;
            for (int piece = 0; piece < PIECES; piece++) {
                const IntegerLanes weight = (IntegerLanes)(words[piece] >> shift & 15) - INT4_OFFSET;
                ((Lanes *)to)[piece] = __builtin_convertvector(weight, Lanes) * scale[piece];
            }
        }
    }
}

static void run(const Int4 *p, const Int4Part *part, RunDenseBlock run_dense) {
    float *weights = p->multiplied_out + tt_thread() * p->inputs * INT4_PANEL;
    for (int64_t panel = part->panel; panel < part->panel_end; panel++) {
        const int64_t first = panel * INT4_PANEL, left = p->outputs - first;
        multiply_out(p, panel, weights);
        const Dense product = {
            .x = p->source,
            .y = p->y + first,
            .weights = weights,
            .bias = p->bias + first,
            .rows = p->rows,
            .inputs = p->inputs,
            .outputs = left < INT4_PANEL ? left : INT4_PANEL,
            .stride = p->outputs,
            .act = p->act,
        };
        run_dense(&product, &(DenseBlock){part->row, part->row_end, 0, 1});
    }
}

void tt_int4_many_portable(const Int4 *p, const Int4Part *part) { run(p, part, tt_dense_portable); }
#ifdef TT_X86
void tt_int4_many_avx2(const Int4 *p, const Int4Part *part) { run(p, part, tt_dense_avx2); }
#endif
