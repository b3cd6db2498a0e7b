/* Runs the script whose name it is given. */
#include <stdio.h>
#include <stdlib.h>

#include "py/builtin.h"
#include "py/compile.h"
#include "py/gc.h"
#include "py/lexer.h"
#include "py/mperrno.h"
#include "py/mphal.h"
#include "py/runtime.h"
#include "py/stackctrl.h"
#include "shared/runtime/gchelper.h"

static char heap[1 << 20];

static int run(const char *source, size_t length)
{
    nlr_buf_t nlr;

    if (nlr_push(&nlr) != 0) {
        mp_obj_print_exception(&mp_plat_print, MP_OBJ_FROM_PTR(nlr.ret_val));
        return 1;
    }
    mp_lexer_t *lexer = mp_lexer_new_from_str_len(MP_QSTR__lt_stdin_gt_, source, length, 0);
    qstr name = lexer->source_name;
    mp_parse_tree_t tree = mp_parse(lexer, MP_PARSE_FILE_INPUT);

    mp_call_function_0(mp_compile(&tree, name, false));
    nlr_pop();
    return 0;
}

int main(int argc, char **argv)
{
    int top;
    static char source[1 << 16];
    FILE *file = argc == 2 ? fopen(argv[1], "rb") : NULL;

    if (file == NULL)
        return 2;
    size_t length = fread(source, 1, sizeof source, file);

    fclose(file);
    mp_stack_set_top(&top);
    mp_stack_set_limit(1 << 20);
    gc_init(heap, heap + sizeof heap);
    mp_init();
    return run(source, length);
}

void mp_hal_stdout_tx_strn_cooked(const char *text, size_t length)
{
    fwrite(text, 1, length, stdout);
}

void gc_collect(void)
{
    gc_collect_start();
    gc_helper_collect_regs_and_stack();
    gc_collect_end();
}

mp_import_stat_t mp_import_stat(const char *path)
{
    (void)path;
    return MP_IMPORT_STAT_NO_EXIST;
}

mp_lexer_t *mp_lexer_new_from_file(qstr name)
{
    (void)name;
    mp_raise_OSError(MP_ENOENT);
}

void nlr_jump_fail(void *value)
{
    (void)value;
    abort();
}
