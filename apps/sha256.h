/* SHA-256 (FIPS 180-4): the checksum by which downloaded files are known. */
#ifndef SHA256_H
#define SHA256_H

#include <stddef.h>
#include <stdint.h>

enum { SHA256_BLOCK_BYTES = 64, SHA256_HEX_BYTES = 65 /* with the final zero */ };

typedef struct sha256 {
    uint32_t state[8];
    uint64_t bytes; /* so far */
    uint8_t block[SHA256_BLOCK_BYTES];
} sha256;

void sha256_begin(sha256 *hash);
void sha256_add(sha256 *hash, const void *bytes, size_t count);

/* Ends the message and writes its hash in lower-case hexadecimal digits. */
void sha256_end(sha256 *hash, char hex[SHA256_HEX_BYTES]);

#endif
