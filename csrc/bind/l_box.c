/*
** l_box.c: what every session can do, whatever its protocol.
**
** feed and output carry bytes for transports that speak Lua strings; the native transport (l_os.c)
** reads and writes the link's outer wire in place.
*/
#include "bind/bind.h"
#include "bind/open.h"
#include "bind/l_tls.h"

#include <stdlib.h>

static char box_key; /* under its address the metatables of sessions hold their own */

struct lm_box *lm_newbox(lua_State *L, const struct lm_box_type *type, int mt) {
  struct lm_box *b = lm_newobject(L, sizeof *b, mt);
  b->type = type;
  return b;
}

/* --- sessions in use --------------------------------------------------------------------------- */

/* True where the call at `ar` is the one that holds the session: its argument 1 or, of a conn's, 2. */
static bool is_holding(lua_State *L, lua_Debug *ar, const struct lm_box *b) {
  bool found = false;
  int i;
  lua_getinfo(L, "f", ar);
  if (lua_tocfunction(L, -1) == b->by) {
    for (i = 1; i <= 2 && !found && lua_getlocal(L, ar, i); i++) {
      found = lua_touserdata(L, -1) == b;
      lua_pop(L, 1);
    }
  }
  lua_pop(L, 1);
  return found;
}

/* True where it is under way in this coroutine, from that level on. */
static bool is_under_way(lua_State *L, int level, const struct lm_box *b) {
  lua_Debug ar;
  for (; lua_getstack(L, level, &ar); level++) {
    if (is_holding(L, &ar, b)) return true;
  }
  return false;
}

/* True where the call that holds the session is under way, and this one within it. Finalizers run where Lua
** collects, in the coroutine of that call; but one may resume another, in which it cannot be seen. Then the
** registry has the coroutine to look into, or else any finalizer is taken for one of its own. */
static bool is_held(lua_State *L, const struct lm_box *b) {
  if (L == b->holder) return is_under_way(L, 1, b);
  if (b->kept) return lua_status(b->holder) == 0 && is_under_way(b->holder, 0, b);
  return lm_is_finalizing(L);
}

void lm_box_hold(lua_State *L, struct lm_box *b, lua_CFunction by) {
#if defined(LUA_GCISRUNNING)
  b->holder = L;
  b->by = by;
#else
  lm_box_hold_and_call(L, b, by); /* nothing tells of finalizers */
#endif
}

void lm_box_hold_and_call(lua_State *L, struct lm_box *b, lua_CFunction by) {
  lua_pushthread(L);
  lua_rawsetp(L, LUA_REGISTRYINDEX, b);
  b->kept = true;
  b->holder = L;
  b->by = by;
}

static void unhold(lua_State *L, struct lm_box *b) {
  b->holder = NULL;
  if (!b->kept) return;
  b->kept = false;
  lua_pushnil(L);
  lua_rawsetp(L, LUA_REGISTRYINDEX, b);
}

/* Raises where the session is in use. Else the call that held it has raised; what was to be told is lost. */
static void settle(lua_State *L, struct lm_box *b) {
  if (is_held(L, b)) luaL_error(L, "the session is in use by the call that this one interrupts");
  unhold(L, b);
  if (b->pushing) lm_wire_fail(b->link.wire, LM_E_MEMORY, "room for an event", LM_NOSTR);
  b->pushing = false;
}

struct lm_box *lm_checkbox(lua_State *L, int i) {
  struct lm_box *b = lua_touserdata(L, i);
  int is_box = 0;
  if (b && lua_getmetatable(L, i)) {
    lua_rawgetp(L, -1, &box_key);
    is_box = lua_touserdata(L, -1) == lua_topointer(L, -2); /* a copy makes no session of others */
    lua_pop(L, 2);
  }
  if (!is_box) luaL_argerror(L, i, "session expected");
  if (b->session == NULL) luaL_argerror(L, i, "session is freed");
  if (b->holder) settle(L, b);
  return b;
}

