/* kws_micropython.c: the Python module `kws`. Made by driftc 0.1.0.
 *
 *   import kws
 *   net = kws.Network()
 *   out = net.invoke(buffer)
 */
#include "driftc_micropython.h"

#include "kws.h"

/* RAM of one network: its regions, one behind the other. */
#define KWS_NETWORK_ALIGN 4
#define KWS_NETWORK_BYTES 1440

typedef struct {
    mp_obj_base_t base;
    kws_t net;
    void *block;            /* of the heap: what `net` points into */
    mp_obj_t views[2]; /* input, output */
    mp_obj_t result;        /* the output, or all outputs */
} kws_network_t;

static mp_obj_t kws_network_new(const mp_obj_type_t *type, size_t n_args, size_t n_kw, const mp_obj_t *args)
{
    kws_network_t *self = mp_obj_malloc(kws_network_t, type);
    uint8_t *memory;

    mp_arg_check_num(n_args, n_kw, 0, 1, false);
    memory = driftc_memory(n_args, args, KWS_NETWORK_BYTES, KWS_NETWORK_ALIGN, &self->block,
                           "memory: " DRIFTC_TEXT(1443) " bytes or more wanted");
    const kws_memory_t blocks = { memory + 0 };

    if (kws_init(&self->net, &blocks) != 0)
        driftc_value_error("memory: misaligned");
    self->views[0] = driftc_view('b', true, kws_input(&self->net),
                                 KWS_INPUT_LEN, sizeof(int8_t), self->block);
    self->views[1] = driftc_view('b', false, (void *)kws_output(&self->net),
                                 KWS_OUTPUT_LEN, sizeof(int8_t), self->block);
    self->result = self->views[1];
    return MP_OBJ_FROM_PTR(self);
}

static void kws_network_attr(mp_obj_t self_in, qstr name, mp_obj_t *found)
{
    kws_network_t *self = MP_OBJ_TO_PTR(self_in);

    if (found[0] != MP_OBJ_NULL)
        return; /* nothing can be stored */
    if (name == MP_QSTR_input)
        found[0] = self->views[0];
    else if (name == MP_QSTR_output)
        found[0] = self->views[1];
    else
        found[1] = MP_OBJ_SENTINEL; /* a method */
}

static mp_obj_t kws_network_invoke(size_t n_args, const mp_obj_t *args)
{
    kws_network_t *self = MP_OBJ_TO_PTR(args[0]);

    if (n_args > 1) { /* else the inputs were written already */
        driftc_take(args[1], kws_input(&self->net), KWS_INPUT_BYTES, "input: 490 values of int8_t wanted");
    }
    (void)kws_invoke(&self->net);
    return self->result;
}
static MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(kws_network_invoke_obj, 1, 2, kws_network_invoke);

static mp_obj_t kws_network_step(mp_obj_t self_in)
{
    kws_network_t *self = MP_OBJ_TO_PTR(self_in);

    return mp_obj_new_int(kws_step(&self->net));
}
static MP_DEFINE_CONST_FUN_OBJ_1(kws_network_step_obj, kws_network_step);

/* None, or the first layer that differs. */
static mp_obj_t kws_network_selftest(mp_obj_t self_in)
{
    kws_network_t *self = MP_OBJ_TO_PTR(self_in);
    const int layer = kws_selftest(&self->net);

    return layer == 0 ? mp_const_none : mp_obj_new_int(layer - 1);
}
static MP_DEFINE_CONST_FUN_OBJ_1(kws_network_selftest_obj, kws_network_selftest);

/* quantize(numbers, into=None, input=0) */
static mp_obj_t kws_network_quantize(size_t n_args, const mp_obj_t *args)
{
    static const uint32_t scales[] = { 0x3CC873F6u }; /* the floats' bits */
    static const int16_t zeros[] = { 5 };
    static const int16_t lows[] = { -128 };
    const mp_int_t input = n_args > 2 ? mp_obj_get_int(args[2]) : 0;
    mp_obj_t *items;
    mp_buffer_info_t numbers;
    mp_buffer_info_t into;
    const size_t count = driftc_count(args[0], &items, &numbers);
    mp_obj_t result;

    if (input < 0 || input >= 1 || scales[input] == 0)
        driftc_value_error("quantize: no such input, or it has no scale");
    if (n_args > 1 && args[1] != mp_const_none) {
        mp_get_buffer_raise(args[1], &into, MP_BUFFER_WRITE);
        if (into.len != count)
            driftc_value_error("quantize: as many bytes as numbers wanted");
        result = args[1];
    } else {
        into.buf = driftc_allocate(count);
        result = driftc_view(lows[input] == 0 ? 'B' : 'b', true, into.buf, count, 1, into.buf);
    }
    for (size_t i = 0; i < count; i++)
        ((uint8_t *)into.buf)[i] = (uint8_t)driftc_quantize(driftc_real(items, &numbers, i), scales[input], zeros[input], lows[input]);
    return result;
}
static MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(kws_network_quantize_obj, 1, 3, kws_network_quantize);

