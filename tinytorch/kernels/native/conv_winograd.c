/* F(2x2, 3x3): the filters, the tiles of a block, and the portable transformations. */
#define WIDTH 4
#include "conv_winograd_body.h"

enum { TILES = 64, TILES_BYTES = 384 << 10 }; /* at once: what is transformed stays in the second cache */
/* Measured with AVX-512 and AVX2: 1.3 to 1.8 times as fast from 32 channels and 16 tiles on, below that 0.8 to 1.3 times;
   with 512 to 512 channels and 16 tiles 0.6 times, because filters of 16 numbers instead of 9 no longer fit the cache. */
enum { LEAST_CHANNELS = 32, LEAST_TILES = 16, FEW_TILES = 40, LARGE_WEIGHTS = 1 << 15 };
#define LARGEST 0x1p40f /* of weights, as WINOGRAD_LIMIT of inputs: no sum on the way can overflow */

const WinogradPath tt_winograd_portable = {input_tiles, output_tiles};

int tt_winograd_fits(const Op *op) {
    const int64_t *d = op->dim, channels = d[C], outputs = d[O];
    if (d[KH] != 3 || d[KW] != 3 || d[SH] != 1 || d[SW] != 1 || channels % LANES || outputs % LANES || channels < LEAST_CHANNELS)
        return 0;
    const int64_t tiles = ((d[H] + 2 * d[PH] - 1) / 2) * ((d[W] + 2 * d[PW] - 1) / 2); /* of an image */
    if (tiles < LEAST_TILES || (tiles < FEW_TILES && channels * outputs > LARGE_WEIGHTS))
        return 0; /* reading the larger filters would cost more than the products they save */
    const float *weight = op->array[WEIGHTS];
    for (int64_t i = 0; i < 9 * channels * outputs; i++)
        if (!(weight[i] <= LARGEST && weight[i] >= -LARGEST))
            return 0;
    return 1;
}

int64_t tt_winograd_weight_bytes(int64_t channels, int64_t outputs) { return 4 * PLACES * channels * outputs; }

static int64_t tiles_at_once(int64_t channels, int64_t outputs) {
    int64_t fitting = TILES_BYTES / (4 * PLACES * (channels + outputs)) / 8 * 8;
    return fitting < 8 ? 8 : fitting > TILES ? TILES : fitting;
}

/* A vector more than needed: at a power of two the 16 places would compete for the same places in the cache. */
static int64_t place(int64_t tiles, int64_t channels) { return tiles * channels + LANES; }

int64_t tt_winograd_scratch_bytes(int64_t channels, int64_t outputs) {
    const int64_t tiles = tiles_at_once(channels, outputs);
    return 4 * PLACES * (place(tiles, channels) + place(tiles, outputs));
}

/* Three numbers of a filter's row or column become four. */
static void transform3(const float *g, int step, float *out, int out_step) {
    const float a = g[0], b = g[step], c = g[2 * step];
    out[0] = a;
    out[out_step] = (a + b + c) / 2;
    out[2 * out_step] = (a - b + c) / 2;
    out[3 * out_step] = c;
}

void tt_winograd_pack(const float *weight, int64_t channels, int64_t outputs, float *packed) {
    for (int64_t o = 0; o < outputs; o++)
        for (int64_t c = 0; c < channels; c++, weight += 9) {
            float rows[12], tile[PLACES]; /* (4, 3), (4, 4) */
            for (int j = 0; j < 3; j++)
                transform3(weight + j, 3, rows + j, 3);
            for (int i = 0; i < 4; i++)
                transform3(rows + 3 * i, 1, tile + 4 * i, 1);
            for (int i = 0; i < PLACES; i++)
                packed[((i * outputs / LANES + o / LANES) * channels + c) * LANES + o % LANES] = tile[i];
        }
}

static void multiply(const WinogradTiles *t, const ConvPath *path, const float *filters, const float *zeros, float *products) {
    for (int i = 0; i < PLACES; i++) {
        const ConvBlock b = {
            .image = (const char *)(t->transformed + i * t->input_place), .pixel_bytes = 4 * t->channels,
            .window_rows = 1, .groups = t->channels, .width = t->count, .pixels = t->count, .outputs = t->outputs,
            .weights = (const char *)(filters + i * t->channels * t->outputs), .panel_bytes = 4 * LANES * t->channels,
            .bias = zeros, .out = products + i * t->output_place,
        };
        path->block(&b);
    }
}

void tt_winograd_block(const ConvBlock *b, const ConvPath *path, int64_t channels, const float *filters, const float *zeros,
                       char *scratch) {
    const int64_t at_once = tiles_at_once(channels, b->outputs), height = b->pixels / b->width;
    float *products = (float *)scratch + PLACES * place(at_once, channels);
    WinogradTiles t = {
        .image = (const float *)b->image, .row = b->window_row_bytes / 4, .channels = channels, .height = height,
        .width = b->width, .tiles_across = (b->width + 1) / 2, .transformed = (float *)scratch, .products = products,
        .input_place = place(at_once, channels), .output_place = place(at_once, b->outputs), .bias = b->bias,
        .addend = b->addend, .out = b->out, .outputs = b->outputs, .act = b->act,
    };
    const int64_t tiles = t.tiles_across * ((height + 1) / 2);
    for (t.first = 0; t.first < tiles; t.first += at_once) {
        t.count = tiles - t.first < at_once ? tiles - t.first : at_once;
        path->winograd->input(&t);
        multiply(&t, path, filters, zeros, products);
        path->winograd->output(&t);
    }
}
