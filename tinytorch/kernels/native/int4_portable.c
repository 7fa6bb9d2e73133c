/* The product with 4-bit weights in plain C: integers are multiplied as float32, exactly. */
#include <string.h>

#include "int4.h"
#include "lanes.h"
#include "product.h"

enum { PIECES = INT4_PANEL / LANES };
enum { EXACT_BLOCKS = 2048 }; /* a float32 sum of 16,384 products of at most 8 * 127 is exact */

static inline void add_blocks(const uint8_t *blocks, const float *x, int64_t count, Lanes sum[PIECES]) {
    for (int64_t block = 0; block < count; block++, x += INT4_BLOCK)
        for (int piece = 0; piece < PIECES; piece++) {
            const WordLanes words = ((const WordLanes *)(blocks + block * INT4_BLOCK_BYTES))[piece];
            for (int i = 0; i < INT4_BLOCK; i++) {
                const IntegerLanes weight = (IntegerLanes)(words >> (4 * i) & 15) - INT4_OFFSET;
                sum[piece] = multiply_add(sum[piece], x[i % 2 * 4 + i / 2], __builtin_convertvector(weight, Lanes));
            }
        }
}

static void add_group(const Int4 *p, int64_t row, int64_t panel, int64_t group, Lanes total[PIECES]) {
    const Lanes *scale = (const Lanes *)int4_group(p, panel, group);
    const uint8_t *blocks = (const uint8_t *)scale + INT4_BLOCK_BYTES;
    const int64_t first = group * p->group_blocks, count = int4_group_end(p, group) - first;
    const float *x = p->x + row * p->padded + first * INT4_BLOCK;
    if (!p->is_dynamic) {
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

void tt_int4_portable(const Int4 *p, const Int4Part *part) {
    for (int64_t panel = part->panel; panel < part->panel_end; panel++)
        for (int64_t row = part->row; row < part->row_end; row++) portable_panel(p, row, panel);
}