/* dequantize(values, output=0) */
static mp_obj_t kws_network_dequantize(size_t n_args, const mp_obj_t *args)
{
    static const uint32_t scales[] = { 0x3B800000u }; /* the floats' bits */
    static const int16_t zeros[] = { -128 };
    static const int16_t lows[] = { -128 };
    const mp_int_t output = n_args > 1 ? mp_obj_get_int(args[1]) : 0;
    mp_buffer_info_t values;
    uint32_t *numbers;

    if (output < 0 || output >= 1 || scales[output] == 0)
        driftc_value_error("dequantize: no such output, or it has no scale");
    mp_get_buffer_raise(args[0], &values, MP_BUFFER_READ);
    numbers = (uint32_t *)(void *)driftc_allocate(values.len * sizeof *numbers);
    for (size_t i = 0; i < values.len; i++)
        numbers[i] = driftc_dequantize((lows[output] == 0 ? ((const uint8_t *)values.buf)[i] : ((const int8_t *)values.buf)[i]) - zeros[output], scales[output]);
    return driftc_view('f', true, numbers, values.len, sizeof *numbers, numbers);
}
static MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(kws_network_dequantize_obj, 1, 2, kws_network_dequantize);

#if MICROPY_ENABLE_DYNRUNTIME
/* A .mpy's own variables cannot be static. */
mp_obj_full_type_t kws_network_type;
mp_map_elem_t kws_network_table[3];
MP_DEFINE_CONST_DICT(kws_network_dict, kws_network_table);


mp_obj_t mpy_init(mp_obj_fun_bc_t *self, size_t n_args, size_t n_kw, mp_obj_t *args)
{
    static const uint32_t scales[] = { 0x3CC873F6u, 0x3B800000u }; /* the floats' bits */
    mp_obj_t tuple[3];

    MP_DYNRUNTIME_INIT_ENTRY

    kws_network_type.base.type = (void *)&mp_type_type;
    kws_network_type.flags = MP_TYPE_FLAG_NONE;
    kws_network_type.name = MP_QSTR_Network;
    MP_OBJ_TYPE_SET_SLOT(&kws_network_type, make_new, kws_network_new, 0);
    MP_OBJ_TYPE_SET_SLOT(&kws_network_type, attr, kws_network_attr, 1);
    MP_OBJ_TYPE_SET_SLOT(&kws_network_type, locals_dict, (void *)&kws_network_dict, 2);
    kws_network_table[0] = (mp_map_elem_t){ MP_OBJ_NEW_QSTR(MP_QSTR_selftest), MP_OBJ_FROM_PTR(&kws_network_selftest_obj) };
    kws_network_table[1] = (mp_map_elem_t){ MP_OBJ_NEW_QSTR(MP_QSTR_invoke), MP_OBJ_FROM_PTR(&kws_network_invoke_obj) };
    kws_network_table[2] = (mp_map_elem_t){ MP_OBJ_NEW_QSTR(MP_QSTR_step), MP_OBJ_FROM_PTR(&kws_network_step_obj) };
    mp_store_global(MP_QSTR_Network, MP_OBJ_FROM_PTR(&kws_network_type));
    mp_store_global(MP_QSTR_quantize, MP_OBJ_FROM_PTR(&kws_network_quantize_obj));
    mp_store_global(MP_QSTR_dequantize, MP_OBJ_FROM_PTR(&kws_network_dequantize_obj));
    mp_store_global(MP_QSTR_MEMORY_BYTES, MP_OBJ_NEW_SMALL_INT(1443));
    mp_store_global(MP_QSTR_INPUT_ZERO, MP_OBJ_NEW_SMALL_INT(5));
    mp_store_global(MP_QSTR_OUTPUT_ZERO, MP_OBJ_NEW_SMALL_INT(-128));
    mp_store_global(MP_QSTR_INPUT_SCALE, mp_binary_get_val_array('f', (void *)scales, 0));
    mp_store_global(MP_QSTR_OUTPUT_SCALE, mp_binary_get_val_array('f', (void *)scales, 1));
    tuple[0] = MP_OBJ_NEW_SMALL_INT(49);
    tuple[1] = MP_OBJ_NEW_SMALL_INT(10);
    tuple[2] = MP_OBJ_NEW_SMALL_INT(1);
    mp_store_global(MP_QSTR_INPUT_SHAPE, mp_obj_new_tuple(3, tuple));
    tuple[0] = MP_OBJ_NEW_SMALL_INT(12);
    mp_store_global(MP_QSTR_OUTPUT_SHAPE, mp_obj_new_tuple(1, tuple));

    MP_DYNRUNTIME_INIT_EXIT
}
#else
static const mp_rom_map_elem_t kws_network_table[] = {
    { MP_ROM_QSTR(MP_QSTR_selftest), MP_ROM_PTR(&kws_network_selftest_obj) },
    { MP_ROM_QSTR(MP_QSTR_invoke), MP_ROM_PTR(&kws_network_invoke_obj) },
    { MP_ROM_QSTR(MP_QSTR_step), MP_ROM_PTR(&kws_network_step_obj) },
};
static MP_DEFINE_CONST_DICT(kws_network_dict, kws_network_table);
MP_DEFINE_CONST_OBJ_TYPE(kws_network_type, MP_QSTR_Network, MP_TYPE_FLAG_NONE, make_new, kws_network_new, attr,
                         kws_network_attr, locals_dict, &kws_network_dict);

