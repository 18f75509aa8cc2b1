/*
** l_reader.c: class "mail.message.reader": the push parser for Lua; core.message_reader.
**
** Fed text is copied once, so that it may go away. Content is decoded on the way where that is wanted:
** a part's decoder lives from its header to its end.
*/
#include <string.h>

#include "base/chars.h"
#include "bind/bind.h"
#include "bind/message.h"
#include "bind/open.h"
#include "bind/push_mime.h"

struct reader {
  struct lm_parser *parser;
  struct lm_buf input;   /* fed and not yet lent */
  struct lm_buf lent;    /* what the parser reads now */
  struct lm_buf decoded; /* of one event */
  struct lm_arena arena;
  struct lm_decoder decoder;
  struct lm_mime_limits limits;
  struct lm_buf type; /* raw Content-Type of the part whose header is being read */
  bool has_type;
  bool decode;
  bool decoding; /* a leaf is open, and encoded */
  bool held;     /* `event` waits: the decoder's last octets went before it */
  bool ended;
  bool halfway; /* an event is being pushed, or was lost when memory was short for it */
  struct lm_mime_event event;
};

static int reader_gc(lua_State *L) {
  struct reader *r = lm_checkself(L);
  lm_parser_free(r->parser);
  r->parser = NULL;
  lm_buf_free(&r->input);
  lm_buf_free(&r->lent);
  lm_buf_free(&r->decoded);
  lm_buf_free(&r->type);
  lm_arena_free(&r->arena);
  return 0;
}

static struct reader *self(lua_State *L) {
  struct reader *r = lm_checkself(L);
  if (r->parser == NULL) luaL_error(L, "the reader is closed");
  return r;
}

/* feed(text) */
static int feed(lua_State *L) {
  struct reader *r = self(L);
  struct lm_str text = lm_checkstr(L, 2);
  luaL_argcheck(L, !r->ended, 1, "the message has ended");
  if (!lm_buf_put(&r->input, text.p, text.n)) return lm_no_memory(L);
  return 0;
}

/* finish(): the message ends with what was fed */
static int finish(lua_State *L) {
  self(L)->ended = true;
  return 0;
}

/* Lends the parser what was fed; false where there is nothing. */
static bool lend(lua_State *L, struct reader *r) {
  struct lm_buf empty = r->lent;
  if (lm_buf_len(&r->input) == 0) return false;
  r->lent = r->input;
  r->input = empty;
  lm_buf_clear(&r->input);
  if (!lm_parser_feed(r->parser, lm_buf_str(&r->lent))) lm_no_memory(L);
  return true;
}

/* The parser's next event; false where more has to be fed. */
static bool next_event(lua_State *L, struct reader *r) {
  bool told = false;
  if (r->held) {
    r->held = false;
    return true;
  }
  for (;;) {
    switch (lm_parser_next(r->parser, &r->event)) {
    case LM_EVENT: return true;
    case LM_WAIT: break;
    default: lm_no_memory(L);
    }
    if (lend(L, r)) continue;
    if (!r->ended || told) return false;
    lm_parser_eof(r->parser);
    told = true;
  }
}

/* --- events ------------------------------------------------------------------------------------------- */

static int push_text(lua_State *L, const char *kind, struct lm_str text) {
  lua_pushstring(L, kind);
  lm_pushstr(L, text);
  return 2;
}

static int push_field(lua_State *L, struct reader *r) {
  const struct lm_header_field *f = &r->event.field;
  if (!r->has_type && LM_IS(f->name, "Content-Type")) {
    r->has_type = true;
    if (!lm_buf_put(&r->type, f->value.p, f->value.n)) return lm_no_memory(L);
  }
  push_text(L, "field", f->name);
  lm_push_decoded(L, &r->arena, f->value);
  lm_pushstr(L, lm_trimmed(f->value));
  return 4;
}

