/* Four floats, four integers: SSE2 and NEON have registers of that size, and compilers take them apart elsewhere. */
#ifndef TT_LANES_H
#define TT_LANES_H
#include "op.h"
#ifdef TT_ARM
#include <arm_neon.h>
#endif

enum { LANES = 4 };
typedef float Lanes __attribute__((vector_size(16), aligned(4)));
typedef int32_t IntegerLanes __attribute__((vector_size(16), aligned(4)));
typedef uint32_t WordLanes __attribute__((vector_size(16), aligned(4)));

/* How many rows of four registers of sums a product has: all 64-bit processors have 16 registers, Arm's 32 and fused
   multiply-adds. */
#ifdef TT_ARM
enum { LANES_ROWS = 6 };
static inline Lanes multiply_add(Lanes sum, float x, Lanes w) {
    return (Lanes)vfmaq_n_f32((float32x4_t)sum, (float32x4_t)w, x);
}
#else
enum { LANES_ROWS = 3 };
static inline Lanes multiply_add(Lanes sum, float x, Lanes w) { return sum + x * w; }
#endif
#endif
