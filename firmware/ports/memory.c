/* memory.c: the four functions that compilers call by themselves, for programs without a C library. */
#include <stdint.h>
#include <string.h>

/* Compilers know these loops, and would make of each a call of the very function it is in. */
#if defined(__clang__)
#define PLAIN_LOOPS __attribute__((no_builtin("memcpy", "memmove", "memset", "memcmp")))
#elif defined(__GNUC__)
#define PLAIN_LOOPS __attribute__((optimize("no-tree-loop-distribute-patterns")))
#else
#define PLAIN_LOOPS
#endif

#define WORD sizeof(uint32_t)

/* Words may be read where the pointers allow it. may_alias: the bytes belong to objects of any type. */
typedef uint32_t __attribute__((may_alias)) word_t;

static inline int in_words(const void *a, const void *b)
{
    return (((uintptr_t)a | (uintptr_t)b) % WORD) == 0;
}

PLAIN_LOOPS void *memcpy(void *restrict to, const void *restrict from, size_t bytes)
{
    uint8_t *t = to;
    const uint8_t *f = from;

    if (in_words(t, f)) {
        for (; bytes >= WORD; bytes -= WORD, t += WORD, f += WORD)
            *(word_t *)(void *)t = *(const word_t *)(const void *)f;
    }
    while (bytes-- > 0)
        *t++ = *f++;
    return to;
}

PLAIN_LOOPS void *memmove(void *to, const void *from, size_t bytes)
{
    uint8_t *t = to;
    const uint8_t *f = from;

    if ((uintptr_t)t - (uintptr_t)f >= bytes) /* `to` does not lie within `from` */
        return memcpy(to, from, bytes);
    while (bytes-- > 0)
        t[bytes] = f[bytes];
    return to;
}

PLAIN_LOOPS void *memset(void *to, int value, size_t bytes)
{
    uint8_t *t = to;
    uint8_t byte = (uint8_t)value;

    if (in_words(t, t)) {
        for (; bytes >= WORD; bytes -= WORD, t += WORD)
            *(word_t *)(void *)t = byte * 0x01010101u;
    }
    while (bytes-- > 0)
        *t++ = byte;
    return to;
}

PLAIN_LOOPS int memcmp(const void *a, const void *b, size_t bytes)
{
    const uint8_t *x = a;
    const uint8_t *y = b;

    for (; bytes > 0; bytes--, x++, y++) {
        if (*x != *y)
            return *x - *y;
    }
    return 0;
}
