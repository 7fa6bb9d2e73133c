/* What the files of the convolution family share: a block of output rows, and how an instruction set computes one.

   The driver (conv.c) cuts the work into blocks of output rows of one sample. It copies the input rows a block needs into
   scratch, padded and, for int8, quantized; without padding, float32 is read where it is. Then one function computes the
   block: for each tile of PIXELS output pixels and each panel of LANES outputs, a product over the rows of the window.
   A window row is `run` = kw·C neighbouring numbers, taken `group` at a time. Weights are packed to match:
   [O / LANES][kh][run / group][LANES][group], both divisions rounded up, the rest zeros. */
#ifndef TT_CONV_H
#define TT_CONV_H
#include "op.h"

enum { LANES = 16 };
enum { C, H, W, O, KH, KW, SH, SW, PH, PW, ACT, HAS_ADDEND, SCALES };     /* of Op.dim */
enum { WEIGHTS, F32_BIAS, I8_SCALES = 1, I8_BIAS, I8_X_SCALE };           /* of Op.array */

const char *tt_conv_check_f32(const Op *, const int64_t *slot_bytes);
const char *tt_conv_check_i8(const Op *, const int64_t *slot_bytes);

typedef struct {
    const char *image;        /* where the first window begins */
    int64_t pixel_bytes;      /* from one output pixel's window to the next one's */
    int64_t line_bytes;       /* from one output row's first window to the next one's */
    int64_t window_row_bytes; /* from one row of a window to the next */
    int64_t window_rows;      /* kh */
    int64_t groups;           /* in a row of a window */
    int64_t width, pixels;    /* output pixels in a row, and in the block */
    int64_t outputs;          /* O */
    const char *weights;
    int64_t panel_bytes;      /* of packed weights for LANES outputs */
    const float *bias;        /* padded to whole panels, like all below but addend and out */
    const float *scale;       /* int8: of each output's weights */
    const int32_t *start;     /* int8: what each sum begins with */
    float x_scale;
    const float *addend;      /* NULL, or what is added after the bias: (pixels, O) */
    float *out;               /* (pixels, O) */
    int act;
} ConvBlock;

typedef struct {
    int element_bytes; /* of a number of the copied input */
    int weight_bytes;
    int group;
    int zero;          /* the byte that stands for zeros in the copied input */
    int start_factor;  /* an integer sum begins with this times the sum of its weights */
    /* Copies `count` numbers of a row, quantized by `scale`; nonzero if one of them is NaN and cannot be held. NULL:
       the floats as they are. */
    int (*convert)(const float *x, int64_t count, float scale, void *out);
    /* The largest of the numbers' bits without the sign: those of max|x|, or of a NaN, which is above infinity. */
    int32_t (*largest)(const float *x, int64_t count);
    void (*block)(const ConvBlock *);
    const struct WinogradPath *winograd; /* float32 only */
} ConvPath;

extern const ConvPath tt_conv_f32_portable, tt_conv_f32_neon, tt_conv_f32_avx2, tt_conv_f32_avx512;
extern const ConvPath tt_conv_i8_portable, tt_conv_i8_neon, tt_conv_i8_avx2, tt_conv_i8_avx512;

/* Walks over the output pixels of a block, row by row. */
typedef struct {
    const char *line, *pixel;
    int64_t column;
} ConvCursor;

/* Sets where the windows of the next `count` output pixels begin; those beyond `left` repeat the last one. */
static inline __attribute__((always_inline)) void conv_next_pixels(
    const ConvBlock *b, ConvCursor *at, const char **window, int count, int64_t left) {
    if (count <= left && at->column + count < b->width) { /* the usual case: all in one row, and not its last */
        for (int i = 0; i < count; i++)
            window[i] = at->pixel + i * b->pixel_bytes;
        at->pixel += count * b->pixel_bytes;
        at->column += count;
        return;
    }
    for (int i = 0; i < count; i++) {
        window[i] = at->pixel;
        if (i + 1 >= left)
            continue;
        at->pixel += b->pixel_bytes;
        if (++at->column == b->width) {
            at->column = 0;
            at->line += b->line_bytes;
            at->pixel = at->line;
        }
    }
}

#endif
