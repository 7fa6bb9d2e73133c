/* Which instruction sets this processor and this operating system offer. */
#include "program.h"

#if defined(TT_ARM) && defined(__linux__)
#include <sys/auxv.h>
#ifndef HWCAP_ASIMDDP
#define HWCAP_ASIMDDP (1 << 20)
#endif
#elif defined(TT_ARM) && defined(__APPLE__)
#include <sys/sysctl.h>
#endif

const char *const tt_isa_names[ISA_COUNT] = {"portable", "neon", "avx2", "avx512vnni"};

#ifdef TT_X86
/* The compiler's run-time library also asks whether the operating system keeps the wide registers. */
static int has_avx2(void) {
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2");
}

static int has_avx512(void) {
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512vnni");
}
#endif

#ifdef TT_ARM
static int has_neon_dot(void) {
#if defined(__linux__)
    return (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0;
#elif defined(__APPLE__)
    int found = 0;
    size_t size = sizeof found;
    return sysctlbyname("hw.optional.arm.FEAT_DotProd", &found, &size, NULL, 0) == 0 && found;
#else
    return 0;
#endif
}
#endif

int tt_has_isa(int isa) {
#ifdef TT_X86
    __builtin_cpu_init();
#endif
    switch (isa) {
    case ISA_PORTABLE:
        return 1;
#ifdef TT_ARM
    case ISA_NEON:
        return has_neon_dot();
#endif
#ifdef TT_X86
    case ISA_AVX2:
        return has_avx2();
    case ISA_AVX512:
        return has_avx512();
#endif
    default:
        return 0;
    }
}

int tt_best_isa(void) {
    int best = ISA_PORTABLE;
    for (int isa = 0; isa < ISA_COUNT; isa++)
        if (tt_has_isa(isa))
            best = isa;
    return best;
}

int tt_openmp(void) {
#ifdef _OPENMP
    return _OPENMP;
#else
    return 0;
#endif
}
