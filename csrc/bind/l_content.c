/*
** l_content.c: what the parts of a message hold: octets, text, and what stands in files.
**
** Arguments: the message and the part's index from 1 on.
*/
#include <string.h>

#include "base/chars.h"
#include "bind/message.h"
#include "bind/push_mime.h"
#include "mime/content.h"
#include "mime/flowed.h"

/* --- content ---------------------------------------------------------------------------------------- */

static struct lm_str content_of(const struct lm_message *m, const struct lm_part *part) {
  return lm_message_sub(m, part->body, part->end);
}

/* The octets of a part without transfer encoding; what holds other parts is as it stands. */
struct lm_str lm_message_decoded(lua_State *L, struct lm_scratch *s, const struct lm_message *m,
                                 const struct lm_part *part, size_t *defects_out) {
  struct lm_str out;
  struct lm_str raw = content_of(m, part);
  *defects_out = 0;
  if (part->first != LM_NO_PART) return raw;
  if (!lm_content_decode(part->transfer, raw, &s->buf, &out, defects_out)) lm_no_memory(L);
  return out;
}

/* body(i) -> octets */
static int body(lua_State *L) {
  struct lm_message *m = lm_checkmessage(L);
  const struct lm_part *part = lm_checkpart(L, m);
  struct lm_scratch *s = lm_take_scratch(L);
  size_t defects;
  lm_pushstr(L, lm_message_decoded(L, s, m, part, &defects));
  return lm_give(&s->shared, 1);
}

/* What body(i) gives, in pieces that lie in `room` at most. */
struct pieces {
  struct lm_content_reader reader;
  struct lm_buf *room;
};

static struct pieces pieces_of(const struct lm_message *m, const struct lm_part *part,
                               struct lm_buf *room) {
  bool leaf = part->first == LM_NO_PART;
  struct pieces p;
  lm_content_begin(&p.reader, leaf ? part->transfer : LM_TRANSFER_IDENTITY, content_of(m, part));
  p.room = room;
  return p;
}

static bool next_piece(void *pieces, struct lm_str *piece_out) {
  struct pieces *p = pieces;
  return lm_content_next(&p->reader, p->room, piece_out);
}

/* size(i) -> how many octets body(i) gives */
static int size(lua_State *L) {
  struct lm_message *m = lm_checkmessage(L);
  const struct lm_part *part = lm_checkpart(L, m);
  struct lm_scratch *s = lm_take_scratch(L);
  struct pieces pieces = pieces_of(m, part, &s->buf);
  struct lm_str piece;
  uint64_t n = 0;
  do {
    if (!next_piece(&pieces, &piece)) return lm_no_memory(L);
    n += piece.n;
  } while (piece.n);
  lm_push_u64(L, n);
  return lm_give(&s->shared, 1);
}

/* Puts flowed lines together (RFC 3676 §4); the result ends lines in LF. */
static struct lm_str unflowed(lua_State *L, struct lm_scratch *s, const struct lm_params *params,
                              struct lm_str utf8) {
  struct lm_buf *b = &s->flowed;
  if (!lm_str_ieq(lm_params_get(params, LM_STR("format")), LM_STR("flowed"))) return utf8;
  lm_buf_clear(b);
  if (!lm_flowed_read(utf8, LM_IS(lm_params_get(params, LM_STR("delsp")), "yes"), b))
    lm_no_memory(L);
  return lm_buf_str(b);
}

/* On the top of the stack, with lines that end in LF. */
static void push_lines(lua_State *L, struct lm_scratch *s, struct lm_str utf8) {
  char *p;
  if (utf8.n == 0 || memchr(utf8.p, '\r', utf8.n) == NULL) {
    lm_pushstr(L, utf8);
    return;
  }
  if ((p = lm_arena_alloc(&s->arena, utf8.n + LM_LINES_SLACK)) == NULL) lm_no_memory(L);
  lua_pushlstring(L, p, lm_content_lines(utf8, p));
}

/* text(i) -> the content as UTF-8 text, lines end in LF */
static int text(lua_State *L) {
  struct lm_message *m = lm_checkmessage(L);
  const struct lm_part *part = lm_checkpart(L, m);
  struct lm_scratch *s = lm_take_scratch(L);
  struct lm_params params;
  struct lm_media media;
  struct lm_text_kind kind;
  struct lm_str utf8;
  size_t defects;
  lm_message_params(L, s, m, part->type, &params);
  lm_tree_media(part, &media);
  kind.charset = lm_params_get(&params, LM_STR("charset"));
  kind.html = lm_media_is(&media, "text", "html");
  kind.kept = &s->converters;
  if (!lm_content_text(&s->arena, &kind, lm_message_decoded(L, s, m, part, &defects), &utf8))
    return lm_no_memory(L);
  if (lm_media_is(&media, "text", "plain")) utf8 = unflowed(L, s, &params, utf8);
  push_lines(L, s, utf8);
  return lm_give(&s->shared, 1);
}

