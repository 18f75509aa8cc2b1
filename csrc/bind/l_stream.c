/*
** l_stream.c: core.stream_session, a session without a protocol: octets in, octets out.
**
** What a small client in Lua (lua/mail/http.lua) needs to use the library's TLS, loops and pump. Events:
** "data" (octets), "end" (whether the stream was cut off below TLS), both with id 1. Also core.sign, for
** what such a client has to prove.
*/
#include <stdlib.h>
#include <string.h>

#include "base/sign.h"
#include "bind/bind.h"
#include "bind/open.h"

struct stream {
  struct lm_wire wire; /* first: a driver needs no other type */
  bool ended;          /* "end" was told */
};

static enum lm_status next(lua_State *L, struct lm_box *b, int *n_out) {
  struct stream *s = b->session;
  struct lm_str in = lm_wire_input(&s->wire);
  if (lm_wire_failed(&s->wire)) return LM_FAIL;
  if (in.n == 0 && (!s->wire.eof || s->ended)) return lm_wire_more(&s->wire);
  lua_pushstring(L, in.n ? "data" : "end");
  lua_pushinteger(L, 1);
  if (in.n) {
    lm_pushstr(L, in);
    lm_wire_take(&s->wire, in.n);
  } else {
    s->ended = true;
    lua_pushboolean(L, s->wire.truncated);
  }
  *n_out = 3;
  return LM_EVENT;
}

/* write(octets) -> true | nil, reason */
static int put(lua_State *L) {
  struct stream *s = lm_boxself(L)->session;
  struct lm_str octets = lm_boxstr(L, 2);
  if (lm_wire_put(&s->wire, octets)) {
    lua_pushboolean(L, 1);
    return 1;
  }
  lua_pushnil(L);
  lua_pushliteral(L, "out of memory");
  return 2;
}

/* Whoever gives up closes the session. */
static void abandon(void *session, uint32_t id) {
  (void)session, (void)id;
}

/* Nothing is remembered, so nothing has to be forgotten. */
static void secured(void *session) {
  (void)session;
}

static void release(void *session) {
  struct stream *s = session;
  lm_wire_free(&s->wire);
  free(s);
}

static const struct lm_box_type type = {next, abandon, secured, release};

/* core.stream_session() -> session */
static int newsession(lua_State *L) {
  struct lm_box *b = lm_newbox(L, &type, lua_upvalueindex(1));
  struct stream *s = calloc(1, sizeof *s);
  if (s == NULL) return luaL_error(L, "out of memory");
  lm_wire_init(&s->wire);
  b->session = s;
  b->link.wire = &s->wire;
  return 1;
}

/* core.sign("RS256" | "ES256", key in PEM, text) -> signature | nil, reason */
static int sign(lua_State *L) {
  static const char *const kinds[] = {"RS256", "ES256", NULL};
  enum lm_signature kind = luaL_checkoption(L, 1, NULL, kinds) == 0 ? LM_RS256 : LM_ES256;
  struct lm_str key = lm_checkstr(L, 2), text = lm_checkstr(L, 3);
  struct lm_buf *out = lm_newbuffer(L);
  const char *why = lm_sign(kind, key, text, out);
  if (why == NULL) return lm_push_buffer(L, out, true);
  lua_pushnil(L);
  lua_pushstring(L, why);
  return 2;
}

static const luaL_Reg methods[] = {{"write", put}, {NULL, NULL}};
static const luaL_Reg makers[] = {{"stream_session", newsession}, {NULL, NULL}};

void lm_open_stream(lua_State *L) {
  lm_newboxclass(L, "stream_class", "mail.stream", methods);
  lua_getfield(L, -1, "stream_class");
  luaL_setfuncs(L, makers, 1);
  lua_pushcfunction(L, sign);
  lua_setfield(L, -2, "sign");
}
