/* The decoding step of attention for NEON. */
#include <math.h>
#include <string.h>

#include "attention.h"

#if TT_ARM
#include <arm_neon.h>
#define FMA 1
#define RUN(name) tt_##name##_neon
#include "begin_neon.h"

#define WIDTH 4
typedef float32x4_t Vector;

static inline Vector load(const float *x) { return vld1q_f32(x); }
static inline Vector load_bytes(const int8_t *x) {
    int32_t four;
    memcpy(&four, x, sizeof four);
    const int16x8_t words = vmovl_s8(vreinterpret_s8_s32(vdup_n_s32(four)));
    return vcvtq_f32_s32(vmovl_s16(vget_low_s16(words)));
}
static inline void store(float *x, Vector v) { vst1q_f32(x, v); }
static inline Vector splat(float x) { return vdupq_n_f32(x); }
static inline Vector scaled_sum(Vector sum, Vector a, Vector b) { return vfmaq_f32(sum, a, b); }

/* The sums of v[0], v[1], ... */
static inline Vector sums_of(const Vector *v) { return vpaddq_f32(vpaddq_f32(v[0], v[1]), vpaddq_f32(v[2], v[3])); }

#include "attention_body.h"

#include "end_isa.h"
#endif
