/* tinytorch.kernels._native: programs for Python, through the stable ABI and the buffer protocol. */
#include "python_object.h"
#include <stdlib.h>

/* ---- The type ---- */

static PyObject *program_type_new(PyTypeObject *type, PyObject *args, PyObject *keywords) {
    PyObject *ops, *slots;
    long long batch;
    int threads, isa;
    if (keywords && PyDict_Size(keywords)) {
        PyErr_SetString(PyExc_TypeError, "Program takes no keywords");
        return NULL;
    }
    if (!PyArg_ParseTuple(args, "OOLii:Program", &ops, &slots, &batch, &threads, &isa))
        return NULL;
    if (isa < 0 || !tt_has_isa(isa))
        return PyErr_Format(PyExc_ValueError, "this processor does not have instruction set %d", isa);
    allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    ProgramObject *self = (ProgramObject *)allocate(type, 0);
    if (!self || tt_describe(self, ops, slots)) {
        Py_XDECREF((PyObject *)self);
        return NULL;
    }
    self->program->batch = batch;
    self->program->threads = tt_openmp() ? threads : threads > 1 ? 1 : threads;
    ProgramStatus status;
    Py_BEGIN_ALLOW_THREADS
    status = program_plan(self->program, isa);
    Py_END_ALLOW_THREADS
    if (status == PROGRAM_OK)
        return (PyObject *)self;
    if (status == PROGRAM_INVALID)
        PyErr_SetString(PyExc_ValueError, self->program->message);
    else
        PyErr_NoMemory();
    Py_DECREF(self);
    return NULL;
}

static void program_type_dealloc(PyObject *object) {
    ProgramObject *self = (ProgramObject *)object;
    PyTypeObject *type = Py_TYPE(object);
    program_free(self->program);
    for (int i = 0; i < self->view_count; i++)
        PyBuffer_Release(&self->view[i]);
    PyMem_Free(self->view);
    if (self->has_lock)
        pthread_mutex_destroy(&self->lock);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
    release(object);
    Py_DECREF(type);
}

/* ---- Running ---- */

typedef struct {
    Py_buffer in, out;
    int64_t samples;
} Call;

static int get_floats(PyObject *object, Py_buffer *view, int flags) {
    if (PyObject_GetBuffer(object, view, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT | flags))
        return -1;
    int is_float = view->format && view->format[0] == 'f' && view->format[1] == 0;
    if (is_float && (uintptr_t)view->buf % sizeof(float) == 0)
        return 0;
    PyErr_Format(PyExc_TypeError, "expected aligned numbers of format 'f' (float32), not '%s'",
                 view->format ? view->format : "B");
    PyBuffer_Release(view);
    return -1;
}

static void end_call(Call *call) {
    PyBuffer_Release(&call->out);
    PyBuffer_Release(&call->in);
}

static int overlap(const Py_buffer *a, const Py_buffer *b) {
    const char *a_start = a->buf, *b_start = b->buf;
    return a_start < b_start + b->len && b_start < a_start + a->len;
}

/* Borrow input and output; refuse arrays that share memory, and sizes that are not those of the same number of samples. */
static int begin_call(ProgramObject *self, PyObject *const *args, Call *call) {
    const int64_t *bytes = self->program->slot_bytes;
    if (get_floats(args[0], &call->in, 0))
        return -1;
    if (get_floats(args[1], &call->out, PyBUF_WRITABLE)) {
        PyBuffer_Release(&call->in);
        return -1;
    }
    call->samples = call->in.len / bytes[SLOT_IN];
    if (call->in.len % bytes[SLOT_IN] == 0 && call->out.len % bytes[SLOT_OUT] == 0 &&
        call->out.len / bytes[SLOT_OUT] == call->samples && !overlap(&call->in, &call->out))
        return 0;
    PyErr_Format(PyExc_ValueError, "input of %zd bytes and output of %zd: a sample has %lld and %lld, in two arrays",
                 call->in.len, call->out.len, (long long)bytes[SLOT_IN], (long long)bytes[SLOT_OUT]);
    end_call(call);
    return -1;
}

static PyObject *program_type_run(ProgramObject *self, PyObject *const *args, Py_ssize_t count) {
    Call call;
    if (count != 2) {
        PyErr_SetString(PyExc_TypeError, "run() takes an input and an output");
        return NULL;
    }
    if (begin_call(self, args, &call))
        return NULL;
    Py_BEGIN_ALLOW_THREADS
    pthread_mutex_lock(&self->lock);
    program_run(self->program, call.in.buf, call.out.buf, call.samples);
    pthread_mutex_unlock(&self->lock);
    Py_END_ALLOW_THREADS
    end_call(&call);
    Py_RETURN_NONE;
}