struct lm_box *lm_boxself(lua_State *L) {
  struct lm_box *b = lm_checkself(L);
  if (b->session == NULL) luaL_error(L, "session is freed");
  if (b->holder) settle(L, b);
  return b;
}

struct lm_box *lm_box_unused(lua_State *L) {
  const struct lm_box *b = lm_checkself(L);
  return b->session && b->holder && is_held(L, b) ? NULL : lm_boxself(L);
}

struct lm_str lm_boxstr(lua_State *L, int i) {
  bool made = lua_type(L, i) != LUA_TSTRING;
  struct lm_str s = lm_checkstr(L, i);
  if (made) lm_boxself(L);
  return s;
}

struct lm_str lm_optboxstr(lua_State *L, int i) {
  return lua_isnoneornil(L, i) ? LM_NOSTR : lm_boxstr(L, i);
}

/* --- anchors --------------------------------------------------------------------------------- */

/* Where the value of `id` stands in the table of anchors: the usual few in its array, for a table whose
** keys only ever grow is hashed anew all the time. Takes a place where `take` is set. */
static int place_of(struct lm_box *b, uint32_t id, bool take) {
  int k, unused = -1;
  if (id == 0) return LM_ANCHORS + 1; /* the session's own, set again and again */
  for (k = LM_ANCHORS - 1; k >= 0; k--) {
    if (!(b->places >> k & 1)) {
      unused = k;
    } else if (b->anchored[k] == id) {
      if (!take) b->places &= (unsigned char)~(1u << k);
      return k + 1;
    }
  }
  if (!take || unused < 0) return -1 - (int)id;
  b->places |= (unsigned char)(1u << unused);
  b->anchored[unused] = id;
  return unused + 1;
}

void lm_box_may_anchor(lua_State *L, struct lm_box *b) {
  if (b->anchors) return;
  lua_createtable(L, LM_ANCHORS + 1, 0);
  if (b->session == NULL && b->parting == NULL) {
    luaL_error(L, "session is freed"); /* by a finalizer, just now */
  }
  if (b->anchors) {
    lua_pop(L, 1); /* by one, too */
  } else {
    b->anchors = luaL_ref(L, LUA_REGISTRYINDEX);
  }
}

void lm_box_anchor(lua_State *L, struct lm_box *b, uint32_t id, int i) {
  i = lua_absindex(L, i);
  lm_box_may_anchor(L, b);
  lua_rawgeti(L, LUA_REGISTRYINDEX, b->anchors);
  lua_pushvalue(L, i);
  lua_rawseti(L, -2, place_of(b, id, true));
  lua_pop(L, 1);
}

void lm_box_release(lua_State *L, struct lm_box *b, uint32_t id) {
  int place;
  if (b->anchors == 0) return;
  place = place_of(b, id, false);
  lua_rawgeti(L, LUA_REGISTRYINDEX, b->anchors);
  lua_rawgeti(L, -1, place);
  if (!lua_isnil(L, -1)) { /* some Luas make room for a nil, which may raise */
    lua_pushnil(L);
    lua_rawseti(L, -3, place);
  }
  lua_pop(L, 2);
}

static void release_all(lua_State *L, struct lm_box *b) {
  if (b->anchors) luaL_unref(L, LUA_REGISTRYINDEX, b->anchors);
  b->anchors = 0;
  b->places = 0;
}

/* --- methods, in the order of the table below ------------------------------------------------- */

/* feed(bytes) -> true | nil, kind, message */
static int feed(lua_State *L) {
  struct lm_box *b = lm_boxself(L);
  struct lm_str bytes = lm_boxstr(L, 2);
  if (!lm_wire_feed(lm_link_outer(&b->link), bytes)) {
    lm_link_turn(&b->link); /* the session hears of it */
    lua_pushnil(L);
    return 1 + lm_push_error(L, lm_wire_error(lm_link_outer(&b->link)));
  }
  lm_link_turn(&b->link);
  lua_pushboolean(L, 1);
  return 1;
}

