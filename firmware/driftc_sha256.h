/* driftc_sha256.h: SHA-256 (FIPS 180-4) and HMAC-SHA256 (RFC 2104). No tables that depend on a secret, no branch on one. */
#ifndef DRIFTC_SHA256_H
#define DRIFTC_SHA256_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Called from several places, and never often: small before fast. */
#if defined(__GNUC__)
#define DRIFTC_APART static __attribute__((noinline, unused))
#else
#define DRIFTC_APART static
#endif

#define DRIFTC_SHA256_BYTES 32u
#define DRIFTC_SHA256_BLOCK 64u

typedef struct {
    uint32_t state[8];
    uint32_t bytes; /* so far: below 2^29 in all */
    uint32_t block[16]; /* its bytes, until they are DRIFTC_SHA256_BLOCK */
} driftc_sha256_t;

static const uint32_t driftc_sha256_k[64] = {
    0x428A2F98u, 0x71374491u, 0xB5C0FBCFu, 0xE9B5DBA5u, 0x3956C25Bu, 0x59F111F1u, 0x923F82A4u, 0xAB1C5ED5u,
    0xD807AA98u, 0x12835B01u, 0x243185BEu, 0x550C7DC3u, 0x72BE5D74u, 0x80DEB1FEu, 0x9BDC06A7u, 0xC19BF174u,
    0xE49B69C1u, 0xEFBE4786u, 0x0FC19DC6u, 0x240CA1CCu, 0x2DE92C6Fu, 0x4A7484AAu, 0x5CB0A9DCu, 0x76F988DAu,
    0x983E5152u, 0xA831C66Du, 0xB00327C8u, 0xBF597FC7u, 0xC6E00BF3u, 0xD5A79147u, 0x06CA6351u, 0x14292967u,
    0x27B70A85u, 0x2E1B2138u, 0x4D2C6DFCu, 0x53380D13u, 0x650A7354u, 0x766A0ABBu, 0x81C2C92Eu, 0x92722C85u,
    0xA2BFE8A1u, 0xA81A664Bu, 0xC24B8B70u, 0xC76C51A3u, 0xD192E819u, 0xD6990624u, 0xF40E3585u, 0x106AA070u,
    0x19A4C116u, 0x1E376C08u, 0x2748774Cu, 0x34B0BCB5u, 0x391C0CB3u, 0x4ED8AA4Au, 0x5B9CCA4Fu, 0x682E6FF3u,
    0x748F82EEu, 0x78A5636Fu, 0x84C87814u, 0x8CC70208u, 0x90BEFFFAu, 0xA4506CEBu, 0xBEF9A3F7u, 0xC67178F2u
};

static inline uint32_t driftc_rotated(uint32_t x, int bits)
{
    return x >> bits | x << (32 - bits);
}

/* One block into the state. Words of the schedule are made over those that are used up, the block's bytes first. */
DRIFTC_APART void driftc_sha256_block(uint32_t state[8], uint32_t w[16])
{
    uint32_t s[8];

    memcpy(s, state, sizeof s);
    for (int i = 0; i < 16; i++) {
        const uint8_t *const data = (const uint8_t *)(w + i);

        w[i] = (uint32_t)data[0] << 24 | (uint32_t)data[1] << 16 | (uint32_t)data[2] << 8 | data[3];
    }
    for (int round = 0; round < 64; round++) {
        const int i = round & 15;
        const uint32_t a = s[0], e = s[4];
        uint32_t one, two;

        if (round > 15) {
            const uint32_t x = w[(i + 1) & 15], y = w[(i + 14) & 15];

            w[i] += (driftc_rotated(x, 7) ^ driftc_rotated(x, 18) ^ x >> 3) + w[(i + 9) & 15] +
                    (driftc_rotated(y, 17) ^ driftc_rotated(y, 19) ^ y >> 10);
        }
        one = s[7] + (driftc_rotated(e, 6) ^ driftc_rotated(e, 11) ^ driftc_rotated(e, 25)) + ((e & s[5]) ^ (~e & s[6])) +
              driftc_sha256_k[round] + w[i];
        two = (driftc_rotated(a, 2) ^ driftc_rotated(a, 13) ^ driftc_rotated(a, 22)) + ((a & s[1]) ^ (a & s[2]) ^ (s[1] & s[2]));
        s[7] = s[6];
        s[6] = s[5];
        s[5] = e;
        s[4] = s[3] + one;
        s[3] = s[2];
        s[2] = s[1];
        s[1] = a;
        s[0] = one + two;
    }
    for (int i = 0; i < 8; i++)
        state[i] += s[i];
}