static int push_content(lua_State *L, struct reader *r) {
  static const char *const shapes[] = {"leaf", "multipart", "message"};
  struct lm_part part;
  struct lm_media media;
  struct lm_params params;
  memset(&part, 0, sizeof part);
  if (r->has_type) part.type = lm_buf_str(&r->type);
  part.digest = r->event.digest;
  lm_tree_media(&part, &media);
  if (!lm_params_read(&r->arena, part.type, r->limits.parameters, &params)) return lm_no_memory(L);
  push_text(L, "content", LM_STR(""));
  lua_pop(L, 1);
  lua_pushstring(L, shapes[r->event.shape]);
  lm_push_lower(L, media.type);
  lua_pushliteral(L, "/");
  lm_push_lower(L, media.subtype);
  lua_concat(L, 3);
  lm_push_params(L, &params);
  r->decoding =
      r->decode && r->event.shape == LM_MIME_LEAF && r->event.transfer != LM_TRANSFER_IDENTITY;
  if (r->decoding) lm_decoder_init(&r->decoder, r->event.transfer);
  return 4;
}

static int push_body(lua_State *L, struct reader *r) {
  if (!r->decoding) return push_text(L, "body", r->event.text);
  lm_buf_clear(&r->decoded);
  if (!lm_decoder_put(&r->decoder, &r->decoded, r->event.text)) return lm_no_memory(L);
  if (lm_buf_len(&r->decoded) == 0) return 0;
  return push_text(L, "body", lm_buf_str(&r->decoded));
}

/* What the decoder held back comes before the end of its part. */
static int push_end(lua_State *L, struct reader *r) {
  if (r->decoding) {
    r->decoding = false;
    lm_buf_clear(&r->decoded);
    if (!lm_decoder_end(&r->decoder, &r->decoded)) return lm_no_memory(L);
    if (lm_buf_len(&r->decoded)) {
      r->held = true;
      return push_text(L, "body", lm_buf_str(&r->decoded));
    }
  }
  lua_pushliteral(L, "part_end");
  lm_push_u64(L, r->event.depth);
  return 2;
}

static int push_defect(lua_State *L, const struct reader *r) {
  lua_pushliteral(L, "defect");
  lua_pushstring(L, r->event.why);
  lm_push_u64(L, r->event.offset + 1);
  return 3;
}

static int push_part(lua_State *L, struct reader *r) {
  r->has_type = false;
  lm_buf_clear(&r->type);
  lua_pushliteral(L, "part");
  lm_push_u64(L, r->event.depth);
  lm_push_u64(L, r->event.offset + 1);
  return 3;
}

/* How many values it pushed; 0 for content of which nothing is decoded yet. */
static int push_event(lua_State *L, struct reader *r) {
  switch (r->event.kind) {
  case LM_MIME_PART: return push_part(L, r);
  case LM_MIME_FIELD: return push_field(L, r);
  case LM_MIME_CONTENT: return push_content(L, r);
  case LM_MIME_BODY: return push_body(L, r);
  case LM_MIME_PREAMBLE: return push_text(L, "preamble", r->event.text);
  case LM_MIME_EPILOGUE: return push_text(L, "epilogue", r->event.text);
  case LM_MIME_PART_END: return push_end(L, r);
  case LM_MIME_DEFECT: return push_defect(L, r);
  default: lua_pushliteral(L, "end"); return 1;
  }
}

/* next() -> kind, ...; nil where more has to be fed, and behind "end" */
static int next(lua_State *L) {
  struct reader *r = self(L);
  int n = 0;
  if (r->halfway)
    return luaL_error(L,
                      "the reader is in use, or has lost a part of the message: memory was short");
  lm_arena_reset(&r->arena);
  r->halfway = true;
  while (n == 0 && next_event(L, r)) n = push_event(L, r);
  r->halfway = false;
  return n;
}

/* message_reader(decode, limits or nil) -> reader */
static int message_reader(lua_State *L) {
  struct lm_mime_limits limits;
  struct reader *r;
  lm_checkmimelimits(L, 2, &limits);
  r = lm_newobject(L, sizeof *r, lua_upvalueindex(1));
  r->decode = lua_toboolean(L, 1);
  r->limits = limits;
  if ((r->parser = lm_parser_new(&limits)) == NULL) return lm_no_memory(L);
  return 1;
}

static const luaL_Reg methods[] = {
    {"feed", feed}, {"finish", finish}, {"next", next}, {NULL, NULL}};
static const luaL_Reg meta[] = {{"__gc", reader_gc}, {NULL, NULL}};
static const luaL_Reg functions[] = {{"message_reader", message_reader}, {NULL, NULL}};

void lm_open_reader(lua_State *L) {
  lm_newclass(L, "message_reader_class", "mail.message.reader", methods, meta);
  lua_getfield(L, -1, "message_reader_class");
  luaL_setfuncs(L, functions, 1);
}
