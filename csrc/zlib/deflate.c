/*
** deflate.c: the filter.
**
** Memory of an idle session: 8 KiB and, once something came, the peer's window of 32 KiB. The
** compressor (some 40 KiB: commands are short, so its window is small) lives from the first output
** to the next time that the session rests: behind a flush a fresh one may go on where the last one
** stopped, because a raw stream is but a row of blocks (RFC 1951 §3.2.3).
*/
#include "zlib/deflate.h"

#include <stdlib.h>

#include "zlib/stream.h"

enum {
  WINDOW_IN = -15, /* whatever the peer uses; negative: raw, without header and checksum */
  WINDOW_OUT = -12,
  MEMORY_OUT = 5,
  OUTPUT_MAX = 65536, /* octets made ahead of the transport */
  GRAIN = 4096
};

enum stage { OPEN, ENDED, BROKEN, FAILED };

struct deflate {
  struct lm_filter filter; /* first */
  z_stream in, out;
  struct lm_deflate_count count;
  uint64_t credit; /* what may still come out beyond LM_INFLATE_RATIO */
  enum stage stage;
  enum lm_code code; /* BROKEN: why */
  const char *why;
  bool out_made; /* `out` is there */
  bool dirty;    /* it holds octets that no flush has followed */
  bool more;     /* inflate filled all its room: it may hold more */
};

static struct deflate *of(struct lm_filter *f) {
  return (struct deflate *)f;
}

static const struct deflate *peek(const struct lm_filter *f) {
  return (const struct deflate *)f;
}

static void fail(struct deflate *d, struct lm_wire *inner, enum lm_code code, const char *why) {
  d->stage = FAILED;
  lm_wire_fail(inner, code, why, LM_NOSTR);
}

/* --- inward ---------------------------------------------------------------------------------- */

static void breaks(struct deflate *d, enum lm_code code, const char *why) {
  d->stage = BROKEN;
  d->code = code;
  d->why = why;
}

/* What came out is paid for by what went in, RATIO for one, or out of a credit that lets any honest
** message pass. False: a bomb. */
static bool pay(struct deflate *d, uint64_t taken, uint64_t made) {
  d->count.in += taken;
  d->count.in_plain += made;
  d->credit += taken * LM_INFLATE_RATIO;
  if (d->credit > LM_INFLATE_CREDIT) d->credit = LM_INFLATE_CREDIT;
  if (made > d->credit) return false;
  d->credit -= made;
  return true;
}

/* One piece into the inner wire; the octets made. */
static size_t inflate_some(struct deflate *d, struct lm_wire *inner) {
  struct lm_str s = lm_wire_input(&d->filter.outer);
  size_t room, taken, made;
  char *p = lm_wire_room(inner, &room);
  int got;
  if (p == NULL) return 0;
  if (s.n > LM_INFLATE_TURN) s.n = LM_INFLATE_TURN;
  if (room > LM_INFLATE_TURN) room = LM_INFLATE_TURN;
  d->in.next_in = lm_zlib_bytes(s);
  d->in.avail_in = (uInt)s.n;
  d->in.next_out = (Bytef *)p;
  d->in.avail_out = (uInt)room;
  got = inflate(&d->in, Z_SYNC_FLUSH);
  taken = s.n - d->in.avail_in;
  made = room - d->in.avail_out;
  d->more = d->in.avail_out == 0;
  if (taken) lm_wire_take(&d->filter.outer, taken);
  lm_wire_fed(inner, made);
  if (!pay(d, taken, made)) {
    breaks(d, LM_E_LIMIT, "inflate_ratio");
  } else if (got == Z_STREAM_END) {
    d->stage = ENDED;
  } else if (got == Z_MEM_ERROR) {
    breaks(d, LM_E_MEMORY, "room for decompression");
  } else if (got != Z_OK && got != Z_BUF_ERROR) {
    breaks(d, LM_E_PROTOCOL, "a DEFLATE stream");
  }
  return made;
}

/* The end of the stream, or of the peer's blocks: he can say no more. */
static void end(struct deflate *d, struct lm_wire *inner) {
  struct lm_wire *outer = &d->filter.outer;
  if (d->stage == ENDED && lm_wire_input(outer).n) {
    breaks(d, LM_E_PROTOCOL, "nothing behind the end of a DEFLATE stream");
    return;
  }
  if (d->stage != ENDED && (!outer->eof || lm_wire_input(outer).n || d->more)) return;
  inner->truncated = outer->truncated;
  if (!inner->eof) lm_wire_eof(inner);
}

/* No more than LM_INFLATE_TURN octets a turn, and none while the session has that many unread. */
static void inward(struct deflate *d, struct lm_wire *inner) {
  size_t moved = 0;
  while (d->stage == OPEN && (lm_wire_input(&d->filter.outer).n || d->more) &&
         moved < LM_INFLATE_TURN && (moved == 0 || lm_buf_len(&inner->in) < LM_INFLATE_TURN)) {
    size_t before = lm_wire_input(&d->filter.outer).n, made = inflate_some(d, inner);
    moved += made;
    if (lm_wire_failed(inner)) return;
    if (made == 0 && lm_wire_input(&d->filter.outer).n == before) break;
  }
  /* what came before the break is good, and the session has not seen it yet */
  if (d->stage == BROKEN && moved == 0) fail(d, inner, d->code, d->why);
  if (d->stage == OPEN || d->stage == ENDED) end(d, inner);
}

