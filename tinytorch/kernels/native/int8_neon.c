/* int8 products with NEON's dot products: 4 outputs a register, 4 inputs an instruction. */
#include "int8.h"

#ifdef TT_ARM
#include <arm_neon.h>
#include "begin_neon.h"

enum { LANES = 4, VECTORS = 4, MOST_ROWS = 4 };
#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 8")

/* y = act(sum * (x_scale * w_scale) + bias) for one row and 4 outputs; in this order, to equal NumPy. */
INLINE void finish(const Int8Tile *t, int64_t row, int vector, int32x4_t sums) {
    const int64_t output = (int64_t)vector * LANES;
    const float32x4_t scale = vmulq_f32(vdupq_n_f32(t->x_scale[row]), vld1q_f32(t->weight_scale + output));
    float32x4_t y = vaddq_f32(vmulq_f32(vcvtq_f32_s32(sums), scale), vld1q_f32(t->bias + output));
    if (t->act == ACT_RELU) {
        y = vmaxq_f32(y, vdupq_n_f32(0.0f)); /* keeps a NaN */
    }
    float lanes[LANES];
    float *to = t->y + row * t->y_stride + output;
    vst1q_f32(output + LANES <= t->outputs ? to : lanes, y);
    for (int64_t i = 0; output + LANES > t->outputs && output + i < t->outputs; i++) {
        to[i] = lanes[i];
    }
}

INLINE int8x16_t four_inputs(const uint8_t *x) {
    int32_t bytes;
    __builtin_memcpy(&bytes, x, sizeof bytes);
    return vreinterpretq_s8_s32(vdupq_n_s32(bytes));
}

/* `rows` rows from `row` on times the panel; `rows` is a constant where this is inlined. */
INLINE void block(const Int8Tile *t, int64_t row, const int rows) {
    int32x4_t sums[MOST_ROWS][VECTORS];
    UNROLL for (int r = 0; r < rows; r++) {
        UNROLL for (int v = 0; v < VECTORS; v++) {
            sums[r][v] = vld1q_s32(t->start + v * LANES);
        }
    }
    const uint8_t *x = t->x + row * t->x_stride;
    const int8_t *weights = t->weights;
    for (int64_t step = 0; step < t->steps; step++) {
        UNROLL for (int r = 0; r < rows; r++) {
            const int8x16_t inputs = four_inputs(x + r * t->x_stride);
            UNROLL for (int v = 0; v < VECTORS; v++) {
                sums[r][v] = vdotq_s32(sums[r][v], vld1q_s8(weights + v * LANES * STEP), inputs);
            }
        }
        x += STEP;
        weights += VECTORS * LANES * STEP;
    }
    UNROLL for (int r = 0; r < rows; r++) {
        UNROLL for (int v = 0; v < VECTORS; v++) {
            finish(t, row + r, v, sums[r][v]);
        }
    }
}

static void panel(const Int8Tile *t) {
    int64_t row = 0;
    for (; row + MOST_ROWS <= t->rows; row += MOST_ROWS) {
        block(t, row, MOST_ROWS);
    }
    switch (t->rows - row) {
    case 1:
        block(t, row, 1);
        break;
    case 2:
        block(t, row, 2);
        break;
    case 3:
        block(t, row, 3);
        break;
    }
}

static void product_neon(const Int8Tile *tile) {
    for (Int8Tile t = *tile; t.outputs > 0; tt_int8_next_panel(&t, LANES * VECTORS, STEP)) {
        panel(&t);
    }
}

const Int8Product tt_int8_product_neon = {LANES * VECTORS, STEP, FLIP_NONE, product_neon};

#include "end_isa.h"
#endif
