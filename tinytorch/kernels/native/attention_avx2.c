/* The decoding step of attention for AVX2 with FMA. */
#include <math.h>
#include <string.h>

#include "attention.h"

#if TT_X86
#define FMA 1
#define RUN(name) tt_##name##_avx2
#include "begin_avx2.h"

#include "attention_body.h"

#include "end_isa.h"
#endif
