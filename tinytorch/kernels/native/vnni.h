/* The AVX512-VNNI dot product as one instruction. Include it between begin_avx512.h and end_isa.h.

_mm512_dpbusd_epi32 means the same, but GCC 12 copies and spills the accumulators around it: 24 of them in a loop ran at
180 G multiply-adds a second instead of 455 (Zen 5). */
#ifndef TT_VNNI_H
#define TT_VNNI_H

/* sums[i] + the products of 4 unsigned bytes of u with 4 signed bytes of s; wraps modulo 2**32, never saturates. */
static inline __attribute__((always_inline)) __m512i tt_dot4_avx512(__m512i sums, __m512i u, __m512i s) {
    __asm__("vpdpbusd %2, %1, %0" : "+v"(sums) : "v"(u), "v"(s));
    return sums;
}
#endif
