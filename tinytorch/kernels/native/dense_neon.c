/* The float32 product with NEON: that of plain C with twice the registers and fused multiply-adds. */
#include "op.h"
#ifdef TT_ARM
#include <arm_neon.h>
#include <string.h>

#include "dense.h"
#include "lanes.h"
#include "begin_neon.h"

enum { TILE_ROWS = 6 }; /* 24 sums, 4 of weights and some of x: within the 32 registers */
static inline Lanes multiply_add(Lanes sum, float x, Lanes w) {
    return (Lanes)vfmaq_n_f32((float32x4_t)sum, (float32x4_t)w, x);
}
#include "dense_lanes.h"

void tt_dense_neon(const Dense *d, const DenseBlock *block) { lanes_block(d, block); }

#include "end_isa.h"
#endif
