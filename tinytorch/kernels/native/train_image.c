/* Batch normalization, sums over pixels, ReLU and max pooling.

   A channel's values lie `channels` apart. Loops over so few numbers would be slow, so what belongs to a channel is
   repeated up to a period of PERIOD numbers or more, and sums have as many places. */
#include "train.h"

#include <stdlib.h>
#include <string.h>

enum { PERIOD = 256, BLOCK_PERIODS = 32, BLOCK_VALUES = 1 << 15 };
static const double VALUES_A_NS = 4;

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

/* ---- Values of channels ---- */

enum { PIXELS, CHANNELS };

typedef struct {
    const TrainCall *call;
    const TrainPath *path;
    int64_t channels, period, block, blocks, values;  /* a block is so many values */
    float *repeated;                                   /* what belongs to channels, [array][period] */
    float *scratch;                                    /* [thread][3][period] */
    double *sums;                                      /* [block][2][channels] */
    void *memory;
} Channels;

static int begin(Channels *s, const TrainCall *c, int arrays, int threads) {
    s->call = c;
    s->path = tt_train_path(c->isa);
    s->channels = c->dim[CHANNELS];
    s->period = s->channels * (s->channels < PERIOD ? PERIOD / s->channels : 1);
    s->block = s->period * BLOCK_PERIODS;
    s->values = c->dim[PIXELS] * s->channels;
    s->blocks = (s->values + s->block - 1) / s->block;
    const int64_t sums = s->blocks * 2 * s->channels * 8, floats = (arrays + 3 * (int64_t)threads) * s->period * 4;
    s->memory = tt_train_alloc(sums + floats);
    if (!s->memory) return -1;
    s->sums = s->memory;
    s->repeated = (float *)((char *)s->memory + sums);
    s->scratch = s->repeated + arrays * s->period;
    return 0;
}

static const float *repeat(const Channels *s, int place, const void *values) {
    float *to = s->repeated + place * s->period;
    for (int64_t i = 0; i < s->period; i += s->channels) memcpy(to + i, values, (size_t)s->channels * 4);
    return to;
}

/* Add up the places of each channel. */
static void fold(const Channels *s, const float *places, double *sums) {
    for (int64_t c = 0; c < s->channels; c++) {
        double sum = 0;
        for (int64_t i = c; i < s->period; i += s->channels) sum += places[i];
        sums[c] = sum;
    }
}

static int64_t values_of(const Channels *s, int64_t block) { return least(s->block, s->values - block * s->block); }

static int threads_of(const TrainCall *c) {
    return tt_train_threads(c, (double)c->dim[PIXELS] * (double)c->dim[CHANNELS] / VALUES_A_NS);
}

/* `whole` arrays have a number for each pixel and channel, the others one for each channel. */
static const char *check_channels(const TrainCall *c, int whole) {
    if (c->dim[PIXELS] < 1 || c->dim[CHANNELS] < 1) return "there are no pixels or no channels";
    const int64_t bytes = tt_train_bytes(4, c->dim, 2);
    for (int i = 0; i < c->array_count; i++) {
        const int64_t wanted = i < whole ? bytes : c->dim[CHANNELS] * 4;
        if (!c->array[i] || c->bytes[i] != wanted) return "an array does not have the size that pixels and channels say";
    }
    return NULL;
}

static const char *check_1_whole(const TrainCall *c) { return check_channels(c, 1); }
static const char *check_2_whole(const TrainCall *c) { return check_channels(c, 2); }
static const char *check_3_whole(const TrainCall *c) { return check_channels(c, 3); }

/* ---- Mean and variance ---- */

