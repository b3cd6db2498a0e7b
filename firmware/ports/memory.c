/* memory.c: the functions that compilers call by themselves, for programs without a C library. */
#include <stdint.h>
#include <string.h>

/* Compilers know these loops, and would make of each a call of the very function it is in. Here they cannot: for all
 * they know, the pointer changes. */
#define CHANGES(pointer) __asm__("" : "+r"(pointer))

#define WORD sizeof(uint32_t)

/* Words may be read where the pointers allow it. may_alias: the bytes belong to objects of any type. */
typedef uint32_t __attribute__((may_alias)) word_t;

static inline int in_words(const void *a, const void *b)
{
    return (((uintptr_t)a | (uintptr_t)b) % WORD) == 0;
}

static void copy_upwards(uint8_t *to, const uint8_t *from, size_t bytes)
{
    if (in_words(to, from)) {
        for (; bytes >= WORD; bytes -= WORD, to += WORD, from += WORD) {
            *(word_t *)(void *)to = *(const word_t *)(const void *)from;
            CHANGES(to);
        }
    }
    for (; bytes > 0; bytes--) {
        *to++ = *from++;
        CHANGES(to);
    }
}

static void copy_downwards(uint8_t *to, const uint8_t *from, size_t bytes)
{
    for (; bytes > 0; bytes--) {
        to[bytes - 1] = from[bytes - 1];
        CHANGES(to);
    }
}

static void copy_either_way(uint8_t *to, const uint8_t *from, size_t bytes)
{
    if ((uintptr_t)to - (uintptr_t)from >= bytes) /* `to` does not lie within `from` */
        copy_upwards(to, from, bytes);
    else
        copy_downwards(to, from, bytes);
}

static void fill(uint8_t *to, uint8_t value, size_t bytes)
{
    if (in_words(to, to)) {
        for (; bytes >= WORD; bytes -= WORD, to += WORD) {
            *(word_t *)(void *)to = value * 0x01010101u;
            CHANGES(to);
        }
    }
    for (; bytes > 0; bytes--) {
        *to++ = value;
        CHANGES(to);
    }
}

void *memcpy(void *restrict to, const void *restrict from, size_t bytes)
{
    copy_upwards(to, from, bytes);
    return to;
}

void *memmove(void *to, const void *from, size_t bytes)
{
    copy_either_way(to, from, bytes);
    return to;
}

void *memset(void *to, int value, size_t bytes)
{
    fill(to, (uint8_t)value, bytes);
    return to;
}

int memcmp(const void *a, const void *b, size_t bytes)
{
    const uint8_t *x = a;
    const uint8_t *y = b;

    for (; bytes > 0; bytes--, x++, y++) {
        if (*x != *y)
            return *x - *y;
    }
    return 0;
}

#ifdef __ARM_EABI__

/* The Arm ABI's names for the same (Run-time ABI, section 4.3.4), one for each alignment: clang calls these. */
#define FOR_EACH_ALIGNMENT(X) X() X(4) X(8)

#define COPY(alignment)                                                        \
    void __aeabi_memcpy##alignment(void *to, const void *from, size_t bytes);  \
    void __aeabi_memcpy##alignment(void *to, const void *from, size_t bytes)   \
    {                                                                          \
        copy_upwards(to, from, bytes);                                         \
    }                                                                          \
    void __aeabi_memmove##alignment(void *to, const void *from, size_t bytes); \
    void __aeabi_memmove##alignment(void *to, const void *from, size_t bytes)  \
    {                                                                          \
        copy_either_way(to, from, bytes);                                      \
    }

/* The number of bytes comes before the value, unlike in C. */
#define SET(alignment)                                                         \
    void __aeabi_memset##alignment(void *to, size_t bytes, int value);         \
    void __aeabi_memset##alignment(void *to, size_t bytes, int value)          \
    {                                                                          \
        fill(to, (uint8_t)value, bytes);                                       \
    }                                                                          \
    void __aeabi_memclr##alignment(void *to, size_t bytes);                    \
    void __aeabi_memclr##alignment(void *to, size_t bytes)                     \
    {                                                                          \
        fill(to, 0, bytes);                                                    \
    }

FOR_EACH_ALIGNMENT(COPY)
FOR_EACH_ALIGNMENT(SET)

#endif
