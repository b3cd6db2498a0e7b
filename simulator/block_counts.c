/* block_counts.c: counts how often each basic block runs in each step of the model, and how often a branch leaves it.
 *
 * unicorn calls `on_block` before every block that it runs, some ten million times a second: in Python that would take
 * longer than the emulation by a factor of a hundred. Compiled on the user's machine; block_counts.py drives it.
 *
 * Where flash has wait states, the lines that it reads are counted too: those of code, and through `on_read` of data.
 */
#include <stdint.h>

#ifdef _WIN32
#define EXPORT __declspec(dllexport)
#else
#define EXPORT __attribute__((visibility("default")))
#endif

struct block {
    uint32_t address;
    uint32_t size; /* bytes */
    uint32_t next; /* another block that starts at the same address, as 1 + index; 0: none */
};

enum { MOST_LINES = 64 };

/* Lines of flash that are kept, the last used first; of all lines, how many had to be read. */
struct lines {
    uint32_t bytes; /* of a line; 0: nothing is counted */
    uint32_t kept;
    uint32_t prefetch; /* nonzero: the line behind the last one is there when it is wanted */
    uint32_t last;
    uint32_t tags[MOST_LINES];
    uint64_t *read; /* [steps] */
};

/* block_counts.py declares the same. */
struct counter {
    uint32_t code_base;
    uint32_t code_halfwords;
    uint32_t *first_block; /* [code_halfwords] 1 + index of a block that starts there; 0: none yet */

    struct block *blocks; /* [capacity] */
    uint64_t *executions; /* [steps][capacity] */
    uint64_t *taken;      /* [steps][capacity] another block than the next in memory followed */
    uint32_t capacity;
    uint32_t blocks_used;

    uint32_t step_address; /* where NAME_step begins */
    uint32_t return_address;
    int32_t steps;
    int32_t next_step;
    int32_t step; /* the one that is running; -1: the harness is */

    int32_t link_register;
    int (*read_register)(void *emulator, int id, void *value);
    uint32_t failed; /* nonzero: more blocks than `capacity`, or one outside the code */

    uint32_t before; /* 1 + index of the block that ran last; 0: none in this step */
    struct lines code;
    struct lines data;
};

static void touch(struct lines *lines, uint32_t address, uint32_t size, int32_t step)
{
    uint32_t line = address / lines->bytes, end = (address + size - 1) / lines->bytes;

    for (; line <= end; line++) {
        uint32_t place = 0, tag = line + 1; /* 0 is none */

        while (place < lines->kept - 1 && lines->tags[place] != tag)
            place++;
        if (lines->tags[place] != tag && !(lines->prefetch && line == lines->last + 1))
            lines->read[step]++;
        for (; place > 0; place--)
            lines->tags[place] = lines->tags[place - 1];
        lines->tags[0] = tag;
        lines->last = line;
    }
}

/* The block that ran before has ended, and `start` follows. */
static void follow(struct counter *counter, uint32_t start)
{
    const struct block *block;

    if (counter->before == 0)
        return;
    block = &counter->blocks[counter->before - 1];
    if (start != block->address + block->size)
        counter->taken[(uint64_t)counter->step * counter->capacity + counter->before - 1]++;
    counter->before = 0;
}

static uint32_t find_block(struct counter *counter, uint32_t address, uint32_t size)
{
    uint32_t *link = &counter->first_block[(address - counter->code_base) / 2];

    while (*link != 0) {
        struct block *block = &counter->blocks[*link - 1];

        if (block->size == size)
            return *link - 1;
        link = &block->next;
    }
    if (counter->blocks_used == counter->capacity)
        return UINT32_MAX;
    counter->blocks[counter->blocks_used] = (struct block){address, size, 0};
    *link = ++counter->blocks_used;
    return counter->blocks_used - 1;
}

EXPORT void on_block(void *emulator, uint64_t address, uint32_t size, void *user)
{
    struct counter *counter = user;
    uint32_t start = (uint32_t)address;
    uint32_t index;

    if (counter->step < 0) {
        uint32_t link = 0;

        if (start != counter->step_address)
            return;
        counter->read_register(emulator, counter->link_register, &link);
        counter->return_address = link & ~UINT32_C(1);
        counter->step = counter->next_step;
        counter->next_step = (counter->next_step + 1) % counter->steps;
    } else {
        follow(counter, start);
        if (start == counter->return_address) {
            counter->step = -1;
            return;
        }
    }
    if (start < counter->code_base || (start - counter->code_base) / 2 >= counter->code_halfwords) {
        counter->failed = 1;
        return;
    }
    index = find_block(counter, start, size);
    if (index == UINT32_MAX) {
        counter->failed = 1;
        return;
    }
    counter->executions[(uint64_t)counter->step * counter->capacity + index]++;
    counter->before = index + 1;
    if (counter->code.bytes != 0)
        touch(&counter->code, start, size, counter->step);
}

EXPORT void on_read(void *emulator, int type, uint64_t address, int size, int64_t value, void *user)
{
    struct counter *counter = user;

    (void)emulator;
    (void)type;
    (void)value;
    if (counter->step >= 0)
        touch(&counter->data, (uint32_t)address, (uint32_t)size, counter->step);
}
