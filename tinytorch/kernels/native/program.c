/* Plan a program (check every operation, pack weights, allocate buffers) and run it. */
#define _GNU_SOURCE
#include "program.h"
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#ifdef __linux__
#include <sys/mman.h>
#endif

/* The families of operations; each is a table that ends with a kind without a name. */
static const OpKind *const families[] = {
    tt_dense_kinds,
    tt_int8_kinds,
    tt_int4_kinds,
    tt_sparse_kinds,
    tt_conv_kinds,
    tt_image_kinds,
    tt_elementwise_kinds,
    tt_attention_kinds,
};
enum { FAMILY_COUNT = sizeof families / sizeof families[0] };

/* ---- Memory ---- */

enum { ALIGNMENT = 64, HUGE_PAGE = 2 << 20 };

/* Zeroed, 64-byte aligned memory of at least 64 bytes. What is larger than a huge page asks for huge pages, which saves
   address translations: a product with 16 MB of weights took 4 to 9 % less time. */
static void *aligned_zeros(int64_t bytes) {
    if (bytes < 0 || (uint64_t)bytes > SIZE_MAX / 2)
        return NULL;
    size_t alignment = bytes < HUGE_PAGE ? (size_t)ALIGNMENT : (size_t)HUGE_PAGE;
    size_t size = bytes ? (size_t)bytes : 1;
    size = (size + alignment - 1) / alignment * alignment;
    void *memory = NULL;
    if (posix_memalign(&memory, alignment, size))
        return NULL;
#ifdef MADV_HUGEPAGE
    if (alignment == HUGE_PAGE)
        (void)madvise(memory, size, MADV_HUGEPAGE); /* a refusal costs time, nothing else */
#endif
    memset(memory, 0, size);
    return memory;
}

void *tt_alloc(Op *op, int which, int64_t bytes) {
    if (which < 0 || which >= MAX_OWNED)
        return NULL;
    free(op->owned[which]);
    op->owned[which] = aligned_zeros(bytes);
    op->owned_bytes[which] = op->owned[which] ? bytes : 0;
    return op->owned[which];
}

Program *program_new(int op_count, int slot_count) {
    if (op_count < 0 || op_count > MAX_OPS || slot_count < CALLERS_SLOTS || slot_count > MAX_PROGRAM_SLOTS)
        return NULL;
    Program *program = calloc(1, sizeof *program);
    if (!program)
        return NULL;
    program->op = calloc((size_t)op_count + 1, sizeof *program->op);
    program->run = calloc((size_t)op_count + 1, sizeof *program->run);
    program->slot_bytes = calloc((size_t)slot_count, sizeof *program->slot_bytes);
    program->slot = calloc((size_t)slot_count, sizeof *program->slot);
    program->op_count = op_count;
    program->slot_count = slot_count;
    if (program->op && program->run && program->slot_bytes && program->slot)
        return program;
    program_free(program);
    return NULL;
}

void program_free(Program *program) {
    if (!program)
        return;
    for (int i = 0; program->op && i < program->op_count; i++)
        for (int which = 0; which < MAX_OWNED; which++)
            free(program->op[i].owned[which]);
    for (int i = CALLERS_SLOTS; program->slot && i < program->slot_count; i++)
        free(program->slot[i]);
    free(program->scratch);
    free(program->slot);
    free(program->slot_bytes);
    free(program->run);
    free(program->op);
    free(program);
}

/* ---- Threads ----
   A forked child does not have the threads of its parent, but the OpenMP run-time library waits for them if it had
   started any: the child runs on one. */

static pthread_once_t watch_forks_once = PTHREAD_ONCE_INIT;
static volatile int has_started_threads, has_lost_threads;

static void after_fork_in_child(void) {
    has_lost_threads = has_started_threads;
}

static void watch_forks(void) {
    pthread_atfork(NULL, NULL, after_fork_in_child);
}

static int usable_threads(const Program *program) {
    if (program->threads == 1 || has_lost_threads)
        return 1;
    has_started_threads = 1;
    return program->threads;
}

/* ---- Planning ---- */

const OpKind *program_kind(const char *name) {
    for (int family = 0; family < FAMILY_COUNT; family++)
        for (const OpKind *kind = families[family]; kind->name; kind++)
            if (strcmp(kind->name, name) == 0)
                return kind;
    return NULL;
}

const char *program_kind_name(int number) {
    for (int family = 0; family < FAMILY_COUNT; family++)
        for (const OpKind *kind = families[family]; kind->name; kind++)
            if (number-- == 0)
                return kind->name;
    return NULL;
}

/* Which of Op.slot the operation writes. */
static int written_slot(const Op *op) {
    return op->slot[op->kind->output ? op->kind->output : 1];
}

static ProgramStatus invalid(Program *program, int number, const char *problem) {
    const Op *op = &program->op[number];
    snprintf(program->message, MESSAGE_SIZE, "operation %d (%s): %s", number, op->kind->name, problem);
    return PROGRAM_INVALID;
}

