/* The float32 product in lanes of four floats: for any compiler that knows vector types, and for Arm. */
#include <string.h>

#include "dense.h"
#include "lanes.h"

enum { PARTS = DENSE_PANEL / LANES };

static inline Lanes weights_at(const Dense *d, int64_t panel, int64_t k, int part) {
    return ((const Lanes *)(d->weights + (panel * d->inputs + k) * DENSE_PANEL))[part];
}

/* `rows` rows of one panel, each the sum of `steps` partial sums over every so many-th input, which hide the latency of
   the additions; rows times steps is at most LANES_ROWS. */
static inline __attribute__((always_inline)) void run_tile(const Dense *d, int64_t row, int64_t panel, int rows, int steps) {
    Lanes sum[LANES_ROWS][PARTS] = {{{0}}};
    const float *x = d->x + row * d->inputs;
    for (int r = 0; r < rows; r++) memcpy(sum[r], d->bias + panel * DENSE_PANEL, sizeof sum[r]);
    int64_t k = 0;
    for (; k + steps <= d->inputs; k += steps)
        for (int s = 0; s < steps; s++)
            for (int r = 0; r < rows; r++)
                for (int p = 0; p < PARTS; p++)
                    sum[s * rows + r][p] =
                        multiply_add(sum[s * rows + r][p], x[r * d->inputs + k + s], weights_at(d, panel, k + s, p));
    for (; k < d->inputs; k++)
        for (int r = 0; r < rows; r++)
            for (int p = 0; p < PARTS; p++)
                sum[r][p] = multiply_add(sum[r][p], x[r * d->inputs + k], weights_at(d, panel, k, p));
    for (int s = 1; s < steps; s++)
        for (int r = 0; r < rows; r++)
            for (int p = 0; p < PARTS; p++) sum[r][p] += sum[s * rows + r][p];
    const int64_t left = d->outputs - panel * DENSE_PANEL, stored = left < DENSE_PANEL ? left : DENSE_PANEL;
    for (int r = 0; r < rows; r++) {
        float *y = d->y + (row + r) * d->stride + panel * DENSE_PANEL, all[DENSE_PANEL];
        memcpy(all, sum[r], sizeof all);
        for (int64_t j = 0; j < stored; j++) y[j] = d->act == ACT_RELU && all[j] < 0 ? 0 : all[j]; /* NaN stays NaN */
    }
}

void tt_dense_portable(const Dense *d, const DenseBlock *block) {
    for (int64_t panel = block->panel; panel < block->panel_end; panel++) {
        int64_t row = block->row;
        for (; row + LANES_ROWS <= block->row_end; row += LANES_ROWS) run_tile(d, row, panel, LANES_ROWS, 1);
        for (; row < block->row_end; row++) run_tile(d, row, panel, 1, LANES_ROWS);
    }
}