/* A block's mean, and the sum of its squared distances from it, in two passes that find it in the cache. */
static void moments_of_block(const void *task, int64_t block, int thread) {
    const Channels *s = task;
    const float *x = (const float *)s->call->array[0] + block * s->block;
    float *sum = s->scratch + thread * 3 * s->period, *mean = sum + s->period, *squares = mean + s->period;
    double *means = s->sums + block * 2 * s->channels, *distances = means + s->channels;
    const int64_t values = values_of(s, block);
    const double count = (double)(values / s->channels);
    memset(sum, 0, (size_t)s->period * 4);
    memset(squares, 0, (size_t)s->period * 4);
    s->path->add_to(x, sum, values, s->period);
    fold(s, sum, means);
    for (int64_t i = 0; i < s->period; i++) mean[i] = (float)(means[i % s->channels] / count);
    s->path->add_squares(x, mean, squares, values, s->period);
    fold(s, squares, distances);
    for (int64_t c = 0; c < s->channels; c++) {
        const double exact = means[c] / count, off = exact - (double)mean[c];
        means[c] = exact;
        distances[c] -= count * off * off;
    }
}

/* Blocks are joined in order [Chan, Golub & LeVeque, 1983]. */
static int moments(const TrainCall *c) {
    Channels s;
    const int threads = threads_of(c);
    if (begin(&s, c, 0, threads)) return -1;
    tt_train_for_each(s.blocks, threads, moments_of_block, &s);
    float *means = c->array[1], *variances = c->array[2];
    for (int64_t channel = 0; channel < s.channels; channel++) {
        double count = 0, mean = 0, distances = 0;
        for (int64_t block = 0; block < s.blocks; block++) {
            const double *found = s.sums + block * 2 * s.channels + channel;
            const double more = (double)(values_of(&s, block) / s.channels), all = count + more, delta = found[0] - mean;
            mean += delta * more / all;
            distances += found[s.channels] + delta * delta * count * more / all;
            count = all;
        }
        means[channel] = (float)mean;
        variances[channel] = (float)(distances > 0 || distances != distances ? distances / count : 0);
    }
    free(s.memory);
    return 0;
}

/* ---- Sums of the gradient, and of its product with the distance from the mean ---- */

static void sums_of_block(const void *task, int64_t block, int thread) {
    const Channels *s = task;
    const float *g = (const float *)s->call->array[0] + block * s->block;
    float *sum = s->scratch + thread * 3 * s->period, *products = sum + s->period;
    double *sums = s->sums + block * 2 * s->channels;
    memset(sum, 0, (size_t)s->period * 8);
    if (s->call->array_count == 2) {
        s->path->add_to(g, sum, values_of(s, block), s->period);
        fold(s, sum, sums);
        return;
    }
    const float *x = (const float *)s->call->array[1] + block * s->block;
    s->path->add_products(g, x, s->repeated, sum, products, values_of(s, block), s->period);
    fold(s, sum, sums);
    fold(s, products, sums + s->channels);
}

static void add_blocks(const Channels *s, int which, float *to) {
    for (int64_t c = 0; c < s->channels; c++) {
        double sum = 0;
        for (int64_t block = 0; block < s->blocks; block++) sum += s->sums[(block * 2 + which) * s->channels + c];
        to[c] = (float)sum;
    }
}

static int sums(const TrainCall *c) {
    Channels s;
    const int threads = threads_of(c), with_products = c->array_count > 2;
    if (begin(&s, c, with_products, threads)) return -1;
    if (with_products) repeat(&s, 0, c->array[2]);
    tt_train_for_each(s.blocks, threads, sums_of_block, &s);
    add_blocks(&s, 0, c->array[with_products ? 3 : 1]);
    if (with_products) add_blocks(&s, 1, c->array[4]);
    free(s.memory);
    return 0;
}

/* ---- The normalized values, and the gradient ---- */

static void normalize_block(const void *task, int64_t block, int thread) {
    const Channels *s = task;
    const int64_t at = block * s->block, p = s->period;
    (void)thread;
    s->path->normalize((const float *)s->call->array[0] + at, s->repeated, s->repeated + p, s->repeated + 2 * p,
                       (float *)s->call->array[1] + at, values_of(s, block), p);
}

