/* Instruction-set tiers: the same C file is compiled for each (-DTIER=baseline, v3, v4) and exports one table of
 * functions named <table>_<tier>; <table>_select(), which TIER_DECLARE makes, picks the best that the processor runs, once,
 * at import.
 *
 * The environment variable DECIBAN_CPU=baseline|v3|v4 asks for a lower tier than the best (tests cover all that way).
 * A tier the processor lacks is never chosen.
 */
#ifndef DECIBAN_TIER_H
#define DECIBAN_TIER_H

#include <stdlib.h>
#include <string.h>

#define TIER_PASTE_(name, tier) name##_##tier
#define TIER_PASTE(name, tier) TIER_PASTE_(name, tier)
/* In a file compiled per tier: the name of this tier's table. */
#define TIER_NAME(name) TIER_PASTE(name, TIER)

#ifdef HAVE_TIER_V4
#define TIER_IF_V4(x) x
#else
#define TIER_IF_V4(x)
#endif
#ifdef HAVE_TIER_V3
#define TIER_IF_V3(x) x
#else
#define TIER_IF_V3(x)
#endif

enum { TIER_BASELINE = 1, TIER_V3 = 3, TIER_V4 = 4 };

static inline int tier_best(void) {
    int best = TIER_BASELINE;
#if defined(HAVE_TIER_V3) || defined(HAVE_TIER_V4)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi") &&
        __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("popcnt")) {
        TIER_IF_V3(best = TIER_V3;)
        if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
            __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
            __builtin_cpu_supports("avx512vl")) {
            TIER_IF_V4(best = TIER_V4;)
        }
    }
#endif
    const char *asked = getenv("DECIBAN_CPU");
    if (asked != NULL) {
        int limit = strcmp(asked, "baseline") == 0 ? TIER_BASELINE : strcmp(asked, "v3") == 0 ? TIER_V3 : TIER_V4;
        if (limit < best) {
            best = limit;
            if (best == TIER_V3) {
#ifndef HAVE_TIER_V3
                best = TIER_BASELINE;
#endif
            }
        }
    }
    return best;
}

/* TIER_DECLARE(type, table): declare the tables of all tiers and a function <table>_select() that returns the chosen. */
#define TIER_DECLARE(type, table)                                                  \
    extern const type table##_baseline;                                            \
    TIER_IF_V3(extern const type table##_v3;)                                      \
    TIER_IF_V4(extern const type table##_v4;)                                      \
    static inline const type *table##_select(void) {                               \
        switch (tier_best()) {                                                     \
            TIER_IF_V4(case TIER_V4 : return &table##_v4;)                         \
            TIER_IF_V3(case TIER_V3 : return &table##_v3;)                         \
            default:                                                               \
                return &table##_baseline;                                          \
        }                                                                          \
    }

#endif