DRIFTC_FLOAT(kws_network_input_scale, 0.024469357f)
DRIFTC_FLOAT(kws_network_output_scale, 0.00390625f)
static const mp_rom_obj_tuple_t kws_network_input_shape = {
    { &mp_type_tuple }, 3, { MP_ROM_INT(49), MP_ROM_INT(10), MP_ROM_INT(1) }
};
static const mp_rom_obj_tuple_t kws_network_output_shape = {
    { &mp_type_tuple }, 1, { MP_ROM_INT(12) }
};

static const mp_rom_map_elem_t kws_network_globals_table[] = {
    { MP_ROM_QSTR(MP_QSTR___name__), MP_ROM_QSTR(MP_QSTR_kws) },
    { MP_ROM_QSTR(MP_QSTR_Network), MP_ROM_PTR(&kws_network_type) },
    { MP_ROM_QSTR(MP_QSTR_quantize), MP_ROM_PTR(&kws_network_quantize_obj) },
    { MP_ROM_QSTR(MP_QSTR_dequantize), MP_ROM_PTR(&kws_network_dequantize_obj) },
    { MP_ROM_QSTR(MP_QSTR_MEMORY_BYTES), MP_ROM_INT(1443) },
    { MP_ROM_QSTR(MP_QSTR_INPUT_ZERO), MP_ROM_INT(5) },
    { MP_ROM_QSTR(MP_QSTR_OUTPUT_ZERO), MP_ROM_INT(-128) },
    { MP_ROM_QSTR(MP_QSTR_INPUT_SCALE), DRIFTC_ROM_FLOAT(kws_network_input_scale, 0x3CC873F6u, 0x3F990E7EC0000000u) },
    { MP_ROM_QSTR(MP_QSTR_OUTPUT_SCALE), DRIFTC_ROM_FLOAT(kws_network_output_scale, 0x3B800000u, 0x3F70000000000000u) },
    { MP_ROM_QSTR(MP_QSTR_INPUT_SHAPE), MP_ROM_PTR(&kws_network_input_shape) },
    { MP_ROM_QSTR(MP_QSTR_OUTPUT_SHAPE), MP_ROM_PTR(&kws_network_output_shape) },
};
static MP_DEFINE_CONST_DICT(kws_network_globals, kws_network_globals_table);

const mp_obj_module_t kws_network_module = {
    .base = { &mp_type_module },
    .globals = (mp_obj_dict_t *)&kws_network_globals,
};

MP_REGISTER_MODULE(MP_QSTR_kws, kws_network_module);
#endif
