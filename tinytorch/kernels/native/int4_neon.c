/* The product of integers with 4-bit weights with NEON: dot products of four signed bytes. */
#include "op.h"
#ifdef TT_ARM
#include <arm_neon.h>
#include <string.h>

#include "int4.h"
#include "begin_neon.h"

enum { PIECES = 4, LANES = 4 }; /* a panel is four registers of outputs */
enum { MAX_ROWS = 3 };          /* 12 sums, 12 totals, 3 of activations and 2 of weights: within the 32 registers */

/* Add the bias, apply the activation, and store those lanes that are outputs. */
static inline void finish(const Int4 *p, int64_t row, int64_t panel, const float32x4_t total[PIECES]) {
    const int64_t first = panel * INT4_PANEL, left = p->outputs - first, count = left < INT4_PANEL ? left : INT4_PANEL;
    float all[INT4_PANEL], *y = p->y + row * p->outputs + first;
    for (int piece = 0; piece < PIECES; piece++)
        vst1q_f32(all + piece * LANES, vaddq_f32(total[piece], vld1q_f32(p->bias + first + piece * LANES)));
    for (int64_t i = 0; i < count; i++) y[i] = p->act == ACT_RELU && all[i] < 0 ? 0 : all[i]; /* NaN stays NaN */
}

static inline __attribute__((always_inline)) void tile(const Int4 *p, int64_t row, int64_t panel, int rows) {
    float32x4_t total[MAX_ROWS][PIECES];
    for (int r = 0; r < rows; r++)
        for (int piece = 0; piece < PIECES; piece++) total[r][piece] = vdupq_n_f32(-0.0f); /* -0.0 + x is x */
    for (int64_t group = 0; group < p->groups; group++) {
        const uint8_t *scale = int4_group(p, panel, group), *bytes = scale + INT4_BLOCK_BYTES;
        const int64_t first = group * p->group_blocks, count = int4_group_end(p, group) - first;
        const int8_t *q = p->q + row * p->padded + first * INT4_BLOCK;
        int32x4_t sum[MAX_ROWS][PIECES];
        for (int r = 0; r < rows; r++)
            for (int piece = 0; piece < PIECES; piece++) sum[r][piece] = vdupq_n_s32(p->offset[(row + r) * p->groups + group]);
        for (int64_t block = 0; block < count; block++, bytes += INT4_BLOCK_BYTES, q += INT4_BLOCK) {
            int8x8_t inputs[MAX_ROWS];
            for (int r = 0; r < rows; r++) inputs[r] = vld1_s8(q + r * p->padded);
            for (int piece = 0; piece < PIECES; piece++) {
                const uint8x16_t both = vld1q_u8(bytes + piece * 16);
                const int8x16_t low = vreinterpretq_s8_u8(vandq_u8(both, vdupq_n_u8(15)));
                const int8x16_t high = vreinterpretq_s8_u8(vshrq_n_u8(both, 4));
                for (int r = 0; r < rows; r++) {
                    sum[r][piece] = vdotq_lane_s32(sum[r][piece], low, inputs[r], 0);
                    sum[r][piece] = vdotq_lane_s32(sum[r][piece], high, inputs[r], 1);
                }
            }
        }
        for (int r = 0; r < rows; r++)
            for (int piece = 0; piece < PIECES; piece++) {
                const float32x4_t w_scale = vld1q_f32((const float *)scale + piece * LANES);
                const float32x4_t scaled = vmulq_f32(vcvtq_f32_s32(sum[r][piece]), vmulq_n_f32(w_scale, p->x_scale[row + r]));
                total[r][piece] = vaddq_f32(total[r][piece], scaled);
            }
    }
    for (int r = 0; r < rows; r++) finish(p, row + r, panel, total[r]);
}

void tt_int4_dynamic_neon(const Int4 *p, const Int4Part *part) {
    for (int64_t panel = part->panel; panel < part->panel_end; panel++) {
        int64_t row = part->row;
        for (; row + MAX_ROWS <= part->row_end; row += MAX_ROWS) tile(p, row, panel, MAX_ROWS);
        for (; row < part->row_end; row++) tile(p, row, panel, 1);
    }
}

#include "end_isa.h"
#endif