static void normalize_grad_block(const void *task, int64_t block, int thread) {
    const Channels *s = task;
    const int64_t at = block * s->block, p = s->period;
    (void)thread;
    s->path->normalize_grad((const float *)s->call->array[0] + at, (const float *)s->call->array[1] + at, s->repeated,
                            s->repeated + p, s->repeated + 2 * p, s->repeated + 3 * p, (float *)s->call->array[2] + at,
                            values_of(s, block), p);
}

static int each_block(const TrainCall *c, int whole, Work work) {
    Channels s;
    const int threads = threads_of(c);
    if (begin(&s, c, c->array_count - whole, threads)) return -1;
    for (int i = whole; i < c->array_count; i++) repeat(&s, i - whole, c->array[i]);
    tt_train_for_each(s.blocks, threads, work, &s);
    free(s.memory);
    return 0;
}

static int normalize(const TrainCall *c) { return each_block(c, 2, normalize_block); }
static int normalize_grad(const TrainCall *c) { return each_block(c, 3, normalize_grad_block); }

/* ---- ReLU ---- */

static const char *check_relu(const TrainCall *c) {
    const int64_t bytes = tt_train_bytes(4, c->dim, 1);
    for (int i = 0; i < c->array_count; i++)
        if (bytes < 0 || !c->array[i] || c->bytes[i] != bytes) return "an array does not hold so many numbers";
    return NULL;
}

static void relu_block(const void *task, int64_t block, int thread) {
    const TrainCall *c = task;
    const int64_t at = block * BLOCK_VALUES, count = least(BLOCK_VALUES, c->dim[0] - at);
    const TrainPath *path = tt_train_path(c->isa);
    (void)thread;
    if (c->array_count == 2)
        path->relu((const float *)c->array[0] + at, (float *)c->array[1] + at, count);
    else
        path->relu_grad((const float *)c->array[0] + at, (const float *)c->array[1] + at, (float *)c->array[2] + at, count);
}

static int relu(const TrainCall *c) {
    tt_train_for_each((c->dim[0] + BLOCK_VALUES - 1) / BLOCK_VALUES, tt_train_threads(c, (double)c->dim[0] / VALUES_A_NS), relu_block, c);
    return 0;
}

/* ---- Max pooling ---- */

enum { N, H, W, C, KH, KW, SH, SW, PH, PW, POOL_DIMS };
enum { MOST_TAPS = 255 };

static int64_t out_size(const TrainCall *c, int axis) {
    return (c->dim[H + axis] + 2 * c->dim[PH + axis] - c->dim[KH + axis]) / c->dim[SH + axis] + 1;
}

static const char *check_pool(const TrainCall *c) {
    enum { LARGEST = 1 << 24 };
    if (c->dim[N] < 0) return "the number of images is negative";
    for (int i = H; i <= SW; i++)
        if (c->dim[i] < 1 || c->dim[i] > LARGEST) return "a size is not within 1 and 2**24";
    if (c->dim[KH] * c->dim[KW] > MOST_TAPS) return "a window has more than 255 values";
    for (int axis = 0; axis < 2; axis++) {
        if (c->dim[PH + axis] < 0 || c->dim[PH + axis] > c->dim[KH + axis] / 2) return "padding is more than half of the window";
        if (c->dim[KH + axis] > c->dim[H + axis] + 2 * c->dim[PH + axis]) return "the window is larger than the padded image";
    }
    const int64_t outs[] = {c->dim[N], out_size(c, 0), out_size(c, 1), c->dim[C]};
    const int is_grad = c->written == 1 << 2;
    const int image = is_grad ? 2 : 0, out = is_grad ? 0 : 1, which = is_grad ? 1 : 2;
    if (!c->array[image] || c->bytes[image] != tt_train_bytes(4, c->dim, 4)) return "the images have another size";
    if (!c->array[out] || c->bytes[out] != tt_train_bytes(4, outs, 4)) return "the outputs have another size";
    if (!c->array[which] || c->bytes[which] != tt_train_bytes(1, outs, 4)) return "the places have another size";
    return NULL;
}

