/*
** vector.h: which vector code this machine can run; shared by the codecs of mime/, and by no one else.
**
** A function for a level is compiled for it whatever the rest of the library is compiled for, and
** called only where the processor says so. Each level gives the same result as plain C.
*/
#ifndef LM_MIME_VECTOR_H
#define LM_MIME_VECTOR_H

#if (defined(__x86_64__) || defined(__i386__)) && defined(__GNUC__)
#include <immintrin.h>
#define LM_X86 1
#define LM_SSSE3 __attribute__((target("ssse3")))
#define LM_AVX2 __attribute__((target("avx2")))
#define LM_HAS_AVX2() __builtin_cpu_supports("avx2")
#define LM_HAS_SSSE3() __builtin_cpu_supports("ssse3")
#else
#define LM_X86 0
#endif

#endif
