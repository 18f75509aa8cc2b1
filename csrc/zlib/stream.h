/*
** stream.h: what deflate.c and inflate.c want of every z_stream alike; no business of anybody else.
*/
#ifndef LM_ZLIB_STREAM_H
#define LM_ZLIB_STREAM_H

#include <stdint.h>
#include <stdlib.h>
#include <zlib.h>

#include "base/lm.h"

static inline voidpf lm_zlib_take(voidpf nobody, uInt items, uInt size) {
  (void)nobody;
  return calloc(items, size);
}

static inline void lm_zlib_give(voidpf nobody, voidpf p) {
  (void)nobody;
  free(p);
}

/* Its memory is ours: zlib's own calls to malloc would escape the tests in which allocations fail. */
static inline void lm_zlib_use_memory(z_stream *z) {
  z->zalloc = lm_zlib_take;
  z->zfree = lm_zlib_give;
}

/* zlib does not change what it reads, but asks for it without const unless told. */
static inline z_const Bytef *lm_zlib_bytes(struct lm_str s) {
  return (z_const Bytef *)(uintptr_t)s.p;
}

#endif
