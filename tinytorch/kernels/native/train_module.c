/* `train(kind, dims, scalars, arrays, threads, isa)`: one operation of training for Python. */
#include "python_object.h"
#include "train.h"

#include <string.h>

static const TrainKind *const families[] = {tt_train_conv_kinds, tt_train_image_kinds, tt_train_update_kinds};

static const TrainKind *kind_named(const char *name) {
    for (size_t family = 0; family < sizeof families / sizeof families[0]; family++)
        for (const TrainKind *kind = families[family]; kind->name; kind++)
            if (strcmp(kind->name, name) == 0) return kind;
    return NULL;
}

static int has_sizes(const TrainKind *kind, PyObject *dims, PyObject *scalars, PyObject *arrays) {
    if (PyTuple_Size(dims) == kind->dims && PyTuple_Size(scalars) == kind->scalars && PyTuple_Size(arrays) == kind->arrays)
        return 1;
    PyErr_Clear();
    PyErr_Format(PyExc_ValueError, "%s takes tuples of %d dimensions, %d scalars and %d arrays", kind->name, kind->dims,
                 kind->scalars, kind->arrays);
    return 0;
}

static int read_numbers(TrainCall *call, PyObject *dims, PyObject *scalars) {
    for (int i = 0; i < call->dim_count; i++) call->dim[i] = PyLong_AsLongLong(PyTuple_GetItem(dims, i));
    for (int i = 0; i < call->scalar_count; i++) call->scalar[i] = PyFloat_AsDouble(PyTuple_GetItem(scalars, i));
    return PyErr_Occurred() ? -1 : 0;
}

/* Numbers are float32, but for the places of pooling, which are bytes: check() compares sizes in bytes. */
static int is_number(const Py_buffer *view) {
    const char format = view->format ? view->format[0] : 'B';
    return (format == 'f' || format == 'B') && (uintptr_t)view->buf % sizeof(float) == 0;
}

static int get_array(TrainCall *call, Py_buffer *view, PyObject *array, int i) {
    const int is_written = call->written >> i & 1;
    view->obj = NULL;
    if (array == Py_None) return 0;
    if (PyObject_GetBuffer(array, view, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT | (is_written ? PyBUF_WRITABLE : 0))) {
        view->obj = NULL;
        return -1;
    }
    if (!is_number(view)) {
        PyErr_Format(PyExc_TypeError, "array %d: expected aligned numbers of format 'f' or 'B', not '%s'", i, view->format);
        return -1;
    }
    call->array[i] = view->buf;
    call->bytes[i] = view->len;
    for (int other = 0; other < i; other++) {
        const char *a = call->array[i], *b = call->array[other];
        const int is_read_only = !is_written && !(call->written >> other & 1);
        if (!is_read_only && b && a < b + call->bytes[other] && b < a + call->bytes[i]) {
            PyErr_Format(PyExc_ValueError, "arrays %d and %d share memory", other, i);
            return -1;
        }
    }
    return 0;
}

static PyObject *run(const TrainKind *kind, TrainCall *call) {
    const char *wrong = kind->check(call);
    if (wrong) return PyErr_Format(PyExc_ValueError, "%s: %s", kind->name, wrong);
    int failed;
    Py_BEGIN_ALLOW_THREADS
    failed = kind->run(call);
    Py_END_ALLOW_THREADS
    if (failed) return PyErr_NoMemory();
    Py_RETURN_NONE;
}

PyObject *tt_train(PyObject *module, PyObject *args) {
    const char *name;
    PyObject *dims, *scalars, *arrays, *result = NULL;
    TrainCall call = {0};
    (void)module;
    if (!PyArg_ParseTuple(args, "sOOOii:train", &name, &dims, &scalars, &arrays, &call.threads, &call.isa)) return NULL;
    const TrainKind *kind = kind_named(name);
    if (!kind) return PyErr_Format(PyExc_ValueError, "there is no operation %s", name);
    if (call.isa < 0 || call.isa >= ISA_COUNT || !tt_has_isa(call.isa) || call.threads < 1 || call.threads > MAX_THREADS)
        return PyErr_Format(PyExc_ValueError, "instruction set %d on %d threads: not here", call.isa, call.threads);
    if (!has_sizes(kind, dims, scalars, arrays)) return NULL;
    call.dim_count = kind->dims;
    call.scalar_count = kind->scalars;
    call.array_count = kind->arrays;
    call.written = kind->written;
    if (read_numbers(&call, dims, scalars)) return NULL;
    Py_buffer view[TRAIN_ARRAYS];
    int opened = 0, failed = 0;
    for (; opened < call.array_count && !failed; opened++)
        failed = get_array(&call, &view[opened], PyTuple_GetItem(arrays, opened), opened);
    if (!failed) result = run(kind, &call);
    for (int i = 0; i < opened; i++)
        if (view[i].obj) PyBuffer_Release(&view[i]);
    return result;
}
