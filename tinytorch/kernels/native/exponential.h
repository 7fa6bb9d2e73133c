/* What a softmax is made of: the largest of some numbers, and e to the x for x <= 0; in plain C that a compiler turns into
   vectors. No include guard: it is included once a file, after begin_*.h, and takes that instruction set.

   Only negative arguments occur: softmax subtracts the maximum, and sigmoid and tanh are symmetric, so that nothing
   overflows. Before the include, FMA says whether the set has a fused multiply-add. Relative error: below 2e-7 with it,
   3e-7 without; results below the smallest normal number may be 0. */
#include <string.h>

#if FMA
#define MUL_ADD(a, b, c) __builtin_fmaf(a, b, c)
#else
#define MUL_ADD(a, b, c) ((a) * (b) + (c))
#endif

enum { LANES = 16 }; /* at least as many as a register holds */

/* The largest of n numbers, n at least 1; a NaN among them may be taken or not. In lanes, as not every compiler makes
   vectors of a maximum of numbers that could be NaN. */
static inline float largest(const float *x, int64_t n) {
    float most[LANES];
    int64_t whole = n - n % LANES;
    for (int lane = 0; lane < LANES; lane++) most[lane] = x[0];
    for (int64_t i = 0; i < whole; i += LANES)
        for (int lane = 0; lane < LANES; lane++) most[lane] = x[i + lane] > most[lane] ? x[i + lane] : most[lane];
    for (int64_t i = whole; i < n; i++) most[0] = x[i] > most[0] ? x[i] : most[0];
    for (int lane = 1; lane < LANES; lane++) most[0] = most[lane] > most[0] ? most[lane] : most[0];
    return most[0];
}

/* Of e to the x = scale * (1 + rest): scale is the power of two below, |rest| <= 0.42. */
typedef struct {
    float scale, rest;
} Exponential;

static inline Exponential split_exponential(float x) {
    const float least = -88.03f;         /* rounds to 2**-127, which has no normal float: the scale becomes 0 */
    const float round = 12582912.0f;     /* 1.5 * 2**23: a float that large has no fraction, so adding it rounds */
    /* ln 2 in two parts, the first of nine bits: its product with a whole number up to 127 is exact (Cody & Waite) */
    const float ln2_high = 0.693359375f, ln2_low = -2.12194440e-4f;
    float cut = x < least ? least : x;   /* false for a NaN, which goes through to `rest` */
    float shifted = MUL_ADD(cut, 1.44269504f, round);
    float whole = shifted - round;
    float r = MUL_ADD(whole, -ln2_low, MUL_ADD(whole, -ln2_high, cut));
    uint32_t bits; /* the low bits of `shifted` hold `whole`; as bits of an exponent they make the power of two */
    Exponential e;
    memcpy(&bits, &shifted, sizeof bits);
    bits = (bits + 127u) << 23;
    memcpy(&e.scale, &bits, sizeof bits);
    /* (e**r - 1 - r) / r**2 on |r| <= ln(2) / 2 by Chebyshev nodes: off by 6.5e-8, so the whole by 1e-8 of e**r */
    float p = MUL_ADD(1.393382321e-3f, r, 8.363295346e-3f);
    p = MUL_ADD(p, r, 4.166646302e-2f);
    p = MUL_ADD(p, r, 1.666657627e-1f);
    p = MUL_ADD(p, r, 0.5f);
    e.rest = MUL_ADD(p * r, r, r);
    return e;
}

static inline float exponential(float x) {
    Exponential e = split_exponential(x);
    return MUL_ADD(e.scale, e.rest, e.scale);
}

/* e to the x, minus 1, without losing the digits of a small x. */
static inline float exponential_minus_1(float x) {
    Exponential e = split_exponential(x);
    return MUL_ADD(e.scale, e.rest, e.scale - 1.0f);
}
