/*
** inflate.c: zlib's own checksum says whether the text is whole.
*/
#include "zlib/inflate.h"

#include <limits.h>

#include "zlib/stream.h"

enum { SLICE = 65536 };

static enum lm_inflate result_of(int got) {
  if (got == Z_STREAM_END) return LM_INFLATE_OK;
  return got == Z_MEM_ERROR ? LM_INFLATE_MEMORY : LM_INFLATE_BAD;
}

static enum lm_inflate run(z_stream *z, uint64_t most, struct lm_buf *out) {
  uint64_t made = 0;
  int got = Z_OK;
  while (got == Z_OK) {
    char *room = lm_buf_room(out, SLICE);
    if (room == NULL) return LM_INFLATE_MEMORY;
    z->next_out = (Bytef *)room;
    z->avail_out = SLICE;
    got = inflate(z, Z_NO_FLUSH);
    lm_buf_added(out, SLICE - z->avail_out);
    made += SLICE - z->avail_out;
    if (made > most) return LM_INFLATE_LIMIT;
  }
  return result_of(got);
}

enum lm_inflate lm_inflate(struct lm_str text, struct lm_buf *out) {
  z_stream z = {0};
  enum lm_inflate result;
  if (text.n > INT_MAX) return LM_INFLATE_LIMIT;
  lm_zlib_use_memory(&z);
  z.next_in = lm_zlib_bytes(text);
  z.avail_in = (uInt)text.n;
  if (inflateInit(&z) != Z_OK) return LM_INFLATE_MEMORY;
  result = run(&z, LM_INFLATE_CREDIT + (uint64_t)text.n * LM_INFLATE_RATIO, out);
  inflateEnd(&z);
  return result;
}
