/* driftc_micropython.h: what the Python side of every model shares, as a C module of the firmware and as a native .mpy.
 *
 * A .mpy knows MicroPython through the table of py/dynruntime.h alone, whose floats are passed as the firmware's core
 * passes them, which need not be how the .mpy was compiled, and not every libgcc's float routines fit into a .mpy: floats
 * are their bits here, and go through memory.
 */
#ifndef DRIFTC_MICROPYTHON_H
#define DRIFTC_MICROPYTHON_H

#if MICROPY_ENABLE_DYNRUNTIME
#include "py/dynruntime.h"

/* The compiler's own calls. */
void *memcpy(void *to, const void *from, size_t bytes)
{
    return mp_fun_table.memmove_(to, from, bytes);
}

void *memmove(void *to, const void *from, size_t bytes)
{
    return mp_fun_table.memmove_(to, from, bytes);
}

void *memset(void *to, int value, size_t bytes)
{
    return mp_fun_table.memset_(to, value, bytes);
}

int memcmp(const void *a, const void *b, size_t bytes)
{
    const uint8_t *first = a;
    const uint8_t *second = b;

    for (; bytes > 0; bytes--, first++, second++) {
        if (*first != *second)
            return *first - *second;
    }
    return 0;
}

#define DRIFTC_MEMORYVIEW ((const mp_obj_type_t *)mp_load_global(MP_QSTR_memoryview))
#define driftc_allocate(bytes) m_malloc(bytes)
#else
#include "py/binary.h"
#include "py/runtime.h"

#define DRIFTC_MEMORYVIEW (&mp_type_memoryview)
#define driftc_allocate(bytes) m_new(uint8_t, bytes)

/* A float in flash; `single` and `twice` are its bits, of which MicroPython's object representations C and D are made. */
#if MICROPY_OBJ_REPR == MICROPY_OBJ_REPR_C
#define DRIFTC_FLOAT(name, value)
#define DRIFTC_ROM_FLOAT(name, single, twice) MP_ROM_PTR((mp_obj_t)((((single) & ~3u) | 2) + 0x80800000u))
#elif MICROPY_OBJ_REPR == MICROPY_OBJ_REPR_D
#define DRIFTC_FLOAT(name, value)
#define DRIFTC_ROM_FLOAT(name, single, twice) { ((mp_obj_t)((uint64_t)(twice) + 0x8004000000000000)) }
#else
#define DRIFTC_FLOAT(name, value) \
    static const struct { \
        mp_obj_base_t base; \
        mp_float_t number; \
    } name = { { &mp_type_float }, (mp_float_t)(value) };
#define DRIFTC_ROM_FLOAT(name, single, twice) MP_ROM_PTR(&name)
#endif
#endif
#include "py/objarray.h"

#include <string.h>

#define driftc_value_error(text) mp_raise_msg(&mp_type_ValueError, (mp_rom_error_text_t)(text))

#define DRIFTC_TEXT_(number) #number
#define DRIFTC_TEXT(number) DRIFTC_TEXT_(number)

/* A memoryview of `length` values at `at`. Where they lie in the heap's `block`, the view keeps that alive. */
static inline mp_obj_t driftc_view(char typecode, bool writable, void *at, size_t length, size_t element, void *block)
{
    mp_obj_array_t *view = (mp_obj_array_t *)driftc_allocate(sizeof *view);
    const size_t behind = (size_t)((uint8_t *)at - (uint8_t *)block);
    const bool within = behind % element == 0 && behind / element < ((size_t)1 << (8 * sizeof(size_t) - 9));

    view->base.type = DRIFTC_MEMORYVIEW;
    view->typecode = (uint8_t)(typecode | (writable ? 0x80 : 0));
    view->free = within ? behind / element : 0;
    view->len = length;
    view->items = within ? block : at;
    return MP_OBJ_FROM_PTR(view);
}

/* The bytes of `given`, which must be `bytes` of whole numbers. */
static inline const void *driftc_bytes(mp_obj_t given, size_t bytes, const char *wrong)
{
    mp_buffer_info_t buffer;

    mp_get_buffer_raise(given, &buffer, MP_BUFFER_READ);
    if (buffer.len != bytes || (buffer.typecode & 0x7f) == 'f' || (buffer.typecode & 0x7f) == 'd')
        driftc_value_error(wrong);
    return buffer.buf;
}

/* The same, written to `into`, unless they are there already. */
static inline void driftc_take(mp_obj_t given, void *into, size_t bytes, const char *wrong)
{
    const void *from = driftc_bytes(given, bytes, wrong);

    if (from != into)
        memmove(into, from, bytes);
}

