/* 16-bit floats of files. */
#ifndef REEL_DATA_HALF_H
#define REEL_DATA_HALF_H

#include <stdint.h>
#include <string.h>

/* An IEEE half as a float: every value is exact. */
static inline float reel__half_to_float(uint16_t half) {
    enum { FRACTION_BITS = 10, EXPONENT_MASK = 0x1f, BIAS_DIFFERENCE = 127 - 15, FLOAT_FRACTION_BITS = 23 };
    const uint32_t sign = (uint32_t)(half >> 15) << 31, exponent = half >> FRACTION_BITS & EXPONENT_MASK;
    const uint32_t fraction = half & ((1u << FRACTION_BITS) - 1);
    if (exponent == 0) { /* zero and subnormals: fraction * 2^-24 */
        const float magnitude = (float)fraction * 0x1p-24f;
        return sign != 0 ? -magnitude : magnitude;
    }
    const uint32_t wide = exponent == EXPONENT_MASK ? 0xffu : exponent + BIAS_DIFFERENCE;
    const uint32_t bits =
        sign | wide << FLOAT_FRACTION_BITS | fraction << (FLOAT_FRACTION_BITS - FRACTION_BITS);
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

#endif