/* raw(i) -> header and content as they stand; raw_body(i) -> the content; raw_head(i) -> the header, with
** the empty line behind it */
static int raw(lua_State *L) {
  struct lm_message *m = lm_checkmessage(L);
  const struct lm_part *part = lm_checkpart(L, m);
  lm_pushstr(L, lm_message_sub(m, part->start, part->end));
  return 1;
}

static int raw_body(lua_State *L) {
  struct lm_message *m = lm_checkmessage(L);
  lm_pushstr(L, content_of(m, lm_checkpart(L, m)));
  return 1;
}

static int raw_head(lua_State *L) {
  struct lm_message *m = lm_checkmessage(L);
  const struct lm_part *part = lm_checkpart(L, m);
  lm_pushstr(L, lm_message_sub(m, part->start, part->body));
  return 1;
}

/* preamble(i), epilogue(i) -> octets of a multipart before its first part and behind its last one */
static int preamble(lua_State *L) {
  struct lm_message *m = lm_checkmessage(L);
  const struct lm_part *part = lm_checkpart(L, m);
  lm_pushstr(L, lm_message_sub(m, part->body, part->preamble));
  return 1;
}

static int epilogue(lua_State *L) {
  struct lm_message *m = lm_checkmessage(L);
  const struct lm_part *part = lm_checkpart(L, m);
  lm_pushstr(L, lm_message_sub(m, part->epilogue, part->end));
  return 1;
}

static size_t checkoffset(lua_State *L, int i, size_t most) {
  lua_Number n = luaL_checknumber(L, i);
  luaL_argcheck(L, n >= 0, i, "an offset expected");
  return n > (lua_Number)most ? most : (size_t)n;
}

/* sub(from, n) -> up to n octets of the text behind octet `from`; nil at its end */
static int sub(lua_State *L) {
  struct lm_message *m = lm_checkmessage(L);
  size_t whole = m->tree.text.n;
  size_t from = checkoffset(L, 2, whole);
  size_t n = checkoffset(L, 3, whole - from);
  if (from == whole) return 0;
  lm_pushstr(L, lm_message_sub(m, from, from + n));
  return 1;
}

/* span(i) -> where the part stands: of its header, its content, its end, each counted from 0 */
static int span(lua_State *L) {
  struct lm_message *m = lm_checkmessage(L);
  const struct lm_part *part = lm_checkpart(L, m);
  lm_push_u64(L, part->start);
  lm_push_u64(L, part->body);
  lm_push_u64(L, part->end);
  return 3;
}

/* count() -> parts in all, octets in all */
static int count(lua_State *L) {
  struct lm_message *m = lm_checkmessage(L);
  lm_push_u64(L, m->tree.count);
  lm_push_u64(L, m->tree.text.n);
  return 2;
}

/* --- files ------------------------------------------------------------------------------------------ */

/* is_folder(path) */
static int is_folder(lua_State *L) {
  lua_pushboolean(L, lm_whole_is_folder(lm_checkpath(L, 1)));
  return 1;
}

/* Pushes true; or nil, why, whether a file of that name is there. */
static int push_written(lua_State *L, int error) {
  if (error == 0) {
    lua_pushboolean(L, 1);
    return 1;
  }
  lua_pushnil(L);
  lua_pushstring(L, strerror(error));
  lua_pushboolean(L, lm_whole_exists_error(error));
  return 3;
}

static enum lm_whole_mode mode_at(lua_State *L, int i) {
  return lua_toboolean(L, i) ? LM_WHOLE_REPLACE : LM_WHOLE_NEW;
}

static bool next_of_text(void *text, struct lm_str *piece_out) {
  struct lm_str *s = text;
  *piece_out = *s;
  s->n = 0;
  return true;
}

/* write_file(path, text, replace) -> as push_written */
static int write_file(lua_State *L) {
  const char *path = lm_checkpath(L, 1);
  struct lm_str text = lm_checkstr(L, 2);
  struct lm_whole_source source = {next_of_text, &text};
  return push_written(L, lm_whole_write(path, source, mode_at(L, 3)));
}

/* save(i, path, replace) -> as push_written: what body(i) gives, to a file */
static int save(lua_State *L) {
  struct lm_message *m = lm_checkmessage(L);
  const struct lm_part *part = lm_checkpart(L, m);
  const char *path = lm_checkpath(L, 3);
  enum lm_whole_mode mode = mode_at(L, 4);
  struct lm_scratch *s = lm_take_scratch(L);
  struct pieces pieces = pieces_of(m, part, &s->buf);
  struct lm_whole_source source = {next_piece, &pieces};
  return lm_give(&s->shared, push_written(L, lm_whole_write(path, source, mode)));
}

/* --- opening ---------------------------------------------------------------------------------------- */

const luaL_Reg lm_content_methods[] = {{"body", body},
                                       {"size", size},
                                       {"save", save},
                                       {"text", text},
                                       {"raw", raw},
                                       {"raw_body", raw_body},
                                       {"raw_head", raw_head},
                                       {"preamble", preamble},
                                       {"epilogue", epilogue},
                                       {"sub", sub},
                                       {"span", span},
                                       {"count", count},
                                       {NULL, NULL}};
const luaL_Reg lm_content_functions[] = {
    {"is_folder", is_folder}, {"write_file", write_file}, {NULL, NULL}};
