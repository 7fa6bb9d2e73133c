/* The decoding step of attention for AVX-512. */
#include <math.h>
#include <string.h>

#include "attention.h"

#if TT_X86
#define FMA 1
#define RUN(name) tt_##name##_avx512
#include "begin_avx512.h"

#include "attention_body.h"

#include "end_isa.h"
#endif