static inline void driftc_sha256_begin(driftc_sha256_t *hash)
{
    static const uint32_t first[8] = {
        0x6A09E667u, 0xBB67AE85u, 0x3C6EF372u, 0xA54FF53Au, 0x510E527Fu, 0x9B05688Cu, 0x1F83D9ABu, 0x5BE0CD19u
    };

    memcpy(hash->state, first, sizeof first);
    hash->bytes = 0;
}

DRIFTC_APART void driftc_sha256_add(driftc_sha256_t *hash, const void *data, size_t bytes)
{
    const uint8_t *from = (const uint8_t *)data;

    while (bytes > 0) {
        const uint32_t at = hash->bytes % DRIFTC_SHA256_BLOCK;
        const size_t room = DRIFTC_SHA256_BLOCK - at, part = bytes < room ? bytes : room;

        memcpy((uint8_t *)hash->block + at, from, part);
        hash->bytes += (uint32_t)part;
        from += part;
        bytes -= part;
        if (hash->bytes % DRIFTC_SHA256_BLOCK == 0)
            driftc_sha256_block(hash->state, hash->block);
    }
}

DRIFTC_APART void driftc_sha256_end(driftc_sha256_t *hash, uint8_t digest[DRIFTC_SHA256_BYTES])
{
    const uint32_t bits = hash->bytes * 8, at = hash->bytes % DRIFTC_SHA256_BLOCK;
    uint8_t *const block = (uint8_t *)hash->block;

    block[at] = 0x80;
    memset(block + at + 1, 0, DRIFTC_SHA256_BLOCK - 1 - at);
    if (at >= DRIFTC_SHA256_BLOCK - 8) {
        driftc_sha256_block(hash->state, hash->block);
        memset(block, 0, DRIFTC_SHA256_BLOCK);
    }
    for (uint32_t i = 0; i < 4; i++)
        block[DRIFTC_SHA256_BLOCK - 1 - i] = (uint8_t)(bits >> (8 * i));
    driftc_sha256_block(hash->state, hash->block);
    for (int i = 0; i < 32; i++)
        digest[i] = (uint8_t)(hash->state[i / 4] >> (24 - 8 * (i % 4)));
}

/* The key, which is never longer than a block in what follows, exclusive or `pad`. */
DRIFTC_APART void driftc_hmac_pad(driftc_sha256_t *hash, const uint8_t *key, size_t bytes, uint8_t pad)
{
    uint8_t block[DRIFTC_SHA256_BLOCK];

    memset(block, pad, sizeof block);
    for (size_t i = 0; i < bytes; i++)
        block[i] ^= key[i];
    driftc_sha256_begin(hash);
    driftc_sha256_add(hash, block, sizeof block);
}

DRIFTC_APART void driftc_hmac_sha256(const uint8_t *key, size_t key_bytes, const void *data, size_t bytes,
                                      uint8_t tag[DRIFTC_SHA256_BYTES])
{
    driftc_sha256_t hash;
    uint8_t inner[DRIFTC_SHA256_BYTES];

    if (key_bytes > DRIFTC_SHA256_BLOCK) {
        driftc_sha256_begin(&hash);
        driftc_sha256_add(&hash, key, key_bytes);
        driftc_sha256_end(&hash, inner);
        key = inner;
        key_bytes = sizeof inner;
    }
    driftc_hmac_pad(&hash, key, key_bytes, 0x36);
    driftc_sha256_add(&hash, data, bytes);
    driftc_sha256_end(&hash, tag);
    driftc_hmac_pad(&hash, key, key_bytes, 0x5C);
    driftc_sha256_add(&hash, tag, DRIFTC_SHA256_BYTES);
    driftc_sha256_end(&hash, tag);
}

/* 1 where both are the same, in a time that does not say where they differ. */
static inline int driftc_same(const uint8_t *a, const uint8_t *b, size_t bytes)
{
    uint32_t differ = 0;

    for (size_t i = 0; i < bytes; i++)
        differ |= (uint32_t)(a[i] ^ b[i]);
    return (int)((differ - 1) >> 31);
}

#endif