/* --- outward --------------------------------------------------------------------------------- */

static bool compressor(struct deflate *d) {
  if (d->out_made) return true;
  d->out_made = deflateInit2(&d->out, Z_DEFAULT_COMPRESSION, Z_DEFLATED, WINDOW_OUT, MEMORY_OUT,
                             Z_DEFAULT_STRATEGY) == Z_OK;
  return d->out_made;
}

/* Compresses `s`; with `flush` all that was put in comes out. False: memory. */
static bool deflate_some(struct deflate *d, struct lm_str s, int flush) {
  struct lm_buf *to = &d->filter.outer.out;
  d->out.next_in = lm_zlib_bytes(s);
  d->out.avail_in = (uInt)s.n;
  do {
    char *p = lm_buf_room(to, GRAIN);
    size_t room = p ? to->cap - to->end : 0;
    if (p == NULL) return false;
    if (room > OUTPUT_MAX) room = OUTPUT_MAX;
    d->out.next_out = (Bytef *)p;
    d->out.avail_out = (uInt)room;
    if (deflate(&d->out, flush) == Z_STREAM_ERROR) return false;
    room -= d->out.avail_out;
    lm_buf_added(to, room);
    d->filter.outer.queued += room;
    d->count.out += room;
  } while (d->out.avail_out == 0);
  return true;
}

static void outward(struct deflate *d, struct lm_wire *inner) {
  struct lm_str s;
  while ((s = lm_wire_output(inner)).n && lm_buf_len(&d->filter.outer.out) < OUTPUT_MAX) {
    if (s.n > OUTPUT_MAX) s.n = OUTPUT_MAX;
    if (!compressor(d) || !deflate_some(d, s, Z_NO_FLUSH)) {
      fail(d, inner, LM_E_MEMORY, "room for compression");
      return;
    }
    d->filter.outer.secret |= inner->secret;
    lm_wire_sent(inner, s.n);
    d->count.out_plain += s.n;
    d->dirty = true;
  }
  if (s.n || !d->dirty) return;
  if (!deflate_some(d, LM_STR(""), Z_SYNC_FLUSH)) {
    fail(d, inner, LM_E_MEMORY, "room for compression");
  }
  d->dirty = false;
}

/* --- the filter ------------------------------------------------------------------------------ */

static void drop_compressor(struct deflate *d) {
  if (d->out_made) deflateEnd(&d->out);
  d->out_made = false;
}

/* A session that rests has given its buffers back: so do we. */
static void rest(struct deflate *d, const struct lm_wire *inner) {
  if (inner->in.p || inner->out.p || inner->lent.n || d->dirty) return;
  drop_compressor(d);
  lm_wire_relax(&d->filter.outer);
}

static void turn(struct lm_filter *f, struct lm_wire *inner) {
  struct deflate *d = of(f);
  const struct lm_error *below = lm_wire_error(&f->outer);
  if (d->stage == FAILED) return;
  if (below->code != LM_E_NONE) {
    fail(d, inner, below->code, below->expected);
    return;
  }
  if (lm_wire_failed(inner)) return;
  outward(d, inner);
  if (!lm_wire_failed(inner)) inward(d, inner);
  if (d->stage == OPEN) rest(d, inner);
}

static void relax(struct lm_filter *f) {
  struct deflate *d = of(f);
  if (!d->dirty) drop_compressor(d);
}

static void release(struct lm_filter *f) {
  struct deflate *d = of(f);
  drop_compressor(d);
  inflateEnd(&d->in);
  lm_wire_free(&f->outer);
  free(d);
}

struct lm_filter *lm_deflate_new(void) {
  struct deflate *d = calloc(1, sizeof *d);
  if (d == NULL) return NULL;
  lm_zlib_use_memory(&d->in);
  lm_zlib_use_memory(&d->out);
  if (inflateInit2(&d->in, WINDOW_IN) != Z_OK) {
    free(d);
    return NULL;
  }
  lm_wire_init(&d->filter.outer);
  d->filter.turn = turn;
  d->filter.relax = relax;
  d->filter.free = release;
  d->credit = LM_INFLATE_CREDIT;
  return &d->filter;
}

struct lm_filter *lm_deflate_find(const struct lm_link *l) {
  size_t i;
  for (i = 0; i < LM_LINK_FILTERS && l->filter[i]; i++) {
    if (l->filter[i]->turn == turn) return l->filter[i];
  }
  return NULL;
}

struct lm_deflate_count lm_deflate_count(const struct lm_filter *f) {
  return peek(f)->count;
}