static int compare_ns(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* The median over `repeats` rows of column `op` of `ns`, which has `ops` columns, less what reading the clock took. */
static double median_ns(const int64_t *ns, int64_t *sorted, int repeats, int ops, int op, int64_t clock) {
    for (int i = 0; i < repeats; i++)
        sorted[i] = ns[(int64_t)i * ops + op];
    qsort(sorted, (size_t)repeats, sizeof *sorted, compare_ns);
    double median = ((double)sorted[(repeats - 1) / 2] + (double)sorted[repeats / 2]) / 2 - (double)clock;
    return median > 0 ? median : 0;
}

static PyObject *medians(const int64_t *ns, int64_t *sorted, int repeats, int ops, int64_t clock) {
    PyObject *list = PyList_New(ops);
    for (int op = 0; list && op < ops; op++) {
        PyObject *median = PyFloat_FromDouble(median_ns(ns, sorted, repeats, ops, op, clock));
        if (!median || PyList_SetItem(list, op, median)) {
            Py_DECREF(list);
            return NULL;
        }
    }
    return list;
}

static PyObject *program_type_time_ops(ProgramObject *self, PyObject *const *args, Py_ssize_t count) {
    enum { MOST_REPEATS = 1000000 };
    Call call;
    int ops = self->program->op_count;
    long repeats = count == 3 ? PyLong_AsLong(args[2]) : 0;
    if (PyErr_Occurred())
        return NULL;
    if (repeats < 1 || repeats > MOST_REPEATS || (int64_t)repeats * ops > INT32_MAX)
        return PyErr_Format(PyExc_ValueError, "time_ops() takes an input, an output and how often to repeat (1 to %d)",
                            MOST_REPEATS);
    if (begin_call(self, args, &call))
        return NULL;
    int64_t *ns = PyMem_Calloc((size_t)repeats * (size_t)ops + (size_t)repeats, sizeof *ns);
    PyObject *result = NULL;
    if (ns) {
        int64_t clock;
        Py_BEGIN_ALLOW_THREADS
        pthread_mutex_lock(&self->lock);
        clock = program_clock_ns();
        for (long i = 0; i < repeats; i++)
            program_time(self->program, call.in.buf, call.out.buf, call.samples, ns + (int64_t)i * ops);
        pthread_mutex_unlock(&self->lock);
        Py_END_ALLOW_THREADS
        int64_t chunks = (call.samples + self->program->batch - 1) / self->program->batch;
        result = medians(ns, ns + (int64_t)repeats * ops, (int)repeats, ops, clock * chunks);
    } else
        PyErr_NoMemory();
    PyMem_Free(ns);
    end_call(&call);
    return result;
}

static PyObject *get_nbytes(PyObject *self, void *closure) {
    (void)closure;
    return PyLong_FromLongLong(program_working_set(((ProgramObject *)self)->program));
}

static PyObject *get_threads(PyObject *self, void *closure) {
    (void)closure;
    return PyLong_FromLong(((ProgramObject *)self)->program->threads);
}

static PyMethodDef program_methods[] = {
    {"run", (PyCFunction)(void (*)(void))program_type_run, METH_FASTCALL, NULL},
    {"time_ops", (PyCFunction)(void (*)(void))program_type_time_ops, METH_FASTCALL, NULL},
    {NULL, NULL, 0, NULL},
};
static PyGetSetDef program_properties[] = {
    {"nbytes", get_nbytes, NULL, NULL, NULL},
    {"threads", get_threads, NULL, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};
static PyType_Slot program_slots[] = {
    {Py_tp_new, program_type_new},
    {Py_tp_dealloc, program_type_dealloc},
    {Py_tp_methods, program_methods},
    {Py_tp_getset, program_properties},
    {0, NULL},
};
static PyType_Spec program_spec = {
    .name = "tinytorch.kernels._native.Program",
    .basicsize = sizeof(ProgramObject),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = program_slots,
};

/* ---- The module ---- */

static int add_tuple(PyObject *module, const char *name, PyObject *list) {
    PyObject *tuple = list ? PyList_AsTuple(list) : NULL;
    Py_XDECREF(list);
    int failed = !tuple || PyModule_AddObjectRef(module, name, tuple);
    Py_XDECREF(tuple);
    return failed ? -1 : 0;
}

static int append(PyObject *list, const char *text) {
    PyObject *item = PyUnicode_FromString(text);
    int failed = !item || PyList_Append(list, item);
    Py_XDECREF(item);
    return failed;
}

static PyObject *kernel_names(void) {
    PyObject *names = PyList_New(0);
    const char *name;
    for (int i = 0; names && (name = program_kind_name(i)); i++)
        if (append(names, name))
            Py_CLEAR(names);
    return names;
}

/* In the order of op.h, which is how Program() is told; an empty name stands for one that is not offered here. */
static PyObject *isa_names(void) {
    PyObject *names = PyList_New(0);
    for (int isa = 0; names && isa < ISA_COUNT; isa++)
        if (append(names, tt_has_isa(isa) ? tt_isa_names[isa] : ""))
            Py_CLEAR(names);
    return names;
}

static int fill_module(PyObject *module) {
    PyObject *type = PyType_FromSpec(&program_spec);
    int failed = !type || PyModule_AddObjectRef(module, "Program", type);
    Py_XDECREF(type);
    return failed || add_tuple(module, "kernel_names", kernel_names()) || add_tuple(module, "isa_names", isa_names()) ||
                   PyModule_AddIntConstant(module, "best_isa", tt_best_isa()) ||
                   PyModule_AddIntConstant(module, "openmp", tt_openmp()) ||
                   PyModule_AddStringConstant(module, "digest", TT_DIGEST) ||
                   PyModule_AddStringConstant(module, "training_digest", TT_TRAINING_DIGEST) ||
                   PyModule_AddStringConstant(module, "compiler", TT_COMPILER)
               ? -1
               : 0;
}

static PyMethodDef module_functions[] = {{"train", tt_train, METH_VARARGS, NULL}, {NULL, NULL, 0, NULL}};
static PyModuleDef_Slot module_slots[] = {{Py_mod_exec, fill_module}, {0, NULL}};
static struct PyModuleDef module_definition = {
    PyModuleDef_HEAD_INIT, .m_name = "_native", .m_size = 0, .m_methods = module_functions, .m_slots = module_slots};

__attribute__((visibility("default"))) PyObject *PyInit__native(void);
PyObject *PyInit__native(void) {
    return PyModuleDef_Init(&module_definition);
}
