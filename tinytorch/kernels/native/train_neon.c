/* Training with NEON: 8 pixels, or 8 rows of weights, by two registers of 4 outputs; there are 32 registers. */
#include "op.h"
#ifdef TT_ARM
#include <arm_neon.h>
#include "begin_neon.h"

#define LANES 4
#define PIXELS 8
#define WEIGHT_ROWS 8
#define MULTIPLY_ADD(sum, a, b) ((Vector)vfmaq_f32((float32x4_t)(sum), (float32x4_t)(a), (float32x4_t)(b)))
#define PATH tt_train_neon
#include "train_body.h"

#include "end_isa.h"
#endif
