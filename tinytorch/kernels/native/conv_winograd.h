/* Convolution 3x3 with stride 1 in float32 by 16 products for 4 outputs instead of 36: F(2x2, 3x3) of Lavin and Gray (2016),
   "Fast Algorithms for Convolutional Neural Networks".

   A tile of 4x4 input pixels, transformed, times a transformed filter, number by number, is a tile of 2x2 output pixels,
   transformed. For each of the 16 places in a tile that is a product of matrices, (tiles, C) by (C, O), which ConvPath's
   block function computes like a 1x1 convolution. An output's error is relative to the largest inputs of its tile, not of
   its window alone; with inputs of one magnitude it was as small as the direct sum's, 3e-7 of the sum of absolute products. */
#ifndef TT_CONV_WINOGRAD_H
#define TT_CONV_WINOGRAD_H
#include "conv.h"

enum { PLACES = 16 };

typedef struct {
    const float *image;               /* the padded input of the block; a row and a pixel beyond it can be read */
    int64_t row, channels;            /* numbers in a row of it */
    int64_t height, width;            /* of the block's output */
    int64_t tiles_across, first, count; /* the tiles at hand: `count` from `first` on, row by row */
    float *transformed;               /* (PLACES, count, C), each place `input_place` numbers after the one before */
    const float *products;            /* (PLACES, count, O), likewise */
    int64_t input_place, output_place;
    const float *bias, *addend;       /* as in ConvBlock */
    float *out;
    int64_t outputs;
    int act;
} WinogradTiles;

typedef struct WinogradPath {
    void (*input)(const WinogradTiles *);
    void (*output)(const WinogradTiles *);
} WinogradPath;

extern const WinogradPath tt_winograd_portable, tt_winograd_avx2, tt_winograd_avx512;

/* Whether a convolution is faster, and exact enough, this way. */
int tt_winograd_fits(const Op *op);

/* Inputs of a block as large as this may overflow on the way: bits of a float as ConvPath's `largest` compares them. */
enum { WINOGRAD_LIMIT = (127 + 40) << 23 };

/* Bytes of the transformed filters, and of a thread's scratch. */
int64_t tt_winograd_weight_bytes(int64_t channels, int64_t outputs);
int64_t tt_winograd_scratch_bytes(int64_t channels, int64_t outputs);

/* Fills `packed` from weights (O, C, 3, 3): [PLACES][O / LANES][C][LANES]. */
void tt_winograd_pack(const float *weight, int64_t channels, int64_t outputs, float *packed);

/* Computes the block `b` describes; `filters` are the packed ones, `zeros` as long as b->bias. */
void tt_winograd_block(const ConvBlock *b, const ConvPath *path, int64_t channels, const float *filters, const float *zeros,
                       char *scratch);

#endif
