/* The decoding step of attention for NEON. */
#include <math.h>
#include <string.h>

#include "attention.h"

#if TT_ARM
#define FMA 1
#define RUN(name) tt_##name##_neon
#include "begin_neon.h"

#include "attention_body.h"

#include "end_isa.h"
#endif