/* Where the values of a window lie, NULL for those in the padding. */
static void taps_of(const TrainCall *c, float *image, int64_t y, int64_t x, float **tap) {
    for (int64_t i = 0; i < c->dim[KH]; i++)
        for (int64_t j = 0; j < c->dim[KW]; j++) {
            const int64_t at_y = y * c->dim[SH] + i - c->dim[PH], at_x = x * c->dim[SW] + j - c->dim[PW];
            const int is_inside = at_y >= 0 && at_y < c->dim[H] && at_x >= 0 && at_x < c->dim[W];
            *tap++ = is_inside ? image + (at_y * c->dim[W] + at_x) * c->dim[C] : NULL;
        }
}

static void pool_image(const void *task, int64_t image, int thread) {
    const TrainCall *c = task;
    const TrainPath *path = tt_train_path(c->isa);
    const int is_grad = c->written == 1 << 2;
    const int64_t channels = c->dim[C], size = c->dim[H] * c->dim[W] * channels;
    const int64_t height = out_size(c, 0), width = out_size(c, 1);
    const int taps = (int)(c->dim[KH] * c->dim[KW]);
    float *x = (float *)c->array[is_grad ? 2 : 0] + image * size, *tap[MOST_TAPS];
    float *out = (float *)c->array[is_grad ? 0 : 1] + image * height * width * channels;
    uint8_t *which = (uint8_t *)c->array[is_grad ? 1 : 2] + image * height * width * channels;
    const int are_apart = c->dim[SH] >= c->dim[KH] && c->dim[SW] >= c->dim[KW];
    const int cover = !c->dim[PH] && !c->dim[PW] && c->dim[SH] == c->dim[KH] && c->dim[SW] == c->dim[KW] &&
                      height * c->dim[KH] == c->dim[H] && width * c->dim[KW] == c->dim[W];
    (void)thread;
    if (is_grad && !cover) memset(x, 0, (size_t)size * 4);
    for (int64_t i = 0; i < height; i++)
        for (int64_t j = 0; j < width; j++, out += channels, which += channels) {
            taps_of(c, x, i, j, tap);
            if (is_grad)
                path->unpool(out, which, tap, taps, channels, are_apart);
            else
                path->pool((const float *const *)tap, taps, channels, out, which);
        }
}

static int pool(const TrainCall *c) {
    const double values = (double)c->dim[N] * (double)c->dim[H] * (double)c->dim[W] * (double)c->dim[C];
    tt_train_for_each(c->dim[N], tt_train_threads(c, values / VALUES_A_NS), pool_image, c);
    return 0;
}

const TrainKind tt_train_image_kinds[] = {
    {"moments", 2, 0, 3, 1 << 1 | 1 << 2, check_1_whole, moments},
    {"channel_sums", 2, 0, 2, 1 << 1, check_1_whole, sums},
    {"product_sums", 2, 0, 5, 1 << 3 | 1 << 4, check_2_whole, sums},
    {"normalize", 2, 0, 5, 1 << 1, check_2_whole, normalize},
    {"normalize_grad", 2, 0, 7, 1 << 2, check_3_whole, normalize_grad},
    {"relu", 1, 0, 2, 1 << 1, check_relu, relu},
    {"relu_grad", 1, 0, 3, 1 << 2, check_relu, relu},
    {"max_pool2d", POOL_DIMS, 0, 3, 1 << 1 | 1 << 2, check_pool, pool},
    {"max_pool2d_grad", POOL_DIMS, 0, 3, 1 << 2, check_pool, pool},
    {NULL, 0, 0, 0, 0, NULL, NULL},
};
