/* bf16 to float and back, rounding to nearest even; NaN stays NaN. */
#ifndef REEL_BF16_H
#define REEL_BF16_H

#include <string.h>

#include <reel/tensor.h>

static inline float reel__from_bf16(reel_bf16 x) {
    const uint32_t bits = (uint32_t)x.bits << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static inline reel_bf16 reel__to_bf16(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    const uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
    const uint32_t quiet = (bits >> 16) | 0x40u; /* keeps a NaN from rounding to infinity */
    const int is_nan = (bits & 0x7fffffffu) > 0x7f800000u;
    return (reel_bf16){(uint16_t)(is_nan ? quiet : rounded)};
}

#endif
