/* What the modules' tests need of the language. */
#include <alloca.h>
#include <stdint.h>

typedef intptr_t mp_int_t;
typedef uintptr_t mp_uint_t;
typedef long mp_off_t;

#define MICROPY_CONFIG_ROM_LEVEL (MICROPY_CONFIG_ROM_LEVEL_EXTRA_FEATURES)
#define MICROPY_ENABLE_COMPILER (1)
#define MICROPY_FLOAT_IMPL (MICROPY_FLOAT_IMPL_DOUBLE)
#define MICROPY_PY_IO (0)
#define MICROPY_PY_SYS_STDFILES (0)
#define MICROPY_PY_BUILTINS_HELP (0)
#define MICROPY_PY_BUILTINS_INPUT (0)
#define MICROPY_PY_DEFLATE (0)
#define MICROPY_PY_TIME (0)
#define MICROPY_PY_MACHINE (0)
#define MICROPY_PY_ASYNCIO (0)
#define MICROPY_PY_RE (0)
#define MICROPY_PY_JSON (0)
#define MICROPY_PY_RANDOM (0)
#define MICROPY_PY_OS (0)
#define MICROPY_PY_SELECT (0)
#define MICROPY_PY_HASHLIB (0)
#define MICROPY_PY_BINASCII (0)
#define MICROPY_PY_HEAPQ (0)
#define MICROPY_PY_UCTYPES (0)
#define MICROPY_PY_PLATFORM (0)
#define MICROPY_PY_FRAMEBUF (0)
#define MICROPY_KBD_EXCEPTION (0)
#define MICROPY_ENABLE_SCHEDULER (0)

#define MICROPY_HW_BOARD_NAME "this machine"
#define MICROPY_HW_MCU_NAME "driftc tests"
#define MP_STATE_PORT MP_STATE_VM