/* `bytes` of RAM, aligned: the user's buffer, or the heap's. `block` becomes what holds them. */
static inline uint8_t *driftc_memory(size_t n_args, const mp_obj_t *args, size_t bytes, size_t align, void **block, const char *wrong)
{
    mp_buffer_info_t buffer;
    size_t ahead;

    if (n_args == 0 || args[0] == mp_const_none) {
        buffer.len = bytes + align - 1;
        buffer.buf = driftc_allocate(buffer.len);
    } else {
        mp_get_buffer_raise(args[0], &buffer, MP_BUFFER_WRITE);
    }
    ahead = (align - (uintptr_t)buffer.buf % align) % align;
    if (buffer.len < bytes + ahead)
        driftc_value_error(wrong);
    *block = buffer.buf;
    return (uint8_t *)buffer.buf + ahead;
}

/* How many numbers a buffer, a list or a tuple holds; `items` and `buffer` are for driftc_real. */
static inline size_t driftc_count(mp_obj_t given, mp_obj_t **items, mp_buffer_info_t *buffer)
{
    size_t count;
    size_t align = 1;

    *items = NULL;
    if (!mp_get_buffer(given, buffer, MP_BUFFER_READ)) {
        mp_obj_get_array(given, &count, items);
        return count;
    }
    buffer->typecode &= 0x7f;
    if (buffer->typecode == BYTEARRAY_TYPECODE)
        buffer->typecode = 'B';
    return buffer->len / mp_binary_get_size('@', (char)buffer->typecode, &align);
}

/* Number `index` of them: the bits of a float. */
static inline uint32_t driftc_real(mp_obj_t *items, const mp_buffer_info_t *buffer, size_t index)
{
    uint32_t bits;
    mp_obj_t number;

    if (items == NULL && buffer->typecode == 'f') {
        memcpy(&bits, (const uint8_t *)buffer->buf + index * sizeof bits, sizeof bits);
        return bits;
    }
    number = items != NULL ? items[index] : mp_binary_get_val_array((char)buffer->typecode, buffer->buf, index);
    mp_binary_set_val_array('f', &bits, 0, number);
    return bits;
}

/* TFLite's QUANTIZE, to the bit: the float quotient real / scale rounded to nearest, halves away from zero; then
 * saturated to low, low + 255. NaN gives the zero point. */
static inline int driftc_quantize(uint32_t real, uint32_t scale, int zero, int low)
{
    const int exponent = (int)(real >> 23 & 0xff) - (int)(scale >> 23 & 0xff);
    const uint32_t divisor = (scale & 0x7fffff) | 0x800000;
    uint32_t rest = (real & 0x7fffff) | 0x800000;
    const int shift = 23 - exponent + (rest < divisor); /* from the quotient's 24 bits to a whole number */
    uint32_t quotient = 0;
    int steps = 0;

    if ((real & 0x7fffffff) > 0x7f800000)
        return zero;
    if (exponent >= 10) {
        steps = 1024;
    } else if (exponent >= -1) {
        rest <<= rest < divisor;
        for (int bit = 0; bit < 24; bit++) {
            quotient <<= 1;
            if (rest >= divisor) {
                rest -= divisor;
                quotient |= 1;
            }
            rest <<= 1;
        }
        quotient += rest > divisor || (rest == divisor && (quotient & 1)); /* as a float: to nearest, halves to even */
        steps = (int)((quotient + ((uint32_t)1 << (shift - 1))) >> shift);
    }
    steps = (real >> 31 ? -steps : steps) + zero;
    return steps < low ? low : steps > low + 255 ? low + 255 : steps;
}

/* The bits of the float scale * steps, |steps| < 256. */
static inline uint32_t driftc_dequantize(int steps, uint32_t scale)
{
    const uint32_t magnitude = (uint32_t)(steps < 0 ? -steps : steps);
    uint32_t product = ((scale & 0x7fffff) | 0x800000) * magnitude;
    uint32_t exponent = scale >> 23 & 0xff;
    uint32_t lost = 0;
    uint32_t half = 1;

    if (steps == 0)
        return 0;
    for (; product >= 0x1000000; product >>= 1, exponent++) {
        lost |= (product & 1) != 0 ? half : 0;
        half <<= 1;
    }
    half >>= 1; /* what was lost, in units of which `half` is one half */
    product += lost > half || (half != 0 && lost == half && (product & 1));
    if (product >= 0x1000000) {
        product >>= 1;
        exponent++;
    }
    return (steps < 0 ? 0x80000000u : 0) | exponent << 23 | (product & 0x7fffff);
}

#endif
