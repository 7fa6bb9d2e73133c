/* What every kernel family and the program around them share: one operation of a network, and how it is run.

An operation reads and writes slots (activations, float32 unless said, channels last) and holds its own weights. A
family (dense, int8, int4, sparse, conv, ...) is one table of OpKind; program.c knows nothing else about it.
Adding an operation: its functions for each instruction set and one line in its family's table. */
#ifndef TT_OP_H
#define TT_OP_H
#include <stddef.h>
#include <stdint.h>

enum { MAX_SLOTS = 6, MAX_DIMS = 16, MAX_SCALARS = 4, MAX_ARRAYS = 8, MAX_OWNED = 6 };

/* Instruction sets, from the least to the most; a program runs with one of them throughout. */
enum { ISA_PORTABLE, ISA_NEON, ISA_AVX2, ISA_AVX512, ISA_COUNT }; /* NEON with dot products; AVX512 with VNNI */

/* Activations that a product applies to its result. */
enum { ACT_NONE, ACT_RELU };

struct OpKind;

typedef struct {
    const struct OpKind *kind;
    int isa;
    int slot_count, dim_count, scalar_count, array_count;
    int slot[MAX_SLOTS];               /* indices into Context.slot */
    int64_t dim[MAX_DIMS];
    float scalar[MAX_SCALARS];
    const void *array[MAX_ARRAYS];     /* borrowed for the life of the program; NULL where None was given */
    int64_t array_bytes[MAX_ARRAYS];
    int is_writable[MAX_ARRAYS];
    void *owned[MAX_OWNED];            /* what prepare() made by tt_alloc(): packed weights; freed with the program */
    int64_t owned_bytes[MAX_OWNED];
} Op;

typedef struct {
    char **slot;                       /* one pointer a slot: `batch` samples one after the other, 64-byte aligned but for the caller's */
    int64_t batch;
    char *scratch;                     /* at least as many bytes as the kind's scratch() asked for, 64-byte aligned */
    int threads;
} Context;

typedef void (*RunOp)(const Op *, const Context *);

typedef struct OpKind {
    const char *name;
    /* NULL if dims, scalars, array sizes and slot sizes (bytes a sample, in the order of Op.slot) fit together, else
       what is wrong, in words. After it has passed, nothing that run() does may leave a slot, an array or scratch. */
    const char *(*check)(const Op *, const int64_t *slot_bytes);
    /* Pack weights for op->isa into op->owned by tt_alloc; NULL where nothing is to pack. 0, or -1 for no memory. */
    int (*prepare)(Op *);
    /* Bytes of scratch for a batch and a number of threads; NULL for none. */
    int64_t (*scratch)(const Op *, int64_t batch, int threads);
    RunOp run[ISA_COUNT];              /* NULL: the next lower instruction set's is taken; ISA_PORTABLE is never NULL */
    int output;                        /* which of Op.slot is written; 0 stands for 1: most operations have one input */
} OpKind;

/* 64-byte aligned memory for owned[which], at least 64 bytes; NULL when there is none left. Defined in program.c. */
void *tt_alloc(Op *op, int which, int64_t bytes);

/* Each family's table ends with a kind whose name is NULL. A new family is added here and in program.c's list. */
extern const OpKind tt_dense_kinds[], tt_int8_kinds[], tt_int4_kinds[], tt_sparse_kinds[], tt_conv_kinds[], tt_image_kinds[],
    tt_elementwise_kinds[], tt_attention_kinds[];

/* Files of functions for one instruction set: `#include "begin_avx512.h"` after the system headers, then the functions, then
   `#include "end_isa.h"`. Such a file is empty on other processors: put TT_X86 or TT_ARM around it. */
#if (defined(__x86_64__) || defined(_M_X64)) && (defined(__GNUC__) || defined(__clang__))
#define TT_X86 1
#endif
/* Before version 16 clang's header declares dot products only if all code may use them. */
#if defined(__clang__) && __clang_major__ < 16 && !defined(__ARM_FEATURE_DOTPROD)
#elif defined(__aarch64__) && (defined(__GNUC__) || defined(__clang__))
#define TT_ARM 1
#endif
#endif