static ProgramStatus check_slots(Program *program) {
    if (program->batch < 1 || program->threads < 1 || program->threads > MAX_THREADS) {
        snprintf(program->message, MESSAGE_SIZE, "a program runs 1 or more samples at once on 1 to %d threads", MAX_THREADS);
        return PROGRAM_INVALID;
    }
    for (int i = 0; i < program->slot_count; i++) {
        int64_t bytes;
        int is_too_large = __builtin_mul_overflow(program->slot_bytes[i], program->batch, &bytes) || bytes > INT64_MAX / 4;
        if (program->slot_bytes[i] < 1 || is_too_large) {
            snprintf(program->message, MESSAGE_SIZE, "slot %d: %" PRId64 " bytes a sample in a batch of %" PRId64, i,
                     program->slot_bytes[i], program->batch);
            return PROGRAM_INVALID;
        }
    }
    return PROGRAM_OK;
}

static ProgramStatus check_op(Program *program, int number) {
    const Op *op = &program->op[number];
    int64_t bytes[MAX_SLOTS];
    for (int i = 0; i < op->slot_count; i++) {
        if (op->slot[i] < 0 || op->slot[i] >= program->slot_count)
            return invalid(program, number, "a slot that the program does not have");
        bytes[i] = program->slot_bytes[op->slot[i]];
    }
    const char *problem = op->kind->check(op, bytes);
    if (problem)
        return invalid(program, number, problem);
    if (written_slot(op) == SLOT_IN)
        return invalid(program, number, "the caller's input, slot 0, cannot be written to");
    return PROGRAM_OK;
}

static ProgramStatus plan_op(Program *program, int number, int isa) {
    Op *op = &program->op[number];
    op->isa = isa;
    ProgramStatus status = check_op(program, number);
    if (status != PROGRAM_OK)
        return status;
    if (op->kind->prepare && op->kind->prepare(op))
        return PROGRAM_NO_MEMORY;
    int64_t scratch = op->kind->scratch ? op->kind->scratch(op, program->batch, program->threads) : 0;
    if (scratch < 0)
        return invalid(program, number, "the batch is too large");
    if (scratch > program->scratch_bytes)
        program->scratch_bytes = scratch;
    while (isa > ISA_PORTABLE && !op->kind->run[isa])
        isa--;
    program->run[number] = op->kind->run[isa];
    return PROGRAM_OK;
}

ProgramStatus program_plan(Program *program, int isa) {
    ProgramStatus status = check_slots(program);
    if (program->threads > 1)
        pthread_once(&watch_forks_once, watch_forks);
    for (int i = 0; status == PROGRAM_OK && i < program->op_count; i++)
        status = plan_op(program, i, isa);
    if (status != PROGRAM_OK)
        return status;
    for (int i = CALLERS_SLOTS; i < program->slot_count; i++)
        if (!(program->slot[i] = aligned_zeros(program->slot_bytes[i] * program->batch)))
            return PROGRAM_NO_MEMORY;
    program->scratch = aligned_zeros(program->scratch_bytes);
    return program->scratch ? PROGRAM_OK : PROGRAM_NO_MEMORY;
}

/* An operation that packs, packs all of its arrays but single numbers; the others read theirs as they are given. */
static int64_t weight_bytes(const Op *op) {
    int64_t owned = 0, borrowed = 0;
    for (int i = 0; i < MAX_OWNED; i++)
        owned += op->owned_bytes[i];
    for (int i = 0; i < op->array_count; i++)
        borrowed += op->array_bytes[i];
    return owned ? owned : borrowed;
}

int64_t program_working_set(const Program *program) {
    int64_t bytes = program->scratch_bytes;
    for (int i = 0; i < program->slot_count; i++)
        bytes += program->slot_bytes[i] * program->batch;
    for (int i = 0; i < program->op_count; i++)
        bytes += weight_bytes(&program->op[i]);
    return bytes;
}

/* ---- Running ---- */

static int64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int64_t program_clock_ns(void) {
    int64_t least = INT64_MAX;
    for (int i = 0; i < 1000; i++) {
        int64_t start = now_ns(), passed = now_ns() - start;
        if (passed < least)
            least = passed;
    }
    return least;
}

/* The context of the next samples; `in` is only read, as check_op() has made sure. */
static Context chunk_of(Program *program, const char *in, char *out, int64_t done, int64_t samples) {
    int64_t left = samples - done;
    program->slot[SLOT_IN] = (char *)(uintptr_t)(in + done * program->slot_bytes[SLOT_IN]);
    program->slot[SLOT_OUT] = out + done * program->slot_bytes[SLOT_OUT];
    return (Context){
        .slot = program->slot,
        .batch = left < program->batch ? left : program->batch,
        .scratch = program->scratch,
        .threads = usable_threads(program),
    };
}

void program_run(Program *program, const char *in, char *out, int64_t samples) {
    for (int64_t done = 0; done < samples; done += program->batch) {
        Context context = chunk_of(program, in, out, done, samples);
        for (int i = 0; i < program->op_count; i++)
            program->run[i](&program->op[i], &context);
    }
}

void program_time(Program *program, const char *in, char *out, int64_t samples, int64_t *ns) {
    for (int64_t done = 0; done < samples; done += program->batch) {
        Context context = chunk_of(program, in, out, done, samples);
        int64_t before = now_ns();
        for (int i = 0; i < program->op_count; i++) {
            program->run[i](&program->op[i], &context);
            int64_t after = now_ns();
            ns[i] += after - before;
            before = after;
        }
    }
}