/* feed_eof(): the peer will send no more */
static int feed_eof(lua_State *L) {
  struct lm_box *b = lm_boxself(L);
  lm_wire_eof(lm_link_outer(&b->link));
  lm_link_turn(&b->link);
  return 0;
}

/* output([max]) -> bytes | nil: the next bytes to send; they count as sent */
static int output(lua_State *L) {
  struct lm_box *b = lm_boxself(L);
  lua_Integer max = luaL_optinteger(L, 2, 65536);
  struct lm_str out;
  luaL_argcheck(L, max > 0, 2, "1 or more expected");
  lm_link_turn(&b->link);
  out = lm_wire_output(lm_link_outer(&b->link));
  if (out.n == 0) return 0;
  if (out.n > (size_t)max) out.n = (size_t)max;
  lm_box_hold(L, b, output);
  lm_pushstr(L, out);
  lm_wire_sent(lm_link_outer(&b->link), out.n);
  return lm_box_let_go(L, b, 1);
}

enum lm_status lm_box_next(lua_State *L, struct lm_box *b, lua_CFunction by, int *n_out) {
  for (;;) {
    enum lm_status status;
    lm_box_hold(L, b, by);
    b->pushing = true;
    status = b->type->next(L, b, n_out);
    b->pushing = false;
    lm_box_let_go(L, b, 0);
    if (status != LM_WAIT || b->link.filter[0] == NULL || !lm_link_turn(&b->link)) return status;
  }
}

/* next() -> kind, ... */
static int next(lua_State *L) {
  int n = 0;
  switch (lm_box_next(L, lm_boxself(L), next, &n)) {
  case LM_EVENT: return n;
  case LM_FAIL: lua_pushliteral(L, "fail"); return 1;
  default: lua_pushliteral(L, "wait"); return 1;
  }
}

/* wants() -> "read" | "readwrite": what the transport should wait for */
static int wants(lua_State *L) {
  struct lm_box *b = lm_boxself(L);
  lm_link_turn(&b->link);
  if (lm_wire_output(lm_link_outer(&b->link)).n) {
    lua_pushliteral(L, "readwrite");
  } else {
    lua_pushliteral(L, "read");
  }
  return 1;
}

/* failure() -> kind, message | nil */
static int failure(lua_State *L) {
  struct lm_box *b = lm_boxself(L);
  if (!lm_wire_failed(b->link.wire)) return 0;
  return lm_push_error(L, lm_wire_error(b->link.wire));
}

/* preface(bytes) -> boolean: these leave before everything else, TLS included */
static int preface(lua_State *L) {
  struct lm_box *b = lm_boxself(L);
  lua_pushboolean(L, lm_link_preface(&b->link, lm_boxstr(L, 2)));
  return 1;
}

/* secured() -> boolean: TLS was put below this session by other means (a host's own). False, and the
** session has failed, where plaintext had come already. */
static int secured(lua_State *L) {
  struct lm_box *b = lm_boxself(L);
  struct lm_str early = lm_wire_input(b->link.wire);
  if (early.n) {
    lm_wire_fail(b->link.wire, LM_E_PROTOCOL, "nothing before the TLS handshake", early);
  } else {
    b->type->secured(b->session);
  }
  lua_pushboolean(L, early.n == 0);
  return 1;
}

/* relax(): gives back empty buffers */
static int relax(lua_State *L) {
  lm_link_relax(&lm_boxself(L)->link);
  return 0;
}

/* abandon(id): nobody listens for this command any more */
static int abandon(lua_State *L) {
  struct lm_box *b = lm_boxself(L);
  b->type->abandon(b->session, (uint32_t)luaL_checkinteger(L, 2));
  return 0;
}

