/*
** vector.h: which vector code this machine can run; shared by all that scans or codes text.
**
** A function for a level is compiled for it whatever the rest of the library is compiled for, and
** called only where the processor says so. Each level gives the same result as plain C. The level is
** an argument, so that a test can ask for each.
*/
#ifndef LM_BASE_VECTOR_H
#define LM_BASE_VECTOR_H

enum lm_vector { LM_VECTOR_NONE, LM_VECTOR_NEON, LM_VECTOR_SSSE3, LM_VECTOR_AVX2 };

#if (defined(__x86_64__) || defined(__i386__)) && defined(__GNUC__)
#include <immintrin.h>
#define LM_X86 1
#define LM_SSSE3 __attribute__((target("ssse3")))
#define LM_AVX2 __attribute__((target("avx2")))
#else
#define LM_X86 0
#endif

#if defined(__aarch64__) && defined(__ARM_NEON) && defined(__GNUC__)
#include <arm_neon.h>
#define LM_NEON 1
#else
#define LM_NEON 0
#endif

/* The best level of this machine. */
static inline enum lm_vector lm_vector_best(void) {
#if LM_X86
  if (__builtin_cpu_supports("avx2")) return LM_VECTOR_AVX2;
  if (__builtin_cpu_supports("ssse3")) return LM_VECTOR_SSSE3;
  return LM_VECTOR_NONE;
#elif LM_NEON
  return LM_VECTOR_NEON;
#else
  return LM_VECTOR_NONE;
#endif
}

#endif
