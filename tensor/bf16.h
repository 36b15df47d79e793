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
    const uint32_t quiet_nan = 0x7fc0u;
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    const uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
    return (reel_bf16){(uint16_t)(value == value ? rounded : quiet_nan)};
}

#endif