/* trace() -> text | nil: the lines since the last call, each "C" or "S", text, LF; the first call
** switches the writing down on. Secrets read ***. */
static int trace(lua_State *L) {
  struct lm_box *b = lm_box_unused(L);
  struct lm_wire *w;
  if (b == NULL) return 0;
  w = b->link.wire;
  if (w->trace == NULL) {
    if (!lm_wire_trace_on(w)) return luaL_error(L, "out of memory");
    return 0;
  }
  if (lm_buf_len(w->trace) == 0) return 0;
  lm_box_hold(L, b, trace);
  lm_pushstr(L, lm_buf_str(w->trace));
  lm_buf_clear(w->trace);
  return lm_box_let_go(L, b, 1);
}

/* core.session_state(session [, table]) -> the table that the Lua side keeps with this session | nil */
static int session_state(lua_State *L) {
  if (lua_type(L, 1) != LUA_TUSERDATA) {
    return luaL_error(L, "a session expected, got %s: methods are called with a colon",
                      luaL_typename(L, 1));
  }
  if (!lua_isnoneornil(L, 2)) {
    lm_checkbox(L, 1); /* other objects keep what they need in this place */
    luaL_checktype(L, 2, LUA_TTABLE);
    lua_settop(L, 2);
    lua_setuservalue(L, 1);
  }
  lua_getuservalue(L, 1);
#if LUA_VERSION_NUM < 502
  /* Every userdata has an environment there: at first that of the function which made it. */
  if (lua_rawequal(L, -1, LUA_ENVIRONINDEX)) return 0;
#endif
  return 1;
}

static void drop(lua_State *L, struct lm_box *b) {
  void *session = b->session ? b->session : b->parting;
  b->session = b->parting = NULL;
  unhold(L, b);
  if (session == NULL) return;
  lm_link_free(&b->link);
  b->type->free(session);
  release_all(L, b);
}

int lm_box_let_go(lua_State *L, struct lm_box *b, int results) {
  unhold(L, b);
  if (b->parting) drop(L, b);
  return results;
}

/* free(): drops the session, or, where it is in use, lets its user do it; later calls raise. Idempotent. */
static int release(lua_State *L) {
  struct lm_box *b = lm_checkself(L);
  if (b->session == NULL) return 0;
  if (b->holder && is_held(L, b)) {
    b->parting = b->session;
    b->session = NULL;
  } else {
    drop(L, b);
  }
  return 0;
}

/* Nobody uses it any more. */
static int box_gc(lua_State *L) {
  drop(L, lm_checkself(L));
  return 0;
}

/* is_freed() -> boolean */
static int is_freed(lua_State *L) {
  struct lm_box *b = lm_checkself(L);
  lua_pushboolean(L, b->session == NULL);
  return 1;
}

static const luaL_Reg box_methods[] = {
    {"feed", feed},
    {"feed_eof", feed_eof},
    {"output", output},
    {"next", next},
    {"wants", wants},
    {"failure", failure},
    {"relax", relax},
    {"abandon", abandon},
    {"trace", trace},
    {"free", release},
    {"is_freed", is_freed},
    {"start_tls", lm_box_start_tls},
    {"tls_info", lm_box_tls_info},
    {"tls_session", lm_box_tls_session},
    {"tls_why", lm_box_tls_why},
    {"tls_close", lm_box_tls_close},
    {"tls_binding", lm_box_tls_binding},
    {"preface", preface},
    {"secured", secured},
    {NULL, NULL},
};

static const luaL_Reg box_functions[] = {{"session_state", session_state}, {NULL, NULL}};
static const luaL_Reg box_meta[] = {{"__gc", box_gc}, {NULL, NULL}};

void lm_newboxclass(lua_State *L, const char *field, const char *name, const luaL_Reg *methods) {
  lm_newclass(L, field, name, box_methods, box_meta);
  lm_addmethods(L, field, methods);
  lua_getfield(L, -1, field);
  lua_pushlightuserdata(L, (void *)(uintptr_t)lua_topointer(L, -1));
  lua_rawsetp(L, -2, &box_key);
  lua_pop(L, 1);
}

void lm_open_box(lua_State *L) {
  luaL_setfuncs(L, box_functions, 0);
}
